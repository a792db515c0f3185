//! The sandbox that runs scenarios: engine, packages, sessions, limits.
