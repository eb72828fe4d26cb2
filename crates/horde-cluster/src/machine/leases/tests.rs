//! Leases under arbitrary verdicts, delays, losses, clocks and restarts: nobody acts who was given up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use horde_ring::LeaseTerms;
use horde_transport::{NodeId, NodeName};

use super::{LeaseFrame, LeaseOutput, Leases};
use crate::machine::jitter::Jitter;
use crate::{Member, MemberStatus, Meta, View};

const HEARTBEAT: Duration = Duration::from_millis(200);

fn id(number: usize, life: u64) -> NodeId {
    NodeId::new(NodeName::new(format!("n{number}")).unwrap(), life)
}

fn names(count: usize) -> BTreeSet<NodeName> {
    (0..count).map(|number| id(number, 1).name().clone()).collect()
}

struct Node {
    leases: Leases,
    /// The clock runs at this many thousandths of true time.
    rate: u32,
    verdicts: BTreeMap<NodeId, MemberStatus>,
    idle_at: Option<u64>,
    was_held: bool,
    /// It holds its lease and knew, since it took it up, that every other member had synced or was given up.
    ready: bool,
}

struct World {
    now_ms: u64,
    nodes: BTreeMap<NodeId, Node>,
    /// When it arrives, number for order, from, to.
    flying: BTreeMap<(u64, u64), (NodeId, NodeId, Bytes)>,
    sent: u64,
    cut: BTreeSet<(NodeId, NodeId)>,
    loss: u64,
    chance: Jitter,
}

impl World {
    fn new(seed: u64, voters: usize, followers: usize) -> Self {
        let mut chance = Jitter::new(seed, b"leases");
        let mut nodes = BTreeMap::new();
        for number in 0..voters + followers {
            let expected = if number < voters { names(voters) } else { BTreeSet::new() };
            let rate = 990 + u32::try_from(below(&mut chance, 21)).unwrap();
            nodes.insert(id(number, 1), node(id(number, 1), expected, rate, 0));
        }
        let loss = below(&mut chance, 3) * 10;
        let mut world =
            Self { now_ms: 0, nodes, flying: BTreeMap::new(), sent: 0, cut: BTreeSet::new(), loss, chance };
        world.all_see(MemberStatus::Up);
        world
    }

    fn below(&mut self, bound: u64) -> u64 {
        below(&mut self.chance, bound)
    }

    fn clock(&self, node: &NodeId) -> Duration {
        Duration::from_micros(self.now_ms * u64::from(self.nodes[node].rate))
    }

    fn all_see(&mut self, status: MemberStatus) {
        let ids: Vec<NodeId> = self.nodes.keys().cloned().collect();
        for seer in &ids {
            for other in &ids {
                self.nodes.get_mut(seer).unwrap().verdicts.insert(other.clone(), status);
            }
            self.show(seer);
        }
    }

    fn everybody_sees(&mut self, member: &NodeId, status: MemberStatus) {
        let ids: Vec<NodeId> = self.nodes.keys().cloned().collect();
        for seer in ids {
            self.nodes.get_mut(&seer).unwrap().verdicts.insert(member.clone(), status);
            self.show(&seer);
        }
    }

    /// Tells a node its own view of the members, whatever is true.
    fn show(&mut self, seer: &NodeId) {
        let now = self.clock(seer);
        let node = self.nodes.get_mut(seer).unwrap();
        let member = |(id, status): (&NodeId, &MemberStatus)| {
            let falsely = id == seer && *status != MemberStatus::Leaving;
            let status = if falsely { MemberStatus::Up } else { *status };
            let meta = Arc::new(Meta::default());
            (id.clone(), Member { id: id.clone(), address: None, status, meta })
        };
        let members = node.verdicts.iter().map(member).collect();
        let view =
            View { version: 1, local: seer.clone(), members, stopped: None, forgotten: BTreeMap::new() };
        node.leases.members(now, &view);
        self.settle(seer);
    }

    fn settle(&mut self, at: &NodeId) {
        while let Some(output) = self.nodes.get_mut(at).unwrap().leases.poll_output() {
            if let LeaseOutput::Send { to, frame } = output {
                let lost = self.below(100) < self.loss || self.cut.contains(&(at.clone(), to.clone()));
                let delay = 1 + if self.below(20) == 0 { self.below(400) } else { self.below(20) };
                self.sent += 1;
                if !lost {
                    self.flying.insert((self.now_ms + delay, self.sent), (at.clone(), to, frame));
                }
            }
        }
        let (now, delay) = (self.now_ms, self.below(150));
        let node = self.nodes.get_mut(at).unwrap();
        let held = node.leases.standing().held;
        if node.was_held && !held {
            node.idle_at = Some(now + delay);
            node.ready = false;
        }
        node.was_held = held;
        let given_up = &node.leases.standing().given_up;
        let settled = node.verdicts.iter().all(|(id, status)| status.is_alive() || given_up.contains(id));
        node.ready |= held && settled;
    }

    fn step(&mut self) {
        self.now_ms += 1;
        while let Some(entry) = self.flying.first_entry() {
            if entry.key().0 > self.now_ms {
                break;
            }
            let (from, to, frame) = entry.remove();
            if self.nodes.contains_key(&to) && !self.cut.contains(&(from.clone(), to.clone())) {
                let now = self.clock(&to);
                self.nodes.get_mut(&to).unwrap().leases.frame(now, &from, &frame);
                self.settle(&to);
            }
        }
        let ids: Vec<NodeId> = self.nodes.keys().cloned().collect();
        for id in ids {
            let now = self.clock(&id);
            let at = self.now_ms;
            let node = self.nodes.get_mut(&id).unwrap();
            let stopped = node.idle_at.take_if(|idle| *idle <= at).is_some();
            let due = node.leases.poll_timeout().is_some_and(|due| due <= now);
            if stopped {
                node.leases.set_idle(now, true);
            }
            if due {
                node.leases.handle_timeout(now);
            }
            if stopped || due {
                self.settle(&id);
            }
        }
        self.check();
    }

    /// Nobody who may replace a node finds that node still acting.
    fn check(&self) {
        for (seer, node) in self.nodes.iter().filter(|(_, node)| node.leases.standing().held) {
            for gone in &node.leases.standing().given_up {
                let Some(other) = self.nodes.get(gone) else { continue };
                let given_up = &other.leases.standing().given_up;
                let both = other.leases.standing().held && given_up.contains(seer);
                assert!(!both, "at {} ms {seer} and {gone} hold leases and gave each other up", self.now_ms);
                let acts = other.leases.held_until().is_some_and(|until| self.clock(gone) < until);
                assert!(
                    !(acts && other.ready),
                    "at {} ms {seer} has given up {gone}, which acts\n{node:#?}\n{other:#?}",
                    self.now_ms,
                    node = node.leases,
                    other = other.leases
                );
            }
        }
    }

    /// Anything may happen: verdicts true and false, links cut and healed, restarts.
    fn disturb(&mut self) {
        let ids: Vec<NodeId> = self.nodes.keys().cloned().collect();
        let (a, b) = (self.pick(&ids), self.pick(&ids));
        match self.below(10) {
            0 | 1 => drop(self.cut.insert((a.clone(), b.clone()))),
            2 => self.cut.clear(),
            3 if self.below(4) == 0 => self.restart(&a),
            4..=6 => {
                let status = match self.below(4) {
                    0 => MemberStatus::Suspect,
                    1 => MemberStatus::Unreachable,
                    _ => MemberStatus::Down,
                };
                self.nodes.get_mut(&a).unwrap().verdicts.insert(b, status);
                self.show(&a);
            }
            _ => {
                self.nodes.get_mut(&a).unwrap().verdicts.insert(b, MemberStatus::Up);
                self.show(&a);
            }
        }
    }

    /// The same without restarts.
    fn upset(&mut self) {
        let ids: Vec<NodeId> = self.nodes.keys().cloned().collect();
        let (a, b) = (self.pick(&ids), self.pick(&ids));
        match self.below(8) {
            0 | 1 => drop(self.cut.insert((a, b))),
            2 => self.cut.clear(),
            choice => {
                let status = if choice < 6 { MemberStatus::Down } else { MemberStatus::Up };
                self.nodes.get_mut(&a).unwrap().verdicts.insert(b, status);
                self.show(&a);
            }
        }
    }

    fn leases(&self) -> Vec<&Leases> {
        self.nodes.values().map(|node| &node.leases).collect()
    }

    fn pick(&mut self, ids: &[NodeId]) -> NodeId {
        ids[usize::try_from(self.below(ids.len() as u64)).unwrap()].clone()
    }

    /// The process is killed and another one starts under its name.
    fn restart(&mut self, old: &NodeId) {
        let Node { leases, rate, .. } = self.nodes.remove(old).unwrap();
        let later = NodeId::new(old.name().clone(), old.incarnation() + 1);
        let mut next = node(later.clone(), leases.expected.clone(), rate, self.now_ms * u64::from(rate));
        next.verdicts = self.nodes.keys().map(|id| (id.clone(), MemberStatus::Up)).collect();
        next.verdicts.insert(later.clone(), MemberStatus::Up);
        self.nodes.insert(later.clone(), next);
        let ids: Vec<NodeId> = self.nodes.keys().cloned().collect();
        for seer in ids {
            let node = self.nodes.get_mut(&seer).unwrap();
            node.verdicts.remove(old);
            node.verdicts.insert(later.clone(), MemberStatus::Up);
            self.show(&seer);
        }
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.step();
        }
    }

    fn holders(&self) -> usize {
        self.nodes.values().filter(|node| node.leases.standing().held).count()
    }
}

fn node(id: NodeId, expected: BTreeSet<NodeName>, rate: u32, started_us: u64) -> Node {
    let now = Duration::from_micros(started_us);
    let mut leases = Leases::new(id.clone(), expected, LeaseTerms::default(), HEARTBEAT, now);
    leases.want(now);
    let verdicts = BTreeMap::from([(id, MemberStatus::Up)]);
    Node { leases, rate, verdicts, idle_at: None, was_held: false, ready: false }
}

fn below(chance: &mut Jitter, bound: u64) -> u64 {
    chance.next() % bound.max(1)
}

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
    assert!(!world.nodes[&wrong].leases.promises.may_acknowledge(&alive, 1));
    world.all_see(MemberStatus::Up);
    world.run(1_000);
    assert!(world.nodes[&wrong].leases.promises.may_acknowledge(&alive, 1));
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
fn with_a_minority_restarted_in_the_midst_of_it_everybody_gets_a_lease_back() {
    for seed in 0..20 {
        let mut world = World::new(seed, 5, 1);
        world.run(1_500);
        let mut lives = [1; 2];
        for _ in 0..60 {
            let pause = world.below(250);
            world.run(pause);
            world.upset();
            // The same two of five, again and again: their votes are taken from them while others are accused.
            if world.below(12) == 0 {
                let which = usize::try_from(world.below(2)).unwrap();
                world.restart(&id(3 + which, lives[which]));
                lives[which] += 1;
            }
        }
        world.cut.clear();
        world.loss = 0;
        world.all_see(MemberStatus::Up);
        world.run(15_000);
        assert_eq!(world.holders(), 6, "seed {seed}: {world:#?}", world = world.leases());
    }
}

#[test]
fn bad_frames_are_refused_and_frames_keep_their_form() {
    let voters: BTreeSet<NodeId> = [id(1, 7)].into();
    let frames = [
        (LeaseFrame::Accept { voters: voters.clone() }, &[1, 0, 1, 2, b'n', b'1', 7][..]),
        (LeaseFrame::Agreed { epoch: 1, voters }, &[1, 1, 1, 1, 2, b'n', b'1', 7][..]),
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
}
