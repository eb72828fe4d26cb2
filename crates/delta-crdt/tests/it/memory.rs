//! What stays of keys that are gone.

use std::time::Duration;

use delta_crdt::{Config, LastWriter, Now, Output, Replica, ReplicaId};

use crate::support::{START, later};

type Map = Replica<u64, u64>;

/// What a map that was large keeps, however large it was.
const SOME: usize = 64 << 10;

const IDS: [ReplicaId; 2] = [ReplicaId::new(1, 1), ReplicaId::new(2, 1)];

/// Two members that hear each other.
fn pair() -> [Map; 2] {
    let mut pair = IDS.map(|id| Map::new(id, Config::default(), LastWriter));
    for (replica, other) in pair.iter_mut().zip([1, 0]) {
        replica.set_members([IDS[other]]);
        replica.peer_up(START, IDS[other]);
    }
    pair
}

/// Both do what is due, and what they say arrives.
fn exchange(now: Now, pair: &mut [Map; 2]) {
    for replica in pair.iter_mut() {
        replica.flush(now);
        if replica.poll_timeout().is_some_and(|at| at <= now.monotonic) {
            replica.handle_timeout(now);
        }
    }
    while let Some((from, output)) = (0..2).find_map(|i| pair[i].poll_output().map(|output| (i, output))) {
        if let Output::Send { message, .. } = output {
            pair[1 - from].receive(now, IDS[from], message);
        }
    }
}

#[test]
fn a_key_that_is_removed_and_put_again_for_ever_takes_no_more_room() {
    let mut pair = pair();
    let mut now = START;
    for round in 0..100_u64 {
        now = later(START, Duration::from_millis(10 * round));
        for flip in 0..1_000 {
            pair[0].put(now, 1, round * 1_000 + flip);
            pair[0].remove(now, &1);
        }
        pair[0].put(now, 1, round);
        exchange(now, &mut pair);
    }
    for replica in &pair {
        assert_eq!(replica.get(&1), Some(&99));
        let bytes = replica.stats().bytes;
        assert!(bytes < SOME, "{bytes} bytes after {now:?}");
        replica.check_invariants();
    }
}

#[test]
fn two_seconds_after_all_keys_were_removed_nothing_is_left_of_them() {
    const KEYS: u64 = 100_000;
    let mut pair = pair();
    exchange(START, &mut pair);
    let empty = pair.each_ref().map(|replica| replica.stats().bytes);
    pair[0].merge(START, (0..KEYS).map(|key| (key, key)));
    exchange(START, &mut pair);
    assert!(pair.iter().all(|replica| replica.stats().bytes > KEYS as usize * 16));
    pair[0].clear(START);
    for step in 0..=20 {
        exchange(later(START, Duration::from_millis(100 * step)), &mut pair);
    }
    for (replica, empty) in pair.iter().zip(empty) {
        let stats = replica.stats();
        assert_eq!((stats.live, stats.tombstones), (0, 0));
        assert!(stats.bytes < empty + SOME, "{} bytes, {empty} before", stats.bytes);
        replica.check_invariants();
    }
}
