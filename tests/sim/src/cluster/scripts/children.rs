//! Stories of children.

use std::collections::BTreeSet;
use std::time::Duration;

use horde_process::ExitReason;
use horde_supervisor::{ChildState, Restart};

use super::{SECOND, Scenario, a_child, expect, tell};

pub(super) const ALL: &[Scenario] = &[
    ("equal specs are spread over the members (Horde: 50 of 50 on one)", equal_specs_are_spread),
    ("ended children leave nothing behind (Horde: 50 rows after 50 starts and ends)", ended_leave_nothing),
    ("both sides of a split run, and after it each child runs once (H#186, H#207)", a_split_heals),
    ("a finished job does not run again when its node dies (H#4, H#36)", a_finished_job_stays_finished),
    ("a poison child rests, its siblings go on (H#269)", a_poison_child_rests),
    ("a hung init keeps nobody waiting (H#233, H#6)", a_hung_init_waits_alone),
    ("orphans are spread over the survivors (DistributedSupervisor: all on one)", orphans_are_spread),
    ("each node restarted in turn: every child runs once (H#207, H#224)", a_rolling_restart),
    ("a leaving node's children run elsewhere before it is gone (H#172)", a_drain_moves_all),
];

fn start_many(world: &mut crate::cluster::World, count: usize, restart: Restart) {
    for number in 0..count {
        let node = number % world.nodes.len();
        world.start_child(node, &format!("c{number}"), a_child(restart, None));
    }
    world.wait(SECOND * 2);
}

fn equal_specs_are_spread() -> Option<String> {
    tell(
        3,
        |_| {},
        |world| {
            for number in 0..50 {
                world.start_child(0, &format!("c{number}"), a_child(Restart::Permanent, None));
            }
            world.wait(SECOND);
            let counts: Vec<usize> = world.nodes.iter().map(|node| node.processes.len()).collect();
            expect(counts.iter().all(|count| *count >= 8), || format!("50 equal specs run as {counts:?}"))
        },
    )
}

fn ended_leave_nothing() -> Option<String> {
    tell(
        3,
        |_| {},
        |world| {
            start_many(world, 50, Restart::Permanent);
            (0..50).for_each(|number| world.terminate_child(number % 3, &format!("c{number}")));
            world.wait(SECOND * 15);
            let left: Vec<usize> = world.nodes.iter().map(|node| node.children.records().count()).collect();
            expect(left == [0, 0, 0], || {
                format!("50 children were started and ended, and {left:?} records are left")
            })
        },
    )
}

fn a_split_heals() -> Option<String> {
    tell(
        3,
        |_| {},
        |world| {
            start_many(world, 57, Restart::Permanent);
            world.isolate(2, true);
            world.wait(SECOND * 8);
            let alone = world.nodes[2].processes.len();
            expect(alone == 57, || format!("{alone} of 57 children run on the side of one"))?;
            world.isolate(2, false);
            world.wait(SECOND * 10);
            let running: usize = world.nodes.iter().map(|node| node.processes.len()).sum();
            expect(running == 57, || format!("{running} processes run for 57 children after the split"))
        },
    )
}

fn a_finished_job_stays_finished() -> Option<String> {
    tell(
        3,
        |_| {},
        |world| {
            start_many(world, 12, Restart::Transient);
            (0..12).for_each(|number| world.end_child(&format!("c{number}"), ExitReason::Normal));
            world.wait(SECOND);
            world.crash(1);
            world.wait(SECOND * 8);
            let running: usize = world.nodes.iter().map(|node| node.processes.len()).sum();
            expect(running == 0, || format!("{running} of 12 finished jobs run again"))
        },
    )
}

fn a_poison_child_rests() -> Option<String> {
    tell(
        3,
        |plan| plan.options.max_restarts = 3,
        |world| {
            start_many(world, 10, Restart::Permanent);
            for _ in 0..20 {
                world.end_child("c0", ExitReason::Panicked("poison".to_owned()));
                world.wait(Duration::from_millis(100));
            }
            world.wait(SECOND * 2);
            let record = world.nodes[0].children.record(&"c0".into()).cloned();
            let failed = record.is_some_and(|record| matches!(record.state, ChildState::Failed(_)));
            expect(failed, || "c0 crashed 20 times and is not Failed".to_owned())?;
            let running: usize = world.nodes.iter().map(|node| node.processes.len()).sum();
            expect(running == 9, || format!("{running} of its 9 siblings run"))
        },
    )
}

fn a_hung_init_waits_alone() -> Option<String> {
    tell(
        3,
        |_| {},
        |world| {
            world.calm = false;
            world.plan.processes.hang_init = 100;
            world.start_child(0, "c0", a_child(Restart::Permanent, None));
            world.wait(Duration::from_millis(100));
            (world.calm, world.plan.processes.hang_init) = (true, 0);
            for number in 1..30 {
                world.start_child(number % 3, &format!("c{number}"), a_child(Restart::Permanent, None));
            }
            world.wait(Duration::from_millis(200));
            let up = |number: &usize| world.hosts(&format!("c{number}")).len() == 1;
            let running = (1..30).filter(up).count();
            expect(running == 29, || format!("{running} of 29 children were started while one init hung"))?;
            world.wait(SECOND * 20);
            Ok(())
        },
    )
}

fn orphans_are_spread() -> Option<String> {
    tell(
        4,
        |_| {},
        |world| {
            start_many(world, 200, Restart::Permanent);
            let before: Vec<usize> = world.nodes.iter().map(|node| node.processes.len()).collect();
            world.crash(3);
            world.wait(SECOND * 5);
            let gains: Vec<usize> =
                (0..3).map(|node| world.nodes[node].processes.len() - before[node]).collect();
            let even = gains.iter().all(|gain| *gain * 6 >= before[3]);
            expect(even, || format!("{} orphans went to three survivors as {gains:?}", before[3]))
        },
    )
}

fn a_rolling_restart() -> Option<String> {
    tell(
        5,
        |_| {},
        |world| {
            start_many(world, 60, Restart::Permanent);
            for node in 0..5 {
                world.crash(node);
                world.wait(SECOND * 6);
                world.revive(node);
                world.wait(SECOND * 3);
            }
            let ids: BTreeSet<String> = (0..60).map(|number| format!("c{number}")).collect();
            let odd: Vec<&String> = ids.iter().filter(|id| world.hosts(id).len() != 1).collect();
            expect(odd.is_empty(), || format!("after a rolling restart {odd:?} do not run once"))
        },
    )
}

fn a_drain_moves_all() -> Option<String> {
    tell(
        3,
        |_| {},
        |world| {
            start_many(world, 60, Restart::Permanent);
            world.leave(1);
            world.wait(SECOND * 3);
            expect(!world.nodes[1].is_alive(), || "the node has not left".to_owned())?;
            let running: usize = world.nodes.iter().map(|node| node.processes.len()).sum();
            expect(running == 60, || format!("{running} of 60 children run after their node has left"))
        },
    )
}
