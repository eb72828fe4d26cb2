//! The wire form: frozen, and hard against bad bytes.

mod order;
mod samples;

use std::collections::BTreeMap;
use std::time::Duration;

use delta_crdt::{DecodeError, Replica, ReplicaId};
use proptest::prelude::*;

use crate::support::{START, later, sends};
pub(crate) use samples::samples;
use samples::{Text, fresh};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_wire_form_is_frozen() {
    let written: BTreeMap<_, _> =
        samples().iter().map(|(kind, message)| (*kind, hex(&message.encode()))).collect();
    let frozen: BTreeMap<_, _> = FROZEN.iter().map(|(kind, hex)| (*kind, (*hex).to_owned())).collect();
    assert_eq!(written, frozen, "running clusters could not read this: raise the version instead");
}

#[test]
fn what_was_encoded_decodes_to_the_same() {
    for message in samples().values() {
        assert_eq!(Text::decode(&message.encode()).as_ref(), Ok(message));
    }
}

#[test]
fn other_versions_cut_messages_and_long_messages_are_refused() {
    assert_eq!(Text::decode(&[]), Err(DecodeError::Empty));
    for message in samples().values() {
        let bytes = message.encode();
        assert_eq!(Text::decode(&[&[9], &bytes[1..]].concat()), Err(DecodeError::Version(9)));
        assert_eq!(Text::decode(&[&bytes[..], &[0]].concat()), Err(DecodeError::Trailing(1)));
        for end in 1..bytes.len() {
            assert!(Text::decode(&bytes[..end]).is_err(), "cut at {end}");
        }
    }
}

#[test]
fn only_the_parts_of_sessions_are_bulk() {
    for (name, message) in samples() {
        assert_eq!(message.is_bulk(), name.contains("fragment") || name.contains("commit"), "{name}");
    }
}

#[test]
fn what_is_said_to_be_as_long_is_as_long() {
    let samples = samples();
    let mut pairs = BTreeMap::new();
    for (name, one) in &samples {
        for (other, two) in &samples {
            let alike = one.is_as_long_as(two);
            assert_eq!(alike, two.is_as_long_as(one), "{name} and {other}");
            assert!(!alike || one.encode().len() == two.encode().len(), "{name} and {other}");
            pairs.insert((*name, *other), alike);
        }
    }
    // Of the samples with themselves: writes that are shared, and a status with a hash alone.
    let alike: Vec<_> = pairs.iter().filter(|pair| *pair.1).map(|pair| *pair.0).collect();
    assert_eq!(alike, [("op", "op"), ("status of many", "status of many")]);
}

#[test]
fn a_push_to_several_neighbours_is_as_long_to_each_and_so_are_idle_statuses() {
    let neighbours = [2, 3].map(|node| ReplicaId::new(node, 3));
    let mut one = fresh(1);
    neighbours.iter().for_each(|id| one.peer_up(START, *id));
    sends(&mut one);
    one.put(START, "key".into(), 1);
    one.flush(START);
    let first = sends(&mut one);
    one.put(START, "key".into(), 1);
    one.flush(START);
    let second = sends(&mut one);
    assert!(first[0].1.is_as_long_as(&first[1].1) && first[0].1 == first[1].1);
    // Not the same in memory: nothing is known of their lengths.
    assert!(!first[0].1.is_as_long_as(&second[0].1));
    let again = Text::decode(&first[0].1.encode()).expect("a message");
    assert!(!again.is_as_long_as(&first[0].1) && again == first[0].1);

    let mut idle = Vec::new();
    for second in 1..5 {
        one.handle_timeout(later(START, Duration::from_secs(second)));
        idle = sends(&mut one);
    }
    assert_eq!(idle.len(), 2);
    assert!(idle[0].1.is_as_long_as(&idle[1].1) && idle[0].1.kind() == "status");
    assert_eq!(idle[0].1.encode().len(), idle[1].1.encode().len());
    // Beside one with the hash of the neighbours, which takes eight bytes more.
    assert!(!idle[0].1.is_as_long_as(&samples()["status of many"]));
}

/// A replica in the middle of everything: it has keys, a neighbour, and a session under way.
fn victim() -> Replica<String, u64> {
    let mut victim = fresh(2);
    victim.put(START, "key-1".into(), 5);
    victim.peer_up(START, ReplicaId::new(1, 3));
    if let Some(status) = samples().remove("status") {
        victim.receive(START, ReplicaId::new(1, 3), status);
    }
    victim
}

#[test]
fn messages_with_any_one_byte_changed_break_nothing() {
    for message in samples().values() {
        let bytes = message.encode();
        for place in 1..bytes.len() {
            for change in [1, 0x7f, 0x80, 0xff] {
                let mut bad = bytes.clone();
                bad[place] ^= change;
                if let Ok(message) = Text::decode(&bad) {
                    let mut victim = victim();
                    victim.receive(START, ReplicaId::new(1, 3), message);
                    victim.check_invariants();
                }
            }
        }
    }
}

#[test]
fn the_bottom_of_every_number_range_and_its_top_break_nothing() {
    for message in samples().values() {
        let bytes = message.encode();
        for place in 1..bytes.len() {
            let top = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
            let bad = [&bytes[..place], &top, &bytes[place + 1..]].concat();
            if let Ok(message) = Text::decode(&bad) {
                let mut victim = victim();
                victim.receive(START, ReplicaId::new(1, 3), message);
                victim.check_invariants();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        _ = Text::decode(&bytes);
        _ = Text::decode(&[&[1, 0][..], &bytes].concat());
    }
}

const FROZEN: &[(&str, &str)] = &[
    (
        "answer",
        "01000801ed2023560a0777b53e1660aff1c1e7610100020203010301004651cca4bd98c3355d4c8ed0231518600200010109",
    ),
    ("ask", "010002"),
    ("ask links", "010009"),
    ("commit", "0100050082a32d0103000001010301000800"),
    ("commit of an audit", "0100050082010101010101010301000100"),
    ("credit", "010006000103"),
    (
        "fragment",
        "0100040082a32d0102848080c0d6fcf3c5010101030502056b65792d34010000000104056b65792d35010001020105",
    ),
    (
        "fragment with a tombstone and with siblings",
        "0100040082a32d0200818080c0d6fcf3c501020103020203010204676f6e65010000000004626f74680200010201ac020100feffbf3e01f0a204",
    ),
    ("op", "01000002020301038180c0fed6fcf3c501010100056b65792d3300010104"),
    ("pull", "01000300010082a32d0000"),
    ("pull of a replica that holds something", "0100030201030203010083a32d000200020103"),
    ("pull of an audit", "0100030101030100820101010001"),
    ("question", "01000701"),
    ("status", "010001ca64dd95b30850397dd084febea50f7e00000101030100da1b60f5217b48a0159398b8ea361e93010008"),
    ("status of many", "010001ea2eaba4f166a09cea2eaba4f166a09c0102721ac86bd9bb20a40000"),
    ("status with neighbours", "010001f19167c6e4ec6d8b0d29981c1cdff5910001020203ac02030000"),
    ("whole commit with floors", "0100050083a32d02010100020103020302000201030200020103"),
];
