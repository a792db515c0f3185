//! What `./zv` runs.
fn main() {}
