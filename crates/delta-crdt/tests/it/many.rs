//! Many neighbours, and many writers at once: statuses bear hashes, and lists come where the hashes differ.

use std::time::Duration;

use delta_crdt::{Config, Message, Output};

use crate::support::Net;

/// Whatever is counted, two is many.
fn few() -> Config {
    Config { max_told: 1, ..Config::default() }
}

fn told(net: &mut Net, i: usize) -> Vec<Message<u64, u64>> {
    let now = net.advance(Duration::from_secs(1));
    let replica = net.replica_mut(i);
    replica.handle_timeout(now);
    let sent = core::iter::from_fn(|| replica.poll_output()).map(|output| match output {
        Output::Send { message, .. } => message,
        other => panic!("idle, and yet {other:?}"),
    });
    sent.collect()
}

fn kinds(messages: &[Message<u64, u64>]) -> Vec<&'static str> {
    messages.iter().map(Message::kind).collect()
}

#[test]
fn a_full_mesh_knows_itself_by_its_hash_and_nobody_relays() {
    let mut net = Net::full(6, few());
    net.run(Duration::from_secs(3));
    net.put(0, 1, 1);
    net.settle();
    net.assert_equal();
    // Nothing is due before the next regular status.
    for i in 1..6 {
        let due = net.replica(i).poll_timeout().expect("the next status");
        assert!(due > net.now().monotonic + Duration::from_millis(100), "{i}: {due:?}");
    }
}

#[test]
fn who_does_not_recognise_the_hash_of_a_neighbourhood_asks_for_it() {
    let mut net = Net::new(4, few());
    for (a, b) in [(0, 1), (0, 2), (1, 2), (2, 3)] {
        net.link(a, b);
    }
    net.settle();
    // 2 relays everything to 3, and asks whom 0 and 1 have: not 3, so that it goes on to.
    net.run(Duration::from_secs(3));
    for key in 0..4 {
        net.put(0, key, key);
        net.run(Duration::from_millis(60));
        assert_eq!(net.get(3, key), Some(key));
    }
    // 1 is a neighbour of all whom 2 has, but for 3: only 3 is told of a write of 1 at once.
    net.put(1, 9, 9);
    net.settle();
    assert_eq!(net.get(3, 9), Some(9));
    let asked = told(&mut net, 2);
    assert_eq!(kinds(&asked), ["status"; 3], "the answers are there: nothing is asked any more");
}

#[test]
fn a_cut_of_one_link_in_a_mesh_known_by_hash_is_relayed_around() {
    let mut net = Net::full(6, few());
    net.run(Duration::from_secs(2));
    net.cut(0, 5);
    net.settle();
    net.put(0, 1, 1);
    net.run(Duration::from_millis(100));
    assert_eq!(net.get(5, 1), Some(1));
    net.run(Duration::from_secs(3));
    net.put(5, 2, 2);
    net.run(Duration::from_millis(100));
    assert_eq!(net.get(0, 2), Some(2));
    net.assert_equal();
}

#[test]
fn after_many_writers_wrote_a_status_to_who_has_it_all_is_bare() {
    let mut net = Net::full(5, Config { max_told: 2, ..Config::default() });
    net.run(Duration::from_secs(2));
    for i in 0..5 {
        net.put(i, i as u64, 1);
    }
    net.settle();
    net.assert_equal();
    let sent = told(&mut net, 0);
    assert_eq!(kinds(&sent), ["status"; 4]);
    assert!(sent.iter().all(|message| message.encode().len() <= 24), "{sent:?}");
    // The others take it as it is: all hold what they hold.
    net.run(Duration::from_secs(2));
    for i in 1..5 {
        assert!(!net.replica(0).lacks_of(net.replica(i).id()));
    }
    // Known from hashes alone, and enough to drop a tombstone everywhere.
    net.remove(0, 3);
    net.run(Duration::from_secs(5));
    for i in 0..5 {
        assert_eq!(net.replica(i).stats().tombstones, 0, "replica {i}");
    }
}

#[test]
fn after_many_writers_wrote_who_lacks_something_asks_and_gets_it() {
    let mut net = Net::full(5, few());
    net.run(Duration::from_secs(2));
    // 4 hears nobody but 3, which hears all.
    (0..3).for_each(|i| net.cut(i, 4));
    for i in 0..4 {
        net.put(i, i as u64, 1);
    }
    net.run(Duration::from_secs(2));
    net.assert_equal();
    assert_eq!(net.replica(4).len(), 4);
}

#[test]
fn a_late_status_does_not_make_a_neighbour_hold_less_than_it_said() {
    let mut net = Net::full(2, few());
    let (a, b) = (net.replica(0).id(), net.replica(1).id());
    let early = told(&mut net, 1).remove(0);
    // What 1 writes is lost on its way; that it wrote is not.
    net.put(1, 1, 1);
    let now = net.now();
    net.replica_mut(1).flush(now);
    while net.replica_mut(1).poll_output().is_some() {}
    let late = told(&mut net, 1).remove(0);
    let now = net.now();
    net.replica_mut(0).receive(now, b, late);
    assert!(net.replica(0).lacks_of(b));
    net.replica_mut(0).receive(now, b, early);
    assert!(net.replica(0).lacks_of(b), "the earlier one says less, and takes nothing back");
    net.run(Duration::from_secs(2));
    assert_eq!(net.get(0, 1), Some(1));
    assert!(!net.replica(1).lacks_of(a));
}
