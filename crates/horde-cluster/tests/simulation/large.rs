//! Clusters that are large by their own lights: lists only where digests differ, newcomers gathered, few asked.

use std::time::Duration;

use horde_cluster::{ClusterConfig, MemberStatus};

use crate::under_seeds;
use crate::world::{World, id, ms};

/// Nodes that start together, each of which tells all to no more than `eager` others at once.
fn start(seed: u64, nodes: u16, eager: usize) -> World {
    let mut world = World::new(seed);
    world.eager = eager;
    for node in 0..nodes {
        let config = ClusterConfig { expect: Some(nodes.into()), seed, ..ClusterConfig::default() };
        world.start(id(&format!("n{node:02}"), 1), 4000 + node, config);
    }
    world
}

fn all_are_here(world: &World) -> bool {
    world.agree() && world.nodes.values().all(|node| node.machine.view().alive().count() == world.nodes.len())
}

#[test]
fn whichever_one_frame_is_lost_all_lists_are_equal_soon() {
    for eager in [0, 2, 64] {
        let mut whole = start(1, 5, eager);
        let usual = whole.run_until("agreement", ms(2000), all_are_here);
        for lost in 0..whole.sent {
            let mut world = start(1, 5, eager);
            world.lost = Some(lost);
            world.run_until(&format!("agreement without frame {lost}"), usual + ms(1500), all_are_here);
            world.run_for(ms(1500));
            assert!(all_are_here(&world), "it does not last without frame {lost}");
            assert_eq!(world.downs(), [], "without frame {lost}");
        }
    }
}

#[test]
fn lists_are_equal_after_a_start_in_bad_weather() {
    under_seeds(30, |seed| {
        let mut world = start(seed, 9, (seed % 4) as usize);
        (world.loss, world.delay_us) = (300, (100, 5_000));
        world.run_for(ms(2000));
        world.loss = 0;
        world.run_until("agreement", ms(4000), all_are_here);
    });
}

#[test]
fn one_that_comes_later_is_known_to_all_and_a_killed_one_is_down_everywhere_at_once() {
    under_seeds(20, |seed| {
        let mut world = start(seed, 12, 3);
        world.run_until("agreement", ms(2000), all_are_here);
        let late = id("late", 9);
        world.start(late.clone(), 4100, ClusterConfig::default());
        world.run_until("the late one's membership", ms(1500), all_are_here);
        world.kill(&late, true);
        let took = world.run_until("its end", ms(1000), |world| {
            world.nodes.keys().all(|by| world.status(&late, by) == Some(MemberStatus::Down))
        });
        assert!(took < Duration::from_millis(100), "{took:?}");
        world.run_for(ms(3000));
        assert!(world.downs().iter().all(|(_, _, whom)| *whom == late));
    });
}

#[test]
fn a_start_of_many_takes_a_number_of_frames_that_grows_with_the_connections_alone() {
    let frames = |nodes: u16| {
        let mut world = start(3, nodes, 4);
        world.run_until("agreement", ms(2000), all_are_here);
        world.sent / (u64::from(nodes) * u64::from(nodes))
    };
    let (few, many) = (frames(12), frames(48));
    assert!(many <= few + few / 2, "{few} frames for each connection of 12 nodes, {many} of 48");
}
