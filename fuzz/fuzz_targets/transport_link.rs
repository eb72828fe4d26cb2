//! horde-transport: the stream of a handshake and of what the ends say after it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::transport::link(bytes));
