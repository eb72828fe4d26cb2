//! delta-crdt: a list of records, which a replica starts from.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::crdt::records(bytes));
