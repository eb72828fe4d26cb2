//! Stories of names.

use std::time::Duration;

use super::{SECOND, Scenario, expect, tell};

pub(super) const ALL: &[Scenario] = &[
    ("of 20 processes of one node that want a name one has it, and none is killed (H#250)", one_of_twenty),
    ("a name is found on its node at once, elsewhere in milliseconds (H#267)", found_at_once),
    ("names survive a short split, and no process is told otherwise (H#203)", names_survive_a_split),
    ("names of a node that was away for long are there again when it returns (H#56, PR#291)", names_return),
    ("a third node joins and nothing vanishes (H#258, H#116)", joining_loses_nothing),
    ("3,000 names in batches of 7 all arrive (D#65: 252 left)", small_batches_lose_nothing),
    (
        "a name that two sides registered has one owner, and the other side is told (H#186)",
        a_conflict_is_settled,
    ),
    ("members with nothing to say stay quiet, however much they hold (B3: 4.8 MB/s)", idle_is_quiet),
];

fn register_many(world: &mut crate::cluster::World, count: u64) -> super::Story {
    for number in 0..count {
        let nodes = world.nodes.len() as u64;
        world.register_name((number % nodes) as usize, 1_000 + number / 100, &format!("k{number}"))?;
    }
    Ok(())
}

/// How many of the first names every node finds that lives.
fn found_everywhere(world: &crate::cluster::World, count: usize) -> usize {
    let alive = world.nodes.iter().filter(|node| node.is_alive()).count();
    (0..count).filter(|number| world.finders(&format!("k{number}")) == alive).count()
}

fn one_of_twenty() -> Option<String> {
    tell(
        2,
        |_| {},
        |world| {
            let wins =
                (0..20).filter(|process| world.register_name(0, 1_000 + process, "k0").is_ok()).count();
            expect(wins == 1, || format!("{wins} of 20 have the name"))?;
            world.wait(SECOND);
            let living = world.nodes[0].processes.len();
            expect(living == 20, || format!("{living} of 20 processes live"))
        },
    )
}

fn found_at_once() -> Option<String> {
    tell(
        3,
        |plan| plan.names = 500,
        |world| {
            for number in 0..500 {
                let key = format!("k{number}");
                world.register_name(0, 1_000, &key)?;
                expect(world.finders(&key) >= 1, || format!("{key} is not found where it was registered"))?;
            }
            world.wait(Duration::from_millis(50));
            let blind = (0..500).filter(|number| world.finders(&format!("k{number}")) < 3).count();
            expect(blind == 0, || format!("{blind} of 500 names are not found everywhere after 50 ms"))
        },
    )
}

fn names_survive_a_split() -> Option<String> {
    tell(
        3,
        |plan| plan.names = 60,
        |world| {
            register_many(world, 60)?;
            world.wait(SECOND);
            world.isolate(2, true);
            world.wait(Duration::from_millis(2_500));
            world.isolate(2, false);
            world.wait(SECOND * 3);
            let found = found_everywhere(world, 60);
            expect(found == 60, || format!("{found} of 60 names are found everywhere after a short split"))
        },
    )
}

fn names_return() -> Option<String> {
    tell(
        3,
        |plan| plan.names = 60,
        |world| {
            register_many(world, 60)?;
            world.wait(SECOND);
            world.isolate(2, true);
            // Longer than names of a node that is down are kept.
            world.wait(SECOND * 30);
            world.isolate(2, false);
            world.wait(SECOND * 3);
            let found = found_everywhere(world, 60);
            expect(found == 60, || format!("{found} of 60 names are found everywhere after a long split"))
        },
    )
}

fn joining_loses_nothing() -> Option<String> {
    tell(
        2,
        |plan| plan.names = 400,
        |world| {
            register_many(world, 400)?;
            world.wait(SECOND);
            world.join();
            world.wait(SECOND * 3);
            let found = found_everywhere(world, 400);
            expect(found == 400, || {
                format!("{found} of 400 names are found everywhere after a third node joined")
            })
        },
    )
}

fn small_batches_lose_nothing() -> Option<String> {
    let small = |plan: &mut crate::cluster::plan::Plan| {
        plan.names = 3_000;
        plan.names_config.crdt.max_batch_ops = 7;
        plan.names_config.crdt.max_fragment_keys = 7;
    };
    tell(2, small, |world| {
        register_many(world, 3_000)?;
        world.wait(SECOND * 3);
        let found = found_everywhere(world, 3_000);
        expect(found == 3_000, || format!("{found} of 3,000 names arrived"))?;
        world.join();
        world.wait(SECOND * 5);
        let found = found_everywhere(world, 3_000);
        expect(found == 3_000, || format!("{found} of 3,000 names came to the newcomer"))
    })
}

fn a_conflict_is_settled() -> Option<String> {
    tell(
        2,
        |plan| plan.names = 10,
        |world| {
            world.isolate(1, true);
            world.wait(SECOND * 5);
            for number in 0..10 {
                world.register_name(0, 1_000 + number, &format!("k{number}"))?;
                world.register_name(1, 2_000 + number, &format!("k{number}"))?;
            }
            world.wait(SECOND);
            world.isolate(1, false);
            world.wait(SECOND * 5);
            let living: usize = world.nodes.iter().map(|node| node.processes.len()).sum();
            expect(living == 10, || format!("{living} of the 20 who wanted 10 names live on"))
        },
    )
}

fn idle_is_quiet() -> Option<String> {
    tell(
        3,
        |plan| plan.names = 2_000,
        |world| {
            register_many(world, 2_000)?;
            world.wait(SECOND * 5);
            let before = world.net.bytes;
            world.wait(SECOND * 10);
            let per_second = (world.net.bytes - before) / 10 / 3;
            expect(per_second < 10_000, || {
                format!("each of 3 members sends {per_second} bytes a second for nothing")
            })
        },
    )
}
