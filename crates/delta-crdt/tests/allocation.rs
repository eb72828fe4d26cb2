//! Decoders allocate no more than their input warrants. A test program of its own, as it counts all allocations.

use delta_crdt::{AWLWWMap, AWSet, CausalContext, GCounter, MVRegister, Message, RWSet};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// Bytes that may be allocated per byte of input: a sibling in memory is that much larger than on the wire.
const FACTOR: usize = 256;

/// Decodes and drops.
type Decode = fn(&[u8]);

fn spends_within_reason(name: &str, bytes: &[u8], decode: Decode) {
    let region = Region::new(ALLOCATOR);
    decode(bytes);
    let spent = region.change().bytes_allocated;
    assert!(spent <= 1_024 + FACTOR * bytes.len(), "{name}: {spent} bytes for {} of input", bytes.len());
}

#[test]
fn huge_lengths_in_small_inputs_allocate_little() {
    let decoders: [(&str, Decode); 7] = [
        ("message", |bytes| drop(Message::<Vec<u8>, Vec<u8>>::decode(bytes))),
        ("AWLWWMap", |bytes| drop(delta_crdt::decode::<AWLWWMap<String, String>>(bytes))),
        ("AWSet", |bytes| drop(delta_crdt::decode::<AWSet<String>>(bytes))),
        ("RWSet", |bytes| drop(delta_crdt::decode::<RWSet<String>>(bytes))),
        ("MVRegister", |bytes| drop(delta_crdt::decode::<MVRegister<Vec<u8>>>(bytes))),
        ("CausalContext", |bytes| drop(delta_crdt::decode::<CausalContext>(bytes))),
        ("GCounter", |bytes| drop(delta_crdt::decode::<GCounter>(bytes))),
    ];
    let mut seed = 1_u64;
    for round in 0..40_000_u32 {
        let mut bytes = vec![1];
        for _ in 0..round % 60 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            match seed % 4 {
                // A length or number that promises more than there is.
                0 => bytes.extend([0xff, 0xff, 0xff, 0xff, (seed >> 8) as u8 & 0x0f]),
                1 => bytes.push((seed >> 8) as u8),
                _ => bytes.push((seed >> 8) as u8 % 8),
            }
        }
        for (name, decode) in decoders {
            spends_within_reason(name, &bytes, decode);
        }
    }
}
