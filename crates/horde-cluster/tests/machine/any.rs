//! Any order of inputs.

use bytes::Bytes;
use horde_cluster::ClusterConfig;
use horde_cluster::machine::{Answer, Beat, Frame, Input, Lifecycle, Record, Refusal, Told};
use horde_transport::DownReason;
use proptest::prelude::*;

use crate::bench::{Bench, id, ms, record};

fn any_frame() -> impl Strategy<Value = Frame> {
    let node = (0..4_usize, 1..4_u64).prop_map(|(name, life)| id(["me", "a", "b", "c"][name], life + 3));
    let lifecycle =
        prop::sample::select(vec![Lifecycle::Joining, Lifecycle::Up, Lifecycle::Leaving, Lifecycle::Left]);
    let told = (node.clone(), lifecycle, 0..4_u64, 0..3_u64, any::<bool>()).prop_map(
        |(id, lifecycle, version, counter, down)| Told {
            record: Record { version, counter, ..record(&id, lifecycle) },
            down,
        },
    );
    let answer = prop::sample::select(vec![Answer::Alive, Answer::Silent, Answer::Unknown]);
    prop_oneof![
        told.clone().prop_map(|told| Frame::Own(told.record)),
        (prop::collection::vec(told, 0..4), any::<bool>())
            .prop_map(|(told, last)| Frame::Members { told, last }),
        (0..9_u32).prop_map(|digest| Frame::Pull { digest }),
        Just(Frame::Who),
        (0..9_u64, 0..9_u64, 0..3_u64).prop_map(|(seq, ack, version)| {
            Frame::Beat(Beat { seq, ack, held_us: 9, version, counter: 0, digest: 7 })
        }),
        (node.clone(), 0..9_u64).prop_map(|(about, round)| Frame::Ask { about, round }),
        (node.clone(), 0..9_u64, answer).prop_map(|(about, round, answer)| Frame::Answer {
            about,
            round,
            answer
        }),
        (node.clone(), 0..4_u64).prop_map(|(about, counter)| Frame::Down { about, counter }),
        prop::collection::vec(node.clone(), 0..3).prop_map(|lives| Frame::Forgotten { lives }),
        node.clone().prop_map(|life| Frame::Refused(Refusal::Forgotten { life })),
        node.prop_map(|holder| Frame::Refused(Refusal::NameTaken { holder, address: None })),
        Just(Frame::Bye),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Invariants are checked by the machine itself after each input.
    #[test]
    fn no_order_of_inputs_breaks_the_machine(
        steps in prop::collection::vec((0..13_u8, 0..3_usize, 1..4_u64, any_frame(), 0..400_u64), 1..80),
    ) {
        // Large by its own lights from no, one, two or so many others on that it never is.
        let eager_members = if steps.len() % 2 == 0 { 64 } else { steps.len() % 3 };
        let mut bench = Bench::new(ClusterConfig { max_members: 3, eager_members, ..ClusterConfig::default() });
        for (kind, who, life, frame, wait) in steps {
            let peer = id(["a", "b", "c"][who], life + 3);
            match kind {
                0 | 1 => bench.up(&peer),
                2 => bench.lost(&peer),
                3 => bench.input(Input::CrashHint { peer }),
                4 => bench.pass(ms(wait), &[&peer]),
                5 => bench.input(Input::PeerDown { peer, reason: DownReason::Goodbye }),
                6 => {
                    bench.now += ms(wait * 10);
                    bench.machine.handle_timeout(bench.now);
                    bench.collect();
                }
                7 => bench.input(Input::Frame { from: peer, frame: Bytes::from_static(b"\x01nonsense") }),
                8 => {
                    let _refused_or_done = bench.machine.forget(bench.now, &peer);
                    bench.collect();
                }
                _ => bench.frame(&peer, &frame),
            }
            let view = bench.machine.view();
            prop_assert!(view.members.len() <= 3);
        }
    }
}
