//! Sessions that are cut off after each of their messages: nothing of them is applied, and the next one brings all.

use std::collections::BTreeMap;
use std::time::Duration;

use delta_crdt::{Config, Dot, LastWriter, Message, Now, Replica, ReplicaId};

use crate::support::{START, id, later, sends};

type Map = Replica<u64, u64>;

const A: ReplicaId = id(1);
const B: ReplicaId = id(2);

/// What a replica holds of all keys here, values and removals.
fn held(map: &Map) -> BTreeMap<u64, Vec<(Dot, Option<u64>)>> {
    let siblings = |key| map.siblings(&key).map(|sibling| (sibling.dot, sibling.value.copied())).collect();
    (0..50).map(|key| (key, siblings(key))).filter(|entry: &(_, Vec<_>)| !entry.1.is_empty()).collect()
}

/// Carries all messages, but of the fragments and commits from `a` to `b` only the first `left`; the others are returned.
fn carry(now: Now, a: &mut Map, b: &mut Map, mut left: usize) -> (usize, Vec<Message<u64, u64>>) {
    let (mut passed, mut withheld) = (0, Vec::new());
    loop {
        let (from_a, from_b) = (sends(a), sends(b));
        if from_a.is_empty() && from_b.is_empty() {
            return (passed, withheld);
        }
        for (_, message) in from_a {
            let of_session = matches!(message.kind(), "fragment" | "commit");
            if of_session && left == 0 {
                withheld.push(message);
                continue;
            }
            (left, passed) = (left - usize::from(of_session), passed + usize::from(of_session));
            b.receive(now, A, message);
            b.check_invariants();
        }
        from_b.into_iter().for_each(|(_, message)| a.receive(now, B, message));
    }
}

fn meet(a: &mut Map, b: &mut Map) {
    a.peer_up(START, B);
    b.peer_up(START, A);
}

/// Two that knew the same, and then each went its way: `b` lacks puts, overwrites and removals, and has some of its own.
fn apart() -> (Map, Map) {
    let config = Config { max_fragment_keys: 2, session_window: 4, ..Config::default() };
    let [mut a, mut b] = [A, B].map(|own| Map::new(own, config.clone(), LastWriter));
    a.merge(START, (0..12).map(|key| (key, key)));
    meet(&mut a, &mut b);
    carry(START, &mut a, &mut b, usize::MAX);
    a.peer_down(START, B);
    b.peer_down(START, A);
    a.drop_keys(START, &[0, 1, 2]);
    a.merge(START, [3, 4, 5, 20, 21, 22, 23, 24].map(|key| (key, 100 + key)));
    b.merge(START, [4, 20, 40].map(|key| (key, 200 + key)));
    b.remove(START, &5);
    assert_eq!((sends(&mut a).len(), sends(&mut b).len()), (0, 0), "nobody hears of it");
    (a, b)
}

/// For each number of messages of the session: cuts it off after them, and lets `after` go on from there.
fn cut_after_each(after: impl Fn(&mut Map, &mut Map)) {
    let (mut a, mut b) = apart();
    meet(&mut a, &mut b);
    let (whole, _) = carry(START, &mut a, &mut b, usize::MAX);
    assert!(whole > 5 && held(&a) == held(&b), "{whole} messages");
    for cut in 0..whole {
        let (mut a, mut b) = apart();
        meet(&mut a, &mut b);
        let before = held(&b);
        let (_, late) = carry(START, &mut a, &mut b, cut);
        assert_eq!(held(&b), before, "after {cut} of {whole} messages");
        assert!(!late.is_empty());
        after(&mut a, &mut b);
        assert_eq!(held(&a), held(&b), "cut after {cut} of {whole} messages");
        // What comes of the old session now is of no use.
        late.into_iter().for_each(|message| b.receive(START, A, message));
        assert_eq!(held(&a), held(&b), "its end arrives late, cut after {cut} of {whole} messages");
        b.check_invariants();
    }
}

#[test]
fn a_session_cut_by_a_lost_connection_applies_nothing_and_the_next_one_brings_all() {
    cut_after_each(|a, b| {
        a.peer_down(START, B);
        b.peer_down(START, A);
        meet(a, b);
        carry(START, a, b, usize::MAX);
    });
}

#[test]
fn a_session_whose_rest_is_lost_is_given_up_and_begun_anew() {
    cut_after_each(|a, b| {
        for seconds in 1..5 {
            let now = later(START, Duration::from_secs(seconds));
            a.handle_timeout(now);
            b.handle_timeout(now);
            carry(now, a, b, usize::MAX);
        }
        assert_eq!(b.stats().aborted, 1);
    });
}

#[test]
fn what_is_written_where_a_session_was_cut_off_is_in_the_next_one() {
    cut_after_each(|a, b| {
        a.merge(START, [(0, 300), (41, 300)]);
        a.drop_keys(START, &[20, 24]);
        b.merge(START, [(0, 400), (21, 400)]);
        a.peer_down(START, B);
        b.peer_down(START, A);
        meet(a, b);
        a.flush(START);
        b.flush(START);
        carry(START, a, b, usize::MAX);
        assert_eq!(b.get(&41), Some(&300));
        assert_eq!(a.siblings(&0).filter(|sibling| sibling.value.is_some()).count(), 2, "both are kept");
    });
}
