//! Who comes, who goes, and what is dialled.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use horde_cluster::machine::{Beat, Frame, Input, Lifecycle, Output, Record, Refusal, Told};
use horde_cluster::{ClusterConfig, MemberEvent, MemberStatus, Stopped};
use horde_transport::{DownReason, Peer, Role};

use crate::bench::{Bench, id, ms, record};

#[test]
fn a_node_with_nobody_to_dial_is_up_after_a_moment() {
    let mut bench = Bench::new(ClusterConfig::default());
    assert_eq!(bench.status(&id("me", 5)), Some(MemberStatus::Joining));
    bench.pass(ms(50), &[]);
    assert_eq!(bench.events, [MemberEvent::Up(id("me", 5))]);
}

#[test]
fn a_connected_peer_that_was_not_heard_yet_is_waited_for() {
    let (me, a) = (id("me", 5), id("a", 1));
    let mut bench = Bench::new(ClusterConfig::default());
    bench.input(Input::Present([a.clone(), me.clone()].into()));
    bench.pass(ms(1000), &[]);
    assert_eq!(bench.status(&me), Some(MemberStatus::Joining), "its connection was not told of yet");
    bench.up(&a);
    bench.pass(ms(500), &[]);
    assert_eq!(bench.status(&me), Some(MemberStatus::Joining), "it has said nothing yet");
    bench.frame(&a, &Frame::Own(record(&a, Lifecycle::Up)));
    assert_eq!(bench.status(&me), Some(MemberStatus::Joining), "its list has not come yet");
    bench.frame(&a, &Frame::Members { told: Vec::new(), last: true });
    assert_eq!(bench.status(&me), Some(MemberStatus::Up));
}

#[test]
fn who_was_cut_off_takes_what_was_held_back_for_no_word_of_today() {
    let (me, a) = (id("me", 5), id("a", 1));
    for expect in [2, 9] {
        let mut bench = Bench::new(ClusterConfig { expect: Some(expect), ..ClusterConfig::default() });
        bench.up(&a);
        bench.pass(ms(3000), &[]);
        bench.frame(&a, &Frame::Own(record(&a, Lifecycle::Joining)));
        bench.frame(&a, &Frame::Own(Record { version: 2, ..record(&a, Lifecycle::Up) }));
        bench.frame(&a, &Frame::Members { told: Vec::new(), last: true });
        assert_eq!(bench.status(&me), Some(MemberStatus::Joining), "it said so three seconds ago");
        bench.pass(ms(400), &[&a]);
        assert_eq!(bench.status(&me), Some(MemberStatus::Up), "it has answered since");
    }
}

#[test]
fn a_mute_peer_keeps_a_node_from_being_up_for_no_longer_than_the_grace() {
    let (me, a, b) = (id("me", 5), id("a", 1), id("b", 1));
    for told in [false, true] {
        let mut bench = Bench::new(ClusterConfig::default());
        bench.input(Input::Present([a.clone(), b.clone()].into()));
        if told {
            bench.up(&a);
        }
        bench.pass(ms(1999), &[]);
        assert_eq!(bench.status(&me), Some(MemberStatus::Joining));
        bench.pass(ms(1), &[]);
        assert_eq!(bench.status(&me), Some(MemberStatus::Up));
    }
}

#[test]
fn of_those_that_join_together_the_lowest_begins_and_the_others_follow() {
    let (me, a, z) = (id("me", 5), id("a", 1), id("z", 1));
    let joining = |bench: &mut Bench, peer| {
        bench.up(peer);
        bench.frame(peer, &Frame::Own(record(peer, Lifecycle::Joining)));
        bench.frame(peer, &Frame::Members { told: Vec::new(), last: true });
    };
    let mut bench = Bench::new(ClusterConfig::default());
    joining(&mut bench, &z);
    bench.pass(ms(50), &[&z]);
    assert_eq!(bench.status(&me), Some(MemberStatus::Up));
    let mut bench = Bench::new(ClusterConfig::default());
    joining(&mut bench, &a);
    bench.pass(ms(1000), &[&a]);
    assert_eq!(bench.status(&me), Some(MemberStatus::Joining));
    bench.frame(&a, &Frame::Own(Record { version: 2, ..record(&a, Lifecycle::Up) }));
    assert_eq!(bench.status(&me), Some(MemberStatus::Up));
}

#[test]
fn who_joins_asks_for_what_its_peers_told_before_it_listened() {
    let a = id("a", 1);
    let mut bench = Bench::new(ClusterConfig::default());
    bench.up(&a);
    assert!(bench.sent.iter().any(|(to, frame)| *to == a && matches!(frame, Frame::Pull { .. })));
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
fn an_idle_pair_sends_one_heartbeat_each_way_in_each_period() {
    let (a, b) = (id("a", 1), id("b", 1));
    let mut bench = Bench::with(&[&a, &b]);
    bench.pass(ms(10_000), &[&a, &b]);
    let beats = bench.sent.iter().filter(|(to, frame)| *to == a && matches!(frame, Frame::Beat(_))).count();
    assert!((45..=51).contains(&beats), "{beats} in 10 s");
    assert!(bench.sent.iter().all(|(_, frame)| matches!(frame, Frame::Beat(_))), "and nothing else");
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
fn a_member_that_is_down_is_dialled_for_a_while_and_again_when_somebody_reaches_it() {
    let (a, b, at) = (id("a", 1), id("b", 1), SocketAddr::from(([10, 0, 0, 2], 4000)));
    let config = ClusterConfig { expect: Some(3), redial_down_for: ms(5000), ..ClusterConfig::default() };
    let mut bench = Bench::new(config);
    for peer in [&a, &b] {
        let address = (peer == &b).then_some(at);
        bench.input(Input::PeerUp(Peer { id: peer.clone(), address, role: Role::Node }));
        bench.frame(peer, &Frame::Own(record(peer, Lifecycle::Up)));
        bench.frame(peer, &Frame::Members { told: Vec::new(), last: true });
    }
    let dials = |bench: &mut Bench| {
        let dials: Vec<_> = bench
            .other
            .iter()
            .filter(|o| matches!(o, Output::Dial(_) | Output::Undial(_)))
            .cloned()
            .collect();
        bench.clear();
        dials
    };
    assert!(matches!(dials(&mut bench)[..], [Output::Dial(dialled)] if dialled == at));
    bench.lost(&b);
    bench.pass(ms(750), &[&a]);
    assert_eq!(bench.status(&b), Some(MemberStatus::Down));
    bench.pass(ms(4900), &[&a]);
    assert!(dials(&mut bench).is_empty(), "it may be back at once");
    bench.pass(ms(200), &[&a]);
    assert!(matches!(dials(&mut bench)[..], [Output::Undial(dropped)] if dropped == at));
    let told = |down| vec![Told { record: Record { address: Some(at), ..record(&b, Lifecycle::Up) }, down }];
    bench.frame(&a, &Frame::Members { told: told(true), last: true });
    assert!(dials(&mut bench).is_empty(), "who calls it Down too is no reason");
    bench.frame(&a, &Frame::Members { told: told(false), last: true });
    assert!(matches!(dials(&mut bench)[..], [Output::Dial(dialled)] if dialled == at));
    bench.pass(ms(5200), &[&a]);
    assert!(matches!(dials(&mut bench)[..], [Output::Undial(dropped)] if dropped == at));
    bench.input(Input::Found { source: "dns".into(), addresses: [at].into() });
    assert!(matches!(dials(&mut bench)[..], [Output::Dial(dialled)] if dialled == at));
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
    assert_eq!(bench.sent.iter().filter(|(_, frame)| matches!(frame, Frame::Pull { .. })).count(), 1);
}
