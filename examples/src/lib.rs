//! Examples of Horde, one file each: `cargo run -p horde-examples --example hello`.
