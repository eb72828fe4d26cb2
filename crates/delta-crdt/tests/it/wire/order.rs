//! States from outside rise: what is out of order or comes twice is refused, at once.

use std::cell::Cell;

use delta_crdt::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `items` are two in order, between `head` and `tail`.
fn rises<T: DeserializeOwned>(name: &str, head: &[u8], items: [&[u8]; 2], tail: &[u8]) {
    let read = |items: [&[u8]; 2]| decode::<T>(&[&[1], head, items[0], items[1], tail].concat()).is_ok();
    let [first, second] = items;
    assert!(read([first, second]), "{name}");
    assert!(!read([second, first]), "{name} out of order");
    assert!(!read([first, first]) && !read([second, second]), "{name} twice");
}

#[test]
fn states_that_do_not_rise_are_refused() {
    // Two replicas, and what they know: two writes of the first.
    let (one, other, known) = ([1, 1, 2], [172, 2, 2, 2], [1, 1, 1, 1, 1, 2]);
    rises::<GCounter>("GCounter", &[2], [&one, &other], &[]);
    rises::<PNCounter>("PNCounter, up", &[2], [&one, &other], &[0]);
    rises::<PNCounter>("PNCounter, down", &[0, 2], [&one, &other], &[]);
    rises::<GSet<u8>>("GSet", &[2], [&[1], &[200]], &[]);
    rises::<GSet<String>>("GSet of texts", &[2], [b"\x02aa", b"\x01b"], &[]);
    rises::<GMap<u8, GCounter>>("GMap", &[2], [&[5, 1, 1, 1, 2], &[6, 1, 1, 1, 2]], &[]);
    rises::<EWFlag>("EWFlag", &[2], [&[1, 1, 1], &[1, 1, 2]], &known);
    rises::<DWFlag>("DWFlag", &[2], [&[1, 1, 1], &[1, 1, 2]], &known);
    rises::<MVRegister<u8>>("MVRegister", &[2], [&[1, 1, 1, 9], &[1, 1, 2, 8]], &known);
    rises::<AWSet<u8>>("AWSet", &[2], [&[5, 1, 1, 1, 1], &[6, 1, 1, 1, 2]], &known);
    rises::<RWSet<u8>>("RWSet", &[2], [&[5, 1, 1, 1, 1, 1, 1], &[6, 1, 0, 1, 1, 1, 2]], &known);
    rises::<RWSet<u8>>("RWSet, of one element", &[1, 5, 2], [&[0, 1, 1, 1, 1], &[1, 1, 1, 1, 2]], &known);
    rises::<AWLWWMap<u8, u8>>("AWLWWMap", &[2], [&[5, 1, 1, 1, 1, 0, 7], &[6, 1, 1, 1, 2, 0, 7]], &known);
    rises::<AWLWWMap<u8, u8>>(
        "AWLWWMap, of one key",
        &[1, 5, 2],
        [&[1, 1, 1, 0, 7], &[1, 1, 2, 0, 7]],
        &known,
    );
    type Nested = ORMap<u8, AWSet<u8>>;
    rises::<Nested>("ORMap", &[2], [&[5, 1, 9, 1, 1, 1, 1], &[6, 1, 9, 1, 1, 1, 2]], &known);
    rises::<Nested>("ORMap, of one key", &[1, 5, 2], [&[8, 1, 1, 1, 1], &[9, 1, 1, 1, 2]], &known);
    rises::<CausalContext>("CausalContext", &[2], [&[1, 1, 1, 1, 2], &[1, 2, 1, 1, 2]], &[]);
    rises::<CausalContext>("CausalContext, ranges", &[1, 1, 1, 2], [&[1, 2], &[5, 7]], &[]);
}

/// Takes no bytes, and counts how often it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Nothing;

thread_local!(static READ: Cell<u64> = const { Cell::new(0) });

impl Serialize for Nothing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Nothing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        READ.set(READ.get() + 1);
        assert!(READ.get() < 1_000, "it is read as often as is promised");
        <()>::deserialize(deserializer).map(|()| Self)
    }
}

/// Reads false lengths in place of each of the first bytes, before bytes that may be many small items. A message has its items after
/// `head`.
fn stops_soon<T: DeserializeOwned>(
    name: &str,
    head: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
) {
    let most = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    for filler in [0, 1] {
        for place in 0..12 {
            for rest in [0, 1, 40] {
                let bytes = [&[1], head, &vec![filler; place][..], &most, &vec![filler; rest]].concat();
                READ.set(0);
                _ = decode(&bytes);
                // Each with a byte of something else, but for two of a set.
                assert!(READ.get() <= 2 + bytes.len() as u64, "{name}: {} of {bytes:?}", READ.get());
            }
        }
    }
}

#[test]
fn what_takes_no_bytes_is_not_read_as_often_as_is_promised() {
    stops_soon("GSet", &[], decode::<GSet<Nothing>>);
    stops_soon("AWSet", &[], decode::<AWSet<Nothing>>);
    stops_soon("RWSet", &[], decode::<RWSet<Nothing>>);
    stops_soon("GMap", &[], decode::<GMap<Nothing, GCounter>>);
    stops_soon("GMap of sets", &[], decode::<GMap<Nothing, GSet<Nothing>>>);
    stops_soon("ORMap", &[], decode::<ORMap<Nothing, AWSet<Nothing>>>);
    stops_soon("AWLWWMap", &[], decode::<AWLWWMap<Nothing, Nothing>>);
    stops_soon("MVRegister", &[], decode::<MVRegister<Nothing>>);
    stops_soon("LWWRegister", &[], decode::<LWWRegister<Nothing>>);
    stops_soon("record", &[], decode::<Record<Nothing, Nothing>>);
    let sessions = [0, 4, 0, 0, 0, 0, 0, 0];
    for head in [&[][..], &sessions] {
        stops_soon("message", head, decode::<Message<Nothing, Nothing>>);
        stops_soon("message by hand", head, Message::<Nothing, Nothing>::decode);
    }
    // By itself it is an element like any other.
    let mut set = GSet::new();
    set.insert(Nothing);
    READ.set(0);
    assert_eq!(decode(&encode(&set)), Ok(set));
    assert_eq!(decode::<GSet<()>>(&[1, 1]).map(|set| set.len()), Ok(1));
    assert_eq!(decode::<GSet<()>>(&[1, 2]), Err(DecodeError::Malformed));
}
