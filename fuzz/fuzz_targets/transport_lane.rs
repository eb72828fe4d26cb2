//! horde-transport: the stream of a lane, in pieces of any size.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::transport::lane(bytes));
