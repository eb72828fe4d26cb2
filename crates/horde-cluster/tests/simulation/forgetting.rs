//! Members that are forgotten, while others are away.

use horde_cluster::{MemberStatus, Stopped};
use horde_transport::NodeId;

use crate::under_seeds;
use crate::world::{World, ms};

/// Nobody lists `victim`, and everybody knows that it is forgotten.
fn is_forgotten(world: &World, victim: &NodeId) -> bool {
    world.nodes.keys().filter(|by| *by != victim).all(|by| {
        let view = world.view(by);
        view.get(victim).is_none() && view.is_forgotten(victim)
    })
}

#[test]
fn whoever_was_away_when_a_member_was_forgotten_forgets_it_on_coming_back() {
    under_seeds(30, |seed| {
        let (mut world, ids) = World::cluster(seed, 5);
        world.loss = 20 * (seed % 3);
        let (victim, away) = (&ids[1], &ids[3]);
        world.kill(victim, true);
        world.run_until("Down everywhere", ms(4000), |world| {
            world.nodes.keys().all(|by| world.status(victim, by) == Some(MemberStatus::Down))
        });
        for other in ids.iter().filter(|id| *id != away) {
            world.cut(away, other);
        }
        let down = |world: &World| world.status(away, &ids[0]) == Some(MemberStatus::Down);
        world.run_until("the one away is Down", ms(6000), down);
        assert_eq!(world.forget(&ids[0], victim), Ok(true));
        world.run_for(ms(2000));
        assert!(world.view(away).get(victim).is_some(), "it cannot have heard");
        world.heal_all();
        world.run_until("forgotten everywhere", ms(20_000), |world| {
            world.agree() && is_forgotten(world, victim)
        });
        // Word of it from before is still on its way here and there: it does not come back.
        world.run_for(ms(5000));
        assert!(is_forgotten(&world, victim));
        world.assert_all_agree();
    });
}

#[test]
fn a_forgotten_member_that_was_only_cut_off_stops_when_it_returns_and_the_others_stay_as_they_are() {
    under_seeds(30, |seed| {
        let (mut world, ids) = World::cluster(seed, 4);
        let victim = &ids[(seed % 4) as usize];
        let others: Vec<&NodeId> = ids.iter().filter(|id| *id != victim).collect();
        others.iter().for_each(|other| world.cut(victim, other));
        world.run_until("Down for the others", ms(6000), |world| {
            others.iter().all(|by| world.status(victim, by) == Some(MemberStatus::Down))
        });
        assert_eq!(world.forget(others[0], victim), Ok(true));
        world.heal_all();
        world.run_until("the forgotten one stops", ms(20_000), |world| {
            world.view(victim).stopped == Some(Stopped::Forgotten)
        });
        world.run_for(ms(3000));
        assert!(is_forgotten(&world, victim));
        for by in &others {
            let alive: Vec<NodeId> = world.view(by).alive().map(|member| member.id.clone()).collect();
            assert_eq!(alive.iter().collect::<Vec<_>>(), others, "seen by {by:?}");
        }
    });
}
