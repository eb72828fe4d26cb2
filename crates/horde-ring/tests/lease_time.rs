//! Leases in time: clocks that drift, messages that are late or lost, links that come and go.

use std::collections::BTreeMap;
use std::time::Duration;

use horde_ring::{Accusation, Agreed, Heartbeats, LeaseTerms, Policy, Promises, Quorum, Voter};

const TICK: u64 = 10;
const N: u8 = 5;

/// A seeded stream of numbers (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % sides
    }
}

#[derive(Clone, Copy)]
enum Message {
    Heartbeat(u64),
    Acknowledge(u64),
    Promise { accused: u8 },
}

struct Node {
    /// Thousandths by which its clock runs fast.
    drift: i64,
    heartbeats: Heartbeats<u8>,
    promises: Promises<u8>,
    accusations: Vec<Accusation<u8>>,
    heard: Vec<Duration>,
    due: Duration,
}

impl Node {
    fn new(drift: i64) -> Self {
        let accusations = (0..N).map(Accusation::new).collect();
        let (heartbeats, promises) = (Heartbeats::new(), Promises::new());
        let heard = vec![Duration::ZERO; usize::from(N)];
        Self { drift, heartbeats, promises, accusations, heard, due: Duration::ZERO }
    }

    /// This node's clock at a true time in milliseconds.
    fn clock(&self, now: u64) -> Duration {
        Duration::from_micros(now * (1000 + self.drift) as u64)
    }
}

fn agreed(n: u8) -> Agreed<u8> {
    Agreed::initial((0..n).map(|id| (id, Voter::new())))
}

struct World {
    now: u64,
    nodes: Vec<Node>,
    cut: Vec<Vec<bool>>,
    /// By time of arrival: from, to, message.
    flying: BTreeMap<u64, Vec<(u8, u8, Message)>>,
    dice: Dice,
    quorum: Quorum<u8>,
    agreed: Agreed<u8>,
    terms: LeaseTerms,
    /// The terms by which replacements are timed: the same, but in a test of the test.
    takers: LeaseTerms,
    replaced: [bool; N as usize],
    overlaps: usize,
}

impl World {
    fn new(seed: u64, terms: LeaseTerms, takers: LeaseTerms) -> Self {
        let mut dice = Dice(seed);
        let nodes = (0..N).map(|_| Node::new(dice.roll(21) as i64 - 10)).collect();
        let cut = vec![vec![false; usize::from(N)]; usize::from(N)];
        let (quorum, agreed) = (Quorum::new(Policy::Majority), agreed(N));
        let (flying, replaced) = (BTreeMap::new(), [false; N as usize]);
        Self { now: 0, nodes, cut, flying, dice, quorum, agreed, terms, takers, replaced, overlaps: 0 }
    }

    fn send(&mut self, from: u8, to: u8, message: Message) {
        let lost = self.cut[usize::from(from)][usize::from(to)] || self.dice.roll(50) == 0;
        if !lost {
            let arrival = self.now + TICK + self.dice.roll(20) * TICK;
            self.flying.entry(arrival).or_default().push((from, to, message));
        }
    }

    fn step(&mut self) {
        self.now += TICK;
        // Now and then one direction of a link breaks or heals.
        if self.dice.roll(40) == 0 {
            let (a, b) = (self.dice.roll(u64::from(N)) as usize, self.dice.roll(u64::from(N)) as usize);
            self.cut[a][b] = self.dice.roll(2) == 0;
        }
        for (from, to, message) in self.flying.remove(&self.now).unwrap_or_default() {
            self.receive(from, to, message);
        }
        for at in 0..N {
            self.tick(at);
        }
        self.check();
    }

    fn receive(&mut self, from: u8, to: u8, message: Message) {
        let node = &mut self.nodes[usize::from(to)];
        let clock = node.clock(self.now);
        match message {
            Message::Heartbeat(number) => {
                node.heard[usize::from(from)] = clock;
                if node.promises.may_acknowledge(&from, 0) {
                    self.send(to, from, Message::Acknowledge(number));
                }
            }
            Message::Acknowledge(number) => node.heartbeats.acknowledge(from, number, 1),
            Message::Promise { accused } => node.accusations[usize::from(accused)].promised(from, clock, 1),
        }
    }

    fn tick(&mut self, at: u8) {
        let node = &mut self.nodes[usize::from(at)];
        let clock = node.clock(self.now);
        let mut out = Vec::new();
        if clock >= node.due {
            node.due = clock + Duration::from_millis(200);
            out.push(Message::Heartbeat(node.heartbeats.send(clock)));
            for other in (0..N).filter(|&other| other != at) {
                // Who was silent for 0.6 s is accused: the promise comes first, then the word of it.
                if clock.saturating_sub(node.heard[usize::from(other)]) > Duration::from_millis(600) {
                    node.promises.promise(other, 0);
                }
                if !node.promises.may_acknowledge(&other, 0) {
                    node.accusations[usize::from(other)].promised(at, clock, 1);
                    out.push(Message::Promise { accused: other });
                }
            }
        }
        for message in out {
            (0..N).filter(|&to| to != at).for_each(|to| self.send(at, to, message));
        }
    }

    fn check(&mut self) {
        for accused in 0..N {
            let node = &self.nodes[usize::from(accused)];
            let clock = node.clock(self.now);
            let acts = node.heartbeats.may_act(&self.quorum, &self.agreed, &accused, clock, &self.terms);
            let due = |taker: &Node| {
                let accusation = &taker.accusations[usize::from(accused)];
                let at = accusation.replace_at(&self.quorum, &self.agreed, Duration::ZERO, &self.takers);
                at.is_some_and(|at| at <= taker.clock(self.now))
            };
            let taken =
                self.nodes.iter().enumerate().any(|(taker, node)| taker != usize::from(accused) && due(node));
            self.replaced[usize::from(accused)] |= taken;
            self.overlaps += usize::from(self.replaced[usize::from(accused)] && acts);
        }
    }
}

/// Ticks in which a replacement ran beside a node that could still act, and replacements in all.
fn run(seeds: u64, terms: LeaseTerms, takers: LeaseTerms) -> (usize, usize) {
    let (mut overlaps, mut replaced) = (0, 0);
    for seed in 0..seeds {
        let mut world = World::new(seed, terms, takers);
        (0..1500).for_each(|_| world.step());
        overlaps += world.overlaps;
        replaced += world.replaced.iter().filter(|&&replaced| replaced).count();
    }
    (overlaps, replaced)
}

#[test]
fn no_replacement_starts_while_the_lease_runs_with_clocks_one_per_cent_off() {
    let terms = LeaseTerms { margin: Duration::ZERO, ..LeaseTerms::default() };
    let (overlaps, replaced) = run(24, terms, terms);
    assert_eq!(overlaps, 0);
    assert!(replaced > 20, "only {replaced} replacements were tried");
}

#[test]
fn replacements_that_do_not_wait_for_the_lease_are_caught() {
    let terms = LeaseTerms { margin: Duration::ZERO, ..LeaseTerms::default() };
    let (overlaps, _) = run(4, terms, LeaseTerms { lease: Duration::ZERO, ..terms });
    assert!(overlaps > 0);
}

#[test]
fn the_delay_covers_two_clocks_that_are_off_in_opposite_directions() {
    let terms = LeaseTerms { lease: Duration::from_secs(99), max_drift: 10, margin: Duration::from_secs(1) };
    // 99 s on a clock that runs at 0.99 are 100 s; 100 s on a clock that runs at 1.01 are 101 s.
    assert_eq!(terms.takeover_delay(), Duration::from_secs(102));
    let wild = LeaseTerms { max_drift: 100_000, ..terms };
    assert_eq!(wild.takeover_delay(), Duration::from_secs(99 * 3 + 1));
}

#[test]
fn a_lease_ends_after_the_sending_of_the_newest_heartbeat_that_enough_acknowledged() {
    let (agreed, quorum, terms) = (agreed(5), Quorum::new(Policy::Majority), LeaseTerms::default());
    let seconds = Duration::from_secs;
    let mut heartbeats = Heartbeats::new();
    let end = |heartbeats: &Heartbeats<u8>| heartbeats.lease_end(&quorum, &agreed, &0, seconds(9), &terms);
    let (first, second) = (heartbeats.send(seconds(1)), heartbeats.send(seconds(2)));
    heartbeats.acknowledge(1, second, 1);
    assert_eq!(end(&heartbeats), None, "two of five");
    heartbeats.acknowledge(2, first, 1);
    assert_eq!(end(&heartbeats), Some(seconds(3)), "the older of the two");
    heartbeats.acknowledge(3, second, 1);
    assert_eq!(end(&heartbeats), Some(seconds(4)));
    heartbeats.acknowledge(1, first, 1);
    heartbeats.acknowledge(4, 77, 1);
    assert_eq!(end(&heartbeats), Some(seconds(4)), "old news and unknown numbers change nothing");
    heartbeats.acknowledge(3, second, 2);
    assert_eq!(end(&heartbeats), Some(seconds(3)), "a member of a later epoch does not count");
    assert!(heartbeats.may_act(&quorum, &agreed, &0, seconds(2), &terms));
    assert!(!heartbeats.may_act(&quorum, &agreed, &0, seconds(3), &terms));
}
