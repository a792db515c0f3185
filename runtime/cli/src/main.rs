//! The `zvonar` binary: commands, configuration, wiring.
fn main() {}
