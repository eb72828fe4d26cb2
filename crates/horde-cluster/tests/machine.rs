//! The machine, one input at a time.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use horde_cluster::machine::{
    Answer, Beat, Frame, Input, Lifecycle, Membership, Output, Record, Refusal, Told, Warning,
};
use horde_cluster::{ClusterConfig, MemberEvent, MemberStatus, Meta, Stopped};
use horde_transport::{DownReason, NodeId, NodeName, Peer, Role};
use proptest::prelude::*;

fn id(name: &str, incarnation: u64) -> NodeId {
    NodeId::new(NodeName::new(name).unwrap(), incarnation)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn record(id: &NodeId, lifecycle: Lifecycle) -> Record {
    Record { id: id.clone(), address: None, version: 1, counter: 0, lifecycle, meta: Meta::default().into() }
}

/// A machine, its clock, and what it said last.
struct Bench {
    machine: Membership,
    now: Duration,
    sent: Vec<(NodeId, Frame)>,
    probes: Vec<(NodeId, u64)>,
    events: Vec<MemberEvent>,
    other: Vec<Output>,
}

impl Bench {
    fn new(config: ClusterConfig) -> Self {
        let machine = Membership::new(id("me", 5), config, Duration::ZERO).unwrap();
        let (sent, probes, events, other) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut bench = Self { machine, now: Duration::ZERO, sent, probes, events, other };
        bench.collect();
        bench
    }

    /// A machine that is Up with these members.
    fn with(others: &[&NodeId]) -> Self {
        let mut bench =
            Self::new(ClusterConfig { expect: Some(others.len() + 1), ..ClusterConfig::default() });
        for other in others {
            bench.up(other);
            bench.frame(other, &Frame::Own(record(other, Lifecycle::Up)));
            bench.frame(other, &Frame::Members { told: Vec::new(), last: true });
        }
        bench.clear();
        bench
    }

    fn clear(&mut self) {
        self.sent.clear();
        self.probes.clear();
        self.events.clear();
        self.other.clear();
    }

    fn collect(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Send { to, frame } => self.sent.push((to, Frame::decode(&frame).unwrap())),
                Output::Probe { to, probe, .. } => self.probes.push((to, probe)),
                Output::Publish { events, .. } => self.events.extend(events),
                other => self.other.push(other),
            }
        }
    }

    fn input(&mut self, input: Input) {
        self.machine.handle(self.now, input);
        self.collect();
    }

    fn up(&mut self, peer: &NodeId) {
        self.input(Input::PeerUp(Peer { id: peer.clone(), address: None, role: Role::Node }));
    }

    fn lost(&mut self, peer: &NodeId) {
        self.input(Input::PeerDown { peer: peer.clone(), reason: DownReason::Lost("test".into()) });
    }

    fn frame(&mut self, from: &NodeId, frame: &Frame) {
        self.input(Input::Frame { from: from.clone(), frame: frame.encode() });
    }

    /// Lets time pass, with every timer on time, while `alive` answer heartbeats and probes.
    fn pass(&mut self, time: Duration, alive: &[&NodeId]) {
        let end = self.now + time;
        while let Some(due) = self.machine.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.machine.handle_timeout(self.now);
            let (sent, probes) = (self.sent.len(), self.probes.len());
            self.collect();
            let beats: Vec<_> = self.sent[sent..].to_vec();
            let probes: Vec<_> = self.probes[probes..].to_vec();
            for (to, frame) in beats {
                if let Frame::Beat(beat) = frame
                    && alive.contains(&&to)
                {
                    self.answer_beat(&to, &beat);
                }
            }
            for (to, probe) in probes {
                if alive.contains(&&to) {
                    self.input(Input::Probed { probe, answered: true });
                }
            }
        }
        self.now = end;
    }

    fn answer_beat(&mut self, from: &NodeId, beat: &Beat) {
        let beat =
            Beat { seq: beat.seq, ack: beat.seq, held_us: 0, version: 1, counter: 0, digest: beat.digest };
        self.frame(from, &Frame::Beat(beat));
    }

    fn status(&self, of: &NodeId) -> Option<MemberStatus> {
        self.machine.view().status(of)
    }

    fn asked(&self, whom: &NodeId) -> Option<u64> {
        self.sent.iter().rev().find_map(|(to, frame)| match frame {
            Frame::Ask { round, .. } if to == whom => Some(*round),
            _ => None,
        })
    }

    fn told_of_stop(&self) -> Option<Stopped> {
        self.machine.view().stopped.clone()
    }
}

#[test]
fn a_node_with_nobody_to_dial_is_up_after_a_moment() {
    let mut bench = Bench::new(ClusterConfig::default());
    assert_eq!(bench.status(&id("me", 5)), Some(MemberStatus::Joining));
    bench.pass(ms(50), &[]);
    assert_eq!(bench.events, [MemberEvent::Up(id("me", 5))]);
}

#[test]
fn where_nobody_is_up_all_that_are_expected_must_be_known() {
    let (a, b) = (id("a", 1), id("b", 1));
    let mut bench = Bench::new(ClusterConfig { expect: Some(3), ..ClusterConfig::default() });
    bench.up(&a);
    bench.frame(&a, &Frame::Own(record(&a, Lifecycle::Joining)));
    bench.pass(ms(5000), &[&a]);
    assert_eq!(bench.status(&id("me", 5)), Some(MemberStatus::Joining));
    let told = vec![Told { record: record(&b, Lifecycle::Joining), down: false }];
    bench.frame(&a, &Frame::Members { told, last: true });
    assert_eq!(bench.status(&id("me", 5)), Some(MemberStatus::Up));
}

#[test]
fn where_somebody_is_up_its_complete_list_is_waited_for() {
    let (a, b) = (id("a", 1), id("b", 1));
    let mut bench = Bench::new(ClusterConfig { expect: Some(2), ..ClusterConfig::default() });
    bench.up(&a);
    bench.frame(&a, &Frame::Own(record(&a, Lifecycle::Up)));
    let told = vec![Told { record: record(&b, Lifecycle::Up), down: false }];
    bench.frame(&a, &Frame::Members { told, last: false });
    assert_eq!(bench.status(&id("me", 5)), Some(MemberStatus::Joining));
    bench.frame(&a, &Frame::Members { told: Vec::new(), last: true });
    assert_eq!(bench.status(&id("me", 5)), Some(MemberStatus::Up));
    assert_eq!(bench.machine.view().members.len(), 3);
}

#[test]
fn clients_are_no_members() {
    let mut bench = Bench::with(&[]);
    let peer = Peer { id: id("cli", 1), address: None, role: Role::Operator };
    bench.input(Input::PeerUp(peer));
    bench.frame(&id("cli", 1), &Frame::Own(record(&id("cli", 1), Lifecycle::Up)));
    assert!(bench.sent.is_empty() && bench.machine.view().members.len() == 1);
}

#[test]
fn a_hint_probes_and_asks_at_once_and_an_answer_ends_it_without_an_event() {
    let (a, b) = (id("a", 1), id("b", 1));
    let mut bench = Bench::with(&[&a, &b]);
    bench.input(Input::CrashHint { peer: a.clone() });
    assert!(bench.asked(&b).is_some());
    let (to, probe) = bench.probes[0].clone();
    assert_eq!(to, a);
    bench.input(Input::Probed { probe, answered: true });
    bench.pass(ms(100), &[&a, &b]);
    assert_eq!((bench.status(&a), bench.events.len()), (Some(MemberStatus::Up), 0));
}

#[test]
fn silence_after_a_hint_and_one_agreement_of_one_other_is_down() {
    let (a, b) = (id("a", 1), id("b", 1));
    let mut bench = Bench::with(&[&a, &b]);
    bench.input(Input::CrashHint { peer: a.clone() });
    let round = bench.asked(&b).unwrap();
    bench.frame(&b, &Frame::Answer { about: a.clone(), round, answer: Answer::Silent });
    assert_eq!(bench.status(&a), Some(MemberStatus::Up), "this node's own probe still runs");
    bench.pass(ms(5), &[]);
    assert_eq!(bench.probes.len(), 3);
    assert_eq!(bench.events, [MemberEvent::Down(a.clone())]);
    assert!(bench.sent.iter().any(|(to, frame)| *to == b && matches!(frame, Frame::Down { .. })));
}

#[test]
fn a_frame_that_a_dead_member_left_on_the_way_proves_nothing() {
    let (a, b) = (id("a", 1), id("b", 1));
    let mut bench = Bench::with(&[&a, &b]);
    bench.input(Input::CrashHint { peer: a.clone() });
    bench.frame(&a, &Frame::Beat(Beat { seq: 9, ack: 0, held_us: 0, version: 1, counter: 0, digest: 0 }));
    let round = bench.asked(&b).unwrap();
    bench.frame(&b, &Frame::Answer { about: a.clone(), round, answer: Answer::Silent });
    bench.pass(ms(5), &[]);
    assert_eq!(bench.status(&a), Some(MemberStatus::Down));
}

#[test]
fn with_three_others_two_must_agree() {
    let (a, b, c, d) = (id("a", 1), id("b", 1), id("c", 1), id("d", 1));
    let mut bench = Bench::with(&[&a, &b, &c, &d]);
    bench.input(Input::CrashHint { peer: a.clone() });
    let round = bench.asked(&b).unwrap();
    bench.pass(ms(10), &[]);
    bench.frame(&b, &Frame::Answer { about: a.clone(), round, answer: Answer::Silent });
    assert_eq!(bench.status(&a), Some(MemberStatus::Suspect));
    bench.frame(&c, &Frame::Answer { about: a.clone(), round, answer: Answer::Silent });
    assert_eq!(bench.status(&a), Some(MemberStatus::Down));
}

#[test]
fn who_does_not_answer_the_question_in_time_does_not_count() {
    let (a, b) = (id("a", 1), id("b", 1));
    let mut bench = Bench::with(&[&a, &b]);
    bench.input(Input::CrashHint { peer: a.clone() });
    bench.pass(ms(304), &[&b]);
    assert_eq!(bench.status(&a), Some(MemberStatus::Suspect));
    bench.pass(ms(1), &[&b]);
    assert_eq!(bench.status(&a), Some(MemberStatus::Down));
}

#[test]
fn one_witness_of_life_makes_it_unreachable_instead_of_down() {
    let (a, b, c) = (id("a", 1), id("b", 1), id("c", 1));
    let mut bench = Bench::with(&[&a, &b, &c]);
    bench.lost(&a);
    bench.pass(ms(450), &[&b, &c]);
    let round = bench.asked(&b).unwrap();
    bench.frame(&b, &Frame::Answer { about: a.clone(), round, answer: Answer::Alive });
    assert_eq!(bench.status(&a), Some(MemberStatus::Unreachable));
    bench.up(&a);
    assert_eq!(bench.status(&a), Some(MemberStatus::Up));
    assert_eq!(bench.events.last(), Some(&MemberEvent::Refuted(a)));
}

#[test]
fn alone_with_the_accused_the_own_verdict_stands() {
    let a = id("a", 1);
    let mut bench = Bench::with(&[&a]);
    bench.pass(ms(1000), &[]);
    assert_eq!(bench.events, [MemberEvent::Down(a)]);
}

#[test]
fn a_question_is_answered_by_a_fresh_probe() {
    let (a, b) = (id("a", 1), id("b", 1));
    let mut bench = Bench::with(&[&a, &b]);
    let answer = |bench: &Bench| {
        bench.sent.iter().find_map(|(to, frame)| match frame {
            Frame::Answer { round: 77, answer, .. } if *to == b => Some(*answer),
            _ => None,
        })
    };
    bench.frame(&b, &Frame::Ask { about: a.clone(), round: 77 });
    assert_eq!(answer(&bench), None);
    let (_, probe) = bench.probes[0].clone();
    bench.input(Input::Probed { probe, answered: true });
    assert_eq!(answer(&bench), Some(Answer::Alive));
    bench.clear();
    bench.frame(&b, &Frame::Ask { about: a.clone(), round: 77 });
    bench.pass(ms(199), &[&b]);
    assert_eq!(answer(&bench), None, "without a hint of its own it probes for a heartbeat");
    bench.pass(ms(2), &[&b]);
    assert_eq!(answer(&bench), Some(Answer::Silent));
}

#[test]
fn a_node_that_is_called_down_objects_with_its_counter_and_keeps_its_incarnation() {
    let a = id("a", 1);
    let mut bench = Bench::with(&[&a]);
    bench.frame(&a, &Frame::Down { about: id("me", 5), counter: 0 });
    let objection = bench.sent.iter().find_map(|(_, frame)| match frame {
        Frame::Own(record) => Some((record.counter, record.id.incarnation())),
        _ => None,
    });
    assert_eq!(objection, Some((1, 5)));
    assert_eq!(bench.events, [MemberEvent::Refuted(id("me", 5))]);
    bench.clear();
    bench.frame(&a, &Frame::Down { about: id("me", 5), counter: 0 });
    assert!(bench.events.is_empty(), "that verdict is refuted already");
}

#[test]
fn the_same_life_that_connects_again_after_down_is_up_again() {
    let a = id("a", 1);
    let mut bench = Bench::with(&[&a]);
    bench.lost(&a);
    bench.pass(ms(450), &[]);
    assert_eq!(bench.status(&a), Some(MemberStatus::Down));
    bench.clear();
    bench.up(&a);
    assert_eq!(bench.events, [MemberEvent::Up(a.clone())]);
    let verdict = Frame::Down { about: a.clone(), counter: 0 };
    assert!(
        bench.sent.contains(&(a, verdict)),
        "it is told of the verdict, so that it can object to it elsewhere"
    );
}

#[test]
fn a_member_that_objects_through_others_is_unreachable_instead_of_down() {
    let (a, b) = (id("a", 1), id("b", 1));
    let mut bench = Bench::with(&[&a, &b]);
    bench.lost(&a);
    bench.pass(ms(701), &[&b]);
    assert_eq!(bench.status(&a), Some(MemberStatus::Down));
    let objection = Record { version: 2, counter: 1, ..record(&a, Lifecycle::Up) };
    bench.frame(&b, &Frame::Members { told: vec![Told { record: objection, down: false }], last: true });
    assert_eq!(bench.status(&a), Some(MemberStatus::Unreachable));
    let round = bench.asked(&b).unwrap();
    bench.frame(&b, &Frame::Answer { about: a.clone(), round, answer: Answer::Alive });
    bench.pass(ms(250), &[&b]);
    assert_eq!(bench.status(&a), Some(MemberStatus::Unreachable), "as long as a witness answers");
    bench.pass(ms(400), &[&b]);
    assert_eq!(bench.status(&a), Some(MemberStatus::Down));
}

#[test]
fn an_idle_pair_sends_one_heartbeat_each_way_in_each_period() {
    let (a, b) = (id("a", 1), id("b", 1));
    let mut bench = Bench::with(&[&a, &b]);
    bench.pass(ms(10_000), &[&a, &b]);
    let beats = bench.sent.iter().filter(|(to, frame)| *to == a && matches!(frame, Frame::Beat(_))).count();
    assert!((45..=51).contains(&beats), "{beats} in 10 s");
    assert!(bench.sent.iter().all(|(_, frame)| matches!(frame, Frame::Beat(_))), "and nothing else");
}

#[test]
fn a_higher_incarnation_that_is_a_member_is_the_down_of_the_lower() {
    let (a, b, again) = (id("a", 1), id("b", 1), id("a", 2));
    let mut bench = Bench::with(&[&a, &b]);
    let told = vec![Told { record: record(&again, Lifecycle::Up), down: false }];
    bench.frame(&b, &Frame::Members { told, last: true });
    assert_eq!(
        bench.events,
        [MemberEvent::Down(a.clone()), MemberEvent::Joined(again.clone()), MemberEvent::Up(again)]
    );
    assert!(bench.machine.view().is_down(&a) && bench.machine.view().get(&a).is_none());
}

#[test]
fn a_newcomer_under_a_live_name_is_refused_after_the_holder_answered() {
    let (a, again) = (id("a", 1), id("a", 2));
    let mut bench = Bench::with(&[&a]);
    bench.up(&again);
    bench.frame(&again, &Frame::Own(record(&again, Lifecycle::Joining)));
    assert!(bench.sent.iter().all(|(to, _)| *to != again), "nothing is told before");
    let (_, probe) = bench.probes[0].clone();
    bench.input(Input::Probed { probe, answered: true });
    let refused = Frame::Refused(Refusal::NameTaken { holder: a.clone(), address: None });
    assert!(bench.sent.contains(&(again.clone(), refused)));
    bench.pass(ms(300), &[&a]);
    assert!(
        bench.other.iter().any(|output| matches!(output, Output::Disconnect { peer, .. } if *peer == again))
    );
    assert_eq!(bench.status(&a), Some(MemberStatus::Up));
}

#[test]
fn where_the_network_closed_the_older_life_for_the_newcomer_the_last_word_counts() {
    let (a, again) = (id("a", 1), id("a", 2));
    let replaced = Input::PeerDown { peer: a.clone(), reason: DownReason::Replaced };
    let mut bench = Bench::with(&[&a]);
    bench.input(replaced.clone());
    bench.up(&again);
    bench.frame(&again, &Frame::Own(record(&again, Lifecycle::Joining)));
    let refused = Frame::Refused(Refusal::NameTaken { holder: a.clone(), address: None });
    assert!(bench.sent.contains(&(again.clone(), refused)));
    bench.up(&a);
    assert_eq!((bench.status(&a), bench.events.len()), (Some(MemberStatus::Up), 0));
    let mut bench = Bench::with(&[&a]);
    bench.input(Input::CrashHint { peer: a.clone() });
    bench.input(replaced);
    bench.up(&again);
    bench.pass(ms(10), &[]);
    bench.frame(&again, &Frame::Own(record(&again, Lifecycle::Joining)));
    assert_eq!(bench.status(&again), Some(MemberStatus::Joining), "a hint spoke against it: no waiting");
    assert_eq!(bench.status(&a), Some(MemberStatus::Down));
}

#[test]
fn a_refused_newcomer_stops_and_says_who_has_the_name() {
    let a = id("a", 1);
    let holder = id("me", 2);
    let address = Some(SocketAddr::from(([10, 0, 0, 1], 4000)));
    let mut bench = Bench::new(ClusterConfig { expect: Some(9), ..ClusterConfig::default() });
    bench.up(&a);
    bench.frame(&a, &Frame::Refused(Refusal::NameTaken { holder: holder.clone(), address }));
    let stopped = bench.told_of_stop().unwrap();
    assert_eq!(stopped, Stopped::NameTaken { holder, address });
    let text = "name `me` is taken by a live node at 10.0.0.1:4000; this node did not join: stop the other one or take another name";
    assert_eq!(stopped.to_string(), text);
    assert_eq!(bench.machine.poll_timeout(), None);
}

#[test]
fn a_member_is_not_stopped_by_a_late_refusal() {
    let a = id("a", 1);
    let mut bench = Bench::with(&[&a]);
    bench.frame(&a, &Frame::Refused(Refusal::NameTaken { holder: id("me", 2), address: None }));
    assert_eq!(bench.told_of_stop(), None);
}

#[test]
fn a_goodbye_after_leaving_is_left_at_once() {
    let a = id("a", 1);
    let mut bench = Bench::with(&[&a]);
    bench.frame(&a, &Frame::Own(Record { version: 2, ..record(&a, Lifecycle::Leaving) }));
    bench.input(Input::PeerDown { peer: a.clone(), reason: DownReason::Goodbye });
    assert_eq!(bench.events, [MemberEvent::Leaving(a.clone()), MemberEvent::Left(a)]);
}

#[test]
fn leaving_waits_until_the_others_have_noted_it_or_the_deadline() {
    let (a, b) = (id("a", 1), id("b", 1));
    let mut bench = Bench::with(&[&a, &b]);
    bench.input(Input::Leave { by: ms(5000) });
    bench.frame(&a, &Frame::Bye);
    assert_eq!(bench.told_of_stop(), None);
    bench.lost(&b);
    assert_eq!(bench.told_of_stop(), Some(Stopped::Left));
}

#[test]
fn time_this_node_stood_still_is_nobodys_silence() {
    let (a, b) = (id("a", 1), id("b", 1));
    let mut bench = Bench::with(&[&a, &b]);
    bench.now += ms(5000);
    bench.machine.handle_timeout(bench.now);
    bench.collect();
    assert!(bench.events.is_empty());
    assert!(bench.sent.iter().any(|(to, frame)| *to == a && *frame == Frame::Pull), "it listens first");
    assert!(bench.other.iter().any(|output| matches!(output, Output::Warn(Warning::Paused(_)))));
    bench.pass(ms(1000), &[]);
    assert!(bench.events.is_empty(), "and it accuses more slowly for a while: {:?}", bench.events);
}

#[test]
fn an_address_that_vanishes_is_not_dialled_and_nobody_is_down_for_it() {
    let (a, at) = (id("a", 1), SocketAddr::from(([10, 0, 0, 1], 4000)));
    let mut bench = Bench::with(&[]);
    let found = |addresses: &[SocketAddr]| Input::Found {
        source: "dns".into(),
        addresses: addresses.iter().copied().collect::<BTreeSet<_>>(),
    };
    bench.input(found(&[at]));
    assert!(matches!(bench.other[..], [Output::Dial(dialled)] if dialled == at));
    bench.input(Input::PeerUp(Peer { id: a.clone(), address: Some(at), role: Role::Node }));
    bench.frame(&a, &Frame::Own(record(&a, Lifecycle::Up)));
    bench.clear();
    bench.input(found(&[]));
    assert!(matches!(bench.other[..], [Output::Undial(dropped)] if dropped == at));
    assert_eq!(bench.status(&a), Some(MemberStatus::Up));
}

#[test]
fn members_told_by_others_are_dialled_and_those_that_left_are_not() {
    let (a, b, at) = (id("a", 1), id("b", 1), SocketAddr::from(([10, 0, 0, 2], 4000)));
    let mut bench = Bench::with(&[&a]);
    let known = Record { address: Some(at), ..record(&b, Lifecycle::Up) };
    bench.frame(&a, &Frame::Members { told: vec![Told { record: known.clone(), down: false }], last: true });
    assert!(matches!(bench.other[..], [Output::Dial(dialled)] if dialled == at));
    bench.clear();
    let left = Record { version: 2, lifecycle: Lifecycle::Left, ..known };
    bench.frame(&a, &Frame::Members { told: vec![Told { record: left, down: false }], last: true });
    assert!(matches!(bench.other[..], [Output::Undial(dropped)] if dropped == at));
}

#[test]
fn at_the_limit_a_newcomer_is_refused_and_one_that_is_down_makes_room() {
    let (a, b) = (id("a", 1), id("b", 1));
    let mut bench = Bench::new(ClusterConfig { max_members: 2, ..ClusterConfig::default() });
    bench.up(&a);
    bench.frame(&a, &Frame::Own(record(&a, Lifecycle::Joining)));
    bench.up(&b);
    assert!(bench.sent.contains(&(b.clone(), Frame::Refused(Refusal::Full { limit: 2 }))));
    bench.lost(&a);
    bench.pass(ms(500), &[]);
    bench.up(&b);
    bench.frame(&b, &Frame::Own(record(&b, Lifecycle::Joining)));
    assert_eq!((bench.status(&a), bench.status(&b)), (None, Some(MemberStatus::Joining)));
}

#[test]
fn a_digest_that_differs_twice_is_pulled() {
    let a = id("a", 1);
    let mut bench = Bench::with(&[&a]);
    bench.pass(ms(2000), &[&a]);
    bench.clear();
    for seq in 100..102 {
        bench.frame(&a, &Frame::Beat(Beat { seq, ack: 0, held_us: 0, version: 1, counter: 0, digest: 1 }));
    }
    assert_eq!(bench.sent.iter().filter(|(_, frame)| *frame == Frame::Pull).count(), 1);
}

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
        Just(Frame::Pull),
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
        node.prop_map(|holder| Frame::Refused(Refusal::NameTaken { holder, address: None })),
        Just(Frame::Bye),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Invariants are checked by the machine itself after each input.
    #[test]
    fn no_order_of_inputs_breaks_the_machine(
        steps in prop::collection::vec((0..12_u8, 0..3_usize, 1..4_u64, any_frame(), 0..400_u64), 1..80),
    ) {
        let mut bench = Bench::new(ClusterConfig { max_members: 3, ..ClusterConfig::default() });
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
                _ => bench.frame(&peer, &frame),
            }
            let view = bench.machine.view();
            prop_assert!(view.members.len() <= 3);
        }
    }
}
