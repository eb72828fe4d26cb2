//! What a machine gathers and bounds once it knows more than `eager_members` others.

use horde_cluster::machine::{Beat, Frame, Lifecycle, Told};
use horde_cluster::{ClusterConfig, MemberEvent, MemberStatus};
use horde_transport::NodeId;

use crate::bench::{Bench, id, ms, record};

/// A machine that is Up, knows so many, and tells all to no more than four at once.
fn large(others: usize) -> (Bench, Vec<NodeId>) {
    let ids: Vec<NodeId> = (0..others).map(|n| id(&format!("n{n:03}"), 1)).collect();
    let config = ClusterConfig {
        expect: Some(others + 1),
        max_members: 1_000,
        eager_members: 4,
        ..ClusterConfig::default()
    };
    let mut bench = Bench::new(config);
    for other in &ids {
        bench.up(other);
        bench.frame(other, &Frame::Own(record(other, Lifecycle::Joining)));
    }
    let all: Vec<&NodeId> = ids.iter().collect();
    bench.pass(ms(500), &all);
    assert_eq!(bench.status(&id("me", 5)), Some(MemberStatus::Up));
    bench.clear();
    (bench, ids)
}

/// The lists in what was sent to `whom`: how many records each brings, and whether it ends one.
fn lists(bench: &Bench, whom: &NodeId) -> Vec<(usize, bool)> {
    let lists = bench.sent.iter().filter(|(to, _)| to == whom).filter_map(|(_, frame)| match frame {
        Frame::Members { told, last } => Some((told.len(), *last)),
        _ => None,
    });
    lists.collect()
}

fn digest(bench: &Bench) -> u32 {
    let beat = bench.sent.iter().rev().find_map(|(_, frame)| match frame {
        Frame::Beat(beat) => Some(beat.digest),
        _ => None,
    });
    beat.unwrap()
}

#[test]
fn a_list_is_given_to_who_has_another_digest_and_an_empty_one_to_who_has_the_same() {
    let (mut bench, ids) = large(9);
    let all: Vec<&NodeId> = ids.iter().collect();
    bench.pass(ms(300), &all);
    let same = digest(&bench);
    bench.clear();
    bench.frame(&ids[0], &Frame::Pull { digest: same });
    assert_eq!(lists(&bench, &ids[0]), [(0, true)]);
    bench.frame(&ids[1], &Frame::Pull { digest: same ^ 1 });
    assert_eq!(lists(&bench, &ids[1]), [(8, true)], "all but who asked");
    assert!(bench.sent.iter().any(|(to, frame)| *to == ids[0] && matches!(frame, Frame::Own(_))));
}

#[test]
fn whole_lists_are_bounded_in_each_heartbeat() {
    let (mut bench, ids) = large(30);
    for asker in &ids {
        bench.frame(asker, &Frame::Pull { digest: 1 });
    }
    assert_eq!(ids.iter().filter(|asker| !lists(&bench, asker).is_empty()).count(), 16);
    bench.clear();
    let all: Vec<&NodeId> = ids.iter().collect();
    bench.pass(ms(200), &all);
    bench.frame(&ids[29], &Frame::Pull { digest: 1 });
    assert_eq!(lists(&bench, &ids[29]).len(), 1, "who asks again is answered");
}

#[test]
fn who_asks_for_the_record_alone_gets_no_list() {
    let (mut bench, ids) = large(9);
    bench.frame(&ids[3], &Frame::Who);
    assert!(matches!(bench.sent.as_slice(), [(to, Frame::Own(_))] if *to == ids[3]), "{:?}", bench.sent);
}

#[test]
fn newcomers_that_come_together_are_told_in_one_frame() {
    let (mut bench, ids) = large(9);
    for newcomer in ["x", "y", "z"].map(|name| id(name, 1)) {
        bench.up(&newcomer);
        bench.frame(&newcomer, &Frame::Own(record(&newcomer, Lifecycle::Joining)));
    }
    let all: Vec<&NodeId> = ids.iter().collect();
    bench.pass(ms(1), &all);
    let told: usize = lists(&bench, &ids[0]).iter().map(|(records, _)| records).sum();
    assert_eq!(told, 3, "each is told once: {:?}", lists(&bench, &ids[0]));
    assert!(lists(&bench, &ids[0]).len() <= 2);
    assert_eq!(bench.machine.view().members.len(), 13);
}

#[test]
fn of_more_newcomers_than_are_told_the_digests_tell() {
    let (mut bench, ids) = large(9);
    let new: Vec<NodeId> = (0..40).map(|n| id(&format!("x{n:02}"), 1)).collect();
    for newcomer in &new {
        bench.up(newcomer);
    }
    bench.pass(ms(1), &[]);
    bench.clear();
    for newcomer in &new {
        bench.frame(newcomer, &Frame::Own(record(newcomer, Lifecycle::Joining)));
    }
    let all: Vec<&NodeId> = ids.iter().chain(&new).collect();
    bench.pass(ms(1), &all);
    let told: usize = lists(&bench, &ids[0]).iter().map(|(records, _)| records).sum();
    assert!(told <= 17, "{told} were told");
    assert_eq!(bench.machine.view().members.len(), 50);
}

#[test]
fn a_digest_that_differs_in_two_heartbeats_is_pulled_from_few_at_a_time() {
    let (mut bench, ids) = large(30);
    for seq in 1_000..1_002 {
        for peer in &ids {
            let beat = Beat { seq, ack: 0, held_us: 0, version: 1, counter: 0, digest: 7 };
            bench.frame(peer, &Frame::Beat(beat));
        }
    }
    let pulls = bench.sent.iter().filter(|(_, frame)| matches!(frame, Frame::Pull { .. })).count();
    assert_eq!(pulls, 1);
}

#[test]
fn of_a_suspect_so_many_are_asked_as_are_told_at_once() {
    let (mut bench, ids) = large(30);
    bench.lost(&ids[7]);
    let asked = bench.sent.iter().filter(|(_, frame)| matches!(frame, Frame::Ask { .. })).count();
    assert_eq!(asked, 4);
    assert!(bench.sent.iter().all(|(to, frame)| !matches!(frame, Frame::Ask { .. }) || *to != ids[7]));
}

#[test]
fn what_is_said_of_the_dead_does_not_wait() {
    let (mut bench, ids) = large(30);
    bench.lost(&ids[7]);
    let alive: Vec<&NodeId> = ids.iter().filter(|id| **id != ids[7]).collect();
    bench.pass(ms(420), &alive);
    bench.clear();
    for two in &ids[..2] {
        bench.frame(two, &Frame::Down { about: ids[7].clone(), counter: 0 });
    }
    assert!(bench.events.contains(&MemberEvent::Down(ids[7].clone())), "{:?}", bench.events);
    assert_eq!(bench.status(&ids[7]), Some(MemberStatus::Down));
}

#[test]
fn a_list_of_strangers_is_bounded_by_the_limit_of_members() {
    let (mut bench, ids) = large(9);
    for page in 0..20 {
        let strangers = (0..100).map(|n| id(&format!("s{page}-{n}"), 1));
        let told = strangers.map(|s| Told { record: record(&s, Lifecycle::Up), down: false }).collect();
        bench.frame(&ids[0], &Frame::Members { told, last: true });
    }
    bench.pass(ms(50), &[]);
    assert_eq!(bench.machine.view().members.len(), 1_000);
}
