//! Agreed configurations: the first one, single steps, and that two adjacent ones never both keep a side.

#[path = "common/policies.rs"]
mod policies;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use horde_ring::{
    Accusation, Agreed, Change, ChangeError, Decision, Expect, Policy, Promises, Quorum, QuorumView, Voter,
};
use policies::{agreed, cases};

fn set(mask: u32) -> Vec<u8> {
    (0..8).filter(|bit| mask & (1 << bit) != 0).collect()
}

fn grants(quorum: &Quorum<u8>, agreed: &Agreed<u8>, mask: u32) -> bool {
    quorum.grants(agreed, &set(mask).iter().collect())
}

/// All configurations one step from this one, members `0..=n`.
fn steps(old: &Agreed<u8>, n: u8) -> Vec<Agreed<u8>> {
    let add = Change::Add(n, Voter::new().weight(3).label("role", "core"));
    let renew = Change::Add(0, Voter::new().incarnation(9).weight(1).label("role", "core"));
    let remove = (0..n).map(Change::Remove);
    remove.chain([add, renew]).filter_map(|change| old.next(change).ok()).collect()
}

#[test]
fn two_sets_that_are_both_enough_share_a_member_and_more_members_never_harm() {
    for n in 1..=6 {
        for (quorum, agreed, _) in cases(n) {
            let all = 1_u32 << n;
            let enough: Vec<bool> = (0..all).map(|mask| grants(&quorum, &agreed, mask)).collect();
            for mask in 0..all {
                assert!(!(enough[mask as usize] && enough[(all - 1 - mask) as usize]), "{quorum:?} {mask:b}");
                for more in 0..n {
                    assert!(
                        !enough[mask as usize] || enough[(mask | (1 << more)) as usize],
                        "{quorum:?} {mask:b}"
                    );
                }
            }
        }
    }
}

/// A step that `by` has made hold: nobody who knows only the old configuration can act against those who know the
/// new one, nor the other way round.
#[test]
fn two_adjacent_configurations_never_keep_two_sides() {
    for n in 1..=4 {
        for (quorum, old, _) in cases(n) {
            for next in steps(&old, n) {
                if quorum.allows(&old) && quorum.allows(&next) {
                    adjacent(&quorum, &old, &next, n + 1);
                }
            }
        }
    }
}

fn adjacent(quorum: &Quorum<u8>, old: &Agreed<u8>, next: &Agreed<u8>, n: u8) {
    let all = 1_u32 << n;
    for by in 0..all {
        if !quorum.commits(old, next, &set(by).iter().collect()) {
            continue;
        }
        // A node that knows only the old one: those who accepted the next one do not count for it.
        assert!(!grants(quorum, old, (all - 1) & !by), "{quorum:?} {by:b}: the old configuration goes on");
        for promisers in (0..all).filter(|promisers| promisers & by == 0) {
            // Who has promised accepts no step and who has accepted promises in the new epoch: never enough to
            // call anybody Down in the old one.
            let left = (all - 1) & !promisers;
            assert!(grants(quorum, old, left), "{quorum:?} {by:b}: a takeover by the old configuration");
        }
        for side in 0..all {
            let other = (all - 1) & !side;
            // Both sides in the new one, or one in the new and one that has accepted but does not know it holds.
            let both = grants(quorum, next, side) && grants(quorum, next, other);
            assert!(!both, "{quorum:?} {by:b}: {side:b} and {other:b}");
        }
    }
}

#[test]
fn a_node_that_has_accepted_a_step_needs_enough_in_both() {
    let old = agreed(2, false);
    let next = old.next(Change::Add(2, Voter::new())).expect("2 is new");
    let quorum = Quorum::new(Policy::Majority);
    let nobody = BTreeSet::new();
    // Alone, node 0 wins the tie of two; in the configuration of three that it has accepted it is one of three.
    let view = QuorumView::new(&0, &old, &nobody, &nobody).stable_for(Duration::from_secs(9));
    assert_eq!(quorum.decide(&view), Decision::Keep);
    assert_eq!(quorum.decide(&view.accepted(&next)), Decision::StopSelf);
}

#[test]
fn a_step_changes_one_member_and_says_why_it_does_not() {
    let one = agreed(1, false);
    assert_eq!(one.next(Change::Remove(0)), Err(ChangeError::LastMember));
    assert_eq!(one.next(Change::Remove(1)), Err(ChangeError::NotAMember));
    assert_eq!(one.next(Change::Add(0, Voter::new())), Err(ChangeError::AlreadyMember));
    let reborn = one.next(Change::Add(0, Voter::new().incarnation(1))).expect("a later life");
    assert_eq!((reborn.epoch(), reborn.len()), (2, 1));
    assert_eq!(reborn.voter(&0).map(Voter::joined_at), Some(2), "a new life is young");
    let last = Agreed::restored(u64::MAX, [(0_u8, Voter::new())]);
    assert_eq!(last.next(Change::Add(1, Voter::new())), Err(ChangeError::EpochsOver));
}

#[test]
fn there_is_no_first_configuration_until_all_expected_have_accepted_the_same_list() {
    let list = |ids: &[u8]| ids.iter().map(|&id| (id, Voter::new())).collect::<BTreeMap<_, _>>();
    let names = Expect::Names(BTreeSet::from([0, 1, 2]));
    let mut accepted = BTreeMap::from([(0, list(&[0, 1, 2])), (1, list(&[0, 1, 2]))]);
    assert_eq!(Agreed::first(&names, &accepted), None, "one is missing");
    accepted.insert(2, list(&[0, 1, 2, 3]));
    assert_eq!(Agreed::first(&names, &accepted), None, "one has accepted another list");
    accepted.insert(2, list(&[0, 1, 2]));
    let first = Agreed::first(&names, &accepted).expect("all have accepted it");
    assert_eq!((first.epoch(), first.len()), (1, 3));
    assert_eq!(Agreed::first(&Expect::Count(3), &accepted), Some(first));
    assert_eq!(Agreed::first(&Expect::Count(2), &accepted), None);
    // Three that start at once and see only themselves are not three clusters.
    let alone = BTreeMap::from([0, 1, 2].map(|id| (id, list(&[id]))));
    assert_eq!(Agreed::first(&Expect::Count(3), &alone), None);
    // And without a configuration nobody has quorum.
    let (any, nobody) = (agreed(1, false), BTreeSet::new());
    let view = QuorumView::new(&0, &any, &nobody, &nobody).not_agreed();
    assert!(matches!(Quorum::new(Policy::Majority).decide(&view), Decision::Wait(_)));
}

#[test]
fn static_refuses_what_two_sides_could_both_have() {
    let quorum = Quorum::new(Policy::Static { size: 3 });
    assert!(quorum.allows(&agreed(5, false)));
    assert!(!quorum.allows(&agreed(6, false)));
    assert!(!grants(&quorum, &agreed(6, false), 0b11_1111));
}

#[test]
fn promises_bind_a_life_and_hold_up_other_steps() {
    let old = agreed(3, false);
    let mut promises = Promises::new();
    promises.promise(2, 0);
    assert!(
        !promises.may_acknowledge(&2, 0)
            && promises.may_acknowledge(&2, 1)
            && promises.may_acknowledge(&1, 0)
    );
    let next = |change| old.next(change).expect("a step");
    assert!(!promises.may_accept(&next(Change::Remove(1))));
    assert!(promises.may_accept(&next(Change::Remove(2))));
    assert!(promises.may_accept(&next(Change::Add(2, Voter::new().incarnation(1)))));
    promises.release(&2);
    assert!(promises.may_acknowledge(&2, 0));
}

#[test]
fn a_member_that_enough_still_acknowledge_is_not_down_because_one_cannot_reach_it() {
    let (agreed, quorum) = (agreed(5, false), Quorum::new(Policy::Majority));
    let mut accusation = Accusation::new(4);
    accusation.promised(0, Duration::from_secs(1), 1);
    accusation.promised(4, Duration::from_secs(1), 1);
    accusation.promised(1, Duration::from_secs(2), 1);
    accusation.promised(2, Duration::from_secs(9), 2);
    assert_eq!(
        accusation.down_since(&quorum, &agreed),
        None,
        "the accused's and a later epoch's do not count"
    );
    accusation.promised(3, Duration::from_secs(3), 1);
    assert_eq!(accusation.down_since(&quorum, &agreed), Some(Duration::from_secs(3)));
}
