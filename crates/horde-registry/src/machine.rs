//! The registry's rules as a pure machine: no clock, no task, no network.
//!
//! ```text
//!  register, unregister, update_value, process_ended --+                 +--> Changed, Hidden   (the readers' view)
//!  set_view, link_up, link_down (membership, network) -+--> [ Names ] ---+--> Send              (to other hosts)
//!  receive (replica messages), flush, handle_timeout --+  replica below  +--> Signal            (a local process lost a name)
//!                                                                        +--> Ready, Warning
//! ```
//!
//! What holds after each call:
//! - A living local process that registered a name and did not lose it, holds it in this node's copy.
//! - The node of a process is the authority over its names: it alone writes them again, and it alone signals.
//! - Names of a dead node are hidden, stay for its return, and go by its keys' coordinators.

mod authority;
mod config;
mod entry;
mod error;
mod faults;
mod index;
mod moving;
mod order;
mod output;
mod purge;
mod readiness;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use delta_crdt::{Now, Replica, ReplicaId};
use horde_process::{Claim, Pid};
use horde_transport::NodeId;

pub use config::Config;
pub use entry::{Entry, Key};
pub use error::{OwnerError, Part, RegisterError};
#[cfg(any(test, feature = "faults"))]
pub use faults::Fault;
pub use order::Order;
pub use output::{Change, Message, Output};
pub use view::{Host, Member, Presence};

use index::Index;
use moving::Outranked;
use view::Nodes;

/// The replica id of a node: its name's hash, and its incarnation.
#[must_use]
pub fn replica_id(node: &NodeId) -> ReplicaId {
    let name = twox_hash::XxHash3_64::oneshot(node.name().as_str().as_bytes());
    ReplicaId::new(name, node.incarnation())
}

/// One node's copy of one registry. See the module's picture.
#[derive(Debug)]
pub struct Names {
    local: NodeId,
    config: Config,
    faults: faults::Faults,
    replica: Replica<Key, Arc<Entry>, Order>,
    /// What the living processes of this node hold: the authority over it is here.
    held: BTreeMap<Key, Held>,
    /// The same by process number.
    holders: BTreeMap<u64, BTreeSet<Key>>,
    /// Names of living local processes that another copy of their child holds: theirs again once that copy is gone.
    outranked: Outranked,
    /// Names of local processes that have ended to move, until when they are kept for the new copy.
    moving: BTreeMap<Key, (Pid, Duration)>,
    /// The same in the order of time.
    moved: VecDeque<(Duration, Key)>,
    /// All names, by the node and process that hold them.
    index: Index,
    nodes: Nodes,
    /// The peers by the ids of their replicas.
    replicas: BTreeMap<ReplicaId, NodeId>,
    peers: BTreeSet<NodeId>,
    hidden: BTreeSet<NodeId>,
    coordinators: horde_ring::Rendezvous<NodeId>,
    synced: BTreeSet<NodeId>,
    ready: bool,
    unsent: bool,
    changes: Vec<Change>,
    outputs: VecDeque<Output>,
}

/// A name that a living local process holds.
#[derive(Debug)]
struct Held {
    entry: Arc<Entry>,
    /// The holder on a dead node that we wrote over last. Found there once more, it lives after all.
    overruled: Option<Pid>,
}

impl Names {
    /// An empty copy for the node `local`, hosted by nobody else as far as it knows.
    #[must_use]
    pub fn new(local: NodeId, config: Config) -> Self {
        let id = replica_id(&local);
        let mut names = Self {
            replica: Replica::new(id, config.crdt.clone(), config.order),
            held: BTreeMap::new(),
            holders: BTreeMap::new(),
            outranked: Outranked::default(),
            moving: BTreeMap::new(),
            moved: VecDeque::new(),
            index: Index::default(),
            nodes: Nodes::new(local.clone(), config.purge_after),
            replicas: BTreeMap::new(),
            peers: BTreeSet::new(),
            hidden: BTreeSet::new(),
            coordinators: purge::coordinators(std::iter::once(&local)),
            synced: BTreeSet::new(),
            ready: false,
            unsent: false,
            changes: Vec::new(),
            outputs: VecDeque::new(),
            local,
            config,
            faults: faults::Faults::default(),
        };
        names.replica.set_members([id]);
        names
    }

    /// Registers `key` for the local process `pid`. The name is held, and readers see it, when this returns.
    ///
    /// A name held on a dead node is free. Copies of one child (by `claim`) replace each other by rank.
    ///
    /// # Errors
    /// [`RegisterError`]; nothing was changed.
    pub fn register(
        &mut self,
        now: Now,
        pid: &Pid,
        key: &Key,
        value: Arc<[u8]>,
        claim: Option<&Claim>,
    ) -> Result<(), RegisterError> {
        self.admit(pid, key, &value)?;
        let claim = claim.cloned().map(Box::new);
        let mut entry = Entry { pid: pid.clone(), value, registered_at: self.replica.stamp(now), claim };
        if let Some(holder) = self.replica.get(key).cloned() {
            if self.is_living(key, &holder) && !entry.supersedes(&holder) {
                return Err(RegisterError::AlreadyRegistered(holder.pid.clone()));
            }
            if entry.same_child(&holder) {
                entry.registered_at = holder.registered_at;
            }
            self.release(key);
        }
        self.outranked.remove(key);
        self.moving.remove(key);
        self.holders.entry(pid.number()).or_default().insert(key.clone());
        let entry = Arc::new(entry);
        self.held.insert(key.clone(), Held { entry: Arc::clone(&entry), overruled: None });
        self.write(now, key, entry);
        Ok(())
    }

    fn admit(&self, pid: &Pid, key: &Key, value: &[u8]) -> Result<(), RegisterError> {
        let too_big = |what, size, limit| Err(RegisterError::TooBig { what, size, limit });
        if *pid.node() != self.local {
            return Err(RegisterError::NotLocal(pid.clone()));
        }
        if key.as_bytes().is_empty() {
            return Err(RegisterError::Unencodable { what: Part::Key, why: "it is empty".to_owned() });
        }
        if key.as_bytes().len() > self.config.max_key {
            return too_big(Part::Key, key.as_bytes().len(), self.config.max_key);
        }
        if value.len() > self.config.max_value {
            return too_big(Part::Value, value.len(), self.config.max_value);
        }
        let limit = self.config.max_names_per_process;
        if self.holders.get(&pid.number()).is_some_and(|keys| keys.len() >= limit) {
            return Err(RegisterError::TooManyNames { limit });
        }
        Ok(())
    }

    /// Gives up `key`, which `pid` holds.
    ///
    /// # Errors
    /// [`OwnerError`] when it does not; nothing was changed.
    pub fn unregister(&mut self, now: Now, pid: &Pid, key: &Key) -> Result<(), OwnerError> {
        self.owned(pid, key)?;
        self.release(key);
        self.erase(now, key);
        Ok(())
    }

    /// Replaces the value of `key`, which `pid` holds.
    ///
    /// # Errors
    /// [`OwnerError`] when it does not, or the value is over the limit; nothing was changed.
    pub fn update_value(
        &mut self,
        now: Now,
        pid: &Pid,
        key: &Key,
        value: Arc<[u8]>,
    ) -> Result<(), OwnerError> {
        let held = self.owned(pid, key)?;
        let limit = self.config.max_value;
        if value.len() > limit {
            return Err(OwnerError::TooBig { size: value.len(), limit });
        }
        let entry = Arc::new(Entry { value, ..Entry::clone(&held) });
        if let Some(held) = self.held.get_mut(key) {
            held.entry = Arc::clone(&entry);
        }
        self.write(now, key, entry);
        Ok(())
    }

    fn owned(&self, pid: &Pid, key: &Key) -> Result<Arc<Entry>, OwnerError> {
        match self.held.get(key) {
            Some(held) if held.entry.pid == *pid => Ok(Arc::clone(&held.entry)),
            _ => match self.get(key) {
                Some(entry) => Err(OwnerError::NotOwner(entry.pid.clone())),
                None => Err(OwnerError::NotRegistered),
            },
        }
    }

    /// A local process has ended: its names go with it.
    pub fn process_ended(&mut self, now: Now, pid: &Pid) {
        for (key, _) in self.let_go(pid) {
            self.erase(now, &key);
        }
    }

    /// A local process has ended and runs on elsewhere: the names that it holds as a supervised child lead to it until its new
    /// copy takes them, or `move_patience` is over. The others go with it.
    pub fn process_moves(&mut self, now: Now, pid: &Pid) {
        let until = now.monotonic + self.config.move_patience;
        for (key, entry) in self.let_go(pid) {
            if entry.claim.is_none() {
                self.erase(now, &key);
                continue;
            }
            self.moving.insert(key.clone(), (pid.clone(), until));
            self.moved.push_back((until, key));
        }
    }

    /// A local process holds nothing any more; what it held. Nothing is written.
    fn let_go(&mut self, pid: &Pid) -> Vec<(Key, Arc<Entry>)> {
        if *pid.node() != self.local {
            return Vec::new();
        }
        self.outranked.forget(pid.number());
        let keys = self.holders.remove(&pid.number()).unwrap_or_default();
        let held = keys.into_iter().filter_map(|key| self.held.remove(&key).map(|held| (key, held.entry)));
        held.collect()
    }

    /// Takes what membership says of all members, in place of what it said before.
    pub fn set_view(&mut self, now: Now, members: impl IntoIterator<Item = Member>) {
        let unready: Vec<NodeId> = self.unready_peers().collect();
        self.nodes.set_view(now.monotonic, members);
        let hosts: Vec<NodeId> = self.nodes.hosts().map(|(id, _)| id.clone()).collect();
        let hosts: Vec<NodeId> = std::iter::once(self.local.clone()).chain(hosts).collect();
        self.replica.set_members(hosts.iter().map(replica_id));
        self.coordinators = purge::coordinators(&hosts);
        self.hide();
        self.retake(now);
        self.neighbours(now);
        self.learn_again(now, &unready);
        self.check_ready();
        self.pump(now);
    }

    /// The peers that are not ready as far as is known here, those included of which only a message has come.
    fn unready_peers(&self) -> impl Iterator<Item = NodeId> {
        let ready: BTreeSet<_> =
            self.nodes.hosts().filter(|(_, host)| host.ready).map(|(id, _)| id.clone()).collect();
        self.peers.difference(&ready).cloned().collect::<Vec<_>>().into_iter()
    }

    /// What was synced with a host before it was known to be ready may be less than what it has now: it is asked once more.
    fn learn_again(&mut self, now: Now, unready: &[NodeId]) {
        if self.ready {
            return;
        }
        let readied = |id: &&NodeId| self.nodes.hosts().any(|(host, is)| host == *id && is.ready);
        for id in unready.iter().filter(|id| self.peers.contains(*id)).filter(readied) {
            self.synced.remove(id);
            self.replica.catch_up(now, replica_id(id));
        }
    }

    /// The network has a connection to `node`. Once more without a `link_down` between: a new connection.
    pub fn link_up(&mut self, now: Now, node: &NodeId) {
        self.link_down(now, node);
        self.nodes.link(node, true);
        self.neighbour(now, node);
        self.pump(now);
    }

    /// The network has lost its connection to `node`.
    pub fn link_down(&mut self, now: Now, node: &NodeId) {
        self.nodes.link(node, false);
        self.neighbour(now, node);
        self.pump(now);
    }

    /// Who we exchange with: the hosts that live and can be reached.
    fn neighbours(&mut self, now: Now) {
        let peers = self.nodes.peers();
        let gone: Vec<NodeId> = self.peers.difference(&peers).cloned().collect();
        for node in gone.into_iter().chain(peers) {
            self.neighbour(now, &node);
        }
    }

    /// One of them, or one that is so no more.
    fn neighbour(&mut self, now: Now, node: &NodeId) {
        let (is, was, id) = (self.nodes.is_peer(node), self.peers.contains(node), replica_id(node));
        if was && !is {
            self.synced.remove(node);
            self.replica.peer_down(now, id);
            self.replicas.remove(&id);
            self.peers.remove(node);
        } else if is && !was {
            self.replica.peer_up(now, id);
            // What it said before it was known to be ready, and arrives now, may be less than what it has.
            if !self.ready {
                self.replica.catch_up(now, id);
            }
            self.replicas.insert(id, node.clone());
            self.peers.insert(node.clone());
        }
    }

    fn hide(&mut self) {
        let hidden = self.nodes.hidden();
        if hidden != self.hidden {
            self.hidden.clone_from(&hidden);
            self.outputs.push_back(Output::Hidden(hidden));
        }
    }

    /// Takes a message of the replica on `from`. It comes from a host, whether or not the view says so yet; one from a dead
    /// node or over no connection is not heard: what it said comes with the first sync.
    pub fn receive(&mut self, now: Now, from: &NodeId, message: Message) {
        if !self.peers.contains(from) && self.nodes.hear(from) {
            self.neighbour(now, from);
        }
        if self.peers.contains(from) {
            self.replica.receive(now, replica_id(from), message);
        }
        self.pump(now);
    }

    /// Whether local writes wait for [`Names::flush`]: not while there is no peer to send them to.
    #[must_use]
    pub fn needs_flush(&self) -> bool {
        self.unsent && !self.peers.is_empty()
    }

    /// Sends what local writes have left to send.
    pub fn flush(&mut self, now: Now) {
        self.unsent = false;
        self.replica.flush(now);
        self.pump(now);
    }

    /// When [`Names::handle_timeout`] is due, on the clock of [`Now::monotonic`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let moved = self.moved.front().map(|(until, _)| *until);
        [self.replica.poll_timeout(), self.nodes.next_turn(), moved].into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.replica.handle_timeout(now);
        self.pump(now);
        self.purge(now);
        self.give_up_moves(now);
    }

    /// The next thing for the driver to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        if !self.changes.is_empty() {
            return Some(Output::Changed(std::mem::take(&mut self.changes)));
        }
        self.outputs.pop_front()
    }

    /// Who holds `key`, unless its node is dead.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Arc<Entry>> {
        self.replica.get(key).filter(|entry| !self.hidden.contains(entry.pid.node()))
    }

    /// The names that `pid` holds, on whichever node it runs; none while that node is dead.
    pub fn keys(&self, pid: &Pid) -> impl Iterator<Item = &Key> {
        let shown = !self.hidden.contains(pid.node());
        self.index.of(pid).filter(move |_| shown)
    }

    /// How many names are stored, those of dead nodes included until they are removed.
    #[must_use]
    pub fn stored(&self) -> usize {
        self.replica.len()
    }

    /// Whether others can sync from this copy.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Checks what must hold between any two calls.
    ///
    /// # Panics
    /// When it does not.
    pub fn check_invariants(&self) {
        self.replica.check_invariants();
        for (key, held) in &self.held {
            let holder = self.replica.get(key).map(|entry| &entry.pid);
            assert_eq!(holder, Some(&held.entry.pid), "a living process holds what it did not lose: {key:?}");
            let number = held.entry.pid.number();
            assert!(
                self.holders.get(&number).is_some_and(|keys| keys.contains(key)),
                "{key:?} has no holder"
            );
        }
        assert!(
            self.outranked.keys().all(|key| !self.held.contains_key(key)),
            "nobody waits for what it holds"
        );
        assert!(self.moving.len() <= self.moved.len(), "each name that moves has its time");
        let held: usize = self.holders.values().map(BTreeSet::len).sum();
        assert_eq!(held, self.held.len(), "the holders are the held, by process");
        assert!(self.holders.values().all(|keys| keys.len() <= self.config.max_names_per_process));
        let indexed = self.replica.iter().filter(|(key, entry)| self.index.has(&entry.pid, key)).count();
        assert_eq!(
            (indexed, self.index.len()),
            (self.replica.len(), self.replica.len()),
            "the index is the replica's"
        );
        assert_eq!(self.hidden, self.nodes.hidden(), "readers know which nodes are dead");
    }
}
