//! The Store trait and its engines.
