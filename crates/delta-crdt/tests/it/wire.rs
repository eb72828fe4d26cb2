//! The wire form: frozen, and hard against bad bytes.

use std::collections::BTreeMap;
use std::time::Duration;

use delta_crdt::{Config, DecodeError, LastWriter, Message, Now, Output, Replica, ReplicaId};
use proptest::prelude::*;

use crate::support::START;

type Text = Message<String, u64>;

fn fresh(node: u64) -> Replica<String, u64> {
    Replica::new(
        ReplicaId::new(node, 3),
        Config { session_window: 2, max_fragment_keys: 2, ..Config::default() },
        LastWriter,
    )
}

/// One message of each kind, from a fixed history.
pub(crate) fn samples() -> BTreeMap<&'static str, Text> {
    let (mut a, mut b) = (fresh(1), fresh(2));
    let mut samples = BTreeMap::new();
    let later = Now { monotonic: Duration::from_secs(2), unix_ms: START.unix_ms + 2_000 };
    for number in 0..6_u64 {
        a.put(START, format!("key-{number}"), number);
    }
    a.put(START, "key-1".into(), 11);
    a.remove(later, &"key-2".into());
    a.peer_up(later, b.id());
    b.peer_up(later, a.id());
    samples.insert("ask", Text::decode(&[1, 0, 2]).expect("the shortest message"));
    samples.insert("ask links", Text::decode(&[1, 0, 9]).expect("as short"));
    let mut many = Replica::new(a.id(), Config { max_told: 0, ..Config::default() }, LastWriter);
    many.peer_up(later, b.id());
    if let Some(Output::Send { message, .. }) = many.poll_output() {
        samples.insert("status of many", message);
    }
    let mut step = 0;
    loop {
        step += 1;
        if step == 20 {
            a.put(later, "key-0".into(), 99);
            b.remove(later, &"key-3".into());
        }
        a.flush(later);
        b.flush(later);
        let outputs = (a.poll_output(), b.poll_output());
        if outputs == (None, None) && step > 20 {
            break;
        }
        for (output, from_a) in [(outputs.0, true), (outputs.1, false)] {
            if let Some(Output::Send { message, .. }) = output {
                samples.insert(message.kind(), message.clone());
                let (from, to) = if from_a { (a.id(), &mut b) } else { (b.id(), &mut a) };
                to.receive(later, from, message);
            }
        }
    }
    a.catch_up(later, b.id());
    while let Some(output) = a.poll_output() {
        if let Output::Send { message, .. } = output {
            samples.insert(message.kind(), message.clone());
            b.receive(later, a.id(), message);
        }
    }
    while let Some(output) = b.poll_output() {
        if let Output::Send { message, .. } = output {
            samples.insert(message.kind(), message);
        }
    }
    samples
}

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
    ("credit", "010006000103"),
    (
        "fragment",
        "0100040082a32d0102848080c0d6fcf3c5010101030502056b65792d34010000000104056b65792d35010001020105",
    ),
    ("op", "01000002020301038180c0fed6fcf3c501010100056b65792d3300010104"),
    ("pull", "01000300010082a32d0000"),
    ("question", "01000701"),
    ("status", "010001ca64dd95b30850397dd084febea50f7e00000101030100da1b60f5217b48a0159398b8ea361e93010008"),
    ("status of many", "010001ea2eaba4f166a09cea2eaba4f166a09c0102721ac86bd9bb20a40000"),
];
