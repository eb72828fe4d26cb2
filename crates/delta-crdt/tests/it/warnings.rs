//! Limits and warnings: what a replica refuses, what it says of that, and what becomes of it.

mod nonsense;
mod serving;

use std::collections::BTreeMap;
use std::time::Duration;

use delta_crdt::{Config, LastWriter, Message, Now, Output, Replica, ReplicaId, Warning, encode};

use crate::support::{START, id, later, outputs, sent, warnings};

type Map = Replica<u64, u64>;
/// Number, stamp, key, value, and the dots replaced.
type ForgedOp = (u64, i64, u64, Option<u64>, Vec<(u32, u64)>);
/// Shard, session, audit, and the vector.
type ForgedPull = (u16, u64, bool, Vec<(u32, u64)>);

const A: ReplicaId = id(1);
const B: ReplicaId = id(2);
const C: ReplicaId = id(3);
const D: ReplicaId = id(4);

fn replica(own: ReplicaId, config: Config) -> Map {
    Map::new(own, config, LastWriter)
}

fn secs(seconds: u64) -> Now {
    later(START, Duration::from_secs(seconds))
}

/// Carries messages between two until there are none.
fn exchange(now: Now, a: &mut Map, b: &mut Map) {
    loop {
        a.flush(now);
        b.flush(now);
        let (to_b, to_a) = (sent(a, b.id()), sent(b, a.id()));
        if to_a.is_empty() && to_b.is_empty() {
            return;
        }
        to_b.into_iter().for_each(|message| b.receive(now, a.id(), message));
        to_a.into_iter().for_each(|message| a.receive(now, b.id(), message));
        a.check_invariants();
        b.check_invariants();
    }
}

fn kinds(messages: &[Message<u64, u64>]) -> Vec<&'static str> {
    messages.iter().map(Message::kind).collect()
}

/// A message made by hand: shards as a power of two, the kind, then its fields.
fn forged<T: serde::Serialize>(kind: u32, shards: u8, fields: T) -> Message<u64, u64> {
    Message::decode(&encode(&(shards, kind, fields))).expect("it follows the form")
}

fn forged_push(origins: &[ReplicaId], ops: &[ForgedOp]) -> Message<u64, u64> {
    forged(0, 0, (origins, START.unix_ms << 16, ops))
}

fn forged_pull(shards: u8, asks: &[ForgedPull]) -> Message<u64, u64> {
    forged(3, shards, (Vec::<ReplicaId>::new(), asks))
}

#[test]
fn writes_beyond_the_parking_limit_are_dropped_counted_and_pulled() {
    let mut ours = replica(A, Config { max_parked: 3, ..Config::default() });
    let mut theirs = replica(B, Config::default());
    ours.peer_up(START, B);
    theirs.peer_up(START, A);
    exchange(START, &mut ours, &mut theirs);
    let now = later(START, Duration::from_millis(500));
    theirs.put(now, 0, 0);
    theirs.flush(now);
    assert_eq!(kinds(&sent(&mut theirs, A)), ["op"], "it is lost");
    theirs.merge(now, (1..10).map(|key| (key, key)));
    theirs.flush(now);
    for message in sent(&mut theirs, A) {
        ours.receive(now, B, message);
    }
    assert_eq!(warnings(&mut ours), [Warning::ParkingFull { shard: 0, dropped: 6 }]);
    let stats = ours.stats();
    assert_eq!((stats.parked, stats.refused, stats.live), (3, 6, 0));
    let now = later(now, ours.config().repull_after);
    assert_eq!(ours.poll_timeout(), Some(now.monotonic));
    ours.handle_timeout(now);
    exchange(now, &mut ours, &mut theirs);
    assert_eq!(ours.to_map(), theirs.to_map());
    assert_eq!((ours.len(), ours.stats().parked), (10, 0));
}

#[test]
fn each_part_says_how_many_writes_of_a_message_it_dropped() {
    let config = Config { shards: 4, max_parked: 2, ..Config::default() };
    let mut ours = replica(A, config.clone());
    let mut theirs = replica(B, config);
    theirs.peer_up(START, A);
    // The first of each shard is lost.
    theirs.merge(START, (0..40).map(|key| (key, key)));
    theirs.flush(START);
    drop(outputs(&mut theirs));
    theirs.merge(START, (0..40).map(|key| (key, key + 1)));
    theirs.flush(START);
    for message in sent(&mut theirs, A) {
        ours.receive(START, B, message);
    }
    let mut parts = BTreeMap::new();
    for warning in warnings(&mut ours) {
        let Warning::ParkingFull { shard, dropped } = warning else { panic!("{warning}") };
        assert_eq!(parts.insert(shard, dropped), None, "one warning for each part");
    }
    assert_eq!(parts.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(parts.values().sum::<usize>(), 40 - ours.stats().parked);
    assert_eq!(ours.stats().refused, 40 - 4 * 2);
}

#[test]
fn writes_under_the_own_id_that_were_never_made_are_refused_however_they_come() {
    let (mut ours, mut double, mut other) =
        (replica(A, Config::default()), replica(A, Config::default()), replica(B, Config::default()));
    ours.put(START, 1, 1);
    // Another program was started under the same id and epoch, and a third one knows its writes.
    double.merge(START, [(1, 100), (2, 200)]);
    double.peer_up(START, B);
    other.put(START, 3, 300);
    other.peer_up(START, A);
    drop(outputs(&mut other));
    exchange(START, &mut double, &mut other);
    other.peer_up(START, A);
    assert_eq!(other.len(), 3);
    exchange_to(&mut ours, &mut other);
    assert_eq!(ours.to_map(), BTreeMap::from([(1, 1)]), "a session with such writes is refused");
    let before = ours.snapshot();
    ours.receive(START, B, forged_push(&[A], &[(2, 0, 9, Some(9), vec![])]));
    assert_eq!(warnings(&mut ours), [Warning::Impostor { peer: B }]);
    assert!(ours.snapshot() == before);
    // What this replica did write is no news, and no offence.
    ours.receive(START, B, forged_push(&[A], &[(1, 0, 1, Some(1), vec![])]));
    assert_eq!(warnings(&mut ours), []);
    ours.check_invariants();

    fn exchange_to(ours: &mut Map, other: &mut Map) {
        let mut warned = 0;
        for _ in 0..4 {
            for message in sent(other, A) {
                ours.receive(START, B, message);
            }
            for output in outputs(ours) {
                match output {
                    Output::Send { message, .. } => other.receive(START, A, message),
                    Output::Warning(warning) => {
                        assert_eq!(warning, Warning::Impostor { peer: B });
                        warned += 1;
                    }
                    output => panic!("nothing is applied: {output:?}"),
                }
            }
        }
        assert!(warned >= 2, "the status told of it, and so did the session");
    }
}

#[test]
fn strangers_beyond_the_limit_are_not_listened_to_until_one_falls_silent() {
    let mut ours = replica(A, Config { max_peers: 2, ..Config::default() });
    let push = |node: ReplicaId| forged_push(&[node], &[(1, 0, node.node, Some(1), vec![])]);
    ours.receive(START, B, push(B));
    ours.receive(START, C, push(C));
    assert_eq!(warnings(&mut ours), []);
    ours.receive(START, D, push(D));
    assert_eq!(warnings(&mut ours), [Warning::TooMany { peer: D }]);
    assert_eq!(ours.to_map().into_keys().collect::<Vec<_>>(), [2, 3]);
    // A neighbour is never refused, and from then on it is listened to.
    ours.peer_up(START, D);
    ours.receive(START, D, push(D));
    assert_eq!(warnings(&mut ours), []);
    assert!(ours.contains_key(&4));
    // Who was silent for ten intervals makes room.
    ours.peer_down(START, D);
    ours.peer_up(START, B);
    ours.handle_timeout(secs(11));
    ours.receive(secs(11), D, push(D));
    assert_eq!(warnings(&mut ours), []);
    ours.check_invariants();
}

#[test]
fn strangers_that_fell_silent_make_room_where_there_is_no_neighbour() {
    let mut ours = replica(A, Config { max_peers: 1, ..Config::default() });
    let push = |node: ReplicaId| forged_push(&[node], &[(1, 0, node.node, Some(1), vec![])]);
    ours.receive(START, B, push(B));
    ours.receive(secs(9), C, push(C));
    assert_eq!(warnings(&mut ours), [Warning::TooMany { peer: C }]);
    ours.receive(secs(11), C, push(C));
    assert_eq!(warnings(&mut ours), []);
    assert_eq!(ours.to_map().into_keys().collect::<Vec<_>>(), [2, 3]);
    ours.check_invariants();
}

#[test]
fn messages_that_name_too_many_lives_are_refused_whatever_they_are() {
    let mut ours = replica(A, Config { max_origins: 2, ..Config::default() });
    ours.receive(START, B, forged_push(&[B], &[(1, 0, 1, Some(1), vec![])]));
    assert_eq!(warnings(&mut ours), []);
    let before = ours.snapshot();
    let mut third = replica(C, Config::default());
    third.put(START, 2, 2);
    third.peer_up(START, A);
    let status = sent(&mut third, A).remove(0);
    let empty = Vec::<ForgedPull>::new();
    let refused =
        [forged_push(&[C], &[(1, 0, 2, Some(2), vec![])]), status, forged(3, 0, (vec![A, B, C], empty))];
    for message in refused {
        let kind = message.kind();
        ours.receive(START, C, message);
        let outputs = outputs(&mut ours);
        assert_eq!(outputs, [Output::Warning(Warning::TooMany { peer: C })], "{kind}");
    }
    assert!(ours.snapshot() == before);
    assert_eq!(ours.stats().origins, 2);
    // Those that are known are still heard.
    ours.receive(START, B, forged_push(&[B], &[(2, 0, 3, Some(3), vec![])]));
    assert!(ours.contains_key(&3));
    ours.check_invariants();
}

#[test]
fn a_session_that_names_too_many_lives_is_refused_whole() {
    let mut ours = replica(A, Config { max_origins: 2, ..Config::default() });
    let mut other = replica(B, Config::default());
    other.put(START, 1, 1);
    other.peer_up(START, A);
    sent(&mut other, A).into_iter().for_each(|status| ours.receive(START, B, status));
    let pull = sent(&mut ours, B);
    assert_eq!(kinds(&pull), ["pull"]);
    // What it holds has grown by a third one's write before the pull comes.
    other.receive(START, C, forged_push(&[C], &[(1, 0, 2, Some(2), vec![])]));
    pull.into_iter().for_each(|pull| other.receive(START, A, pull));
    sent(&mut other, A).into_iter().for_each(|answer| ours.receive(START, B, answer));
    assert_eq!(warnings(&mut ours), [Warning::TooMany { peer: B }]);
    assert!(ours.is_empty());
    ours.check_invariants();
}

#[test]
fn tombstones_beyond_the_limit_are_dropped_early_and_that_is_said() {
    let mut ours = replica(A, Config { max_tombstones: 2, ..Config::default() });
    ours.set_members([A, B]);
    ours.handle_timeout(START);
    assert_eq!(ours.poll_timeout(), None);
    ours.merge(START, (0..10).map(|key| (key, key)));
    for key in 0..10 {
        ours.remove(START, &key);
    }
    assert_eq!(ours.poll_timeout(), Some(START.monotonic), "it does not wait for the interval");
    ours.handle_timeout(START);
    assert_eq!(warnings(&mut ours), [Warning::CollectedEarly { shard: 0, dropped: 8 }]);
    assert_eq!(ours.stats().tombstones, 2);
    // The oldest went.
    assert_eq!((0..10).filter(|key| ours.siblings(key).count() == 1).collect::<Vec<_>>(), [8, 9]);
    ours.check_invariants();
}

#[test]
fn a_write_from_a_clock_far_ahead_is_kept_and_does_not_drag_the_own_clock() {
    let mut ours = replica(A, Config::default());
    let mut theirs = replica(B, Config::default());
    theirs.peer_up(START, A);
    let hour = 3_600_000;
    // One push each second, each of one write, on a clock that is an hour ahead.
    let mut told = Vec::new();
    for second in 0..130 {
        let now = secs(second);
        theirs.put(Now { unix_ms: now.unix_ms + hour, ..now }, 1, second);
        theirs.flush(now);
        for message in sent(&mut theirs, A) {
            ours.receive(now, B, message);
        }
        let warned = warnings(&mut ours);
        assert!(warned.iter().all(|w| *w == Warning::ClockAhead { origin: B, ahead_ms: hour }), "{warned:?}");
        told.extend(warned.iter().map(|_| second));
    }
    assert_eq!(told, [0, 60, 120], "at most once a minute");
    assert_eq!(ours.stats().clock_ahead, 130);
    assert_eq!(ours.get(&1), Some(&129), "it is kept");
    let now = secs(130);
    assert_eq!(ours.stamp(now).unix_ms(), now.unix_ms);
    // A write of its own over it wins all the same, and the next one is by the own clock again.
    ours.put(now, 1, 7);
    let stamp = ours.siblings(&1).next().map(|sibling| sibling.stamp.unix_ms());
    assert!(stamp.is_some_and(|ms| ms >= secs(129).unix_ms + hour), "{stamp:?}");
    ours.put(now, 2, 7);
    assert_eq!(ours.siblings(&2).next().map(|sibling| sibling.stamp.unix_ms()), Some(now.unix_ms));
    // Another origin is reported by itself, from a session as from a push.
    let mut third = replica(C, Config::default());
    third.merge(Now { unix_ms: now.unix_ms + hour, ..now }, (10..15).map(|key| (key, key)));
    third.peer_up(now, A);
    let mut warned = Vec::new();
    for _ in 0..3 {
        sent(&mut third, A).into_iter().for_each(|message| ours.receive(now, C, message));
        for output in outputs(&mut ours) {
            match output {
                Output::Send { message, .. } => third.receive(now, A, message),
                Output::Warning(warning) => warned.push(warning),
                _ => {}
            }
        }
    }
    assert_eq!(ours.len(), 7);
    assert_eq!(warned, [Warning::ClockAhead { origin: C, ahead_ms: hour }]);
    assert_eq!(ours.stats().clock_ahead, 135);
}

#[test]
fn a_stamp_within_the_drift_limit_is_no_matter_for_a_warning() {
    let mut ours = replica(A, Config { max_drift: Duration::from_secs(2), ..Config::default() });
    let ahead = |ms: u64| (START.unix_ms + ms) << 16;
    let push = |seq: u64, stamp: u64| {
        let ops: Vec<ForgedOp> = vec![(seq, 0, seq, Some(1), vec![])];
        forged(0, 0, (vec![B], stamp, ops))
    };
    ours.receive(START, B, push(1, ahead(2_000)));
    assert_eq!((warnings(&mut ours), ours.stats().clock_ahead), (vec![], 0));
    assert!(ours.stamp(START).to_bits() > ahead(2_000), "the clock follows");
    ours.receive(START, B, push(2, ahead(2_001)));
    assert_eq!(warnings(&mut ours), [Warning::ClockAhead { origin: B, ahead_ms: 2_001 }]);
}
