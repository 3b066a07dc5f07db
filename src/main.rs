//! `drydock`

fn main() {}
