//! What must hold of any bytes: each decoder of the crate, and what its result is put to. Never a panic, and what was
//! accepted is a state like any other. The fuzz targets call these functions, and so do ordinary tests with bytes near the
//! frozen ones.

use std::fmt::Debug;
use std::time::Duration;

use delta_crdt::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

const START: Now = Now { monotonic: Duration::ZERO, unix_ms: 1_700_000_000_000 };
const ME: ReplicaId = ReplicaId::new(2, 3);
const PEER: ReplicaId = ReplicaId::new(1, 3);

fn config() -> Config {
    Config { session_window: 2, max_fragment_keys: 2, ..Config::default() }
}

/// A message is taken by a replica in the middle of everything: it has keys, a neighbour, and a session under way.
pub fn message(bytes: &[u8]) {
    let Ok(message) = Message::<String, u64>::decode(bytes) else { return };
    assert!(Message::decode(&message.encode()).as_ref() == Ok(&message), "it is not what it was");
    let mut replica = Replica::new(ME, config(), LastWriter);
    replica.put(START, "key-1".to_owned(), 5);
    replica.peer_up(START, PEER);
    // A status that shows six writes which this replica lacks, so that it pulls.
    let status = [
        1, 0, 1, 0xca, 0x64, 0xdd, 0x95, 0xb3, 8, 0x50, 0x39, 0x7d, 0xd0, 0x84, 0xfe, 0xbe, 0xa5, 0x0f, 0x7e,
        0, 0, 1, 1, 3, 1, 0, 0xda, 0x1b, 0x60, 0xf5, 0x21, 0x7b, 0x48, 0xa0, 0x15, 0x93, 0x98, 0xb8, 0xea,
        0x36, 0x1e, 0x93, 1, 0, 8,
    ];
    replica.receive(START, PEER, Message::decode(&status).expect("the frozen status"));
    for _ in 0..2 {
        replica.receive(START, PEER, message.clone());
        replica.flush(START);
        while replica.poll_output().is_some() {}
        replica.check_invariants();
    }
}

/// A list of records is a log that a replica starts from, unless it is refused; as a byte log it may be cut anywhere.
pub fn records(bytes: &[u8]) {
    let Ok(records) = decode::<Vec<Record<String, u64>>>(bytes) else { return };
    starts(&records);
    let mut log = Vec::new();
    records.iter().for_each(|record| append_frame(&mut log, record));
    let cut = bytes.iter().fold(0_usize, |sum, &byte| sum.wrapping_mul(31) + usize::from(byte));
    let cut = cut % (log.len() + 1);
    let (read, length) = read_frames(&log[..cut]);
    assert!(length <= cut && read[..] == records[..read.len()], "a cut log is not a prefix");
    assert_eq!(read_frames::<String, u64>(&log).1, log.len());
}

/// A byte log: what can be read of it reads alike when it is written anew.
pub fn log(bytes: &[u8]) {
    let (records, length) = read_frames::<String, u64>(bytes);
    assert!(length <= bytes.len());
    let mut again = Vec::new();
    records.iter().for_each(|record| append_frame(&mut again, record));
    assert!(read_frames(&again) == (records.clone(), again.len()), "it is not what it was");
    starts(&records);
}

fn starts(records: &[Record<String, u64>]) {
    let epoch = ReplicaId::new(ME.node, u64::MAX);
    let Ok(mut replica) = Replica::restore(START, epoch, config(), LastWriter, records.iter().cloned())
    else {
        return;
    };
    replica.check_invariants();
    replica.put(START, "key-1".to_owned(), 5);
    let map = replica.to_map();
    let next = ReplicaId::new(u64::MAX, u64::MAX);
    let again = Replica::restore(START, next, config(), LastWriter, replica.snapshot());
    assert_eq!(again.map(|replica| replica.to_map()), Ok(map), "a snapshot does not start");
}

/// The first byte chooses the type, the others are its wire form.
pub fn lattice(bytes: &[u8]) {
    let Some((&kind, bytes)) = bytes.split_first() else { return };
    let check = LATTICES[usize::from(kind) % LATTICES.len()];
    check(bytes);
}

/// Every type of the lattice layer, in the order of [`lattice`]'s first byte.
pub const LATTICES: &[fn(&[u8])] = &[
    state::<GCounter>,
    state::<PNCounter>,
    state::<GSet<u8>>,
    state::<AWSet<u8>>,
    state::<RWSet<u8>>,
    state::<EWFlag>,
    state::<DWFlag>,
    state::<LWWRegister<u8>>,
    state::<MVRegister<u8>>,
    state::<MaxRegister<u8>>,
    state::<MinRegister<u8>>,
    state::<GMap<u8, GCounter>>,
    state::<ORMap<u8, AWSet<u8>>>,
    state::<AWLWWMap<u8, u8>>,
    context,
    state::<ORMap<u8, ORMap<u8, AWSet<u8>>>>,
];

/// Bytes that decode are a state that obeys the laws.
fn state<T: Decompose + Debug + Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(state) = decode::<T>(bytes) else { return };
    assert_eq!(decode::<T>(&encode(&state)).as_ref(), Ok(&state), "it is not what it was");
    assert!(!state.clone().join(&state), "not idempotent: {state:?}");
    assert!(!state.clone().join(&T::default()), "the bottom is not neutral: {state:?}");
    assert_eq!(T::default().joined(&state), state, "the bottom is not neutral on the left");
    assert_eq!(T::default().join(&state), state != T::default(), "{state:?}");
    // A range of dots can name more writes than there is memory for; such a state comes apart only in theory.
    if bytes.len() < 64 && bytes.iter().all(|&byte| byte < 0x80) {
        let whole = state.decompose().iter().fold(T::default(), |all, piece| all.joined(piece));
        assert_eq!(whole, state, "the pieces do not make the whole");
    }
    assert_eq!(T::default().joined(&state.delta(&T::default())), state, "the delta does not bring all");
}

fn context(bytes: &[u8]) {
    let Ok(context) = decode::<CausalContext>(bytes) else { return };
    assert_eq!(decode(&encode(&context)).as_ref(), Ok(&context), "it is not what it was");
    assert!(!context.clone().join(&context) && context.without(&context) == CausalContext::new());
}
