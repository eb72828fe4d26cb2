//! Nobody acts who was given up, and everybody gets a lease back.

mod world;

use std::collections::{BTreeMap, BTreeSet};

use horde_transport::NodeId;

use super::{LeaseFrame, Promise, Promised};
use crate::MemberStatus;
use crate::machine::jitter::Jitter;
use world::{World, below, id};

#[test]
fn nobody_holds_a_lease_before_all_expected_nodes_have_agreed() {
    let mut world = World::new(1, 3, 0);
    let absent = id(2, 1);
    let gone = world.nodes.remove(&absent).unwrap();
    for node in world.nodes.values_mut() {
        node.verdicts.remove(&absent);
    }
    let ids: Vec<NodeId> = world.nodes.keys().cloned().collect();
    ids.iter().for_each(|id| world.show(id));
    // What was sent while it was still seen is not delivered either.
    world.flying.clear();
    world.run(10_000);
    assert!(world.nodes.values().all(|node| node.leases.standing().epoch.is_none()));
    assert_eq!(world.holders(), 0);
    world.nodes.insert(absent, gone);
    world.all_see(MemberStatus::Up);
    world.run(2_000);
    assert_eq!(world.holders(), 3);
}

#[test]
fn a_side_without_majority_lays_its_lease_down_before_the_other_side_gives_it_up() {
    let mut world = World::new(2, 3, 1);
    world.run(2_000);
    assert_eq!(world.holders(), 4, "the follower holds a lease too");
    let (lone, rest) = (id(2, 1), [id(0, 1), id(1, 1), id(3, 1)]);
    for other in &rest {
        world.cut.extend([(lone.clone(), other.clone()), (other.clone(), lone.clone())]);
        world.nodes.get_mut(other).unwrap().verdicts.insert(lone.clone(), MemberStatus::Down);
        world.nodes.get_mut(&lone).unwrap().verdicts.insert(other.clone(), MemberStatus::Down);
        world.show(other);
    }
    world.show(&lone);
    world.run(4_000);
    assert!(rest.iter().all(|id| world.nodes[id].leases.standing().given_up.contains(&lone)));
    assert!(world.nodes[&lone].leases.standing().given_up.is_empty(), "the lone side gives nobody up");
    assert_eq!(world.holders(), 3);
    // Healed, it goes on in its next term.
    world.cut.clear();
    world.all_see(MemberStatus::Up);
    world.run(3_000);
    assert_eq!(world.holders(), 4);
    assert!(world.nodes.values().all(|node| node.leases.standing().given_up.is_empty()));
}

#[test]
fn a_promise_that_came_to_nothing_is_given_back() {
    let mut world = World::new(3, 3, 0);
    world.run(2_000);
    let (wrong, alive) = (id(2, 1), id(0, 1));
    world.nodes.get_mut(&wrong).unwrap().verdicts.insert(alive.clone(), MemberStatus::Down);
    world.show(&wrong);
    world.run(3_000);
    assert_eq!(world.holders(), 3, "one voice of three takes no lease away");
    assert!(!world.nodes[&wrong].leases.may_acknowledge(&alive, 1));
    world.all_see(MemberStatus::Up);
    world.run(1_000);
    assert!(world.nodes[&wrong].leases.may_acknowledge(&alive, 1));
    assert!(world.nodes[&wrong].leases.cases.is_empty());
}

#[test]
fn restarted_voters_are_taken_in_again_one_after_the_other() {
    let mut world = World::new(4, 3, 0);
    world.run(2_000);
    for number in 0..3 {
        world.restart(&id(number, 1));
        for _ in 0..6_000 {
            world.step();
            assert!(world.holders() >= 2, "those that stay keep their leases at {} ms", world.now_ms);
        }
        let again = id(number, 2);
        assert!(world.nodes[&again].leases.votes(&again), "{again} has its vote again");
        assert_eq!(world.holders(), 3);
    }
    let epochs: BTreeSet<_> = world.nodes.values().map(|node| node.leases.standing().epoch).collect();
    assert_eq!(epochs, [Some(7)].into(), "three were taken out and in");
}

#[test]
fn a_voter_that_leaves_does_not_count_any_more() {
    let mut world = World::new(6, 3, 0);
    world.loss = 0;
    world.run(2_000);
    for gone in 0..2 {
        let gone = id(gone, 1);
        world.everybody_sees(&gone, MemberStatus::Leaving);
        world.run(1_000);
        world.nodes.remove(&gone);
        world.everybody_sees(&gone, MemberStatus::Left);
        world.run(3_000);
    }
    assert_eq!(world.holders(), 1, "the last one is a majority of itself");
}

#[test]
fn when_all_were_restarted_at_once_a_new_configuration_is_made() {
    let mut world = World::new(5, 3, 0);
    world.run(2_000);
    (0..3).for_each(|number| world.restart(&id(number, 1)));
    world.run(6_000);
    assert_eq!(world.holders(), 3);
}

#[test]
fn nobody_acts_who_was_given_up_whatever_the_verdicts_the_network_and_the_clocks() {
    for seed in 0..20 {
        let mut chance = Jitter::new(seed, b"shape");
        let voters = 1 + usize::try_from(below(&mut chance, 5)).unwrap();
        let followers = usize::try_from(below(&mut chance, 3)).unwrap();
        let mut world = World::new(seed, voters, followers);
        for _ in 0..100 {
            let pause = world.below(250);
            world.run(pause);
            world.disturb();
        }
        let restarted = world.nodes.keys().any(|id| id.incarnation() > 1);
        world.cut.clear();
        world.loss = 0;
        world.all_see(MemberStatus::Up);
        world.run(6_000);
        let (holders, all) = (world.holders(), world.nodes.len());
        assert!(restarted || holders == all, "seed {seed}: {holders} of {all} hold a lease after the heal");
    }
}

#[test]
fn a_voter_that_came_later_does_not_hold_up_the_next_change_for_a_life_that_is_over() {
    for seed in 0..20 {
        let mut world = World::new(seed, 3, 1);
        world.loss = 0;
        world.run(2_000);
        let (dead, again, leaves) = (id(2, 1), id(2, 2), id(1, 1));
        for other in [id(0, 1), id(1, 1), id(3, 1)] {
            world.cut.extend([(dead.clone(), other.clone()), (other, dead.clone())]);
        }
        world.everybody_sees(&dead, MemberStatus::Down);
        world.run(4_000);
        world.restart(&dead);
        for _ in 0..10_000 {
            world.step();
            if world.leases().iter().all(|leases| leases.votes(&again)) && world.holders() == 4 {
                break;
            }
        }
        assert_eq!(world.holders(), 4, "seed {seed}: it has its vote again");
        // Another one says goodbye at once.
        world.nodes.remove(&leaves);
        world.everybody_sees(&leaves, MemberStatus::Left);
        for _ in 0..5_000 {
            world.step();
            let (now, leases) = (world.now_ms, world.leases());
            assert_eq!(world.holders(), 3, "seed {seed} at {now} ms: {leases:#?}");
        }
    }
}

#[test]
fn what_was_promised_to_an_accuser_binds_the_voters_of_the_next_configuration() {
    for seed in 0..10 {
        let mut world = World::new(seed, 4, 1);
        world.loss = 0;
        world.run(2_000);
        let (first, second, lone) = (id(0, 1), id(1, 1), id(4, 1));
        // Half of the voters do not hear it, and the other half is not enough for its lease.
        for voter in [&first, &second] {
            world.cut.extend([(lone.clone(), voter.clone()), (voter.clone(), lone.clone())]);
            world.nodes.get_mut(voter).unwrap().verdicts.insert(lone.clone(), MemberStatus::Down);
            world.show(voter);
        }
        world.run(4_500);
        assert!(world.nodes[&second].leases.standing().given_up.contains(&lone));
        // One of them leaves: of the three voters that stay, two hear the lone one.
        world.everybody_sees(&first, MemberStatus::Leaving);
        world.run(1_000);
        world.nodes.remove(&first);
        world.everybody_sees(&first, MemberStatus::Left);
        world.nodes.get_mut(&second).unwrap().verdicts.insert(lone.clone(), MemberStatus::Down);
        world.show(&second);
        world.run(6_000);
        assert_eq!(world.holders(), 3, "the voters hold leases, and it does not");
        assert!(!world.nodes[&lone].leases.standing().held);
        // It comes back to all.
        world.cut.clear();
        world.all_see(MemberStatus::Up);
        world.run(3_000);
        assert_eq!(world.holders(), 4, "seed {seed}");
    }
}

#[test]
fn what_was_promised_in_a_term_that_is_over_counts_in_no_later_one() {
    let mut world = World::new(11, 5, 0);
    world.loss = 0;
    world.run(2_000);
    let (accused, accuser) = (id(0, 1), id(3, 1));
    // On the smaller side two promise; then one of them is back, gives up the other, and drops its promise.
    world.sides(&[&[0, 1, 4], &[2, 3]]);
    world.run(2_500);
    world.sides(&[&[0, 1, 2, 4], &[3]]);
    world.run(4_000);
    assert!(world.nodes[&id(2, 1)].leases.standing().given_up.contains(&accuser));
    // A third one promises, to the next term of the accuser.
    world.sides(&[&[0, 2, 4], &[1, 3]]);
    for _ in 0..4_000 {
        world.step();
        assert!(world.nodes[&accused].leases.standing().held);
        assert!(!world.nodes[&accuser].leases.standing().given_up.contains(&accused));
    }
}

#[test]
fn a_life_that_was_replaced_is_given_up_again_when_a_later_term_of_it_becomes_known() {
    let mut world = World::new(12, 3, 0);
    world.loss = 0;
    world.run(2_000);
    let (one, two, dead) = (id(0, 1), id(1, 1), id(2, 1));
    world.sides(&[&[0, 1], &[2]]);
    world.run(4_000);
    assert!(world.nodes[&one].leases.standing().given_up.contains(&dead));
    world.restart(&dead);
    let later = LeaseFrame::Later { accused: dead.clone(), term: 2 }.encode();
    let now = world.clock(&one);
    world.nodes.get_mut(&one).unwrap().leases.frame(now, &two, &later);
    assert!(!world.nodes[&one].leases.standing().given_up.contains(&dead), "it may have acted in that term");
    world.run(4_000);
    assert!(world.nodes[&one].leases.standing().given_up.contains(&dead));
}

#[test]
fn a_promise_that_nobody_relies_on_is_given_back_by_whoever_took_it_over() {
    let mut world = World::new(9, 3, 0);
    world.loss = 0;
    world.run(2_000);
    let (accuser, accused, holder) = (id(0, 1), id(1, 1), id(2, 1));
    let by = BTreeMap::from([(accuser, 7)]);
    let given = BTreeMap::from([(accused.clone(), Promise { term: 9, by })]);
    let promised = Promised { given, ..Promised::default() };
    world.nodes.get_mut(&holder).unwrap().leases.take_over(&promised);
    assert!(!world.nodes[&holder].leases.may_acknowledge(&accused, 1));
    world.run(600);
    assert!(world.nodes[&holder].leases.may_acknowledge(&accused, 1));
}

#[test]
fn with_a_minority_restarted_in_the_midst_of_it_everybody_gets_a_lease_back() {
    for seed in 0..40 {
        let voters = if seed % 2 == 0 { 5 } else { 3 };
        let mut world = World::new(seed, voters, 1);
        world.run(1_500);
        let mut lives = [1; 2];
        for _ in 0..60 {
            let pause = world.below(250);
            world.run(pause);
            world.upset();
            // The same minority, again and again: their votes are taken from them while others are accused.
            if world.below(12) == 0 {
                let which = usize::try_from(world.below(voters as u64 / 2)).unwrap();
                world.restart(&id(voters - 1 - which, lives[which]));
                lives[which] += 1;
            }
        }
        world.cut.clear();
        world.loss = 0;
        world.all_see(MemberStatus::Up);
        world.run(15_000);
        assert_eq!(world.holders(), voters + 1, "seed {seed}: {world:#?}", world = world.leases());
    }
}

#[test]
fn bad_frames_are_refused_and_frames_keep_their_form() {
    let voters: BTreeSet<NodeId> = [id(1, 7)].into();
    let by = BTreeMap::from([(id(1, 7), 3), (id(2, 8), 4)]);
    let given = BTreeMap::from([(id(1, 7), Promise { term: 5, by })]);
    let outlived = BTreeMap::from([(id(3, 1).name().clone(), 6)]);
    let promised = Promised { given, outlived };
    let full: &[u8] = b"\x01\x01\x01\x01\x02n1\x07\x01\x02\x02n1\x07\x02n2\x08\x01\x00\x05\x02\x00\x03\x01\x04\x01\x02n3\x06";
    let frames = [
        (LeaseFrame::Agreed { epoch: 1, voters: voters.clone(), promised: Some(promised) }, full),
        (LeaseFrame::Accept { voters: voters.clone() }, &[1, 0, 1, 2, b'n', b'1', 7][..]),
        (LeaseFrame::Agreed { epoch: 1, voters, promised: None }, &[1, 1, 1, 1, 2, b'n', b'1', 7, 0][..]),
    ];
    for (frame, form) in &frames {
        let bytes = frame.encode();
        assert_eq!(bytes, form);
        assert_eq!(LeaseFrame::decode(&bytes).as_ref(), Ok(frame));
        for cut in 0..bytes.len() {
            assert!(LeaseFrame::decode(&bytes[..cut]).is_err());
        }
    }
    let many = (0..65).map(|life| id(1, life)).collect();
    let many = LeaseFrame::Accept { voters: many }.encode();
    assert!(LeaseFrame::decode(&many).is_err(), "more voters than a configuration may have");
    assert!(LeaseFrame::decode(&vec![1; 40_000]).is_err(), "larger than any frame");
    assert!(LeaseFrame::decode(&[9, 2]).is_err(), "a version that nobody writes");
    let mut unlisted = full.to_vec();
    unlisted[19] = 2;
    assert!(LeaseFrame::decode(&unlisted).is_err(), "a promise about a life that is not listed");
}
