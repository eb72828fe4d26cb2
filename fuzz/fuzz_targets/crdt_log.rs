//! delta-crdt: a byte log.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::crdt::log(bytes));
