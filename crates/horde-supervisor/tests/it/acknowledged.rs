//! Starts and ends that a user was told of, before the user's node has the record.

use std::sync::Arc;
use std::time::Duration;

use horde_process::ExitReason;
use horde_supervisor::machine::Presence;
use horde_supervisor::{ChildId, Request, RequestId, Restart, Spec, Wish};

use crate::pair::{CHILDREN, Pair, all, spec};

#[test]
fn an_acknowledged_start_is_made_anew_though_all_that_is_known_of_it_is_an_attempt_that_failed() {
    let mut pair = Pair::join_held();
    pair.members[1].failing = Some(Vec::new());
    pair.start_on(0, "d");
    let heard = std::mem::take(&mut pair.members[0].inbox);
    pair.members[1].failing = None;
    let begun = pair.members[1].begun;
    pair.start_on(0, "d");
    assert!(pair.members[1].begun > begun, "some of them run there");
    let (now, two) = (pair.now(), pair.members[1].id.clone());
    for message in heard {
        pair.members[0].machine.receive(now, &two, message);
    }
    // What it says of those that run never comes.
    pair.members[0].inbox.clear();
    pair.split = true;
    pair.look();
    pair.pass(5);
    let here = pair.members[0].processes.values().filter(|(_, claim)| claim.child.starts_with('d'));
    assert_eq!(here.count(), CHILDREN);
}

#[test]
fn who_started_a_child_can_end_it_before_its_record_has_come() {
    let mut pair = Pair::join_held();
    pair.start("d");
    let there = pair.members[1].processes.values().filter(|(_, claim)| claim.child.starts_with('d'));
    assert!(there.count() > 0, "some of them run where nothing is heard from");
    let now = pair.now();
    for number in 0..CHILDREN {
        let id = ChildId::from(format!("d{number}"));
        pair.members[0].machine.terminate(now, &id, Duration::from_secs(60));
    }
    pair.settle();
    assert_eq!(pair.running(), all());
    pair.held = false;
    pair.pass(5);
    assert_eq!(pair.running(), all());
}

#[test]
fn a_start_that_is_asked_for_once_more_since_its_answer_was_lost_starts_nothing_that_has_ended() {
    let mut pair = Pair::new();
    let id = ChildId::from("d");
    let mut begun_after_asking = |number, restart| {
        let spec = Arc::new(Spec { restart, ..spec() });
        let request = RequestId { origin: 9, number };
        let wish = Wish { id: id.clone(), spec: spec.clone(), request, again: false };
        let now = pair.now();
        pair.members[0].machine.request(now, 1, Request::Start { wish, hops: 1 });
        pair.settle();
        let begun = pair.members[0].begun;
        if restart == Restart::Permanent {
            pair.members[0].machine.terminate(now, &id, Duration::from_secs(60));
        } else if let Some((token, _)) = pair.members[0].processes.remove(&pair.next) {
            pair.members[0].machine.exited(now, token, ExitReason::Normal, None);
        }
        pair.settle();
        begun
    };
    let first = begun_after_asking(1, Restart::Permanent);
    assert_eq!(begun_after_asking(1, Restart::Permanent), first, "the same start");
    assert_eq!(begun_after_asking(2, Restart::Temporary), first + 1, "another one");
    assert_eq!(begun_after_asking(2, Restart::Temporary), first + 1, "a job that has done its work");
    assert_eq!(begun_after_asking(3, Restart::Temporary), first + 2);
}

/// `one` is asked to end all `d`.
fn end_all(pair: &mut Pair) {
    let now = pair.now();
    for number in 0..CHILDREN {
        let id = ChildId::from(format!("d{number}"));
        pair.members[0].machine.terminate(now, &id, Duration::from_secs(60));
    }
    pair.settle();
}

/// How many `d` run.
fn of_d(pair: &Pair) -> usize {
    pair.running().iter().filter(|id| id.starts_with('d')).count()
}

#[test]
fn an_end_that_the_host_was_not_told_of_holds_once_the_record_of_the_child_comes() {
    let mut pair = Pair::join_held();
    pair.start("d");
    pair.unasked = true;
    end_all(&mut pair);
    assert!(of_d(&pair) > 0, "some of them run where nothing is heard from");
    pair.held = false;
    pair.pass(5);
    assert_eq!(pair.running(), all());
}

#[test]
fn an_end_that_a_host_has_acknowledged_holds_against_the_records_from_before_when_that_host_has_died() {
    let mut pair = Pair::join_held();
    pair.start("d");
    let before = std::mem::take(&mut pair.members[0].inbox);
    end_all(&mut pair);
    assert_eq!(of_d(&pair), 0);
    // Nobody has heard of the end but the node of the user, and the host dies.
    pair.members[0].inbox = before;
    (pair.held, pair.members[1].presence) = (false, Presence::Gone);
    pair.look();
    pair.pass(5);
    assert_eq!(pair.running(), all());
}

#[test]
fn an_end_is_that_of_the_start_that_its_user_was_told_of_and_not_of_the_life_before() {
    let mut pair = Pair::join_held();
    pair.held = false;
    pair.start("d");
    pair.pass(3);
    pair.held = true;
    // What runs on two ends there, and one does not hear of it; its user starts them again.
    let now = pair.now();
    let ids = || (0..CHILDREN).map(|number| ChildId::from(format!("d{number}")));
    for id in ids() {
        pair.members[1].machine.terminate(now, &id, Duration::from_secs(60));
    }
    pair.settle();
    assert_eq!(of_d(&pair), 0);
    pair.start("d");
    let again = of_d(&pair);
    assert!(again > 0);
    let stale = |pair: &Pair| {
        let known = |of: usize, id: &ChildId| pair.members[of].machine.record(id).map(|record| record.life);
        ids().filter(|id| known(0, id) < known(1, id)).count()
    };
    assert!(stale(&pair) > 0, "of some of them one knows the life before");
    pair.unasked = true;
    end_all(&mut pair);
    (pair.held, pair.unasked) = (false, false);
    pair.pass(5);
    assert_eq!(pair.running(), all());
}
