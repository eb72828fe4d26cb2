//! Several machines in virtual time, from seeds.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod forgetting;
mod large;
mod world;

use std::time::Duration;

use horde_cluster::machine::Input;
use horde_cluster::{ClusterConfig, MemberEvent, MemberStatus, Stopped};
use horde_transport::NodeId;
use world::{World, id, ms};

/// Runs a story under several seeds, and says which one failed. `HORDE_SEEDS=20` runs twenty times as many.
fn under_seeds(count: u64, story: impl Fn(u64) + std::panic::RefUnwindSafe) {
    let times = std::env::var("HORDE_SEEDS").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    for seed in 0..count * times {
        if let Err(panic) = std::panic::catch_unwind(|| story(seed)) {
            let text = panic.downcast_ref::<String>().map_or("an assertion", String::as_str);
            panic!("under seed {seed}: {text}");
        }
    }
}

fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |q: usize| times[(times.len() - 1) * q / 100];
    format!("p50 {:?}, p99 {:?}, max {:?} of {}", at(50), at(99), at(100), times.len())
}

#[test]
fn nodes_that_know_one_address_find_everybody() {
    under_seeds(20, |seed| {
        let (mut world, _) = World::cluster(seed, 7);
        let four = id("late", 9);
        world.start(four.clone(), 4100, ClusterConfig::default());
        world.run_until("the late one's membership", ms(1500), World::agree);
    });
}

#[test]
fn a_killed_node_is_down_everywhere_in_milliseconds() {
    let times = std::sync::Mutex::new(Vec::new());
    under_seeds(25, |seed| {
        let (mut world, ids) = World::cluster(seed, 3 + (seed % 5) as usize);
        let victim = ids[(seed as usize * 7) % ids.len()].clone();
        world.kill(&victim, true);
        let took = world.run_until("Down everywhere", ms(2000), |world| all_see_down(world, &victim));
        times.lock().unwrap().push(took);
    });
    println!("killed to Down everywhere: {}", quantiles(times.into_inner().unwrap()));
}

fn all_see_down(world: &World, victim: &NodeId) -> bool {
    world.nodes.keys().all(|by| world.status(victim, by) == Some(MemberStatus::Down))
}

#[test]
fn a_host_that_vanishes_is_down_everywhere_after_silence() {
    let times = std::sync::Mutex::new(Vec::new());
    under_seeds(25, |seed| {
        let (mut world, ids) = World::cluster(seed, 5);
        world.run_for(ms(seed * 13));
        world.kill(&ids[2], false);
        let took = world.run_until("Down everywhere", ms(2500), |world| all_see_down(world, &ids[2]));
        times.lock().unwrap().push(took);
    });
    println!("vanished to Down everywhere: {}", quantiles(times.into_inner().unwrap()));
}

#[test]
fn two_of_five_killed_at_once_are_down_for_the_other_three() {
    under_seeds(20, |seed| {
        let (mut world, ids) = World::cluster(seed, 5);
        world.kill(&ids[0], true);
        world.kill(&ids[3], true);
        world.run_until("both Down", ms(1000), |world| {
            all_see_down(world, &ids[0]) && all_see_down(world, &ids[3])
        });
        world.run_for(ms(5000));
        world.assert_all_agree();
    });
}

#[test]
fn five_per_cent_loss_and_stalls_make_nobody_down() {
    under_seeds(2, |seed| {
        let (mut world, ids) = World::cluster(seed, 5);
        world.loss = 50;
        world.delay_us = (100, 20_000);
        for _ in 0..600 {
            let (whom, time) = (world.random.below(5) as usize, ms(world.random.below(200)));
            world.pause(&ids[whom], time);
            world.run_for(ms(500));
        }
        assert_eq!(world.downs(), []);
        world.loss = 0;
        world.run_for(ms(3000));
        world.assert_all_agree();
    });
}

#[test]
fn false_hints_everywhere_on_a_network_that_loses_and_delays_make_nobody_down() {
    for delay in [(100, 500), (100, 5_000), (100, 20_000)] {
        under_seeds(8, |seed| {
            let (mut world, ids) = World::cluster(seed, 4);
            (world.loss, world.delay_us) = (50, delay);
            world.run_for(ms(5000));
            for round in 0..30 {
                for by in &ids[1..] {
                    world.input(by, Input::CrashHint { peer: ids[0].clone() });
                }
                world.run_for(ms(1000 + round));
            }
            assert_eq!(world.downs(), []);
        });
    }
}

#[test]
fn a_false_hint_at_a_live_node_makes_nobody_suspect() {
    under_seeds(20, |seed| {
        let (mut world, ids) = World::cluster(seed, 4);
        for by in &ids[1..] {
            world.input(by, Input::CrashHint { peer: ids[0].clone() });
        }
        world.run_for(ms(3000));
        world.assert_all_agree();
        let suspected = |event: &MemberEvent| matches!(event, MemberEvent::Suspect(_) | MemberEvent::Down(_));
        assert!(world.nodes.values().all(|node| !node.events.iter().any(|(_, event)| suspected(event))));
    });
}

#[test]
fn views_agree_after_a_partition_heals() {
    under_seeds(20, |seed| {
        let (mut world, ids) = World::cluster(seed, 5);
        let (left, right) = ids.split_at(1 + (seed % 4) as usize);
        for a in left {
            for b in right {
                world.cut(a, b);
            }
        }
        world.run_until("both sides alone", ms(5000), |world| {
            let gone = |by: &NodeId, of: &NodeId| world.status(of, by) == Some(MemberStatus::Down);
            left.iter().all(|a| right.iter().all(|b| gone(a, b) && gone(b, a)))
        });
        world.heal_all();
        world.run_until("agreement", ms(3000), World::agree);
        world.run_for(ms(5000));
        world.assert_all_agree();
    });
}

#[test]
fn a_link_that_carries_nothing_one_way_makes_nobody_down() {
    under_seeds(20, |seed| {
        let (mut world, ids) = World::cluster(seed, 4);
        world.cuts.insert((ids[1].clone(), ids[2].clone()));
        world.run_for(ms(10_000));
        assert_eq!(world.downs(), []);
        world.heal_all();
        world.run_until("agreement", ms(3000), World::agree);
    });
}

#[test]
fn a_node_that_stood_still_accuses_nobody_and_is_taken_back() {
    under_seeds(20, |seed| {
        let (mut world, ids) = World::cluster(seed, 4);
        let still = ids[1].clone();
        world.pause(&still, ms(2500 + seed % 20 * 60));
        world.run_until("its Down", ms(2500), |world| {
            ids.iter()
                .filter(|by| **by != still)
                .all(|by| world.status(&still, by) == Some(MemberStatus::Down))
        });
        world.run_for(ms(3700));
        world.run_until("agreement", ms(3000), World::agree);
        assert!(
            world.downs().iter().all(|(_, by, _)| *by != still),
            "it accused somebody: {:?}",
            world.downs()
        );
    });
}

#[test]
fn a_newcomer_under_a_live_nodes_name_is_refused_and_told_why() {
    under_seeds(20, |seed| {
        let (mut world, ids) = World::cluster(seed, 3);
        // Started later than the holder by its clock, or earlier.
        let double = id(ids[2].name().as_str(), if seed % 2 == 0 { 7 } else { 0 });
        world.start(double.clone(), 4200, ClusterConfig::default());
        world.run_for(ms(3000));
        let holder = world.nodes[&ids[2]].address;
        let taken = Stopped::NameTaken { holder: ids[2].clone(), address: Some(holder) };
        assert_eq!(world.view(&double).stopped, Some(taken));
        world.nodes.remove(&double);
        world.assert_all_agree();
        assert_eq!(world.downs(), []);
    });
}

#[test]
fn a_restart_under_the_same_name_replaces_the_silent_life_without_waiting_for_suspicion() {
    under_seeds(20, |seed| {
        let (mut world, ids) = World::cluster(seed, 3);
        world.kill(&ids[2], false);
        let again = id(ids[2].name().as_str(), 2);
        world.start(again, 4002, ClusterConfig::default());
        world.run_until("its membership", ms(700), World::agree);
    });
}

#[test]
fn two_lives_of_one_name_that_meet_after_a_partition_end_with_the_lower_stopped() {
    under_seeds(20, |seed| {
        let (mut world, ids) = World::cluster(seed, 4);
        let old = ids[3].clone();
        for other in &ids[..3] {
            world.cut(&old, other);
        }
        let new = id(old.name().as_str(), 2);
        world.cut(&old, &new);
        world.run_for(ms(4000));
        world.start(new.clone(), 4300, ClusterConfig::default());
        world.run_for(ms(2000));
        world.heal_all();
        world.run_for(ms(3000));
        let stopped = world.view(&old).stopped.clone();
        assert!(matches!(stopped, Some(Stopped::Superseded { by, .. }) if by == new));
        world.nodes.remove(&old);
        world.assert_all_agree();
    });
}

#[test]
fn a_node_that_leaves_is_left_everywhere_and_is_nobodys_down() {
    under_seeds(20, |seed| {
        let (mut world, ids) = World::cluster(seed, 4);
        let by = world.now + ms(5000);
        world.input(&ids[0], Input::Leave { by });
        world.run_until("the end", ms(100), |world| world.view(&ids[0]).stopped == Some(Stopped::Left));
        world.kill(&ids[0], true);
        world.run_for(ms(3000));
        assert!(ids[1..].iter().all(|by| world.status(&ids[0], by) == Some(MemberStatus::Left)));
        assert_eq!(world.downs(), []);
    });
}

#[test]
fn after_any_trouble_those_that_run_agree() {
    under_seeds(20, |seed| {
        let (mut world, _) = World::cluster(seed, 6);
        let mut lives = 1;
        for _ in 0..40 {
            trouble(&mut world, &mut lives);
            let time = ms(world.random.below(1500));
            world.run_for(time);
        }
        world.heal_all();
        world.loss = 0;
        world.run_for(ms(12_000));
        world.nodes.retain(|_, node| node.machine.view().stopped.is_none());
        world.assert_all_agree();
    });
}

fn trouble(world: &mut World, lives: &mut u64) {
    let ids: Vec<NodeId> = world.nodes.keys().cloned().collect();
    let pick = |world: &mut World| ids[world.random.below(ids.len() as u64) as usize].clone();
    let (a, b) = (pick(world), pick(world));
    match world.random.below(8) {
        0 => world.cut(&a, &b),
        1 => {
            world.cuts.insert((a, b));
        }
        2 => world.heal_all(),
        3 => world.loss = world.random.below(200),
        4 => {
            let time = ms(world.random.below(3000));
            world.pause(&a, time);
        }
        5 => world.input(&a, Input::CrashHint { peer: b }),
        6 if world.nodes.len() > 2 => {
            let hint = world.random.below(2) == 0;
            world.kill(&a, hint);
        }
        _ => {
            *lives += 1;
            let slot = world.random.below(6);
            let name = format!("n{slot:02}");
            if !world.nodes.keys().any(|id| id.name().as_str() == name) {
                world.start(id(&name, *lives), 4000 + slot as u16, ClusterConfig::default());
            }
        }
    }
}

#[test]
fn one_seed_is_one_history() {
    let history = |seed| {
        let (mut world, _) = World::cluster(seed, 6);
        let mut lives = 1;
        for _ in 0..20 {
            trouble(&mut world, &mut lives);
            world.run_for(ms(300));
        }
        let events: Vec<_> = world.nodes.values().map(|node| node.events.clone()).collect();
        (world.trace, events)
    };
    assert_eq!(history(5), history(5));
    assert_ne!(history(5).0, history(6).0);
}
