//! Pretend lines: the farm of callees.
