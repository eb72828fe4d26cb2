//! The forms that are kept on disk and sent as states: frozen. And bytes near them, which must break nothing.

use delta_crdt::*;
use serde::Serialize;

use crate::support::START;
use crate::{decoders, wire};

const A: ReplicaId = ReplicaId::new(1, 1);
const B: ReplicaId = ReplicaId::new(300, 2);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ascii"), 16).expect("hex");
    digits.map(byte).collect()
}

/// A log with records of all kinds: writes of its own and of another, a removal, a session, a snapshot.
fn records() -> Vec<Record<String, u64>> {
    let fresh = |id| Replica::<String, u64>::new(id, Config::default(), LastWriter);
    let (mut ours, mut other) = (fresh(A), fresh(B));
    ours.record();
    ours.put(START, "tea".into(), 1);
    ours.put(START, "tea".into(), 2);
    ours.remove(START, &"tea".into());
    other.put(START, "coffee".into(), 300);
    other.put(START, "tea".into(), 3);
    ours.peer_up(START, B);
    other.peer_up(START, A);
    loop {
        other.flush(START);
        let outputs = (ours.poll_output(), other.poll_output());
        if outputs == (None, None) {
            break;
        }
        if let Some(Output::Send { message, .. }) = outputs.0 {
            other.receive(START, A, message);
        }
        if let Some(Output::Send { message, .. }) = outputs.1 {
            ours.receive(START, B, message);
        }
    }
    other.put(START, "milk".into(), 4);
    other.flush(START);
    while let Some(output) = other.poll_output() {
        if let Output::Send { message, .. } = output {
            ours.receive(START, B, message);
        }
    }
    let mut records = ours.take_log();
    records.extend(ours.snapshot());
    records
}

fn state<T: Lattice + Serialize>(
    name: &'static str,
    deltas: impl IntoIterator<Item = T>,
) -> (&'static str, Vec<u8>) {
    let state = deltas.into_iter().fold(T::default(), |state, delta| state.joined(&delta));
    (name, encode(&state))
}

/// One state of each type, in the order of `decoders::LATTICES`: writes of two replicas that did not know of each other.
fn states() -> Vec<(&'static str, Vec<u8>)> {
    let stamp = Stamp::at_unix_ms;
    let mut dw = DWFlag::new();
    dw.disable(A);
    let mut set = AWSet::new();
    (1..=3).for_each(|element| _ = set.insert(A, element));
    set.remove(&2);
    let mut map = ORMap::<u8, AWSet<u8>>::new();
    map.update(7, |set| set.insert(A, 1));
    map.update(8, |set| set.insert(A, 2));
    map.remove(&8);
    let nested = ORMap::<u8, AWSet<u8>>::new().update(7, |set| set.insert(B, 9));
    type Deep = ORMap<u8, ORMap<u8, AWSet<u8>>>;
    let deep = |id, element| Deep::new().update(6, |map| map.update(7, |set| set.insert(id, element)));
    let counter = |id, by| GMap::<u8, GCounter>::new().update(5, |counter| counter.increment(id, by));
    vec![
        state("GCounter", [GCounter::new().increment(A, 2), GCounter::new().increment(B, 300)]),
        state("PNCounter", [PNCounter::new().increment(A, 2), PNCounter::new().decrement(B, 3)]),
        state("GSet", [GSet::new().insert(1_u8), GSet::new().insert(200)]),
        state("AWSet", [set, AWSet::new().insert(B, 3_u8)]),
        state("RWSet", [RWSet::new().insert(A, 1_u8), RWSet::new().remove(B, 1)]),
        state("EWFlag", [EWFlag::new().enable(A), EWFlag::new().enable(B)]),
        state("DWFlag", [dw, DWFlag::new().disable(B)]),
        state(
            "LWWRegister",
            [LWWRegister::new().write(A, stamp(5), 1_u8), LWWRegister::new().write(B, stamp(4), 2)],
        ),
        state("MVRegister", [MVRegister::new().write(A, 1_u8), MVRegister::new().write(B, 2)]),
        state("MaxRegister", [MaxRegister::new().write(1_u8), MaxRegister::new().write(2)]),
        state("MinRegister", [MinRegister::new().write(1_u8), MinRegister::new().write(2)]),
        state("GMap", [counter(A, 1), counter(B, 2)]),
        state("ORMap", [map, nested]),
        state(
            "AWLWWMap",
            [AWLWWMap::new().put(A, stamp(5), 1_u8, 10_u8), AWLWWMap::new().put(B, stamp(4), 1, 20)],
        ),
        state(
            "CausalContext",
            [[(A, 1), (A, 2), (A, 5), (B, 7)]
                .map(|(id, seq)| Dot::new(id, seq))
                .into_iter()
                .collect::<CausalContext>()],
        ),
        state("ORMap of ORMap", [deep(A, 1), deep(B, 9)]),
    ]
}

#[test]
fn the_form_of_every_lattice_type_is_frozen() {
    let written: Vec<_> = states().into_iter().map(|(name, bytes)| (name, hex(&bytes))).collect();
    let frozen: Vec<_> = STATES.iter().map(|&(name, hex)| (name, hex.to_owned())).collect();
    assert_eq!(written, frozen, "states sent by other programs could not be read: raise the version instead");
    assert_eq!(written.len(), decoders::LATTICES.len());
}

#[test]
fn the_form_of_records_and_of_the_byte_log_is_frozen() {
    let mut log = Vec::new();
    records().iter().for_each(|record| append_frame(&mut log, record));
    assert_eq!(hex(&log), LOG, "logs on disk could not be read: raise the version instead");
    assert!(read_frames(&bytes(LOG)) == (records(), LOG.len() / 2));
}

/// Every change of one byte, every cut, and numbers at the top of their range in every place.
fn near(form: &[u8], check: impl Fn(&[u8])) {
    check(form);
    for place in 0..form.len() {
        check(&form[..place]);
        for change in [1, 2, 4, 0x0f, 0x7f, 0x80, 0xff] {
            let mut bad = form.to_vec();
            bad[place] ^= change;
            check(&bad);
        }
        let top = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        check(&[&form[..place], &top, &form[place + 1..]].concat());
    }
}

#[test]
fn bytes_near_the_frozen_forms_are_refused_or_are_states_like_any_other() {
    for (kind, (_, state)) in states().iter().enumerate() {
        near(state, |bad| decoders::lattice(&[&[kind as u8], bad].concat()));
    }
    near(&bytes(LOG), decoders::log);
    near(&encode(&records()), decoders::records);
    for message in wire::samples().values() {
        near(&message.encode(), decoders::message);
    }
}

/// One of [`decoders`].
type Check = fn(&[u8]);

/// Several changes at once, among them bytes put in and taken out, from a fixed seed. `DELTA_CRDT_MUTATIONS` sets how many.
#[test]
fn bytes_further_from_the_frozen_forms_are_refused_or_are_states_like_any_other() {
    let rounds =
        std::env::var("DELTA_CRDT_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let mut forms: Vec<(Check, Vec<u8>)> = vec![
        (decoders::log, bytes(LOG)),
        (decoders::records, encode(&records())),
        (decoders::records, encode(&records()[..2])),
    ];
    for (kind, (_, state)) in states().into_iter().enumerate() {
        forms.push((decoders::lattice, [vec![kind as u8], state].concat()));
    }
    forms.extend(wire::samples().values().map(|message| (decoders::message as Check, message.encode())));
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 20) as usize % limit.max(1)
    };
    for _ in 0..rounds {
        let (check, form) = &forms[below(forms.len())];
        let mut bad = form.clone();
        for _ in 0..=below(4) {
            let place = below(bad.len() - 1);
            match below(6) {
                0 => _ = bad.remove(place),
                1 => bad.insert(place, below(256) as u8),
                2 => bad[place] = below(256) as u8,
                3 => bad[place] = bad[below(bad.len())],
                _ => bad[place] = below(8) as u8,
            }
            if bad.len() < 2 {
                break;
            }
        }
        check(&bad);
    }
}

/// What fuzzing found once.
#[test]
fn bytes_that_broke_something_once_break_nothing() {
    // Floors above the vector, in a commit and in a record.
    decoders::message(&bytes("0100050082a32d0000010001010000010001"));
    let floors = bytes("0101000101000301010101010100000000000001000101c02f00010040");
    assert!(decode::<Vec<Record<String, u64>>>(&floors).is_ok(), "it follows the form");
    decoders::records(&floors);
}

#[test]
fn states_that_no_replica_is_ever_in_are_refused() {
    let refused = |kind: &str, hex: &str| {
        let whole = bytes(hex);
        let malformed = match kind {
            "GCounter" => decode::<GCounter>(&whole).is_err(),
            "EWFlag" => decode::<EWFlag>(&whole).is_err(),
            "GMap" => decode::<GMap<u8, GCounter>>(&whole).is_err(),
            _ => decode::<AWSet<u8>>(&whole).is_err(),
        };
        assert!(malformed, "{kind} {hex}");
    };
    refused("GCounter", "0101010100"); // a total of zero
    refused("GMap", "01010500"); // a key at its bottom
    refused("EWFlag", "010101010100"); // a write that the context does not know
    refused("AWSet", "0101010000"); // a key without dots
    refused("EWFlag", "0100010101020101ffffffffffffffffff01"); // a number that nobody lives to write
}

/// Frames: length, checksum, record.
const LOG: &str = concat!(
    "1a000000c586eb3bd6d7072101000100010101808080c0d6fcf3c50101010003746561010100",
    "1c000000e2ffb9028f8288d601000200010101818080c0d6fcf3c501010200037465610102010001",
    "1b0000009b66c4baad0b20a901000300010101828080c0d6fcf3c5010103000374656100010002",
    "3d000000da67d18f537138ee0100040100000000808080c0d6fcf3c50101ac0202010206636f666665650100000001ac0203",
    "74656101000102010300000100000001ac020201000200",
    "1c000000153bb65dabe5e43b0100050001ac0202838080c0d6fcf3c501010300046d696c6b010400",
    "53000000af7caee5473731620100050200000000808080c0d6fcf3c50102010103ac02020103037465610200000400010102",
    "010306636f666665650101000001ac02046d696c6b010102060104000001000100020101ac0202020003010300",
);
const STATES: &[(&str, &str)] = &[
    ("GCounter", "0102010102ac0202ac02"),
    ("PNCounter", "010101010201ac020203"),
    ("GSet", "010201c8"),
    ("AWSet", "010201010101010302010103ac020201020101010103ac0202010101"),
    ("RWSet", "010101020001ac0202010101010101020101010101ac0202010101"),
    ("EWFlag", "0102010101ac020201020101010101ac0202010101"),
    ("DWFlag", "0102010101ac020201020101010101ac0202010101"),
    ("LWWRegister", "0101808014010101"),
    ("MVRegister", "010201010101ac02020102020101010101ac0202010101"),
    ("MaxRegister", "010102"),
    ("MinRegister", "010101"),
    ("GMap", "01010502010101ac020202"),
    ("ORMap", "0101070201010101010901ac020201020101010102ac0202010101"),
    ("AWLWWMap", "010101020101018080140aac02020180801014020101010101ac0202010101"),
    ("CausalContext", "010201010201020505ac0202010707"),
    ("ORMap of ORMap", "01010601070201010101010901ac020201020101010101ac0202010101"),
];
