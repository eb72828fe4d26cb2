//! The smallest case, exhaustively: three replicas, one key, four writes.
//!
//! A state is what three replicas hold and what is on its way; a step leads to another one. All states are gone through that
//! any steps lead to, each once, until there is no new one; and from each of them, with all pushes lost that are on their way, every
//! replica pulls from every other until nothing changes: all must hold what the specification says. Two worlds, as all of both
//! at once are too many:
//!
//! - **Four writes**, a put or a removal by any replica at any time. Each push arrives at once, or never, at each of the two others:
//!   all four cases. Sessions are whole, between any two at any time. Tombstones are collected anywhere at any time.
//! - **Two writes, everything on its way**: pushes arrive at any time, in any order or never; sessions are answered at one step
//!   and committed at a later one, whatever happened in between, or never.
//!
//! And four writes with everything on its way up to a number of steps. States are alike if the same can happen from then on. So
//! stamps and values are kept out of them: all puts are of one value, and a stamp depends on the stamps that it overtakes alone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::oracle::{Event, Oracle, covers};
use crate::clock::Clock;
use crate::message::Body;
use crate::{Config, LastWriter, Message, Now, Output, Replica, ReplicaId};

const REPLICAS: usize = 3;
const KEY: u64 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Put(usize),
    Remove(usize),
    /// A push from one to another arrives, the oldest on its way or a later one.
    Push(usize, usize, usize),
    /// One asks another, which answers at once; the answer stays on its way.
    Pull(usize, usize),
    /// The answer arrives.
    Answer(usize, usize),
    /// Tombstones that all cover are dropped at one.
    Collect(usize),
}

/// What can happen.
#[derive(Clone, Copy, Debug)]
struct Case {
    writes: usize,
    /// Pushes and answers stay on their way. Else pushes arrive at once or never, and sessions are one step.
    delays: bool,
    /// Steps at most.
    depth: usize,
}

/// Without a limit.
const ALL: usize = usize::MAX;

#[derive(Clone)]
struct Small {
    replicas: Vec<Replica<u64, u64>>,
    pushes: BTreeMap<(usize, usize), VecDeque<Message<u64, u64>>>,
    answers: BTreeMap<(usize, usize), Vec<Message<u64, u64>>>,
    oracle: Oracle,
    writes: usize,
    case: Case,
}

const NOW: Now = Now { monotonic: Duration::ZERO, unix_ms: 1_700_000_000_000 };

fn id(i: usize) -> ReplicaId {
    ReplicaId::new(i as u64, 1)
}

impl Small {
    fn new(case: Case) -> Self {
        let replicas = (0..REPLICAS).map(|i| Replica::new(id(i), Config::default(), LastWriter)).collect();
        let mut small = Self {
            replicas,
            pushes: BTreeMap::new(),
            answers: BTreeMap::new(),
            oracle: Oracle::default(),
            writes: 0,
            case,
        };
        for a in 0..REPLICAS {
            for b in (0..REPLICAS).filter(|&b| b != a) {
                small.replicas[a].peer_up(NOW, id(b));
            }
            small.replicas[a].set_members((0..REPLICAS).map(id));
            while small.replicas[a].poll_output().is_some() {}
        }
        small
    }

    /// All that can happen next: each a row of steps that are one here.
    fn steps(&self) -> Vec<Vec<Step>> {
        let mut steps = Vec::new();
        for a in 0..REPLICAS {
            let others = (0..REPLICAS).filter(|&b| b != a);
            if self.writes < self.case.writes {
                let writes = [Some(Step::Put(a)), self.replicas[a].get(&KEY).map(|_| Step::Remove(a))];
                for write in writes.into_iter().flatten() {
                    let pushes: Vec<Step> = others.clone().map(|b| Step::Push(a, b, 0)).collect();
                    match self.case.delays {
                        true => steps.push(vec![write]),
                        false => steps.extend([
                            vec![write],
                            vec![write, pushes[0]],
                            vec![write, pushes[1]],
                            vec![write, pushes[0], pushes[1]],
                        ]),
                    }
                }
            }
            if self.replicas[a].stats().tombstones > 0 {
                steps.push(vec![Step::Collect(a)]);
            }
            for b in others {
                let flying = self.pushes.get(&(a, b)).map_or(0, VecDeque::len);
                steps.extend((0..flying).map(|at| vec![Step::Push(a, b, at)]));
                match (self.answers.contains_key(&(a, b)), self.lacks(b, a)) {
                    (true, _) => steps.push(vec![Step::Answer(a, b)]),
                    (false, true) if self.case.delays => steps.push(vec![Step::Pull(a, b)]),
                    (false, true) => steps.push(vec![Step::Pull(a, b), Step::Answer(a, b)]),
                    (false, false) => {}
                }
            }
        }
        steps
    }

    /// Does a row of steps. Without delays, pushes that did not arrive at once never will.
    fn take_all(&mut self, steps: &[Step]) {
        steps.iter().for_each(|&step| self.take(step));
        if !self.case.delays {
            self.pushes.clear();
        }
    }

    /// True if `a` holds a write that `b` does not.
    fn lacks(&self, b: usize, a: usize) -> bool {
        let (ours, theirs) = (&self.replicas[b], &self.replicas[a]);
        self.oracle.events.keys().any(|name| covers(theirs, name) && !covers(ours, name))
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Put(i) | Step::Remove(i) => self.write(i, matches!(step, Step::Remove(_))),
            Step::Push(a, b, at) => {
                if let Some(message) = self.pushes.get_mut(&(a, b)).and_then(|queue| queue.remove(at)) {
                    self.replicas[b].receive(NOW, id(a), message);
                }
            }
            Step::Pull(a, b) => self.pull(a, b),
            Step::Answer(a, b) => {
                for message in self.answers.remove(&(a, b)).unwrap_or_default() {
                    self.replicas[b].receive(NOW, id(a), message);
                }
            }
            Step::Collect(i) => self.collect(i),
        }
        for replica in &mut self.replicas {
            while replica.poll_output().is_some() {}
            replica.check_invariants();
        }
    }

    fn write(&mut self, i: usize, removes: bool) {
        let replica = &mut self.replicas[i];
        let replaces = replica.siblings(&KEY).map(|sibling| (0, sibling.dot)).collect();
        let value = (!removes).then_some(1);
        // So that a stamp does not tell in which order things happened that know nothing of each other.
        replica.clock = Clock::new(replica.config.max_drift);
        match value {
            Some(value) => _ = replica.put(NOW, KEY, value),
            None => _ = replica.remove(NOW, &KEY),
        }
        self.writes += 1;
        let written = replica.siblings(&KEY).next().map(|sibling| (sibling.dot, sibling.stamp));
        let (dot, stamp) = written.expect("a write leaves a sibling");
        self.oracle.events.insert((0, dot), Event { key: KEY, stamp, value, replaces });
        replica.flush(NOW);
        while let Some(output) = self.replicas[i].poll_output() {
            if let Output::Send { to, message: message @ Message { body: Body::Ops(_), .. } } = output {
                self.pushes.entry((i, to.node as usize)).or_default().push_back(message);
            }
        }
    }

    /// `b` asks `a`; the answer is taken from the state that `a` has now.
    fn pull(&mut self, a: usize, b: usize) {
        self.replicas[b].begin_pull(NOW, id(a), 0, false);
        self.replicas[b].send_pulls();
        let mut asks = Vec::new();
        while let Some(output) = self.replicas[b].poll_output() {
            if let Output::Send { message: message @ Message { body: Body::Pull(_), .. }, .. } = output {
                asks.push(message);
            }
        }
        for ask in asks {
            self.replicas[a].receive(NOW, id(b), ask);
        }
        let mut answer = Vec::new();
        while let Some(output) = self.replicas[a].poll_output() {
            if let Output::Send { message, .. } = output {
                answer.push(message);
            }
        }
        self.answers.insert((a, b), answer);
    }

    /// Tells one what the others cover, and collects.
    fn collect(&mut self, i: usize) {
        for j in (0..REPLICAS).filter(|&j| j != i) {
            self.replicas[j].tell(NOW, id(i));
            while let Some(output) = self.replicas[j].poll_output() {
                if let Output::Send { to, message: message @ Message { body: Body::Status(_), .. } } = output
                    && to == id(i)
                {
                    self.replicas[i].receive(NOW, id(j), message);
                }
            }
        }
        self.replicas[i].incoming.clear();
        self.replicas[i].pull_due.clear();
        self.replicas[i].collect();
    }

    /// Every replica pulls from every other until all hold the same.
    fn finish(&mut self) -> Result<(), String> {
        for _ in 0..REPLICAS {
            for a in 0..REPLICAS {
                for b in (0..REPLICAS).filter(|&b| b != a) {
                    self.take(Step::Answer(a, b));
                    if self.lacks(b, a) {
                        self.pull(a, b);
                        self.take(Step::Answer(a, b));
                    }
                }
            }
        }
        let held = self.oracle.held(|_| true).remove(&KEY).unwrap_or_default();
        let shown = |replica: &Replica<u64, u64>| replica.get(&KEY).and_then(|_| replica.dot(&KEY));
        for replica in &self.replicas {
            let live = replica.siblings(&KEY).filter(|sibling| sibling.value.is_some());
            let ours: BTreeSet<_> = live.map(|sibling| sibling.dot).collect();
            if ours != held || replica.hash() != self.replicas[0].hash() {
                return Err(format!("{:?} holds {ours:?} instead of {held:?}", replica.id()));
            }
            if shown(replica) != shown(&self.replicas[0]) {
                return Err(format!("{:?} shows {:?}", replica.id(), replica.dot(&KEY)));
            }
        }
        Ok(())
    }

    /// What matters of this state for what can still happen. What was heard of others matters when tombstones are collected, and all of
    /// it is told anew then.
    fn print(&self) -> Vec<u8> {
        use std::fmt::Write;
        let mut print = String::new();
        for replica in &self.replicas {
            let shard = &replica.shards[0];
            let siblings: Vec<_> =
                replica.siblings(&KEY).map(|s| (s.dot, s.stamp, s.value.copied())).collect();
            let vector: Vec<_> = (0..shard.lanes.len() as u32)
                .map(|origin| {
                    (
                        replica.origins.id(origin),
                        shard.lanes[origin as usize].covered,
                        shard.lanes[origin as usize].floor,
                    )
                })
                .collect::<BTreeSet<_>>()
                .into_iter()
                .filter(|entry| entry.1 > 0)
                .collect();
            _ = write!(print, "{siblings:?}{vector:?}{:?}", shard.park);
        }
        let events: Vec<_> = self.oracle.events.iter().collect();
        _ = write!(print, "{events:?}");
        for (way, queue) in self.pushes.iter().filter(|entry| !entry.1.is_empty()) {
            for message in queue {
                if let Body::Ops(batch) = &message.body {
                    _ = write!(print, "{way:?}{:?}", batch.0);
                }
            }
        }
        for (way, answer) in &self.answers {
            for message in answer {
                match &message.body {
                    Body::Fragment(part) => {
                        _ = write!(print, "{way:?}{:?}", (&part.origins, part.stamp, &part.entries))
                    }
                    Body::Commit(commit) => {
                        _ = write!(
                            print,
                            "{way:?}{:?}",
                            (commit.whole, &commit.origins, &commit.vector, &commit.floors)
                        );
                    }
                    _ => {}
                }
            }
        }
        print.into_bytes()
    }
}

/// Goes through all states, each once; how many there are. The way to each is kept, for the message.
fn explore(case: Case) -> usize {
    let mut seen = BTreeSet::new();
    let mut open = VecDeque::from([(Small::new(case), Vec::new())]);
    let all = case.depth == ALL;
    // Without a limit the latest goes first, so that few are kept; with one the shortest way, so that none is missed.
    while let Some((small, way)) = if all { open.pop_back() } else { open.pop_front() } {
        if let Err(wrong) = small.clone().finish() {
            panic!("{wrong} after {way:?}");
        }
        if way.len() == case.depth {
            continue;
        }
        for steps in small.steps() {
            let mut next = small.clone();
            next.take_all(&steps);
            if seen.insert(crate::key::hash_bytes(&next.print())) {
                open.push_back((next, [&way[..], &[steps]].concat()));
            }
        }
    }
    seen.len()
}

/// A number of steps that a build which checks itself has time for, or one that does not; `DELTA_CRDT_DEPTH` says otherwise.
fn depth(checked: usize, release: usize) -> usize {
    let depth = std::env::var("DELTA_CRDT_DEPTH").ok().and_then(|text| text.parse().ok());
    depth.unwrap_or(if cfg!(debug_assertions) { checked } else { release })
}

#[test]
fn all_histories_of_four_writes_end_alike() {
    let writes = if cfg!(debug_assertions) { 3 } else { 4 };
    let states = explore(Case { writes, delays: false, depth: ALL });
    println!("{states} states of {writes} writes, all");
    assert!(states > 1_000);
}

#[test]
fn all_histories_of_two_writes_with_everything_on_its_way_end_alike() {
    let depth = depth(6, ALL);
    let states = explore(Case { writes: 2, delays: true, depth });
    println!("{states} states of 2 writes with everything on its way, up to {depth} steps");
    assert!(states > 1_000);
}

#[test]
fn all_short_histories_of_four_writes_with_everything_on_its_way_end_alike() {
    let depth = depth(5, 7);
    let states = explore(Case { writes: 4, delays: true, depth });
    println!("{states} states of 4 writes with everything on its way, up to {depth} steps");
    assert!(states > 1_000);
}
