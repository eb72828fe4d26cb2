//! Stories of nodes.

use horde_cluster::MemberStatus;
use horde_supervisor::Restart;

use super::{SECOND, Scenario, a_child, expect, tell};

pub(super) const ALL: &[Scenario] = &[
    (
        "two nodes that do not see each other are not Down while others see both (B1: 40 became 57)",
        one_observer,
    ),
    ("a newcomer that knows nothing overwrites nothing (H#67, H#260)", a_newcomer_knows_first),
    ("a node that stood still finds all others as they were", a_pause_is_no_crash),
    ("a killed node is Down to all within half a second", a_kill_is_noticed),
    ("20 members at once: all Up, and nothing moves (H#220, H#256)", many_join_at_once),
];

fn one_observer() -> Option<String> {
    tell(
        5,
        |_| {},
        |world| {
            for number in 0..40 {
                world.start_child(0, &format!("c{number}"), a_child(Restart::Permanent, None));
            }
            world.wait(SECOND);
            world.set_link(1, 2, true);
            world.set_link(2, 1, true);
            world.wait(SECOND * 20);
            let running: usize = world.nodes.iter().map(|node| node.processes.len()).sum();
            expect(running == 40, || format!("40 children run as {running} processes"))?;
            let status = world.nodes[1].membership.view().status(&world.nodes[2].id);
            expect(status == Some(MemberStatus::Unreachable), || format!("n2 is {status:?} to n1"))?;
            world.heal();
            Ok(())
        },
    )
}

fn a_newcomer_knows_first() -> Option<String> {
    tell(
        2,
        |plan| plan.names = 100,
        |world| {
            for number in 0..100 {
                world.register_name(0, 1_000, &format!("k{number}"))?;
                world.start_child(1, &format!("c{number}"), a_child(Restart::Permanent, None));
            }
            world.wait(SECOND);
            world.crash(1);
            world.revive(1);
            world.wait(SECOND * 8);
            let running: usize = world.nodes.iter().map(|node| node.processes.len()).sum();
            expect(running == 101, || format!("{running} processes run: 100 children and one"))
        },
    )
}

fn a_pause_is_no_crash() -> Option<String> {
    tell(
        3,
        |_| {},
        |world| {
            world.pause(1, crate::cluster::node::Body::Deaf);
            world.wait(SECOND * 5);
            world.resume(1);
            world.wait(SECOND * 2);
            let view = world.nodes[1].membership.view().clone();
            let up = world.nodes.iter().all(|node| view.status(&node.id) == Some(MemberStatus::Up));
            expect(up, || format!("after its pause a node sees {view:?}"))
        },
    )
}

fn a_kill_is_noticed() -> Option<String> {
    tell(
        3,
        |_| {},
        |world| {
            let id = world.nodes[2].id.clone();
            world.crash(2);
            world.wait(SECOND / 2);
            let seen = (0..2).all(|node| world.nodes[node].membership.view().is_down(&id));
            expect(seen, || "half a second after a kill it is not Down everywhere".to_owned())
        },
    )
}

fn many_join_at_once() -> Option<String> {
    tell(
        4,
        |plan| plan.most = 20,
        |world| {
            for number in 0..40 {
                world.start_child(0, &format!("c{number}"), a_child(Restart::Permanent, None));
            }
            world.wait(SECOND);
            let before: Vec<Vec<usize>> = (0..40).map(|number| world.hosts(&format!("c{number}"))).collect();
            (0..16).for_each(|_| world.join());
            world.wait(SECOND * 5);
            let after: Vec<Vec<usize>> = (0..40).map(|number| world.hosts(&format!("c{number}"))).collect();
            expect(before == after, || "children moved though nobody asked for it".to_owned())
        },
    )
}
