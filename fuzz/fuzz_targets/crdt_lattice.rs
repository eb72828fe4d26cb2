//! delta-crdt: the states of the lattice layer; the first byte chooses the type.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::crdt::lattice(bytes));
