//! horde-transport: what names somebody: certificates, names, topics.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::transport::names(bytes));
