//! Drydock.
fn main() {}
