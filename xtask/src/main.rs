//! One tool, one gate.
fn main() {}
