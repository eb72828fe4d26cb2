//! delta-crdt: a message, taken by a replica that is in the middle of a session.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::crdt::message(bytes));
