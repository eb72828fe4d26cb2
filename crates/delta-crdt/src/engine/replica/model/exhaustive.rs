//! All histories of the smallest case: three replicas, one key, four writes; every order of writes, pushes and pulls that
//! can make a difference, up to a depth.
//!
//! A step is a local put or removal, the arrival of the oldest push on one of the six ways (or its loss), or a whole session
//! between two replicas, answered at one step and committed at a later one. After each history every replica pulls from every
//! other until nothing changes, and all must hold what the specification says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::oracle::{Event, Oracle, covers};
use crate::message::Body;
use crate::{Config, Key, LastWriter, Message, Now, Output, Replica, ReplicaId};

const REPLICAS: usize = 3;
const KEY: u64 = 1;
const WRITES: usize = 4;

/// A history as the list of its steps; replayed from the start, as a replica cannot be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Put(usize),
    Remove(usize),
    /// The oldest push from one to another arrives.
    Push(usize, usize),
    /// One asks another, which answers at once; the answer stays on its way.
    Pull(usize, usize),
    /// The answer arrives.
    Answer(usize, usize),
    /// Tombstones that all cover are dropped at one.
    Collect(usize),
}

struct Small {
    replicas: Vec<Replica<u64, u64>>,
    pushes: BTreeMap<(usize, usize), VecDeque<Message<u64, u64>>>,
    answers: BTreeMap<(usize, usize), Vec<Message<u64, u64>>>,
    oracle: Oracle,
    writes: usize,
}

const NOW: Now = Now { monotonic: Duration::ZERO, unix_ms: 1_700_000_000_000 };

fn id(i: usize) -> ReplicaId {
    ReplicaId::new(i as u64, 1)
}

impl Small {
    fn new() -> Self {
        let replicas = (0..REPLICAS).map(|i| Replica::new(id(i), Config::default(), LastWriter)).collect();
        let mut small = Self {
            replicas,
            pushes: BTreeMap::new(),
            answers: BTreeMap::new(),
            oracle: Oracle::default(),
            writes: 0,
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

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for a in 0..REPLICAS {
            if self.writes < WRITES {
                steps.push(Step::Put(a));
                if self.replicas[a].get(&KEY).is_some() {
                    steps.push(Step::Remove(a));
                }
            }
            if self.replicas[a].stats().tombstones > 0 {
                steps.push(Step::Collect(a));
            }
            for b in (0..REPLICAS).filter(|&b| b != a) {
                if self.pushes.get(&(a, b)).is_some_and(|queue| !queue.is_empty()) {
                    steps.push(Step::Push(a, b));
                }
                match self.answers.contains_key(&(a, b)) {
                    true => steps.push(Step::Answer(a, b)),
                    false if self.lacks(b, a) => steps.push(Step::Pull(a, b)),
                    false => {}
                }
            }
        }
        steps
    }

    /// True if `a` holds a write that `b` does not.
    fn lacks(&self, b: usize, a: usize) -> bool {
        let (ours, theirs) = (&self.replicas[b], &self.replicas[a]);
        self.oracle.events.keys().any(|name| covers(theirs, name) && !covers(ours, name))
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Put(i) | Step::Remove(i) => self.write(i, matches!(step, Step::Remove(_))),
            Step::Push(a, b) => {
                if let Some(message) = self.pushes.get_mut(&(a, b)).and_then(VecDeque::pop_front) {
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
        let value = (!removes).then_some(self.writes as u64);
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
                    self.pull(a, b);
                    self.take(Step::Answer(a, b));
                }
            }
        }
        let held = self.oracle.held(|_| true).remove(&KEY).unwrap_or_default();
        for replica in &self.replicas {
            let live = replica.siblings(&KEY).filter(|sibling| sibling.value.is_some());
            let ours: BTreeSet<_> = live.map(|sibling| sibling.dot).collect();
            if ours != held || replica.hash() != self.replicas[0].hash() {
                return Err(format!("{:?} holds {ours:?} instead of {held:?}", replica.id()));
            }
        }
        Ok(())
    }

    /// What matters of this state for what can still happen.
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
            let heard: Vec<_> = replica.peers.values().map(|peer| peer.heard[0].hash).collect();
            _ = write!(print, "{siblings:?}{vector:?}{heard:?}{:?}", shard.park);
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

fn replay(steps: &[Step]) -> Small {
    let mut small = Small::new();
    steps.iter().for_each(|&step| small.take(step));
    small
}

/// Explores all histories of up to `depth` steps, each state once.
fn explore(depth: usize) -> (usize, usize) {
    let mut seen = BTreeSet::new();
    let mut layer = vec![Vec::new()];
    let (mut states, mut checked) = (0, 0);
    for _ in 0..=depth {
        let mut next = Vec::new();
        for history in core::mem::take(&mut layer) {
            let small = replay(&history);
            if !seen.insert(crate::key::hash_bytes(&small.print())) {
                continue;
            }
            states += 1;
            if history.len() < depth {
                next.extend(small.steps().into_iter().map(|step| [&history[..], &[step]].concat()));
            }
            let mut end = small;
            if let Err(wrong) = end.finish() {
                panic!("{wrong} after {history:?}");
            }
            checked += 1;
        }
        layer = next;
    }
    (states, checked)
}

#[test]
fn all_short_histories_of_three_replicas_and_one_key_end_alike() {
    let depth = std::env::var("DELTA_CRDT_DEPTH").ok().and_then(|text| text.parse().ok());
    let depth = depth.unwrap_or(if cfg!(debug_assertions) { 4 } else { 6 });
    let (states, checked) = explore(depth);
    println!("{states} states of up to {depth} steps, {checked} ends checked");
    assert!(states > 100 && KEY.stable_hash() != 0);
}
