//! Moves between two members.

use std::time::Duration;

use horde_process::Pid;
use horde_supervisor::ChildId;
use horde_supervisor::machine::Presence;

use crate::pair::{CHILDREN, Pair, all};

#[test]
fn what_another_member_has_taken_is_not_started_again_before_its_record_comes() {
    let mut pair = Pair::join_held();
    let begun = pair.members[0].begun;
    pair.pass(5);
    assert_eq!(pair.members[0].begun, begun, "one starts nothing of what it has handed over");
    assert_eq!(pair.running(), all());
    pair.held = false;
    pair.pass(5);
    assert_eq!(pair.members[0].begun, begun);
    assert_eq!(pair.running(), all());
}

#[test]
fn a_child_that_may_run_elsewhere_already_is_not_restarted_here_beside_that() {
    let mut pair = Pair::new();
    (pair.held, pair.unanswered, pair.members[1].presence) = (true, true, Presence::Alive);
    pair.look();
    assert!(!pair.members[1].processes.is_empty());
    assert_eq!(pair.running(), all());
    for id in all() {
        let now = pair.now();
        pair.members[0].machine.restart(now, &ChildId::from(id), Duration::from_secs(60));
    }
    pair.settle();
    pair.pass(5);
    assert_eq!(pair.running(), all());
}

#[test]
fn what_another_member_has_taken_runs_again_if_that_one_dies_before_its_record_comes() {
    let mut pair = Pair::join_held();
    pair.members[1].presence = Presence::Gone;
    pair.look();
    pair.pass(5);
    assert_eq!(pair.running(), all());
}

#[test]
fn after_a_split_each_child_runs_once_and_its_record_names_the_process() {
    let mut pair = Pair::join_held();
    pair.held = false;
    pair.pass(3);
    pair.split = true;
    pair.look();
    pair.pass(3);
    assert_eq!(pair.running().len(), 2 * CHILDREN, "each side runs all");
    pair.split = false;
    pair.look();
    pair.pass(5);
    assert_eq!(pair.running(), all());
    for member in &pair.members {
        for (number, (_, claim)) in &member.processes {
            let (child, pid) = (&claim.child, Pid::new(member.id.clone(), *number));
            for of in &pair.members {
                let record = of.machine.record(&(**child).into()).unwrap();
                assert_eq!(record.pid(), Some(&pid), "{child}");
                // Its name and its fencing token rest on the claim that it was started with.
                assert_eq!(record.rank(), claim.rank, "{child}");
            }
        }
    }
}

#[test]
fn attempts_that_fail_on_one_side_of_a_split_do_not_end_what_runs_on_the_other() {
    let mut pair = Pair::join_held();
    pair.held = false;
    pair.pass(3);
    pair.split = true;
    pair.look();
    pair.members[1].failing = Some(Vec::new());
    pair.start_on(1, "d");
    pair.start_on(1, "d");
    pair.members[1].failing = None;
    pair.start_on(0, "d");
    let of_d = |pair: &Pair| pair.running().iter().filter(|id| id.starts_with('d')).count();
    assert_eq!(of_d(&pair), CHILDREN);
    pair.split = false;
    pair.look();
    pair.pass(5);
    assert_eq!(of_d(&pair), CHILDREN);
}

#[test]
fn splits_that_heal_do_not_fail_a_child_for_the_death_of_its_nodes() {
    let mut pair = Pair::join_held();
    pair.held = false;
    pair.pass(3);
    for _ in 0..6 {
        pair.split = true;
        pair.look();
        pair.pass(2);
        pair.split = false;
        pair.look();
        pair.pass(2);
    }
    assert_eq!(pair.running(), all());
}

#[test]
fn nothing_new_is_placed_on_a_degraded_member_and_what_runs_there_stays() {
    let mut pair = Pair::join_held();
    pair.held = false;
    pair.pass(3);
    let before = pair.members[1].processes.clone();
    pair.members[1].degraded = true;
    pair.look();
    pair.start("d");
    pair.pass(5);
    assert_eq!(pair.members[1].processes, before);
    assert_eq!(pair.running().len(), 2 * CHILDREN);
    // It runs user code again: what belongs to it comes.
    pair.members[1].degraded = false;
    pair.look();
    pair.pass(5);
    assert!(pair.members[1].processes.len() > before.len());
    assert_eq!(pair.running().len(), 2 * CHILDREN);
    assert!(pair.members[0].machine.plan().is_empty());
}

#[test]
fn where_all_members_are_degraded_children_are_placed_as_ever() {
    let mut pair = Pair::join_held();
    pair.held = false;
    pair.pass(3);
    let before = pair.members[1].processes.len();
    pair.members.iter_mut().for_each(|member| member.degraded = true);
    pair.look();
    pair.start("d");
    assert!(pair.members[1].processes.len() > before);
    assert_eq!(pair.running().len(), 2 * CHILDREN);
}
