//! Messages that nobody sends.

use std::collections::BTreeMap;

use delta_crdt::{Config, Dot, Message, Output, ReplicaId, Warning, decode};

use super::{A, B, ForgedOp, ForgedPull, Map, forged, forged_pull, forged_push, kinds, replica, sent};
use crate::support::{START, outputs, warnings};

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
        ("a write that nobody comes to", forged_push(&[B], &[(1 << 63, 0, 9, Some(9), vec![])])),
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
        ("a write that nobody comes to", vec![(9, one(1 << 63))], vec![(0, 1 << 63)], vec![]),
        ("the last of all numbers", vec![(9, one(u64::MAX))], vec![(0, u64::MAX)], vec![]),
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
        assert_eq!(kinds(&sent(&mut ours, B)), ["credit"]);
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
