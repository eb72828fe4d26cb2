//! The frames on the wire: frozen vectors, round trips, hostile bytes.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use horde_cluster::machine::{
    Answer, Beat, Frame, FrameError, Lifecycle, MAX_FRAME, Record, Refusal, Told, VERSION,
};
use horde_cluster::{HordeMeta, Meta};
use horde_transport::{NodeId, NodeName};
use proptest::prelude::*;

fn id(name: &str, incarnation: u64) -> NodeId {
    NodeId::new(NodeName::new(name).unwrap(), incarnation)
}

fn record() -> Record {
    let meta = Meta {
        zone: Some("z".into()),
        weight: 2,
        labels: BTreeMap::from([("k".into(), "v".into())]),
        version: "1.0".into(),
        kinds: BTreeMap::from([("cart".into(), (1, 2))]),
        hordes: BTreeMap::from([("registry/n".into(), HordeMeta { ready: true, config: vec![9] })]),
    };
    let address = Some(SocketAddr::from(([127, 0, 0, 1], 4000)));
    Record { id: id("a", 5), address, version: 3, counter: 1, lifecycle: Lifecycle::Up, meta: Arc::new(meta) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every frame, and the bytes that version 1 writes for it, for ever.
fn frozen() -> Vec<(Frame, &'static str)> {
    let told = vec![Told { record: record(), down: true }];
    let beat = Beat { seq: 300, ack: 299, held_us: 70_000, version: 3, counter: 1, digest: 0xdead_beef };
    let holder = id("b", 7);
    vec![
        (
            Frame::Own(record()),
            "010001610501007f000001a01f03010101017a0201016b017603312e300104636172740102010a72656769737472792f6e010109",
        ),
        (
            Frame::Members { told, last: true },
            "01010101610501007f000001a01f03010101017a0201016b017603312e300104636172740102010a72656769737472792f6e0101090101",
        ),
        (Frame::Pull { digest: 0xdead_beef }, "0102effdb6f50d"),
        (Frame::Beat(beat), "0103ac02ab02f0a2040301effdb6f50d"),
        (Frame::Ask { about: id("b", 7), round: 4 }, "010401620704"),
        (Frame::Answer { about: id("b", 7), round: 4, answer: Answer::Silent }, "01050162070401"),
        (Frame::Down { about: id("b", 7), counter: 2 }, "010601620702"),
        (Frame::Refused(Refusal::NameTaken { holder: holder.clone(), address: None }), "01070001620700"),
        (Frame::Refused(Refusal::Superseded { by: holder, address: None }), "01070101620700"),
        (Frame::Refused(Refusal::Full { limit: 64 }), "01070240"),
        (Frame::Bye, "0108"),
        (Frame::Probe { to: id("b", 7) }, "0109016207"),
        (Frame::Here, "010a"),
        (Frame::Forgotten { lives: vec![id("b", 7)] }, "010b01016207"),
        (Frame::Refused(Refusal::Forgotten { life: id("b", 7) }), "010703016207"),
        (Frame::Who, "010c"),
    ]
}

#[test]
fn version_1_is_written_as_it_always_was() {
    for (frame, bytes) in frozen() {
        assert_eq!(hex(&frame.encode()), bytes, "{frame:?}");
    }
}

#[test]
fn every_frame_reads_back() {
    for (frame, _) in frozen() {
        assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
    }
}

#[test]
fn bad_bytes_are_refused_with_the_reason() {
    assert_eq!(Frame::decode(&[]), Err(FrameError::Empty));
    assert_eq!(Frame::decode(&[VERSION + 1, 2]), Err(FrameError::Version(VERSION + 1)));
    assert_eq!(Frame::decode(&[VERSION, 12, 0]), Err(FrameError::Malformed), "one byte too many");
    assert_eq!(Frame::decode(&[VERSION, 99]), Err(FrameError::Malformed), "no such frame");
    assert_eq!(Frame::decode(&vec![VERSION; MAX_FRAME + 1]), Err(FrameError::TooBig(MAX_FRAME + 1)));
}

#[test]
fn a_heartbeat_is_small() {
    let beat =
        Beat { seq: 1 << 20, ack: 1 << 20, held_us: 100_000, version: 300, counter: 2, digest: u32::MAX };
    assert!(Frame::Beat(beat).encode().len() <= 20);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _refused_or_read = Frame::decode(&bytes);
        let mut versioned = vec![VERSION];
        versioned.extend(bytes);
        let _refused_or_read = Frame::decode(&versioned);
    }

    #[test]
    fn a_damaged_frame_is_refused_or_another_frame_never_a_panic(
        which in 0..16_usize, at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = frozen()[which].0.encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(frame) = Frame::decode(&bytes) {
            let again = frame.encode();
            prop_assert_eq!(Frame::decode(&again), Ok(frame));
        }
        bytes.truncate(cut.index(bytes.len()));
        let _refused_or_read = Frame::decode(&bytes);
    }
}
