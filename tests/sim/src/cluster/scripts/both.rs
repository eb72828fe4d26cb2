//! Stories of children that have names, of quorums, and of what is left behind.

use horde_process::{ExitReason, Pid};
use horde_registry::machine::Key;
use horde_supervisor::{ChildState, Restart};

use super::{SECOND, Scenario, a_child, expect, tell};
use crate::cluster::World;

pub(super) const ALL: &[Scenario] = &[
    (
        "a node dies: its named children are found under their names again (MixedTest)",
        named_children_are_found,
    ),
    ("four nodes, split two and two: each child and each name once after it (NetSplitTest)", two_and_two),
    ("a named child moves, and its old name does not keep it from starting (H#188)", a_named_child_moves),
    ("name conflicts are no crashes: no child fails by them (PR#123, H#116)", conflicts_are_no_crashes),
    ("without a quorum every child stops, and runs again with it (B1: 17 of 17 went on)", no_quorum_stops),
    ("starts asked for without a quorum wait for it (H#45, H#52)", starts_wait_for_a_quorum),
    ("starts that fail leave nothing behind (H#200: 193 MB)", failed_starts_leave_nothing),
    (
        "a start whose node dies meanwhile is answered, and the child runs once (B1: no answer)",
        a_start_is_answered,
    ),
    ("who does not own a name may not give it up (B2)", only_owners_unregister),
    (
        "nodes come and go under new names: nobody is remembered for ever (B1: infos of the gone)",
        nobody_stays,
    ),
    ("1,000 jobs that end by themselves run once each (DynamicSupervisorTest)", jobs_run_once),
    (
        "with active redistribution a newcomer gets its share, and no more moves (process_redistribution)",
        a_share,
    ),
];

fn start_named(world: &mut World, count: usize) {
    for number in 0..count {
        let (node, name) = (number % world.nodes.len(), format!("of c{number}"));
        world.start_child(node, &format!("c{number}"), a_child(Restart::Permanent, Some(&name)));
    }
    world.wait(SECOND * 2);
}

/// Children that do not run once, or that some node does not find under their name.
fn astray(world: &World, count: usize) -> Vec<usize> {
    let alive = world.nodes.iter().filter(|node| node.is_alive()).count();
    let fine = |number: &usize| {
        let found = world.finders(&format!("of c{number}")) == alive;
        found && world.hosts(&format!("c{number}")).len() == 1
    };
    (0..count).filter(|number| !fine(number)).collect()
}

fn running(world: &World) -> usize {
    world.nodes.iter().map(|node| node.processes.len()).sum()
}

fn named_children_are_found() -> Option<String> {
    tell(
        3,
        |_| {},
        |world| {
            start_named(world, 100);
            world.crash(1);
            world.wait(SECOND * 5);
            let odd = astray(world, 100);
            expect(odd.is_empty(), || format!("{odd:?} of 100 do not run once, or are not found"))
        },
    )
}

fn two_and_two() -> Option<String> {
    tell(
        4,
        |_| {},
        |world| {
            start_named(world, 100);
            for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
                world.set_link(a, b, true);
                world.set_link(b, a, true);
            }
            world.wait(SECOND * 10);
            let copies = running(world);
            expect(copies == 200, || format!("{copies} copies of 100 children run on two sides"))?;
            world.heal();
            world.wait(SECOND * 15);
            let odd = astray(world, 100);
            expect(odd.is_empty(), || format!("{odd:?} of 100 do not run once, or are not found"))
        },
    )
}

fn a_named_child_moves() -> Option<String> {
    tell(
        3,
        |_| {},
        |world| {
            start_named(world, 60);
            world.leave(2);
            world.wait(SECOND * 5);
            let odd = astray(world, 60);
            expect(odd.is_empty(), || format!("{odd:?} of 60 do not run once, or are not found"))
        },
    )
}

fn conflicts_are_no_crashes() -> Option<String> {
    tell(
        2,
        |plan| plan.options.max_restarts = 1,
        |world| {
            world.isolate(1, true);
            world.wait(SECOND * 5);
            for number in 0..20 {
                let name = format!("of c{number}");
                world.start_child(0, &format!("c{number}"), a_child(Restart::Permanent, Some(&name)));
                world.start_child(1, &format!("c{number}"), a_child(Restart::Permanent, Some(&name)));
            }
            world.wait(SECOND * 3);
            world.isolate(1, false);
            world.wait(SECOND * 8);
            let failed = world.nodes[0].children.records();
            let failed = failed.filter(|(_, record)| matches!(record.state, ChildState::Failed(_))).count();
            expect(failed == 0, || format!("{failed} of 20 children failed by conflicts"))?;
            let odd = astray(world, 20);
            expect(odd.is_empty(), || format!("{odd:?} of 20 do not run once, or are not found"))
        },
    )
}

fn no_quorum_stops() -> Option<String> {
    tell(3, crate::cluster::Plan::rest_on_leases, |world| {
        for number in 0..17 {
            world.start_child(number % 3, &format!("c{number}"), a_child(Restart::Permanent, None));
        }
        world.wait(SECOND * 2);
        (0..3).for_each(|node| world.isolate(node, true));
        world.wait(SECOND * 8);
        let left = running(world);
        expect(left == 0, || format!("{left} of 17 children run where nobody has a quorum"))?;
        world.heal();
        world.wait(SECOND * 15);
        let back = running(world);
        expect(back == 17, || format!("{back} of 17 children run again with a quorum"))
    })
}

fn starts_wait_for_a_quorum() -> Option<String> {
    tell(3, crate::cluster::Plan::rest_on_leases, |world| {
        (0..3).for_each(|node| world.isolate(node, true));
        world.wait(SECOND * 5);
        world.start_child(0, "c0", a_child(Restart::Permanent, None));
        world.wait(SECOND * 2);
        expect(running(world) == 0, || "a child was started without a quorum".to_owned())?;
        world.heal();
        world.wait(SECOND * 10);
        // Whether the start was in time for its user or not: it is one child, or none.
        let copies = world.hosts("c0").len();
        expect(copies <= 1, || format!("one start became {copies} copies"))
    })
}

fn failed_starts_leave_nothing() -> Option<String> {
    tell(
        3,
        |_| {},
        |world| {
            (world.calm, world.plan.processes.fail_init) = (false, 100);
            for number in 0..100 {
                world.start_child(number % 3, &format!("c{number}"), a_child(Restart::Temporary, None));
            }
            world.wait(SECOND * 2);
            (world.calm, world.plan.processes.fail_init) = (true, 0);
            world.wait(SECOND * 15);
            let left: Vec<usize> = world.nodes.iter().map(|node| node.children.records().count()).collect();
            expect(left == [0, 0, 0], || format!("100 starts failed, and {left:?} records are left"))
        },
    )
}

fn a_start_is_answered() -> Option<String> {
    tell(
        4,
        |_| {},
        |world| {
            for number in 0..60 {
                world.start_child(number % 3, &format!("c{number}"), a_child(Restart::Permanent, None));
            }
            // Some starts are on their way to it.
            world.crash(3);
            world.wait(SECOND * 10);
            expect(world.tickets.is_empty(), || format!("{} users still wait", world.tickets.len()))?;
            let copies = running(world);
            expect(copies == 60, || format!("60 children run as {copies} processes"))
        },
    )
}

fn only_owners_unregister() -> Option<String> {
    tell(
        2,
        |_| {},
        |world| {
            world.register_name(0, 1_000, "k0")?;
            world.register_name(0, 1_001, "k1")?;
            world.wait(SECOND);
            let now = world.time(0);
            let other = Pid::new(world.nodes[0].id.clone(), 1_001);
            let refused = world.nodes[0].names.unregister(now, &other, &Key::new(b"k0")).is_err();
            expect(refused, || "a process gave up the name of another".to_owned())?;
            world.wait(SECOND);
            expect(world.finders("k0") == 2, || "the name is gone".to_owned())
        },
    )
}

fn nobody_stays() -> Option<String> {
    tell(
        2,
        |plan| plan.most = 12,
        |world| {
            for _ in 0..8 {
                world.join();
                world.wait(SECOND * 3);
                world.leave(world.nodes.len() - 1);
                world.wait(SECOND * 3);
            }
            world.wait(SECOND * 20);
            let members = world.nodes[0].membership.view().members.len();
            expect(members == 2, || format!("after eight guests a node of two knows {members} members"))
        },
    )
}

fn jobs_run_once() -> Option<String> {
    tell(
        3,
        |plan| plan.options.max_restarts = 3,
        |world| {
            for number in 0..1_000 {
                world.start_child(number % 3, &format!("c{number}"), a_child(Restart::Transient, None));
            }
            world.wait(SECOND * 2);
            let first = running(world);
            expect(first == 1_000, || format!("{first} of 1,000 jobs run"))?;
            let of = |world: &World, node: usize| {
                world.nodes[node].processes.keys().copied().collect::<Vec<u64>>()
            };
            for node in 0..3 {
                for number in of(world, node) {
                    world.ended(node, number, ExitReason::Normal);
                }
                world.settle(node);
            }
            world.wait(SECOND * 5);
            let again = running(world);
            expect(again == 0, || format!("{again} of 1,000 finished jobs run again"))
        },
    )
}

fn a_share() -> Option<String> {
    tell(
        3,
        |plan| plan.options.redistribution = horde_supervisor::Redistribution::Active,
        |world| {
            start_named(world, 100);
            let before: Vec<Vec<usize>> = (0..100).map(|number| world.hosts(&format!("c{number}"))).collect();
            world.join();
            world.wait(SECOND * 10);
            let after: Vec<Vec<usize>> = (0..100).map(|number| world.hosts(&format!("c{number}"))).collect();
            let moved = before.iter().zip(&after).filter(|(before, after)| before != after);
            let astray = moved.clone().filter(|(_, after)| **after != [3]).count();
            let moved = moved.count();
            expect(astray == 0, || format!("{astray} children moved between old members"))?;
            expect((10..=45).contains(&moved), || format!("{moved} of 100 moved to the fourth of four"))
        },
    )
}
