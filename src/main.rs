//! eagle-lab.
fn main() {}
