//! A network inside one OS process, for tests: nodes, cuts and kills at will.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;

use crate::dispatch::{Dispatch, Item, lock};
use crate::{
    DownReason, Lane, Limits, Network, NodeId, OnReply, Peer, RequestError, Role, SendError, Subscriber,
    Subscription, Topic, TopicTaken,
};

/// A network in memory: every attached node is connected to every other one at once, until cut.
///
/// Cheap to clone; all clones are one network. Frames take no time but a task hop, are delivered in order for each
/// pair and lane, and are lost only to a cut, a kill or [`MemoryNetwork::mute`]. Each node's events come from one
/// task on the runtime that attached it. Under tokio's paused clock a test with one runtime is deterministic.
///
/// ```
/// # use horde_transport::{MemoryNetwork, Network, NodeId, NodeName};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), horde_transport::NameError> {
/// let network = MemoryNetwork::new();
/// let one = network.attach(NodeId::new(NodeName::new("one")?, 1));
/// let two = network.attach(NodeId::new(NodeName::new("two")?, 1));
/// assert_eq!(one.peers()[0].id, *two.local());
/// network.cut(one.local(), two.local());
/// assert!(one.peers().is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct MemoryNetwork {
    hub: Arc<Mutex<Hub>>,
}

#[derive(Default)]
struct Hub {
    nodes: BTreeMap<NodeId, Attached>,
    /// Pairs that are connected now, smaller id first, with the number of their connection.
    links: BTreeMap<(NodeId, NodeId), u64>,
    cuts: BTreeSet<(NodeId, NodeId)>,
    muted: BTreeSet<(NodeId, NodeId)>,
    last_link: u64,
}

struct Attached {
    dispatch: Arc<Dispatch>,
    role: Role,
}

/// One node of a [`MemoryNetwork`]. Dropped, it is lost to the others as if its connections broke.
pub struct MemoryNode {
    hub: Weak<Mutex<Hub>>,
    dispatch: Arc<Dispatch>,
}

/// The link number of a node's requests to itself.
const SELF: u64 = 0;
/// Lives of one name that are connected at once.
const LIVES: usize = 2;

fn pair(a: &NodeId, b: &NodeId) -> (NodeId, NodeId) {
    if a < b { (a.clone(), b.clone()) } else { (b.clone(), a.clone()) }
}

impl MemoryNetwork {
    /// An empty network.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a node and connects it to all others; its task runs on the caller's tokio runtime.
    ///
    /// Two lives of one name may be attached at once, as over QUIC; a third is connected to nobody, until one of them
    /// is gone and it is healed. Attaching the same id again ends the earlier one (`Replaced`).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn attach(&self, id: NodeId) -> Arc<MemoryNode> {
        self.attach_with(id, Role::Node, Limits::default())
    }

    /// As [`MemoryNetwork::attach`], in another role and with other limits.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn attach_with(&self, id: NodeId, role: Role, limits: Limits) -> Arc<MemoryNode> {
        let dispatch = Dispatch::start(id.clone(), limits, Handle::current());
        let mut hub = lock(&self.hub);
        if hub.nodes.contains_key(&id) {
            hub.remove(&id, &DownReason::Replaced, false);
        }
        hub.nodes.insert(id.clone(), Attached { dispatch: dispatch.clone(), role });
        let others: Vec<NodeId> = hub.nodes.keys().filter(|other| **other != id).cloned().collect();
        for other in others {
            hub.connect(&id, &other);
        }
        Arc::new(MemoryNode { hub: Arc::downgrade(&self.hub), dispatch })
    }

    /// Breaks the connection of two nodes, and keeps it broken until [`MemoryNetwork::heal`]. Both see `Down`, `Lost`.
    pub fn cut(&self, a: &NodeId, b: &NodeId) {
        let mut hub = lock(&self.hub);
        hub.cuts.insert(pair(a, b));
        hub.disconnect(a, b, [DownReason::Lost("cut".into()), DownReason::Lost("cut".into())]);
    }

    /// Undoes a cut or a `disconnect`: the two nodes see each other `Up` again.
    pub fn heal(&self, a: &NodeId, b: &NodeId) {
        let mut hub = lock(&self.hub);
        hub.cuts.remove(&pair(a, b));
        hub.connect(a, b);
    }

    /// Cuts a node off from all others.
    pub fn isolate(&self, node: &NodeId) {
        for other in self.others(node) {
            self.cut(node, &other);
        }
    }

    /// Heals a node's connections to all others.
    pub fn rejoin(&self, node: &NodeId) {
        for other in self.others(node) {
            self.heal(node, &other);
        }
    }

    /// Loses every frame and answer from `from` to `to`, while the connection stands. One way; see [`MemoryNetwork::unmute`].
    pub fn mute(&self, from: &NodeId, to: &NodeId) {
        lock(&self.hub).muted.insert((from.clone(), to.clone()));
    }

    /// Lets frames from `from` to `to` pass again.
    pub fn unmute(&self, from: &NodeId, to: &NodeId) {
        lock(&self.hub).muted.remove(&(from.clone(), to.clone()));
    }

    /// Tells all others that the kernel closed this node's tether, true or not.
    pub fn hint(&self, node: &NodeId) {
        lock(&self.hub).hint(node);
    }

    /// Ends a node as SIGKILL would: the others get a crash hint, then `Down`, `Lost`; it hears nothing more.
    pub fn kill(&self, node: &NodeId) {
        let mut hub = lock(&self.hub);
        hub.hint(node);
        hub.remove(node, &DownReason::Lost("killed".into()), false);
    }

    /// Takes a node out as a clean close would: the others see `Down`, `Goodbye`; it hears nothing more.
    pub fn detach(&self, node: &NodeId) {
        lock(&self.hub).remove(node, &DownReason::Goodbye, false);
    }

    /// Stops a node as SIGSTOP would, or lets it go on: while muted both ways it is silent, and nobody is told.
    pub fn silence(&self, node: &NodeId, silent: bool) {
        for other in self.others(node) {
            for (from, to) in [(node, &other), (&other, node)] {
                if silent { self.mute(from, to) } else { self.unmute(from, to) }
            }
        }
    }

    fn others(&self, node: &NodeId) -> Vec<NodeId> {
        lock(&self.hub).nodes.keys().filter(|other| *other != node).cloned().collect()
    }
}

impl Hub {
    fn connect(&mut self, a: &NodeId, b: &NodeId) {
        let key = pair(a, b);
        let unfit = self.cuts.contains(&key) || self.links.contains_key(&key);
        if a == b || unfit || self.lives(a, b) >= LIVES || self.lives(b, a) >= LIVES {
            return;
        }
        let (Some(left), Some(right)) = (self.nodes.get(a), self.nodes.get(b)) else { return };
        self.last_link += 1;
        self.links.insert(key, self.last_link);
        let peer = |id: &NodeId, role| Peer { id: id.clone(), address: None, role };
        left.dispatch.push(Item::Up(peer(b, right.role), None));
        right.dispatch.push(Item::Up(peer(a, left.role), None));
    }

    /// How many lives of the name of `other` are connected to `node`, itself included.
    fn lives(&self, node: &NodeId, other: &NodeId) -> usize {
        let named = |one: &NodeId, two: &NodeId| one == node && two.name() == other.name();
        let own = usize::from(node.name() == other.name());
        self.links.keys().filter(|(a, b)| named(a, b) || named(b, a)).count() + own
    }

    /// `reasons`: what `a` hears, and what `b` hears.
    fn disconnect(&mut self, a: &NodeId, b: &NodeId, reasons: [DownReason; 2]) {
        let Some(link) = self.links.remove(&pair(a, b)) else { return };
        for ((node, gone), reason) in [(a, b), (b, a)].into_iter().zip(reasons) {
            if let Some(node) = self.nodes.get(node) {
                node.dispatch.interrupt(link);
                node.dispatch.push(Item::Down(gone.clone(), reason));
            }
        }
    }

    fn remove(&mut self, node: &NodeId, reason: &DownReason, told: bool) {
        if !told && let Some(node) = self.nodes.get(node) {
            node.dispatch.close();
        }
        let others: Vec<NodeId> = self.nodes.keys().filter(|other| *other != node).cloned().collect();
        for other in &others {
            self.disconnect(node, other, [DownReason::Disconnected, reason.clone()]);
        }
        self.nodes.remove(node);
        self.cuts.retain(|(a, b)| a != node && b != node);
        self.muted.retain(|(a, b)| a != node && b != node);
    }

    fn hint(&self, node: &NodeId) {
        for (a, b) in self.links.keys() {
            let other = if a == node {
                b
            } else if b == node {
                a
            } else {
                continue;
            };
            if let Some(other) = self.nodes.get(other) {
                other.dispatch.push(Item::Hint(node.clone()));
            }
        }
    }

    /// The receiving end and the link's number, if the two are connected; no end when frames that way are lost.
    fn route(&self, from: &NodeId, to: &NodeId) -> Option<(u64, Option<Arc<Dispatch>>)> {
        let link = if from == to { SELF } else { *self.links.get(&pair(from, to))? };
        let node = self.nodes.get(to)?;
        let muted = self.muted.contains(&(from.clone(), to.clone()));
        Some((link, (!muted).then(|| node.dispatch.clone())))
    }
}

impl MemoryNode {
    fn route(&self, to: &NodeId) -> Option<(u64, Option<Arc<Dispatch>>)> {
        let hub = self.hub.upgrade()?;
        lock(&hub).route(self.dispatch.local(), to)
    }

    /// What carries the answer of request `id` back from `to`.
    fn answer(&self, to: NodeId, id: u64, link: u64) -> OnReply {
        let (hub, asker) = (self.hub.clone(), self.dispatch.clone());
        Box::new(move |outcome| {
            let Some(hub) = hub.upgrade() else { return };
            let route = lock(&hub).route(&to, asker.local());
            let Some((now, Some(_))) = route else { return };
            if now != link {
                return;
            }
            let outcome = outcome.and_then(|frame| match asker.check_size(Lane::Calls, &frame) {
                Ok(()) => Ok(frame),
                Err(_too_big) => Err(RequestError::Unanswered),
            });
            if let Some(on_reply) = asker.pending.take(id, link) {
                asker.push(Item::Reply(on_reply, outcome));
            }
        })
    }
}

impl Network for MemoryNode {
    fn local(&self) -> &NodeId {
        self.dispatch.local()
    }

    fn peers(&self) -> Vec<Peer> {
        let Some(hub) = self.hub.upgrade() else { return Vec::new() };
        let hub = lock(&hub);
        let connected = |id: &NodeId| hub.links.contains_key(&pair(id, self.local()));
        let peers = hub.nodes.iter().filter(|(id, _)| connected(id));
        peers.map(|(id, node)| Peer { id: id.clone(), address: None, role: node.role }).collect()
    }

    fn send(&self, to: &NodeId, topic: &Topic, lane: Lane, frame: Bytes) -> Result<(), SendError> {
        self.dispatch.check_size(lane, &frame)?;
        let (_, end) = self.route(to).ok_or_else(|| SendError::NotConnected(to.clone()))?;
        let Some(end) = end else { return Ok(()) };
        let item = Item::Frame { from: self.local().clone(), topic: topic.clone(), lane, frame };
        end.push_bounded(item).map_err(|_back| SendError::Full(to.clone()))
    }

    fn request(&self, to: &NodeId, topic: &Topic, frame: Bytes, timeout: Duration, on_reply: OnReply) {
        if let Err(error) = self.dispatch.check_size(Lane::Calls, &frame) {
            return self.dispatch.refuse(on_reply, error);
        }
        let Some((link, end)) = self.route(to) else {
            return self.dispatch.refuse(on_reply, SendError::NotConnected(to.clone()));
        };
        let Some(id) = self.dispatch.expect(to, link, timeout, on_reply) else { return };
        let answer = self.answer(to.clone(), id, link);
        let (from, topic) = (self.local().clone(), topic.clone());
        let Some(end) = end else { return };
        if end.push_bounded(Item::Request { from, topic, frame, timeout, answer }).is_err()
            && let Some(on_reply) = self.dispatch.pending.take(id, link)
        {
            self.dispatch.refuse(on_reply, SendError::Full(to.clone()));
        }
    }

    fn subscribe(&self, topic: &Topic, subscriber: Arc<dyn Subscriber>) -> Result<Subscription, TopicTaken> {
        self.dispatch.subscribe(topic, subscriber)
    }

    fn dial(&self, _address: SocketAddr) {}

    fn undial(&self, _address: SocketAddr) {}

    fn disconnect(&self, peer: &NodeId, why: &str) {
        let Some(hub) = self.hub.upgrade() else { return };
        let told = DownReason::Lost(format!("disconnected by {}: {why}", self.local()));
        lock(&hub).disconnect(self.local(), peer, [DownReason::Disconnected, told]);
    }
}

impl Drop for MemoryNode {
    fn drop(&mut self) {
        self.dispatch.close();
        let Some(hub) = self.hub.upgrade() else { return };
        let mut hub = lock(&hub);
        if hub.nodes.get(self.local()).is_some_and(|node| Arc::ptr_eq(&node.dispatch, &self.dispatch)) {
            hub.remove(self.local(), &DownReason::Lost("dropped".into()), true);
        }
    }
}

impl fmt::Debug for MemoryNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryNetwork").finish_non_exhaustive()
    }
}

impl fmt::Debug for MemoryNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryNode").field("local", self.dispatch.local()).finish_non_exhaustive()
    }
}
