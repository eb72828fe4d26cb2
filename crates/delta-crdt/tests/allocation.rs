//! Decoders allocate no more than the documentation of `decode` says. A test program of its own, as it counts all allocations.

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

/// Bytes that a state may allocate per byte of input; `item`: of the largest key and value in it, or element.
const fn of_state(item: usize) -> usize {
    6 * (48 + item)
}

/// Bytes that a message or record may allocate per byte of input.
const fn of_message<K, V>() -> usize {
    2 * (64 + size_of::<K>() + size_of::<V>())
}

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

/// A name, a wire form, its decoder, and the bytes that this may allocate per byte of input.
type Form = (&'static str, Vec<u8>, Decode, usize);

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

fn spends_within_reason(name: &str, bytes: &[u8], decode: Decode, per_byte: usize) -> bool {
    let region = Region::new(ALLOCATOR);
    let accepted = decode(bytes);
    let spent = region.change().bytes_allocated;
    assert!(spent <= per_byte * bytes.len(), "{name}: {spent} bytes for {} of input: {bytes:?}", bytes.len());
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

/// `item`: bytes of the largest key and value in it, or element.
fn form<T: Serialize + DeserializeOwned>(name: &'static str, item: usize, value: &T) -> Form {
    (name, encode(value), state::<T>, of_state(item))
}

fn record<V: Serialize + DeserializeOwned>(name: &'static str, record: &Record<String, V>) -> Form {
    (name, encode(record), state::<Record<String, V>>, of_message::<String, V>())
}

/// The wire form of a state of each type, and its decoder.
fn states() -> Vec<Form> {
    const TEXT: usize = size_of::<String>();
    const LARGE: usize = size_of::<Large>();
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
        form("AWLWWMap", 2 * TEXT, &last),
        form("AWLWWMap of large values", 8 + LARGE, &large),
        form("AWSet", TEXT, &set),
        form("RWSet", TEXT, &rw),
        form("MVRegister", 24, &registers),
        form("MVRegister of large values", LARGE, &MVRegister::new().write(A, Large([0xff; 4_096]))),
        form("CausalContext", 0, &seen),
        form("GCounter", 0, &counter),
        form("PNCounter", 0, &both),
        form("GSet", TEXT, &grown),
        form("GMap", TEXT, &counters),
        form("ORMap", TEXT, &map),
        form("EWFlag", 0, &EWFlag::new().enable(A)),
        form("DWFlag", 0, &dw),
        form("LWWRegister", 24, &LWWRegister::new().write(A, stamp, vec![1_u8, 2, 3])),
        form("LWWRegister of large values", LARGE, &LWWRegister::new().write(A, stamp, Large([0xff; 4_096]))),
        form("MaxRegister", TEXT, &MaxRegister::new().write(text("tea"))),
        form("MinRegister", 24, &MinRegister::new().write(vec![text("tea"), text("coffee")])),
    ]
}

/// All forms, and their decoders.
fn forms() -> Vec<Form> {
    let mut forms = states();
    let (messages, records) = history(|number| number);
    let (small, limit) = (message::<String, u64> as Decode, of_message::<String, u64>());
    forms.extend(messages.iter().map(|sent| (sent.kind(), sent.encode(), small, limit)));
    for written in &records {
        forms.push(record("record", written));
        let mut frame = Vec::new();
        append_frame(&mut frame, written);
        assert_eq!(frame, framed(&encode(written)));
    }
    let (messages, records) = history(|_| Large([0xff; 4_096]));
    let (large, limit) = (message::<String, Large> as Decode, of_message::<String, Large>());
    forms.extend(messages.iter().map(|sent| ("message of large values", sent.encode(), large, limit)));
    forms.extend(records.iter().map(|written| record("record of large values", written)));
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
    what_takes_few_bytes_costs_its_size_in_memory();
    random_bytes_with_huge_lengths_allocate_little();
}

fn lengths_that_promise_more_than_there_is_allocate_little() {
    let forms = forms();
    for (name, form, decode, limit) in &forms {
        assert!(spends_within_reason(name, form, *decode, *limit), "{name}");
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
                        spends_within_reason(name, &bytes, *decode, *limit);
                        if *name == "record" {
                            spends_within_reason("frames", &framed(&bytes), frames, *limit);
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
            // For what is promised, and nothing for what is large.
            assert!(!spends_within_reason("promise", &bytes, message::<u64, Large>, 128));
        }
    }
}

/// Keys without siblings, removals, and values that say in one byte that they are nothing: each has the room of what is not there.
fn what_takes_few_bytes_costs_its_size_in_memory() {
    type Nothing = Option<Large>;
    const LARGE: usize = size_of::<Nothing>();
    let fragment = &[1_u8, 0, 4, 0, 0, 0, 0, 0, 1, 1, 1, 0][..];
    let writes = &[1, 0, 0, 1, 1, 1, 0];
    let large = (message::<u64, Large> as Decode, of_message::<u64, Large>());
    let small = (message::<u64, u64> as Decode, of_message::<u64, u64>());
    for count in [1_u8, 2, 3, 4, 5, 8, 9, 17, 33, 65, 120] {
        for (decode, limit) in [large, small] {
            let spends = |name, head: &[u8], item: &[u8]| {
                let bytes = [head, &[count], &item.repeat(count.into())].concat();
                assert!(spends_within_reason(name, &bytes, decode, limit), "{name}");
            };
            spends("keys without siblings", fragment, &[7, 0]);
            spends("removed keys", fragment, &[7, 1, 0, 0, 0, 0]);
            spends("removals beside each other", &[fragment, &[1, 7]].concat(), &[0, 0, 0, 0]);
            spends("pairs of removals", fragment, &[7, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
            spends("writes of removals", writes, &[1, 0, 7, 0, 0]);
            spends("writes that replace two", writes, &[1, 0, 7, 0, 2, 0, 1, 0, 2]);
        }
        // A key that takes no bytes is the smallest item of all.
        let bytes = [fragment, &[count], &vec![0; count.into()]].concat();
        let (decode, limit) = (message::<(), Large>, of_message::<(), Large>());
        assert!(spends_within_reason("units without siblings", &bytes, decode, limit));
        // Rising keys, each with one write of its own, and a context that knows them all.
        let rising = |item: fn(u8) -> Vec<u8>| {
            let context = [1, 1, 1, 1, 1, count];
            [&[1, count][..], &(1..=count).flat_map(item).collect::<Vec<_>>(), &context].concat()
        };
        let map = rising(|key| vec![key, 1, 1, 1, key, 0, 0]);
        assert!(spends_within_reason("map", &map, state::<AWLWWMap<u8, Nothing>>, of_state(1 + LARGE)));
        let register = rising(|number| vec![1, 1, number, 0]);
        assert!(spends_within_reason("register", &register, state::<MVRegister<Nothing>>, of_state(LARGE)));
        type Deep = ORMap<String, ORMap<String, ORMap<String, ORMap<String, EWFlag>>>>;
        let deep = rising(|key| vec![1, key, 1, 0, 1, 0, 1, 0, 1, 1, 1, key]);
        assert!(spends_within_reason("maps in maps", &deep, state::<Deep>, of_state(size_of::<String>())));
        let set: Vec<_> = [1, count].into_iter().chain((1..=count).flat_map(|key| [1, key])).collect();
        assert!(spends_within_reason("set", &set, state::<GSet<String>>, of_state(size_of::<String>())));
    }
    assert!(spends_within_reason("one nothing", &[1, 1, 0], state::<GSet<Nothing>>, of_state(LARGE)));
}

fn random_bytes_with_huge_lengths_allocate_little() {
    let forms = forms();
    let decoders: Vec<_> = forms.iter().map(|form| (form.0, form.2, form.3)).collect();
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
        let (name, decode, limit) = decoders[round as usize % decoders.len()];
        spends_within_reason(name, &bytes, decode, limit);
        let limit = of_message::<Vec<u8>, Vec<u8>>();
        spends_within_reason("message", &bytes, message::<Vec<u8>, Vec<u8>>, limit);
    }
}
