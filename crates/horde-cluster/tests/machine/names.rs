//! Who may have a name.

use std::net::SocketAddr;

use horde_cluster::machine::{Answer, Frame, Input, Lifecycle, Output, Refusal, Told};
use horde_cluster::{ClusterConfig, MemberEvent, MemberStatus, Stopped};
use horde_transport::{Peer, Role};

use crate::bench::{Bench, id, ms, record};

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
fn the_others_are_asked_about_a_holder_that_is_silent_here() {
    let (a, b, again) = (id("a", 1), id("b", 1), id("a", 2));
    let contest = || {
        let mut bench = Bench::with(&[&a, &b]);
        bench.up(&again);
        bench.frame(&again, &Frame::Own(record(&again, Lifecycle::Joining)));
        let round = bench.asked(&b).unwrap();
        bench.pass(ms(250), &[&b]);
        assert_eq!(bench.status(&again), None, "one node's silence decides nothing");
        (bench, round)
    };
    let (mut bench, round) = contest();
    bench.frame(&b, &Frame::Answer { about: a.clone(), round, answer: Answer::Alive });
    let refused = Frame::Refused(Refusal::NameTaken { holder: a.clone(), address: None });
    assert!(bench.sent.contains(&(again.clone(), refused)));
    let (mut bench, round) = contest();
    bench.frame(&b, &Frame::Answer { about: a.clone(), round, answer: Answer::Silent });
    assert_eq!(bench.status(&again), Some(MemberStatus::Joining));
    assert!(bench.sent.iter().any(|(to, frame)| *to == again && matches!(frame, Frame::Members { .. })));
    assert!(bench.events.contains(&MemberEvent::Down(a)));
}

#[test]
fn a_holder_whose_connection_was_lost_is_waited_for_no_longer_than_one_that_is_silent() {
    let (a, again) = (id("a", 1), id("a", 2));
    let mut bench = Bench::with(&[&a]);
    bench.lost(&a);
    bench.pass(ms(10), &[]);
    bench.up(&again);
    bench.frame(&again, &Frame::Own(record(&again, Lifecycle::Joining)));
    bench.pass(ms(199), &[]);
    assert_eq!(bench.status(&again), None);
    bench.pass(ms(1), &[]);
    assert_eq!(bench.status(&again), Some(MemberStatus::Joining));
}

#[test]
fn a_holder_that_only_others_reach_keeps_its_name() {
    let (a, b, again) = (id("a", 1), id("b", 1), id("a", 2));
    let mut bench = Bench::with(&[&b]);
    let told = vec![Told { record: record(&a, Lifecycle::Up), down: false }];
    bench.frame(&b, &Frame::Members { told, last: true });
    bench.up(&again);
    let round = bench.asked(&b).unwrap();
    bench.frame(&again, &Frame::Own(record(&again, Lifecycle::Joining)));
    bench.frame(&b, &Frame::Answer { about: a.clone(), round, answer: Answer::Alive });
    let refused = Frame::Refused(Refusal::NameTaken { holder: a.clone(), address: None });
    assert!(bench.sent.contains(&(again, refused)));
    bench.up(&a);
    assert_eq!(bench.status(&a), Some(MemberStatus::Up));
}

#[test]
fn a_newcomer_that_was_met_first_gives_way_to_the_member_under_its_name() {
    let (a, again, b) = (id("a", 1), id("a", 2), id("b", 1));
    for newcomer_first in [true, false] {
        let mut bench = Bench::with(&[&b]);
        let order = if newcomer_first { [&again, &a] } else { [&a, &again] };
        for peer in order {
            bench.up(peer);
        }
        bench.frame(&again, &Frame::Own(record(&again, Lifecycle::Joining)));
        bench.frame(&a, &Frame::Own(record(&a, Lifecycle::Up)));
        assert_eq!(bench.status(&a), Some(MemberStatus::Up));
        let refused = Frame::Refused(Refusal::NameTaken { holder: a.clone(), address: None });
        assert!(bench.sent.contains(&(again.clone(), refused)));
        let to_holder = |(to, frame): &(_, Frame)| *to == a && matches!(frame, Frame::Refused(_));
        assert!(!bench.sent.iter().any(to_holder), "the member is left alone");
    }
}

#[test]
fn of_two_newcomers_under_one_name_the_later_start_has_it() {
    let (a, again) = (id("a", 1), id("a", 2));
    let mut bench = Bench::with(&[]);
    for peer in [&again, &a] {
        bench.up(peer);
        bench.frame(peer, &Frame::Own(record(peer, Lifecycle::Joining)));
    }
    let refused = Frame::Refused(Refusal::Superseded { by: again.clone(), address: None });
    assert!(bench.sent.contains(&(a, refused)));
    assert_eq!(bench.status(&again), Some(MemberStatus::Joining));
}

#[test]
fn the_connection_of_a_life_that_was_replaced_is_closed() {
    let (a, b, again) = (id("a", 1), id("b", 1), id("a", 2));
    let mut bench = Bench::with(&[&a, &b]);
    bench.input(Input::CrashHint { peer: a.clone() });
    let round = bench.asked(&b).unwrap();
    bench.frame(&b, &Frame::Answer { about: a.clone(), round, answer: Answer::Silent });
    bench.pass(ms(10), &[&b]);
    assert_eq!(bench.status(&a), Some(MemberStatus::Down));
    bench.up(&again);
    bench.frame(&again, &Frame::Own(record(&again, Lifecycle::Joining)));
    assert_eq!(bench.status(&again), Some(MemberStatus::Joining), "nothing is waited for");
    bench.pass(ms(300), &[&b, &again]);
    assert!(bench.other.iter().any(|output| matches!(output, Output::Disconnect { peer, .. } if *peer == a)));
}

#[test]
fn a_refusal_without_an_address_is_completed_by_where_the_holder_was_met() {
    let (holder, at) = (id("me", 1), SocketAddr::from(([10, 0, 0, 1], 4000)));
    let mut bench = Bench::new(ClusterConfig::default());
    bench.input(Input::PeerUp(Peer { id: holder.clone(), address: Some(at), role: Role::Node }));
    bench.frame(&holder, &Frame::Refused(Refusal::NameTaken { holder: holder.clone(), address: None }));
    assert_eq!(bench.told_of_stop(), Some(Stopped::NameTaken { holder, address: Some(at) }));
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
fn a_newcomer_that_started_before_the_holder_of_its_name_is_told_that_the_name_is_taken() {
    let holder = id("me", 9);
    // By a member that knows the holder, and by the holder itself.
    let refused = Frame::Refused(Refusal::Superseded { by: holder.clone(), address: None });
    for (from, frame) in [(id("b", 1), refused), (holder.clone(), Frame::Own(record(&holder, Lifecycle::Up)))]
    {
        let mut bench = Bench::new(ClusterConfig::default());
        bench.up(&from);
        bench.frame(&from, &frame);
        let told = bench.told_of_stop();
        assert!(matches!(&told, Some(Stopped::NameTaken { holder: by, .. }) if *by == holder), "{told:?}");
    }
}
