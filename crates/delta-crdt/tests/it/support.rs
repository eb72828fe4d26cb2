//! A network of replicas in one thread: messages arrive in order, unless a link is cut.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use delta_crdt::{
    Change, Config, Key, LastWriter, Message, Now, Output, Replica, ReplicaId, Warning, Winner,
};

pub(crate) const START: Now = Now { monotonic: Duration::ZERO, unix_ms: 1_700_000_000_000 };

/// The first life of a node.
pub(crate) const fn id(node: u64) -> ReplicaId {
    ReplicaId::new(node, 1)
}

pub(crate) fn later(now: Now, by: Duration) -> Now {
    Now { monotonic: now.monotonic + by, unix_ms: now.unix_ms + by.as_millis() as u64 }
}

/// All that a replica puts out now.
pub(crate) fn outputs<K: Key, V: Clone, W: Winner<V>>(replica: &mut Replica<K, V, W>) -> Vec<Output<K, V>> {
    std::iter::from_fn(|| replica.poll_output()).collect()
}

/// What a replica sends now, and to whom; its other outputs are dropped.
pub(crate) fn sends<K: Key, V: Clone, W: Winner<V>>(
    replica: &mut Replica<K, V, W>,
) -> Vec<(ReplicaId, Message<K, V>)> {
    let sends = outputs(replica).into_iter().filter_map(|output| match output {
        Output::Send { to, message } => Some((to, message)),
        _ => None,
    });
    sends.collect()
}

/// What a replica sends to one other now.
pub(crate) fn sent<K: Key, V: Clone, W: Winner<V>>(
    from: &mut Replica<K, V, W>,
    to: ReplicaId,
) -> Vec<Message<K, V>> {
    sends(from).into_iter().filter(|sent| sent.0 == to).map(|sent| sent.1).collect()
}

/// What a replica warns of now; its other outputs are dropped.
pub(crate) fn warnings<K: Key, V: Clone, W: Winner<V>>(replica: &mut Replica<K, V, W>) -> Vec<Warning> {
    let warnings = outputs(replica).into_iter().filter_map(|output| match output {
        Output::Warning(warning) => Some(warning),
        _ => None,
    });
    warnings.collect()
}

pub(crate) struct Node {
    pub(crate) replica: Replica<u64, u64>,
    pub(crate) changes: Vec<Change<u64, u64>>,
    pub(crate) batches: usize,
    pub(crate) synced: BTreeSet<ReplicaId>,
    pub(crate) warnings: Vec<Warning>,
}

pub(crate) struct Net {
    now: Now,
    nodes: Vec<Node>,
    /// Pairs that exchange, each way.
    links: BTreeSet<(usize, usize)>,
    wire: VecDeque<(usize, usize, Message<u64, u64>)>,
}

fn node(i: usize, config: Config) -> Node {
    Node {
        replica: Replica::new(ReplicaId::new(i as u64 + 1, 1), config, LastWriter),
        changes: Vec::new(),
        batches: 0,
        synced: BTreeSet::new(),
        warnings: Vec::new(),
    }
}

impl Net {
    pub(crate) fn new(nodes: usize, config: Config) -> Self {
        let mut net = Self { now: START, nodes: Vec::new(), links: BTreeSet::new(), wire: VecDeque::new() };
        net.nodes = (0..nodes).map(|i| node(i, config.clone())).collect();
        let ids: Vec<_> = net.nodes.iter().map(|node| node.replica.id()).collect();
        net.nodes.iter_mut().for_each(|node| node.replica.set_members(ids.clone()));
        net
    }

    pub(crate) fn full(nodes: usize, config: Config) -> Self {
        let mut net = Self::new(nodes, config);
        for a in 0..nodes {
            for b in 0..a {
                net.link(a, b);
            }
        }
        net.settle();
        net
    }

    pub(crate) fn replace(&mut self, i: usize, config: Config) {
        self.nodes[i] = node(i, config);
    }

    pub(crate) fn node(&self, i: usize) -> &Node {
        &self.nodes[i]
    }

    pub(crate) fn replica(&self, i: usize) -> &Replica<u64, u64> {
        &self.nodes[i].replica
    }

    pub(crate) fn replica_mut(&mut self, i: usize) -> &mut Replica<u64, u64> {
        &mut self.nodes[i].replica
    }

    pub(crate) fn now(&self) -> Now {
        self.now
    }

    pub(crate) fn advance(&mut self, by: Duration) -> Now {
        self.now.monotonic += by;
        self.now.unix_ms += by.as_millis() as u64;
        self.now
    }

    pub(crate) fn link(&mut self, a: usize, b: usize) {
        self.link_one_way(a, b);
        self.link_one_way(b, a);
    }

    /// `a` has `b` as a neighbour; messages pass both ways.
    pub(crate) fn link_one_way(&mut self, a: usize, b: usize) {
        self.links.extend([(a, b), (b, a)]);
        let id = self.replica(b).id();
        let now = self.now;
        self.nodes[a].replica.peer_up(now, id);
    }

    /// Messages pass between all, whoever is whose neighbour.
    pub(crate) fn connect_all(&mut self) {
        let all = 0..self.nodes.len();
        self.links = all.clone().flat_map(|a| all.clone().map(move |b| (a, b))).collect();
    }

    pub(crate) fn set_neighbours(&mut self, i: usize, others: impl IntoIterator<Item = usize>) {
        let now = self.now;
        self.nodes[i].replica.set_neighbours(now, others.into_iter().map(|other| id(other as u64 + 1)));
    }

    pub(crate) fn cut(&mut self, a: usize, b: usize) {
        self.links.remove(&(a, b));
        self.links.remove(&(b, a));
        let (now, ids) = (self.now, [self.replica(a).id(), self.replica(b).id()]);
        self.nodes[a].replica.peer_down(now, ids[1]);
        self.nodes[b].replica.peer_down(now, ids[0]);
    }

    pub(crate) fn put(&mut self, i: usize, key: u64, value: u64) -> Change<u64, u64> {
        self.nodes[i].replica.put(self.now, key, value)
    }

    pub(crate) fn merge(&mut self, i: usize, pairs: impl IntoIterator<Item = (u64, u64)>) {
        self.nodes[i].replica.merge(self.now, pairs);
    }

    pub(crate) fn remove(&mut self, i: usize, key: u64) -> Option<Change<u64, u64>> {
        self.nodes[i].replica.remove(self.now, &key)
    }

    pub(crate) fn get(&self, i: usize, key: u64) -> Option<u64> {
        self.replica(i).get(&key).copied()
    }

    /// Delivers until nothing is on its way.
    pub(crate) fn settle(&mut self) {
        loop {
            for i in 0..self.nodes.len() {
                self.nodes[i].replica.flush(self.now);
                self.take_outputs(i);
            }
            let Some((from, to, message)) = self.wire.pop_front() else { return };
            let bytes = message.encode();
            let message = Message::decode(&bytes).expect("what was encoded decodes");
            let id = self.replica(from).id();
            let now = self.now;
            self.nodes[to].replica.receive(now, id, message);
            self.nodes[to].replica.check_invariants();
        }
    }

    fn take_outputs(&mut self, i: usize) {
        while let Some(output) = self.nodes[i].replica.poll_output() {
            match output {
                Output::Send { to, message } => {
                    let to = to.node as usize - 1;
                    if self.links.contains(&(i, to)) {
                        self.wire.push_back((i, to, message));
                    }
                }
                Output::Changed(changes) => {
                    self.nodes[i].batches += 1;
                    self.nodes[i].changes.extend(changes);
                }
                Output::Synced { peer } => {
                    self.nodes[i].synced.insert(peer);
                }
                Output::Warning(warning) => self.nodes[i].warnings.push(warning),
            }
        }
    }

    /// Lets time pass, timer by timer.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now.monotonic + time;
        self.settle();
        while let Some(next) = self.nodes.iter().filter_map(|n| n.replica.poll_timeout()).min() {
            if next > end {
                break;
            }
            let by = next.saturating_sub(self.now.monotonic);
            let now = self.advance(by);
            self.nodes.iter_mut().for_each(|node| node.replica.handle_timeout(now));
            self.settle();
        }
        let rest = end.saturating_sub(self.now.monotonic);
        self.advance(rest);
    }

    pub(crate) fn assert_equal(&self) {
        let first = self.replica(0).to_map();
        for node in &self.nodes {
            assert_eq!(node.replica.to_map(), first);
            assert!(
                node.warnings.iter().all(|w| !matches!(w, Warning::Diverged { .. })),
                "{:?}",
                node.warnings
            );
        }
    }
}
