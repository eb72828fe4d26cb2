//! The `horde` command.
fn main() {}
