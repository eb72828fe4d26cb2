//! Limits and warnings: what a replica refuses, what it says of that, and what becomes of it.

use std::collections::BTreeMap;
use std::time::Duration;

use delta_crdt::{
    Config, Dot, LastWriter, Message, Now, Output, Replica, ReplicaId, Warning, decode, encode,
};

use crate::support::{Net, START, id, later, outputs, sends, warnings};

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

/// What `from` sends to `to` now.
fn sent(from: &mut Map, to: ReplicaId) -> Vec<Message<u64, u64>> {
    sends(from).into_iter().filter(|sent| sent.0 == to).map(|sent| sent.1).collect()
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

/// A replica with some history, a neighbour B, and a session with it under way; the session's number.
fn busy() -> (Map, u64) {
    let mut ours = replica(A, Config::default());
    let mut theirs = replica(B, Config::default());
    ours.merge(START, [(1, 1), (2, 2)]);
    ours.remove(START, &1);
    theirs.put(START, 5, 5);
    theirs.peer_up(START, A);
    ours.peer_up(START, B);
    sent(&mut theirs, A).into_iter().for_each(|message| ours.receive(START, B, message));
    let pull = sent(&mut ours, B).pop().expect("it pulls");
    assert_eq!(pull.kind(), "pull");
    let (.., asks): (u8, u32, Vec<ReplicaId>, Vec<ForgedPull>) = decode(&pull.encode()).expect("as forged");
    (ours, asks[0].1)
}

#[test]
fn messages_that_make_no_sense_are_ignored_and_change_nothing() {
    let none = Vec::<ForgedOp>::new();
    let digest = [0_u8; 8];
    let status = |shard: u16, place: u32| {
        // Hash, fingerprint, full, links as before, origins, sections.
        forged(
            1,
            0,
            (digest, digest, false, 0_u32, vec![B], vec![(shard, digest, digest, vec![(place, 1_u64)])]),
        )
    };
    let bad: Vec<(&str, Message<u64, u64>)> = vec![
        ("a push of nobody", forged(0, 0, (Vec::<ReplicaId>::new(), 0_u64, none))),
        ("a write of number 0", forged_push(&[B], &[(0, 0, 9, Some(9), vec![])])),
        ("a push that replaces writes of nobody", forged_push(&[B], &[(1, 0, 9, Some(9), vec![(1, 1)])])),
        ("a status of a shard that is none", status(1, 0)),
        ("a status with an origin that is none", status(0, 1)),
        ("a pull of a shard that is none", forged_pull(0, &[(1, 1, false, vec![])])),
        ("a pull with an origin that is none", forged_pull(0, &[(0, 1, false, vec![(0, 1)])])),
    ];
    for (what, message) in bad {
        let (mut ours, _) = busy();
        let before = (ours.snapshot(), ours.stats().live, ours.stats().tombstones);
        ours.receive(START, B, message);
        assert_eq!(outputs(&mut ours), [Output::Warning(Warning::Nonsense { peer: B })], "{what}");
        assert!((ours.snapshot(), ours.stats().live, ours.stats().tombstones) == before, "{what}");
        ours.check_invariants();
    }
}

#[test]
fn sessions_that_show_a_state_that_nobody_can_be_in_are_refused_whole() {
    type Sibs = Vec<(u32, u64, i64, Option<u64>)>;
    type Entries = Vec<(u64, Sibs)>;
    type Vector = Vec<(u32, u64)>;
    let one = |seq| vec![(0_u32, seq, 0_i64, Some(7_u64))];
    let vector: Vector = vec![(0, 2)];
    let bad: Vec<(&str, Entries, Vector, Vector)> = vec![
        ("a write beyond the vector", vec![(9, one(3))], vector.clone(), vec![]),
        ("one write under two keys", vec![(8, one(1)), (9, one(1))], vector.clone(), vec![]),
        ("a write of number 0", vec![(9, one(0))], vector.clone(), vec![]),
        ("a floor above the vector", vec![(9, one(1))], vector.clone(), vec![(0, 3)]),
        ("a vector of an origin that is none", vec![(9, one(1))], vec![(1, 2)], vec![]),
        ("a sibling of an origin that is none", vec![(9, vec![(1, 1, 0, Some(7))])], vector.clone(), vec![]),
    ];
    for (what, entries, vector, floors) in bad {
        let (mut ours, session) = busy();
        let before = ours.snapshot();
        // Shard, session, answer, number, stamp, origins with their bases, entries.
        ours.receive(
            START,
            B,
            forged(4, 0, (0_u16, session, 1_u64, 0_u32, 0_u64, vec![(B, 0_u64)], entries)),
        );
        // Shard, session, answer, fragments, whole, audit, origins, vector, floors.
        let commit = (0_u16, session, 1_u64, 1_u32, false, false, vec![B], vector, floors);
        ours.receive(START, B, forged(5, 0, commit));
        assert_eq!(outputs(&mut ours), [Output::Warning(Warning::Nonsense { peer: B })], "{what}");
        assert!(ours.snapshot() == before, "{what}");
        ours.check_invariants();
    }
}

#[test]
fn what_came_before_a_mistake_in_a_push_was_taken_in() {
    let mut ours = replica(A, Config::default());
    let ops = [(1, 0, 1, Some(1), vec![]), (0, 0, 2, Some(2), vec![]), (2, 0, 3, Some(3), vec![])];
    ours.receive(START, B, forged_push(&[B], &ops));
    assert_eq!(ours.to_map(), BTreeMap::from([(1, 1)]));
    assert_eq!(ours.dot(&1), Some(Dot::new(B, 1)));
    assert_eq!(warnings(&mut ours), [Warning::Nonsense { peer: B }]);
    ours.check_invariants();
}

#[test]
fn a_session_that_brings_more_than_may_be_staged_is_given_up_whole_and_tried_again() {
    let small = Config { max_staged: 10, max_fragment_keys: 4, ..Config::default() };
    let mut net = Net::new(2, small);
    net.merge(0, (0..11).map(|key| (key, key)));
    net.link(0, 1);
    net.run(Duration::from_secs(2));
    assert_eq!(net.replica(1).len(), 0, "nothing of it was applied");
    let stats = net.replica(1).stats();
    assert_eq!(stats.sessions, 0);
    // It tries again at the pace of `repull_after`, not at once.
    assert!((2..=2_000 / 50 + 5).contains(&stats.aborted), "{stats:?}");
    assert_eq!(net.node(1).synced.len(), 0, "and it does not claim to have it");
    // Once there is less to bring, it comes. A tombstone counts as a key, so it must be gone.
    net.replica_mut(0).set_members([]);
    net.remove(0, 0);
    net.remove(0, 1);
    net.run(Duration::from_secs(3));
    assert_eq!(net.replica(0).len(), 9);
    net.assert_equal();
}

/// A replica with 5 keys that serves one session at a time, two fragments of one key each before it wants to hear.
fn slow_server(shards: u16) -> Map {
    let config =
        Config { shards, max_sessions: 1, session_window: 2, max_fragment_keys: 1, ..Config::default() };
    let mut server = replica(A, config);
    server.merge(START, (0..5 * u64::from(shards)).map(|key| (key, key)));
    server
}

#[test]
fn a_pull_beyond_the_sessions_that_may_be_served_waits_for_its_turn() {
    let mut server = slow_server(1);
    let mut pullers = [B, C, D].map(|own| replica(own, Config { session_window: 2, ..Config::default() }));
    for puller in &mut pullers {
        server.peer_up(START, puller.id());
    }
    for (to, message) in sends(&mut server) {
        pullers[to.node as usize - 2].receive(START, A, message);
    }
    for puller in &mut pullers {
        let pull = sent(puller, A);
        assert_eq!(kinds(&pull), ["pull"]);
        pull.into_iter().for_each(|message| server.receive(START, puller.id(), message));
    }
    server.check_invariants();
    // The first one is served alone, to its end; then the next.
    let mut order = Vec::new();
    loop {
        let answers = sends(&mut server);
        if answers.is_empty() {
            break;
        }
        for (to, message) in answers {
            if message.kind() == "commit" || message.kind() == "fragment" {
                order.push(to.node);
            }
            let puller = &mut pullers[to.node as usize - 2];
            puller.receive(START, A, message);
            sent(puller, A).into_iter().for_each(|credit| server.receive(START, to, credit));
            server.check_invariants();
        }
    }
    assert_eq!(
        order.chunk_by(|a, b| a == b).map(|part| (part[0], part.len())).collect::<Vec<_>>(),
        [(2, 6), (3, 6), (4, 6)]
    );
    assert!(pullers.iter().all(|puller| puller.len() == 5));
}

#[test]
fn who_falls_silent_in_a_session_keeps_the_others_waiting_no_longer_than_its_timeout() {
    let mut server = slow_server(1);
    server.receive(START, B, forged_pull(0, &[(0, 1, false, vec![])]));
    assert_eq!(sent(&mut server, B).len(), 2, "the window");
    server.receive(START, C, forged_pull(0, &[(0, 2, false, vec![])]));
    server.receive(START, C, forged_pull(0, &[(0, 3, false, vec![])]));
    assert_eq!(sends(&mut server), [], "it waits");
    let end = server.poll_timeout().expect("the end of the session");
    assert_eq!(end, START.monotonic + server.config().session_timeout);
    server.handle_timeout(later(START, end));
    assert_eq!(
        kinds(&sent(&mut server, C)),
        ["fragment"; 2],
        "the later pull alone: one waits per peer and shard"
    );
    // Shard, answer, and the number that stands for: stop.
    server.receive(START, C, forged(6, 0, (0_u16, 2_u64, u32::MAX)));
    assert_eq!(sends(&mut server), [], "nothing else waited");
    server.check_invariants();
}

#[test]
fn thousands_of_pulls_that_wait_are_served_without_a_deep_stack() {
    let mut server = replica(
        A,
        Config {
            shards: 4_096,
            max_sessions: 1,
            session_window: 2,
            max_fragment_keys: 1,
            ..Config::default()
        },
    );
    server.merge(START, (0..40_000).map(|key| (key, key)));
    server.receive(START, B, forged_pull(12, &[(0, 1, false, vec![])]));
    let first = sent(&mut server, B);
    assert_eq!(kinds(&first), ["fragment"; 2]);
    // C has it all but for what is not there: each answer is a commit alone.
    let full: Vec<ForgedPull> = (1..4_096).map(|shard| (shard, 1, false, vec![(0, 1_000)])).collect();
    server.receive(START, C, forged(3, 12, (vec![A], full)));
    assert_eq!(sends(&mut server), []);
    server.handle_timeout(later(START, server.config().session_timeout));
    let answers = sent(&mut server, C);
    assert_eq!(kinds(&answers), ["commit"; 4_095]);
    server.check_invariants();
}

#[test]
fn a_key_that_would_make_a_fragment_too_long_begins_the_next_one() {
    let config = Config { max_batch_bytes: 100, ..Config::default() };
    let mut server = Replica::<u64, String>::new(A, config, LastWriter).weigh_with(|_, value| value.len());
    // 20 and 8 each: three fit, a fourth does not.
    server.merge(START, (0..7).map(|key| (key, "s".repeat(20))));
    server.put(START, 7, "l".repeat(1_000));
    server.merge(START, (8..15).map(|key| (key, "s".repeat(20))));
    let mut puller = Replica::<u64, String>::new(B, Config::default(), LastWriter);
    server.peer_up(START, B);
    let mut lengths = Vec::new();
    loop {
        let sends = sends(&mut server);
        if sends.is_empty() {
            break;
        }
        for (_, message) in sends {
            if message.kind() == "fragment" {
                lengths.push(message.encode().len());
            }
            puller.receive(START, A, message);
        }
        for output in outputs(&mut puller) {
            if let Output::Send { message, .. } = output {
                server.receive(START, B, message);
            }
        }
    }
    assert_eq!(puller.to_map(), server.to_map());
    let (long, short): (Vec<usize>, Vec<usize>) = lengths.iter().copied().partition(|length| *length > 1_000);
    assert!(matches!(long[..], [length] if length < 1_050), "the long one is alone: {lengths:?}");
    assert!(short.iter().all(|length| *length < 130), "three at most: {lengths:?}");
    assert!(short.len() >= 5, "{lengths:?}");
}

#[test]
fn a_push_goes_out_with_the_write_that_fills_it() {
    let config = Config { max_batch_bytes: 100, max_batch_ops: 5, ..Config::default() };
    let mut ours = Replica::<u64, String>::new(A, config, LastWriter).weigh_with(|_, value| value.len());
    ours.peer_up(START, B);
    drop(outputs(&mut ours));
    for key in 0..3 {
        ours.put(START, key, "s".repeat(20));
    }
    assert_eq!(sends(&mut ours), [], "84 of 100");
    ours.put(START, 3, "l".repeat(1_000));
    assert_eq!(sends(&mut ours).len(), 1, "all four");
    for key in 0..5 {
        ours.put(START, key, String::new());
    }
    assert_eq!(sends(&mut ours).len(), 1, "as many writes as there may be");
    ours.flush(START);
    assert_eq!(sends(&mut ours), []);
}
