//! A cluster in one thread: machines, virtual time, and a network that delays, loses, cuts, kills and stops.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use horde_cluster::machine::{Input, Membership, Output};
use horde_cluster::{ClusterConfig, ForgetError, MemberEvent, MemberStatus, View};
use horde_transport::{DownReason, NodeId, NodeName, Peer, Role};

/// How long the network takes to notice that a connection carries nothing.
const IDLE: Duration = Duration::from_secs(1);
/// How often it tries to connect.
const REDIAL: Duration = Duration::from_millis(100);

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Random numbers from a seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit.max(1)
    }
}

pub(crate) struct Node {
    pub(crate) machine: Membership,
    pub(crate) address: SocketAddr,
    pub(crate) paused_until: Duration,
    pub(crate) events: Vec<(Duration, MemberEvent)>,
    dialled: BTreeSet<SocketAddr>,
    waiting: Vec<Input>,
}

enum Item {
    Input { to: NodeId, link: u64, input: Input },
    Request { from: NodeId, to: NodeId, link: u64, probe: u64, frame: Bytes },
    Timeout { of: NodeId, probe: u64 },
    Redial,
    Idle { a: NodeId, b: NodeId, link: u64, heard: u64 },
}

struct Link {
    number: u64,
    /// Counts what was delivered, to see whether the connection is idle.
    heard: u64,
    free_at: BTreeMap<NodeId, Duration>,
}

pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    pub(crate) random: Random,
    /// Up to how many others a machine tells everything to all at once. Two for every other seed: each story is told to a
    /// cluster that is large by its own lights, too.
    pub(crate) eager: usize,
    /// The one frame that is lost, of all that are sent.
    pub(crate) lost: Option<u64>,
    pub(crate) sent: u64,
    /// Frames lost, per thousand.
    pub(crate) loss: u64,
    pub(crate) delay_us: (u64, u64),
    /// Directions in which nothing passes.
    pub(crate) cuts: BTreeSet<(NodeId, NodeId)>,
    pub(crate) trace: u64,
    queue: BTreeMap<(Duration, u64), Item>,
    links: BTreeMap<(NodeId, NodeId), Link>,
    open: BTreeSet<(NodeId, u64)>,
    count: u64,
}

pub(crate) fn id(name: &str, incarnation: u64) -> NodeId {
    NodeId::new(NodeName::new(name).unwrap(), incarnation)
}

pub(crate) fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn pair(a: &NodeId, b: &NodeId) -> (NodeId, NodeId) {
    if a < b { (a.clone(), b.clone()) } else { (b.clone(), a.clone()) }
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut world = Self {
            now: Duration::ZERO,
            nodes: BTreeMap::new(),
            random: Random(seed),
            eager: if seed.is_multiple_of(2) { 64 } else { 2 },
            lost: None,
            sent: 0,
            loss: 0,
            delay_us: (100, 500),
            cuts: BTreeSet::new(),
            trace: seed,
            queue: BTreeMap::new(),
            links: BTreeMap::new(),
            open: BTreeSet::new(),
            count: 0,
        };
        world.later(REDIAL, Item::Redial);
        world
    }

    /// A cluster of `n` nodes that know only the first one's address, all Up.
    pub(crate) fn cluster(seed: u64, n: usize) -> (Self, Vec<NodeId>) {
        let mut world = Self::new(seed);
        let ids: Vec<NodeId> = (0..n).map(|i| id(&format!("n{i:02}"), 1)).collect();
        for (i, id) in ids.iter().enumerate() {
            let config = ClusterConfig { expect: Some(n), seed, ..ClusterConfig::default() };
            world.start(id.clone(), 4000 + u16::try_from(i).unwrap(), config);
        }
        world.run_for(ms(3000));
        world.assert_all_agree();
        (world, ids)
    }

    pub(crate) fn start(&mut self, id: NodeId, port: u16, config: ClusterConfig) {
        let address = address(port);
        let config =
            ClusterConfig { address: Some(address), seeds: vec![super::world::address(4000)], ..config };
        let config = ClusterConfig { eager_members: self.eager, ..config };
        let machine = Membership::new(id.clone(), config, self.now).unwrap();
        let (events, dialled, waiting) = (Vec::new(), BTreeSet::new(), Vec::new());
        let node = Node { machine, address, paused_until: Duration::ZERO, events, dialled, waiting };
        self.nodes.insert(id.clone(), node);
        self.perform(&id);
    }

    fn later(&mut self, delay: Duration, item: Item) {
        self.count += 1;
        self.queue.insert((self.now + delay, self.count), item);
    }

    fn delay(&mut self) -> Duration {
        let (low, high) = self.delay_us;
        Duration::from_micros(low + self.random.below(high - low + 1))
    }

    /// SIGKILL: with a hint to whoever is connected, or as a host that vanishes.
    pub(crate) fn kill(&mut self, id: &NodeId, hint: bool) {
        self.nodes.remove(id);
        let linked: Vec<_> = self.links.keys().filter(|(a, b)| a == id || b == id).cloned().collect();
        for (a, b) in linked {
            let other = if a == *id { b.clone() } else { a.clone() };
            let link = &self.links[&(a.clone(), b.clone())];
            let (number, heard) = (link.number, link.heard);
            if hint && !self.cuts.contains(&(id.clone(), other.clone())) {
                let wait = self.delay();
                self.later(
                    wait,
                    Item::Input { to: other, link: number, input: Input::CrashHint { peer: id.clone() } },
                );
            }
            self.later(IDLE, Item::Idle { a, b, link: number, heard });
        }
    }

    pub(crate) fn cut(&mut self, a: &NodeId, b: &NodeId) {
        self.cuts.insert((a.clone(), b.clone()));
        self.cuts.insert((b.clone(), a.clone()));
    }

    pub(crate) fn heal_all(&mut self) {
        self.cuts.clear();
    }

    pub(crate) fn pause(&mut self, id: &NodeId, time: Duration) {
        let until = self.now + time;
        if let Some(node) = self.nodes.get_mut(id) {
            node.paused_until = node.paused_until.max(until);
        }
    }

    pub(crate) fn input(&mut self, to: &NodeId, input: Input) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(to) else { return };
        if now < node.paused_until {
            node.waiting.push(input);
            return;
        }
        node.machine.handle(now, input);
        self.perform(to);
    }

    /// An operator says at `by` that `whom` will not come back.
    pub(crate) fn forget(&mut self, by: &NodeId, whom: &NodeId) -> Result<bool, ForgetError> {
        let now = self.now;
        let node = self.nodes.get_mut(by).expect("a node that runs");
        let done = node.machine.forget(now, whom);
        self.perform(by);
        done
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until `done`, at most `limit`; how long it took.
    pub(crate) fn run_until(
        &mut self,
        what: &str,
        limit: Duration,
        done: impl Fn(&Self) -> bool,
    ) -> Duration {
        let start = self.now;
        while !done(self) {
            assert!(self.step(start + limit), "{what} did not come within {limit:?}");
        }
        self.now - start
    }

    fn step(&mut self, end: Duration) -> bool {
        let due = |node: &Node| {
            let due = if node.waiting.is_empty() { node.machine.poll_timeout()? } else { node.paused_until };
            Some(due.max(node.paused_until))
        };
        let timer = self.nodes.iter().filter_map(|(id, node)| Some((due(node)?, id.clone()))).min();
        let item = self.queue.first_key_value().map(|(key, _)| key.0);
        let next = timer.as_ref().map(|timer| timer.0).into_iter().chain(item).min();
        let Some(next) = next.filter(|next| *next <= end) else { return false };
        self.now = self.now.max(next);
        match timer {
            Some((at, id)) if item.is_none_or(|item| at <= item) => self.tick(&id),
            _ => {
                if let Some((_, item)) = self.queue.pop_first() {
                    self.item(item);
                }
            }
        }
        true
    }

    /// Time for one node: what waited during a pause comes before or after its timer, as chance has it.
    fn tick(&mut self, id: &NodeId) {
        let (now, timer_first) = (self.now, self.random.below(2) == 0);
        let Some(node) = self.nodes.get_mut(id) else { return };
        let waiting = std::mem::take(&mut node.waiting);
        if timer_first || waiting.is_empty() {
            node.machine.handle_timeout(now);
        }
        for input in waiting {
            node.machine.handle(now, input);
        }
        self.perform(id);
    }

    fn item(&mut self, item: Item) {
        match item {
            Item::Input { to, link, input } => {
                if self.carries(&to, link) {
                    self.input(&to, input);
                }
            }
            Item::Request { from, to, link, probe, frame } => self.request(&from, &to, link, probe, &frame),
            Item::Timeout { of, probe } => self.probed(&of, probe, false),
            Item::Redial => self.redial(),
            Item::Idle { a, b, link, heard } => self.idle(&a, &b, link, heard),
        }
    }

    fn carries(&self, to: &NodeId, link: u64) -> bool {
        self.links.iter().any(|((a, b), l)| l.number == link && (a == to || b == to))
    }

    fn request(&mut self, from: &NodeId, to: &NodeId, link: u64, probe: u64, frame: &[u8]) {
        let Some(node) = self.nodes.get(to) else { return };
        if !self.carries(to, link) || self.now < node.paused_until || node.machine.answer(frame).is_none() {
            return;
        }
        if self.passes(to, from) && self.open.contains(&(from.clone(), probe)) {
            self.open.remove(&(from.clone(), probe));
            let wait = self.delay();
            let input = Input::Probed { probe, answered: true };
            self.later(wait, Item::Input { to: from.clone(), link, input });
        }
    }

    fn probed(&mut self, of: &NodeId, probe: u64, answered: bool) {
        if self.open.remove(&(of.clone(), probe)) {
            self.input(of, Input::Probed { probe, answered });
        }
    }

    fn passes(&mut self, from: &NodeId, to: &NodeId) -> bool {
        !self.cuts.contains(&(from.clone(), to.clone())) && self.random.below(1000) >= self.loss
    }

    fn redial(&mut self) {
        self.later(REDIAL, Item::Redial);
        let ids: Vec<NodeId> = self.nodes.keys().cloned().collect();
        for (i, a) in ids.iter().enumerate() {
            for b in &ids[i + 1..] {
                let (left, right) = (&self.nodes[a], &self.nodes[b]);
                let wanted = left.dialled.contains(&right.address) || right.dialled.contains(&left.address);
                let awake = self.now >= left.paused_until && self.now >= right.paused_until;
                let open = !self.cuts.contains(&(a.clone(), b.clone()))
                    && !self.cuts.contains(&(b.clone(), a.clone()));
                if wanted && awake && open && !self.links.contains_key(&pair(a, b)) {
                    self.connect(a, b);
                }
            }
        }
    }

    fn connect(&mut self, a: &NodeId, b: &NodeId) {
        self.count += 1;
        let number = self.count;
        self.links.insert(pair(a, b), Link { number, heard: 0, free_at: BTreeMap::new() });
        for (to, other) in [(a, b), (b, a)] {
            let peer = Peer { id: other.clone(), address: Some(self.nodes[other].address), role: Role::Node };
            self.later(
                Duration::ZERO,
                Item::Input { to: to.clone(), link: number, input: Input::PeerUp(peer) },
            );
        }
        let (a, b) = pair(a, b);
        self.later(IDLE, Item::Idle { a, b, link: number, heard: 0 });
    }

    fn idle(&mut self, a: &NodeId, b: &NodeId, number: u64, heard: u64) {
        let key = (a.clone(), b.clone());
        let Some(link) = self.links.get(&key).filter(|link| link.number == number) else { return };
        let (now_heard, stale) = (link.heard, link.heard == heard);
        let (a, b) = (a.clone(), b.clone());
        if stale {
            self.disconnect(&a, &b, &DownReason::Lost("idle".into()));
        } else {
            self.later(IDLE, Item::Idle { a, b, link: number, heard: now_heard });
        }
    }

    fn disconnect(&mut self, a: &NodeId, b: &NodeId, reason: &DownReason) {
        if self.links.remove(&pair(a, b)).is_some() {
            for (to, peer) in [(a, b), (b, a)] {
                self.input(to, Input::PeerDown { peer: peer.clone(), reason: reason.clone() });
            }
        }
    }

    /// Does what a machine says.
    fn perform(&mut self, id: &NodeId) {
        while let Some(node) = self.nodes.get_mut(id) {
            let Some(output) = node.machine.poll_output() else { return };
            let now = self.now;
            match output {
                Output::Dial(address) => {
                    node.dialled.insert(address);
                }
                Output::Undial(address) => {
                    node.dialled.remove(&address);
                }
                Output::Publish { events, .. } => {
                    node.events.extend(events.into_iter().map(|event| (now, event)))
                }
                Output::Warn(_) => {}
                Output::Disconnect { peer, .. } => self.disconnect(id, &peer, &DownReason::Disconnected),
                Output::Send { to, frame } => self.carry(id, &to, |link| {
                    let input = Input::Frame { from: id.clone(), frame: frame.clone() };
                    Item::Input { to: to.clone(), link, input }
                }),
                Output::Probe { to, probe, frame, timeout } => {
                    self.open.insert((id.clone(), probe));
                    self.later(timeout, Item::Timeout { of: id.clone(), probe });
                    self.carry(id, &to, |link| {
                        let (from, to, frame) = (id.clone(), to.clone(), frame.clone());
                        Item::Request { from, to, link, probe, frame }
                    });
                }
            }
        }
    }

    /// Carries something over a connection, in order, if there is one and nothing is lost.
    fn carry(&mut self, from: &NodeId, to: &NodeId, item: impl Fn(u64) -> Item) {
        let (delay, passes) = (self.delay(), self.passes(from, to));
        let passes = passes && self.lost != Some(self.sent);
        self.sent += 1;
        let now = self.now;
        let alive = self.nodes.contains_key(to);
        let Some(link) = self.links.get_mut(&pair(from, to)) else { return };
        self.trace = (self.trace ^ now.as_nanos() as u64 ^ link.number).wrapping_mul(0x0100_0000_01b3);
        if !passes || !alive {
            return;
        }
        link.heard += 1;
        let free = link.free_at.entry(to.clone()).or_default();
        *free = (*free).max(now + delay);
        let (wait, number) = (*free - now, link.number);
        self.later(wait, item(number));
    }

    pub(crate) fn view(&self, id: &NodeId) -> Arc<View> {
        self.nodes[id].machine.view().clone()
    }

    pub(crate) fn status(&self, of: &NodeId, seen_by: &NodeId) -> Option<MemberStatus> {
        self.view(seen_by).status(of)
    }

    /// Whether all that run see each other Up, and nobody else alive.
    pub(crate) fn agree(&self) -> bool {
        self.nodes.values().all(|node| {
            let view = node.machine.view();
            view.alive().count() == self.nodes.len()
                && self.nodes.keys().all(|id| view.status(id) == Some(MemberStatus::Up))
        })
    }

    pub(crate) fn assert_all_agree(&self) {
        assert!(self.agree(), "at {:?} views differ: {:#?}", self.now, self.statuses());
    }

    fn statuses(&self) -> BTreeMap<NodeId, Vec<(NodeId, MemberStatus)>> {
        let statuses = |node: &Node| {
            node.machine.view().members.values().map(|member| (member.id.clone(), member.status)).collect()
        };
        self.nodes.iter().map(|(id, node)| (id.clone(), statuses(node))).collect()
    }

    /// Who was called Down by whom.
    pub(crate) fn downs(&self) -> Vec<(Duration, NodeId, NodeId)> {
        let mut downs = Vec::new();
        for (by, node) in &self.nodes {
            for (at, event) in &node.events {
                if let MemberEvent::Down(id) = event {
                    downs.push((*at, by.clone(), id.clone()));
                }
            }
        }
        downs
    }
}
