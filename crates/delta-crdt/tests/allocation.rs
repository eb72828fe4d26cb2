//! Decoders allocate no more than their input warrants. A test program of its own, as it counts all allocations.

use core::fmt;
use std::collections::BTreeSet;

use delta_crdt::{
    AWLWWMap, AWSet, CausalContext, Config, DWFlag, EWFlag, GCounter, GMap, GSet, Key, LWWRegister,
    LastWriter, MVRegister, MaxRegister, Message, MinRegister, Now, ORMap, Output, PNCounter, RWSet, Record,
    Replica, ReplicaId, Stamp, append_frame, encode, read_frames,
};
use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// Bytes that may be allocated per byte of input: a sibling in memory is that much larger than on the wire.
const FACTOR: usize = 256;

const A: ReplicaId = ReplicaId::new(1, 1);
const B: ReplicaId = ReplicaId::new(300, 2);
const NOW: Now = Now { monotonic: core::time::Duration::ZERO, unix_ms: 1_700_000_000_000 };

/// A value that lies where it is held, and takes as much of the input.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Large([u8; 4_096]);

impl Serialize for Large {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        self.0.iter().try_for_each(|byte| tuple.serialize_element(byte))?;
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Large {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Large;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("4,096 bytes")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut bytes: S) -> Result<Large, S::Error> {
                let mut large = Large([0; 4_096]);
                for byte in &mut large.0 {
                    *byte = bytes.next_element()?.ok_or_else(|| serde::de::Error::custom("too short"))?;
                }
                Ok(large)
            }
        }
        deserializer.deserialize_tuple(4_096, Bytes)
    }
}

/// Decodes and drops. True if it was accepted.
type Decode = fn(&[u8]) -> bool;

fn state<T: DeserializeOwned>(bytes: &[u8]) -> bool {
    delta_crdt::decode::<T>(bytes).is_ok()
}

fn message<K: DeserializeOwned, V: DeserializeOwned>(bytes: &[u8]) -> bool {
    Message::<K, V>::decode(bytes).is_ok()
}

/// Of a byte log that holds them in one frame, with a checksum that is right.
fn frames(bytes: &[u8]) -> bool {
    read_frames::<String, u64>(bytes).1 > 0
}

fn framed(record: &[u8]) -> Vec<u8> {
    let checksum = record.to_vec().stable_hash().to_le_bytes();
    [&(record.len() as u32).to_le_bytes()[..], &checksum, record].concat()
}

fn spends_within_reason(name: &str, bytes: &[u8], decode: Decode) -> bool {
    let region = Region::new(ALLOCATOR);
    let accepted = decode(bytes);
    let spent = region.change().bytes_allocated;
    assert!(
        spent <= 1_024 + FACTOR * bytes.len(),
        "{name}: {spent} bytes for {} of input: {bytes:?}",
        bytes.len()
    );
    accepted
}

fn map<V: Clone + PartialEq>(id: ReplicaId) -> Replica<String, V> {
    Replica::new(id, Config { max_fragment_keys: 3, ..Config::default() }, LastWriter)
}

type History<V> = (Vec<Message<String, V>>, Vec<Record<String, V>>);

/// One message of each kind that a pair of replicas sends, and one record of each kind and size of one of them.
fn history<V: Clone + PartialEq>(value: impl Fn(u64) -> V) -> History<V> {
    let (mut a, mut b) = (map(A), map(B));
    let (mut kinds, mut messages) = (BTreeSet::new(), Vec::new());
    a.record();
    for number in 0..5 {
        a.put(NOW, format!("key-{number}"), value(number));
        b.put(NOW, format!("key-{}", number + 3), value(number));
    }
    b.remove(NOW, &"key-3".into());
    a.peer_up(NOW, B);
    b.peer_up(NOW, A);
    for round in 0.. {
        a.flush(NOW);
        b.flush(NOW);
        let outputs = [a.poll_output(), b.poll_output()];
        if outputs.iter().all(Option::is_none) {
            if round > 100 {
                break;
            }
            b.put(NOW, format!("key-{}", round % 4), value(round));
        }
        for (from, output) in outputs.into_iter().enumerate() {
            if let Some(Output::Send { message, .. }) = output {
                if kinds.insert(message.kind()) {
                    messages.push(message.clone());
                }
                let (id, to) = if from == 0 { (A, &mut b) } else { (B, &mut a) };
                to.receive(NOW, id, message);
            }
        }
    }
    for kind in ["op", "status", "pull", "fragment", "commit"] {
        assert!(kinds.contains(kind), "{kind} is not among {kinds:?}");
    }
    let mut records = a.take_log();
    records.extend(a.snapshot());
    let mut kinds = BTreeSet::new();
    records.retain(|record| kinds.insert(format!("{record:?}")));
    (messages, records)
}

fn form<T: Serialize + DeserializeOwned>(name: &'static str, value: &T) -> (&'static str, Vec<u8>, Decode) {
    (name, encode(value), state::<T>)
}

/// The wire form of a state of each type, and its decoder.
fn states() -> Vec<(&'static str, Vec<u8>, Decode)> {
    let (text, stamp) = (|text: &str| text.to_owned(), Stamp::at_unix_ms(5));
    let mut set = AWSet::new();
    ["tea", "coffee", "milk"].iter().for_each(|element| _ = set.insert(A, text(element)));
    set.remove(&text("milk"));
    let mut rw = RWSet::new();
    rw.insert(A, text("tea"));
    rw.remove(B, text("coffee"));
    let mut dw = DWFlag::new();
    dw.disable(A);
    let mut registers = MVRegister::new();
    registers.write(A, vec![1_u8, 2, 3]);
    let mut counter = GCounter::new();
    counter.increment(A, 2);
    counter.increment(B, 300);
    let mut both = PNCounter::new();
    both.increment(A, 2);
    both.decrement(B, 300);
    let mut map = ORMap::<String, AWSet<String>>::new();
    map.update(text("a"), |set| set.insert(A, text("tea")));
    map.update(text("b"), |set| set.insert(B, text("coffee")));
    let mut counters = GMap::<String, GCounter>::new();
    counters.update(text("a"), |counter| counter.increment(A, 2));
    let mut last = AWLWWMap::new();
    last.put(A, stamp, text("a"), text("tea"));
    last.put(B, stamp, text("b"), text("coffee"));
    let mut large = AWLWWMap::new();
    large.put(A, stamp, 1_u64, Large([0xff; 4_096]));
    let mut seen = CausalContext::new();
    [(A, 1), (A, 2), (A, 5), (B, 7)]
        .iter()
        .for_each(|&(id, seq)| _ = seen.insert(delta_crdt::Dot::new(id, seq)));
    let mut grown = GSet::new();
    ["tea", "coffee"].iter().for_each(|element| _ = grown.insert(text(element)));
    vec![
        form("AWLWWMap", &last),
        form("AWLWWMap of large values", &large),
        form("AWSet", &set),
        form("RWSet", &rw),
        form("MVRegister", &registers),
        form("MVRegister of large values", &MVRegister::new().write(A, Large([0xff; 4_096]))),
        form("CausalContext", &seen),
        form("GCounter", &counter),
        form("PNCounter", &both),
        form("GSet", &grown),
        form("GMap", &counters),
        form("ORMap", &map),
        form("EWFlag", &EWFlag::new().enable(A)),
        form("DWFlag", &dw),
        form("LWWRegister", &LWWRegister::new().write(A, stamp, vec![1_u8, 2, 3])),
        form("LWWRegister of large values", &LWWRegister::new().write(A, stamp, Large([0xff; 4_096]))),
        form("MaxRegister", &MaxRegister::new().write(text("tea"))),
        form("MinRegister", &MinRegister::new().write(vec![text("tea"), text("coffee")])),
    ]
}

/// All forms, and their decoders.
fn forms() -> Vec<(&'static str, Vec<u8>, Decode)> {
    let mut forms = states();
    let (messages, records) = history(|number| number);
    forms.extend(messages.iter().map(|sent| (sent.kind(), sent.encode(), message::<String, u64> as Decode)));
    for record in &records {
        forms.push(form("record", record));
        let mut frame = Vec::new();
        append_frame(&mut frame, record);
        assert_eq!(frame, framed(&encode(record)));
    }
    // Of bytes that are no items of anything: what large values hold, they hold.
    let (messages, records) = history(|_| Large([0xff; 4_096]));
    let large = message::<String, Large> as Decode;
    forms.extend(messages.iter().map(|sent| ("message of large values", sent.encode(), large)));
    forms.extend(records.iter().map(|record| form("record of large values", record)));
    forms
}

/// A number in the wire form.
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// One test, as the allocations of all threads are counted.
#[test]
fn huge_lengths_in_small_inputs_allocate_little() {
    lengths_that_promise_more_than_there_is_allocate_little();
    promises_of_large_values_allocate_little();
    random_bytes_with_huge_lengths_allocate_little();
}

fn lengths_that_promise_more_than_there_is_allocate_little() {
    let forms = forms();
    for (name, form, decode) in &forms {
        assert!(spends_within_reason(name, form, *decode), "{name}");
        // Large values have a long tail in which no length lies.
        for place in (1..form.len()).filter(|place| *place < 200) {
            let (head, tail) = (&form[..place], &form[place + 1..form.len().min(200)]);
            // After it comes what cannot be an item, or what can be many small ones.
            for (filler, room) in [(0xff, 0), (0xff, 600), (0, 300)] {
                let fill = vec![filler; room];
                let rest = (tail.len() + room) as u64;
                for promise in [rest, rest / 8, 1 << 32, u64::MAX] {
                    // In place of a byte, its neighbours left out or not.
                    for tail in [tail, &[]] {
                        let bytes = [head, &varint(promise), tail, &fill].concat();
                        if !(name.contains("large") && filler == 0) {
                            spends_within_reason(name, &bytes, *decode);
                        }
                        if *name == "record" {
                            spends_within_reason("frames", &framed(&bytes), frames);
                        }
                    }
                }
            }
        }
    }
}

/// The head of a message that promises as many items as there are bytes, none of which is an item.
fn promises_of_large_values_allocate_little() {
    for room in [100, 1_000, 10_000, 100_000] {
        // Shards, kind, shard, session, answer, number, stamp, origins; shards, kind, origins, stamp.
        for head in [&[1_u8, 0, 4, 0, 0, 0, 0, 0, 0][..], &[1, 0, 0, 0, 0]] {
            let bytes = [head, &varint(room), &vec![0xff; room as usize]].concat();
            assert!(!spends_within_reason("promise", &bytes, message::<u64, Large>));
        }
    }
}

fn random_bytes_with_huge_lengths_allocate_little() {
    let forms = forms();
    let decoders: Vec<(&str, Decode)> = forms.iter().map(|form| (form.0, form.2)).collect();
    let mut seed = 1_u64;
    for round in 0..20_000_u32 {
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
        let (name, decode) = decoders[round as usize % decoders.len()];
        spends_within_reason(name, &bytes, decode);
        spends_within_reason("message", &bytes, message::<Vec<u8>, Vec<u8>>);
    }
}
