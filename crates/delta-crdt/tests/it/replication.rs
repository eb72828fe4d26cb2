//! Replicas that exchange messages over a perfect network, and over none.

use std::time::Duration;

use crate::support::{self, Net, sent};
use delta_crdt::{Change, Config, Contender, LastWriter, Message, Now, Output, Replica, ReplicaId, Warning};

#[test]
fn a_put_is_seen_at_once_here_and_after_one_push_there() {
    let mut net = Net::full(2, Config::default());
    net.put(0, 1, 10);
    assert_eq!(net.get(0, 1), Some(10));
    assert_eq!(net.get(1, 1), None);
    net.settle();
    assert_eq!(net.get(1, 1), Some(10));
    assert_eq!(net.node(1).changes, [Change::Put { key: 1, old: None, new: 10 }]);
}

#[test]
fn the_last_of_three_writes_is_seen_everywhere() {
    let mut net = Net::full(3, Config::default());
    for value in 1..=3 {
        net.put(0, 7, value);
    }
    net.settle();
    assert!((0..3).all(|i| net.get(i, 7) == Some(3)));
}

#[test]
fn what_everybody_holds_is_not_stable_while_something_beside_it_is_on_its_way() {
    let (a, b) = (ReplicaId::new(1, 1), ReplicaId::new(2, 1));
    let mut now = support::START;
    let mut ours = Replica::new(a, Config::default(), LastWriter);
    let mut theirs = Replica::new(b, Config::default(), LastWriter);
    for (replica, peer) in [(&mut ours, b), (&mut theirs, a)] {
        replica.set_members([a, b]);
        replica.peer_up(now, peer);
    }
    // Both write the same key, and what `b` pushes is lost.
    ours.put(now, 1, 10);
    ours.flush(now);
    theirs.put(now, 1, 20);
    theirs.flush(now);
    drop(sent(&mut theirs, a));
    let mut seen = false;
    for _ in 0..50 {
        now.monotonic += Duration::from_millis(250);
        now.unix_ms += 250;
        ours.handle_timeout(now);
        theirs.handle_timeout(now);
        for message in sent(&mut ours, b) {
            theirs.receive(now, a, message);
        }
        for message in sent(&mut theirs, a) {
            ours.receive(now, b, message);
            let both = ours.siblings(&1).count() == 2;
            seen |= !both;
            assert!(both || !ours.is_stable(&1), "a removal now would leave what `b` wrote");
        }
    }
    assert!(seen && ours.is_stable(&1), "in the end it is known that all is known");
}

#[test]
fn a_put_concurrent_with_a_removal_survives() {
    let mut net = Net::full(2, Config::default());
    net.put(0, 1, 1);
    net.settle();
    net.remove(0, 1);
    net.put(1, 1, 2);
    net.settle();
    assert_eq!((net.get(0, 1), net.get(1, 1)), (Some(2), Some(2)));
}

#[test]
fn a_removal_is_seen_everywhere_and_leaves_nothing_once_all_have_it() {
    let mut net = Net::full(3, Config::default());
    net.put(0, 1, 1);
    net.settle();
    net.remove(1, 1);
    net.settle();
    assert!((0..3).all(|i| net.get(i, 1).is_none()));
    net.run(Duration::from_secs(2));
    assert!((0..3).all(|i| net.replica(i).stats().tombstones == 0));
}

#[test]
fn removing_an_absent_key_does_nothing() {
    let mut net = Net::full(2, Config::default());
    assert_eq!(net.remove(0, 1), None);
    net.put(0, 1, 1);
    net.remove(0, 1);
    assert_eq!(net.remove(0, 1), None);
}

#[test]
fn a_replica_that_comes_late_gets_everything_and_is_told_when() {
    let config = Config { shards: 4, max_fragment_keys: 7, session_window: 2, ..Config::default() };
    let mut net = Net::new(3, config);
    net.link(0, 1);
    for key in 0..500 {
        net.put((key % 2) as usize, key, key);
    }
    net.settle();
    net.link(1, 2);
    net.settle();
    assert_eq!(net.replica(2).len(), 500);
    assert!(net.node(2).synced.contains(&net.replica(1).id()));
    net.assert_equal();
}

#[test]
fn writes_pass_over_a_relay_within_tens_of_milliseconds() {
    let mut net = Net::new(3, Config::default());
    net.link(0, 1);
    net.link(1, 2);
    net.settle();
    net.put(0, 1, 1);
    net.run(Duration::from_millis(30));
    assert_eq!(net.get(2, 1), Some(1));
}

#[test]
fn exchange_follows_the_direction_of_the_neighbour() {
    let mut net = Net::new(2, Config::default());
    net.link_one_way(0, 1);
    net.put(0, 1, 1);
    net.put(1, 2, 2);
    net.run(Duration::from_secs(3));
    assert_eq!((net.get(1, 1), net.get(1, 2)), (Some(1), Some(2)));
    assert_eq!((net.get(0, 1), net.get(0, 2)), (Some(1), None));
}

#[test]
fn both_sides_of_a_partition_agree_after_it_heals() {
    let mut net = Net::full(2, Config::default());
    net.put(0, 1, 1);
    net.put(0, 2, 2);
    net.settle();
    net.cut(0, 1);
    net.put(0, 3, 3);
    net.remove(0, 1);
    net.put(1, 4, 4);
    net.remove(1, 2);
    net.settle();
    net.link(0, 1);
    net.settle();
    net.assert_equal();
    assert_eq!(net.replica(0).to_map().into_keys().collect::<Vec<_>>(), [3, 4]);
}

#[test]
fn a_member_that_returns_from_below_the_floor_does_not_bring_removed_keys_back() {
    let config = Config { max_tombstones: 0, ..Config::default() };
    let mut net = Net::full(2, config);
    for key in 0..20 {
        net.put(0, key, key);
    }
    net.settle();
    net.cut(0, 1);
    for key in 0..10 {
        net.remove(0, key);
    }
    net.run(Duration::from_secs(3));
    assert_eq!(net.replica(0).stats().tombstones, 0);
    net.link(0, 1);
    net.run(Duration::from_secs(3));
    net.assert_equal();
    assert_eq!(net.replica(1).len(), 10);
}

#[test]
fn equal_values_written_on_two_sides_are_both_removed_by_one_removal() {
    let mut net = Net::full(2, Config::default());
    net.put(0, 1, 5);
    net.put(1, 1, 5);
    net.settle();
    assert_eq!(net.replica(0).siblings(&1).count(), 2);
    net.remove(0, 1);
    net.settle();
    assert_eq!((net.get(0, 1), net.get(1, 1)), (None, None));
}

#[test]
fn three_writes_before_joining_arrive_as_one_list() {
    let mut net = Net::new(2, Config::default());
    net.merge(0, [(1, 1), (2, 2), (3, 3)]);
    net.link(0, 1);
    net.settle();
    assert_eq!(net.node(1).batches, 1);
    assert_eq!(net.node(1).changes.len(), 3);
}

#[test]
fn maps_with_different_shard_counts_refuse_each_other_and_say_so() {
    let mut net = Net::new(2, Config::default());
    net.replace(1, Config { shards: 4, ..Config::default() });
    net.link(0, 1);
    net.put(0, 1, 1);
    net.run(Duration::from_secs(3));
    assert_eq!(net.get(1, 1), None);
    assert!(net.node(1).warnings.iter().any(|w| matches!(w, Warning::Shards { theirs: 0, ours: 2, .. })));
}

#[test]
fn an_idle_status_is_small() {
    let mut net = Net::full(2, Config { shards: 16, ..Config::default() });
    for key in 0..1_000 {
        net.put(0, key, key);
    }
    net.run(Duration::from_secs(3));
    let now = net.advance(Duration::from_secs(1));
    let replica = net.replica_mut(0);
    replica.handle_timeout(now);
    let sent: Vec<usize> = core::iter::from_fn(|| replica.poll_output())
        .map(|output| match output {
            Output::Send { message, .. } => message.encode().len(),
            other => panic!("idle, and yet {other:?}"),
        })
        .collect();
    assert!(matches!(sent[..], [bytes] if bytes <= 24), "{sent:?}");
}

#[test]
fn a_congested_neighbour_is_not_pushed_to_and_pulls_later() {
    let mut net = Net::full(2, Config::default());
    let (now, other) = (net.now(), net.replica(1).id());
    net.replica_mut(0).set_congested(now, other, true);
    net.merge(0, (0..100).map(|key| (key, key)));
    net.replica_mut(0).flush(now);
    assert!(net.replica_mut(0).poll_output().is_none());
    net.replica_mut(0).set_congested(now, other, false);
    net.run(Duration::from_secs(1));
    net.assert_equal();
}

#[test]
fn a_value_beats_a_removal_that_does_not_know_of_it_also_where_that_was_collected_here_and_not_there() {
    // The lowest value wins, which no clock has a say in.
    let policy = |a: &Contender<'_, u64>, b: &Contender<'_, u64>| b.value.cmp(a.value);
    let now = support::START;
    let ids = [ReplicaId::new(1, 1), ReplicaId::new(2, 1)];
    let mut replicas = ids.map(|id| Replica::<u64, u64, _>::new(id, Config::default(), policy));
    let exchange = |replicas: &mut [Replica<u64, u64, _>; 2]| {
        while let Some((from, output)) =
            (0..2).find_map(|i| replicas[i].poll_output().map(|output| (i, output)))
        {
            if let Output::Send { message, .. } = output {
                replicas[1 - from].receive(now, ids[from], message);
            }
        }
    };
    for (replica, other) in replicas.iter_mut().zip([1, 0]) {
        replica.set_members([ids[other]]);
        replica.peer_up(now, ids[other]);
    }
    replicas[0].put(now, 1, 1);
    replicas[0].flush(now);
    exchange(&mut replicas);
    // Each changes the key, not knowing of the other; the removal comes last by the clock.
    replicas[1].put(now, 1, 7);
    replicas[1].put(now, 2, 5);
    let later = Now { unix_ms: now.unix_ms + 3_600_000, ..now };
    replicas[0].remove(later, &1);
    replicas[0].put(later, 2, 6);
    replicas.iter_mut().for_each(|replica| replica.flush(now));
    exchange(&mut replicas);
    for replica in &replicas {
        assert_eq!((replica.get(&1), replica.get(&2)), (Some(&7), Some(&5)));
    }
    // The removal is collected by one of them alone, and the key written anew there.
    let due = replicas[0].poll_timeout().expect("a look at the tombstone");
    replicas[0].handle_timeout(Now { monotonic: due, ..later });
    replicas[0].put(later, 1, 9);
    replicas.iter_mut().for_each(|replica| replica.flush(now));
    exchange(&mut replicas);
    assert_eq!((replicas[0].get(&1), replicas[1].get(&1)), (Some(&9), Some(&9)));
}

#[test]
fn what_a_neighbour_said_before_it_was_asked_does_not_count_as_caught_up() {
    let now = support::START;
    let later = |seconds| Now {
        monotonic: now.monotonic + Duration::from_secs(seconds),
        unix_ms: now.unix_ms + seconds * 1_000,
    };
    let ids = [ReplicaId::new(1, 1), ReplicaId::new(2, 1)];
    let [mut a, mut b] = ids.map(|id| Replica::<u64, u64>::new(id, Config::default(), LastWriter));
    let sent = |replica: &mut Replica<u64, u64>| {
        let mut sent = Vec::new();
        let mut synced = false;
        while let Some(output) = replica.poll_output() {
            match output {
                Output::Send { message, .. } => sent.push(message),
                Output::Synced { .. } => synced = true,
                _ => {}
            }
        }
        (sent, synced)
    };
    a.put(now, 1, 1);
    a.peer_up(now, ids[1]);
    let (status, _) = sent(&mut a);
    a.put(now, 2, 2);
    a.flush(now);
    let (lost, _) = sent(&mut a);
    assert_eq!(lost.len(), 1, "the second write");
    b.peer_up(now, ids[0]);
    b.catch_up(now, ids[0]);
    let (questions, _) = sent(&mut b);
    assert_eq!(questions.last().map(Message::kind), Some("question"));
    // What was on its way arrives, and all that it tells of is here: that was so before the question.
    for message in status {
        b.receive(now, ids[0], message);
    }
    for message in sent(&mut b).0 {
        a.receive(now, ids[1], message);
    }
    for message in sent(&mut a).0 {
        b.receive(now, ids[0], message);
    }
    assert!(!sent(&mut b).1);
    // The question was lost: it comes again with the next status, and the answer brings all.
    b.handle_timeout(later(2));
    let mut synced = false;
    for _ in 0..3 {
        let (messages, now_synced) = sent(&mut b);
        synced |= now_synced;
        messages.into_iter().for_each(|message| a.receive(later(2), ids[1], message));
        sent(&mut a).0.into_iter().for_each(|message| b.receive(later(2), ids[0], message));
    }
    assert!(synced | sent(&mut b).1);
    assert_eq!(b.get(&2), Some(&2));
    b.check_invariants();
}
