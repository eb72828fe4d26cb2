//! Who may have a name.

use std::net::SocketAddr;

use horde_cluster::machine::{Frame, Input, Lifecycle, Output, Refusal, Told};
use horde_cluster::{ClusterConfig, MemberEvent, MemberStatus, Stopped};
use horde_transport::DownReason;

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
