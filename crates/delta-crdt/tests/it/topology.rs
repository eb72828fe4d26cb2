//! Replicas that write all the time while a part of what they send is lost, in a line, a ring and a star.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use delta_crdt::{Change, Config, Dot, LastWriter, Message, Now, Output, Replica, Stamp, Warning};

use crate::support::{START, id, later};

const TICK: Duration = Duration::from_millis(5);

/// Who has whom as a neighbour. Messages pass both ways between the two.
struct Shape {
    replicas: u64,
    links: Vec<(u64, u64)>,
    /// Who writes with each tick; the others with one of four.
    busy: Option<usize>,
}

/// The second has the first and the third as neighbours; these two cannot reach each other.
fn line() -> Shape {
    Shape { replicas: 3, links: vec![(1, 2), (2, 1), (2, 3), (3, 2)], busy: Some(1) }
}

/// A write, and the writes that it replaced: what its replica held under the key at that moment.
struct Event {
    stamp: Stamp,
    value: Option<u64>,
    replaced: Vec<Dot>,
}

/// Sender, receiver, and what is on its way.
type Letter = (u64, u64, Message<u64, u64>);

/// A network that loses one message of five and delays the others, so that they overtake each other.
struct Lossy {
    now: Now,
    random: u64,
    busy: Option<usize>,
    /// Few, so that all write the same, or more, so that what is wrong is not soon overwritten.
    keys: u64,
    loses: bool,
    lost: usize,
    replicas: Vec<Replica<u64, u64>>,
    /// What somebody sees who reads the changes alone.
    seen: Vec<BTreeMap<u64, u64>>,
    pairs: BTreeSet<(u64, u64)>,
    /// By the time of arrival, then by number.
    wire: BTreeMap<(Duration, u64), Letter>,
    sent: u64,
    /// By key and dot, as each part of a map counts its writes by itself.
    events: BTreeMap<(u64, Dot), Event>,
}

impl Lossy {
    fn new(shape: &Shape, seed: u64, config: &Config) -> Self {
        let replica = |node| Replica::new(id(node), config.clone(), LastWriter);
        let nodes = 1..=shape.replicas;
        let mut net = Self {
            now: START,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            busy: shape.busy,
            keys: if seed.is_multiple_of(2) { 6 } else { 50 },
            loses: true,
            lost: 0,
            replicas: nodes.clone().map(replica).collect(),
            seen: vec![BTreeMap::new(); shape.replicas as usize],
            pairs: shape.links.iter().flat_map(|&(a, b)| [(a, b), (b, a)]).collect(),
            wire: BTreeMap::new(),
            sent: 0,
            events: BTreeMap::new(),
        };
        for (i, replica) in net.replicas.iter_mut().enumerate() {
            replica.set_members(nodes.clone().map(id));
            let own = i as u64 + 1;
            let others = shape.links.iter().filter(|link| link.0 == own).map(|link| id(link.1));
            replica.set_neighbours(START, others);
        }
        net
    }

    /// Xorshift: a number below `below`.
    fn draw(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) % below
    }

    /// A random write of replica `i`.
    fn write(&mut self, i: usize) {
        let key = self.draw(self.keys);
        let (value, puts) = (self.draw(1_000), self.draw(3) > 0);
        let replica = &mut self.replicas[i];
        let replaced = replica.siblings(&key).map(|sibling| sibling.dot).collect();
        let change =
            if puts { Some(replica.put(self.now, key, value)) } else { replica.remove(self.now, &key) };
        let Some(change) = change else { return };
        fold(&mut self.seen[i], &change);
        let mut held = self.replicas[i].siblings(&key);
        let own = held.next().expect("what was written is held");
        assert!(held.next().is_none(), "a write replaces all that is known");
        let event = Event { stamp: own.stamp, value: own.value.copied(), replaced };
        self.events.insert((key, own.dot), event);
    }

    fn take_outputs(&mut self, i: usize) {
        self.replicas[i].flush(self.now);
        while let Some(output) = self.replicas[i].poll_output() {
            match output {
                Output::Send { to, message } => self.post(i as u64 + 1, to.node, message),
                Output::Changed(changes) => changes.iter().for_each(|change| fold(&mut self.seen[i], change)),
                Output::Synced { .. } => {}
                Output::Warning(warning) => {
                    let bad =
                        !matches!(warning, Warning::CollectedEarly { .. } | Warning::ParkingFull { .. });
                    assert!(!bad, "{warning}");
                }
            }
        }
    }

    fn post(&mut self, from: u64, to: u64, message: Message<u64, u64>) {
        if !self.pairs.contains(&(from, to)) {
            return;
        }
        if self.draw(5) == 0 && self.loses {
            self.lost += 1;
            return;
        }
        let delay = Duration::from_millis(self.draw(12));
        self.sent += 1;
        self.wire.insert((self.now.monotonic + delay, self.sent), (from, to, message));
    }

    /// One tick: some write, what is due arrives, and timers go off.
    fn tick(&mut self, writes: bool) {
        self.now = later(self.now, TICK);
        for i in 0..self.replicas.len() {
            if writes && (self.draw(4) == 0 || self.busy == Some(i)) {
                self.write(i);
            }
            if self.replicas[i].poll_timeout().is_some_and(|at| at <= self.now.monotonic) {
                self.replicas[i].handle_timeout(self.now);
                let next = self.replicas[i].poll_timeout();
                assert!(next.is_none_or(|at| at > self.now.monotonic), "the timer of {i} spins");
            }
            self.take_outputs(i);
        }
        while self.wire.first_key_value().is_some_and(|(place, _)| place.0 <= self.now.monotonic) {
            let Some((_, (from, to, message))) = self.wire.pop_first() else { return };
            let i = to as usize - 1;
            self.replicas[i].receive(self.now, id(from), message);
            self.take_outputs(i);
        }
    }

    fn run(&mut self, time: Duration, writes: bool) {
        let end = self.now.monotonic + time;
        let mut ticks = 0;
        while self.now.monotonic < end {
            self.tick(writes);
            ticks += 1;
            if ticks % 40 == 0 {
                self.replicas.iter().for_each(Replica::check_invariants);
            }
        }
    }

    /// What the map shows once all know all: of the puts that no write replaced, those with the highest stamp.
    fn expected(&self) -> BTreeMap<u64, u64> {
        let named = |(&(key, _), event): (&(u64, Dot), &Event)| {
            event.replaced.iter().map(|dot| (key, *dot)).collect::<Vec<_>>()
        };
        let replaced: BTreeSet<(u64, Dot)> = self.events.iter().flat_map(named).collect();
        let mut winners: BTreeMap<u64, (Stamp, Dot, u64)> = BTreeMap::new();
        for (&(key, dot), event) in self.events.iter().filter(|(place, _)| !replaced.contains(*place)) {
            if let Some(value) = event.value {
                let winner = winners.entry(key).or_insert((event.stamp, dot, value));
                *winner = (*winner).max((event.stamp, dot, value));
            }
        }
        winners.into_iter().map(|(key, winner)| (key, winner.2)).collect()
    }

    /// The writes with values that a replica holds.
    fn live(&self, i: usize) -> BTreeSet<(u64, Dot)> {
        let mut live = BTreeSet::new();
        for key in 0..self.keys {
            let siblings = self.replicas[i].siblings(&key);
            live.extend(siblings.filter(|sibling| sibling.value.is_some()).map(|sibling| (key, sibling.dot)));
        }
        live
    }

    fn judge(&self, seed: u64) {
        let expected = self.expected();
        for (i, replica) in self.replicas.iter().enumerate() {
            replica.check_invariants();
            assert_eq!(replica.to_map(), expected, "seed {seed}: replica {i}");
            assert_eq!(self.seen[i], expected, "seed {seed}: what {i} reported");
            assert_eq!(self.live(i), self.live(0), "seed {seed}: the writes of {i}");
            let stats = replica.stats();
            assert_eq!((stats.diverged, stats.parked), (0, 0), "seed {seed}: replica {i}");
        }
    }
}

fn fold(map: &mut BTreeMap<u64, u64>, change: &Change<u64, u64>) {
    let old = match change {
        Change::Put { key, new, .. } => map.insert(*key, *new),
        Change::Removed { key, .. } => map.remove(key),
    };
    assert_eq!(old.as_ref(), change.old(), "a change says what was there before");
}

/// Limits so low that all of them are met, or the usual ones.
fn config(seed: u64) -> Config {
    let tight = Config {
        max_fragment_keys: 1,
        session_window: 2,
        max_sessions: 1,
        max_parked: 3,
        max_tombstones: 1,
        max_told: 1,
        max_batch_ops: 2,
        ..Config::default()
    };
    match seed % 3 {
        0 => Config::default(),
        1 => Config { shards: 2, status_interval: Duration::from_millis(200), ..Config::default() },
        _ => tight,
    }
}

/// Writes and losses for a second and a half, then neither for `calm`; all are the same then.
fn outlives_losses(shape: &Shape, seeds: u64, calm: Duration) -> Vec<Lossy> {
    let run = |seed| {
        let mut net = Lossy::new(shape, seed, &config(seed));
        net.run(Duration::from_millis(1_500), true);
        net.loses = false;
        net.run(calm, false);
        assert!(net.lost > 20 && net.events.len() > 100, "seed {seed}: something went on");
        net.judge(seed);
        net
    };
    (1..=seeds).map(run).collect()
}

#[test]
fn a_busy_relay_between_two_that_cannot_reach_each_other_loses_nothing() {
    let nets = outlives_losses(&line(), 300, Duration::from_secs(4));
    let collected = nets.iter().filter(|net| net.replicas[1].stats().tombstones == 0).count();
    assert_eq!(collected, nets.len(), "the relay hears both, so that nothing is left of removed keys");
    let ends = nets.iter().map(|net| net.replicas[0].stats().tombstones + net.replicas[2].stats().tombstones);
    assert!(ends.sum::<usize>() > 0, "the ends never hear each other, and keep what they cannot know");
}

#[test]
fn a_ring_of_five_that_tell_one_side_alone_loses_nothing() {
    let links = (1..=5).map(|node| (node, node % 5 + 1)).collect();
    outlives_losses(&Shape { replicas: 5, links, busy: None }, 80, Duration::from_secs(4));
}

#[test]
fn the_leaves_of_a_star_hear_of_each_other_through_its_busy_centre() {
    let links = (2..=6).flat_map(|leaf| [(1, leaf), (leaf, 1)]).collect();
    let nets = outlives_losses(&Shape { replicas: 6, links, busy: Some(0) }, 40, Duration::from_secs(6));
    assert!(nets.iter().all(|net| net.replicas[0].stats().tombstones == 0), "the centre hears all");
}

#[test]
fn a_partition_of_a_busy_line_heals() {
    for seed in 1..=60 {
        let mut net = Lossy::new(&line(), seed, &config(seed));
        net.run(Duration::from_millis(500), true);
        // Nothing passes between the relay and one end, and both know.
        net.pairs.retain(|pair| *pair != (2, 3) && *pair != (3, 2));
        let now = net.now;
        net.replicas[1].peer_down(now, id(3));
        net.replicas[2].set_neighbours(now, []);
        net.run(Duration::from_millis(500), true);
        net.pairs.extend([(2, 3), (3, 2)]);
        let now = net.now;
        net.replicas[1].peer_up(now, id(3));
        net.replicas[2].set_neighbours(now, [id(2)]);
        net.run(Duration::from_millis(500), true);
        net.loses = false;
        net.run(Duration::from_secs(4), false);
        net.judge(seed);
    }
}

/// The rules that losses and one relay put to the test; the others need writers that hear each other, or restarts, as the
/// histories of the model have them.
#[cfg(feature = "rule-switches")]
#[test]
fn a_busy_line_shows_when_a_rule_is_off() {
    use delta_crdt::Rule;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    let fails = |rule: Rule, seed: u64| {
        let history = AssertUnwindSafe(|| {
            let mut net = Lossy::new(&line(), seed, &config(seed));
            net.replicas.iter_mut().for_each(|replica| replica.break_rule(rule));
            net.run(Duration::from_millis(1_500), true);
            net.loses = false;
            net.run(Duration::from_secs(4), false);
            net.judge(seed);
        });
        catch_unwind(history).is_err()
    };
    let rules = [Rule::InOrder, Rule::OneState, Rule::AbortAppliesNothing, Rule::Stability, Rule::Repair];
    let found = rules.map(|rule| (rule, (1..=300).find(|seed| fails(rule, *seed))));
    assert!(found.iter().all(|(_, seed)| seed.is_some()), "{found:?}");
}
