//! The sync machine of one replica.

mod check;
mod collect;
mod log;
#[cfg(test)]
mod model;
mod neighbours;
mod pull;
mod receive;
mod serve;
mod status;
mod time;
mod write;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::line::Line;
use super::origins::Origins;
use super::peer::{Peer, circle_hash};
use super::rules::Rules;
use super::session::{Incoming, Outgoing};
use super::shard::{Context, Shard, winning};
use super::store::{Found, Sibs};
use crate::clock::Clock;
use crate::message::Body;
use crate::{
    Config, Dot, Key, LastWriter, Message, Now, Output, ReplicaId, Sibling, Stamp, Stats, Warning, Winner,
};

use log::Numbering;
use write::Pending;

/// A replica of an add-wins map, and the machine that keeps it equal to the others.
///
/// It does no input or output: the caller hands in the time, its own writes and what peers sent, and takes out what to
/// send. Reads and writes are local and never wait. After any call, take outputs until there are none.
///
/// ```text
///   put, remove ───────► ┌─────────┐ ──► Change (returned)
///   receive(message) ──► │ Replica │ ──► Output::Send      to the transport
///   peer_up, peer_down ► │         │ ──► Output::Changed   to subscribers
///   flush, timeout ────► └─────────┘ ──► Output::Synced, Output::Warning
/// ```
///
/// Promises, for any loss, doubling, delay and reordering of messages, and any restarts under new epochs:
/// replicas that have heard of the same writes show the same map; a write concurrent with a removal survives it; a
/// removed value never comes back; nothing that was not removed is lost as long as one replica that has it lives.
/// Nothing is promised across keys of different shards.
///
/// The source of the rules is the protocol page of this crate; the model is that of delta-state CRDTs (Almeida, Shoker and
/// Baquero, 2018) with a pure version vector as context.
///
/// ```
/// use core::time::Duration;
/// use delta_crdt::{Config, LastWriter, Now, Replica, ReplicaId};
///
/// let now = Now { monotonic: Duration::ZERO, unix_ms: 1_700_000_000_000 };
/// let mut map = Replica::<String, u32>::new(ReplicaId::new(1, 1), Config::default(), LastWriter);
/// map.put(now, "a".into(), 1);
/// assert_eq!(map.get(&"a".into()), Some(&1));
/// ```
#[cfg_attr(test, derive(Clone))]
pub struct Replica<K, V, W = LastWriter> {
    id: ReplicaId,
    config: Config,
    winner: W,
    /// Unless given, what keys and values occupy on the stack counts.
    weigh: Option<fn(&K, &V) -> usize>,
    rules: Rules,
    origins: Origins,
    clock: Clock,
    shards: Vec<Shard<K, V>>,
    peers: BTreeMap<ReplicaId, Peer>,
    neighbours: usize,
    /// Rises when the set of neighbours changes.
    links: u64,
    /// The hash over this replica and its neighbours.
    circle: u64,
    /// No status is due before its regular time sooner than this.
    relay_at: Option<Duration>,
    members: Option<BTreeSet<ReplicaId>>,
    pending: Pending<K, V>,
    incoming: BTreeMap<(ReplicaId, u16), Incoming<K, V>>,
    outgoing: BTreeMap<(ReplicaId, u16), Outgoing<K, V>>,
    /// Pulls that wait for a session to end.
    queued: Line,
    /// When to pull what is still missing then.
    pull_due: BTreeMap<(ReplicaId, u16), Duration>,
    /// Pulls of this step, sent as one message per peer.
    asks: Vec<(ReplicaId, u16, bool)>,
    /// When to pull for writes that still wait then, and from whom they came.
    park_due: BTreeMap<u16, (Duration, ReplicaId)>,
    status_due: Option<Duration>,
    collect_due: Option<Duration>,
    /// Kept for its memory.
    ahead: Vec<Found>,
    last_session: u64,
    last_question: u64,
    answers: u64,
    /// When an origin whose clock is ahead is reported again.
    ahead_warned: BTreeMap<u32, Duration>,
    numbering: Numbering,
    outputs: VecDeque<Output<K, V>>,
    stats: Stats,
}

impl<K: Key, V: Clone, W: Winner<V>> Replica<K, V, W> {
    /// An empty replica. `id` must never have been used before: take a new epoch at every start.
    #[must_use]
    pub fn new(id: ReplicaId, config: Config, winner: W) -> Self {
        let config = config.normalised();
        Self {
            id,
            winner,
            weigh: None,
            rules: Rules::default(),
            origins: Origins::new(id, config.max_origins),
            clock: Clock::new(config.max_drift),
            shards: (0..config.shards).map(|_| Shard::new()).collect(),
            peers: BTreeMap::new(),
            neighbours: 0,
            links: 0,
            circle: circle_hash(id),
            relay_at: None,
            members: None,
            pending: Pending::default(),
            incoming: BTreeMap::new(),
            outgoing: BTreeMap::new(),
            queued: Line::default(),
            pull_due: BTreeMap::new(),
            asks: Vec::new(),
            park_due: BTreeMap::new(),
            status_due: None,
            collect_due: None,
            ahead: Vec::new(),
            last_session: crate::key::mix(id.epoch) >> 40,
            last_question: 0,
            answers: 0,
            ahead_warned: BTreeMap::new(),
            numbering: Numbering::default(),
            outputs: VecDeque::new(),
            stats: Stats::default(),
            config,
        }
    }

    /// Sets how keys and values are weighed against `max_batch_bytes`. By default what they occupy on the stack counts.
    #[must_use]
    pub fn weigh_with(mut self, weigh: fn(&K, &V) -> usize) -> Self {
        self.weigh = Some(weigh);
        self
    }

    /// The id given at the start.
    pub fn id(&self) -> ReplicaId {
        self.id
    }

    /// The limits in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The value that `key` shows. Own writes are seen at once.
    #[inline]
    pub fn get(&self, key: &K) -> Option<&V> {
        let hash = key.stable_hash();
        let shard = if let [shard] = &self.shards[..] { shard } else { &self.shards[self.place(hash)] };
        match shard.store.only(hash, key) {
            Some(value) => Some(value),
            None => self.get_anyhow(hash, key),
        }
    }

    /// [`Self::get`] whatever the key holds, wherever.
    #[cold]
    #[inline(never)]
    fn get_anyhow(&self, hash: u64, key: &K) -> Option<&V> {
        match self.shards[self.place(hash)].store.look_on(hash, key)?.1 {
            Sibs::One(sib) => sib.value.as_ref(),
            Sibs::Many(sibs) => winning(&self.context(), sibs)?.value.as_ref(),
        }
    }

    /// True if `key` shows a value.
    pub fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// The concurrent writes that `key` holds, removals among them while their tombstones stay, in the order of their dots.
    pub fn siblings(&self, key: &K) -> impl Iterator<Item = Sibling<'_, V>> {
        let hash = key.stable_hash();
        let shard = &self.shards[self.place(hash)];
        let sibs = shard.store.look(hash, key).map_or(&[][..], |found| found.1.as_slice());
        let mut siblings: Vec<_> = sibs
            .iter()
            .map(|sib| Sibling {
                dot: self.origins.dot(sib.origin, sib.seq),
                stamp: sib.stamp,
                value: sib.value.as_ref(),
            })
            .collect();
        siblings.sort_unstable_by_key(|sibling| sibling.dot);
        siblings.into_iter()
    }

    /// All keys and what they show. The order follows the history of calls: the same calls give the same order, another
    /// replica has another.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flat_map(|shard| shard.store.iter()).filter_map(|(_, key, sibs)| {
            winning(&self.context(), sibs.as_slice())?.value.as_ref().map(|value| (key, value))
        })
    }

    /// Keys that show a value.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.visible).sum()
    }

    /// True if no key shows a value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the next output. Call it after every other call until it returns `None`; what is left waits in memory.
    pub fn poll_output(&mut self) -> Option<Output<K, V>> {
        self.outputs.pop_front()
    }

    /// A fresh stamp of this replica's clock, for the caller's own values.
    pub fn stamp(&mut self, now: Now) -> Stamp {
        self.clock.write(now, Stamp::default())
    }

    /// Counters and sizes at this moment. Walks the shards, not the keys.
    pub fn stats(&self) -> Stats {
        Stats {
            live: self.len(),
            tombstones: self.shards.iter().map(|shard| shard.dead).sum(),
            parked: self.shards.iter().map(|shard| shard.park.len()).sum(),
            origins: self.origins.len(),
            bytes: self.shards.iter().map(Shard::bytes).sum(),
            ..self.stats
        }
    }

    /// Switches a rule off, to show that a test notices.
    #[cfg(any(test, feature = "rule-switches"))]
    pub fn break_rule(&mut self, rule: super::rules::Rule) {
        self.rules.off = Some(rule);
    }

    /// Loses the write that `key` shows, behind the machine's back, as only a bug does: R9 finds it. False if there is none.
    #[cfg(any(test, feature = "rule-switches"))]
    pub fn lose(&mut self, key: &K) -> bool {
        let hash = key.stable_hash();
        let place = self.place(hash);
        let Some(slot) = self.shards[place].store.find(hash, key) else { return false };
        let Self { shards, origins, winner, rules, .. } = self;
        let cx = Context { origins, winner, rules: *rules };
        let Some(dot) = winning(&cx, shards[place].store.sibs(slot))
            .filter(|sib| sib.value.is_some())
            .map(|sib| sib.dot())
        else {
            return false;
        };
        shards[place].lose(&cx, slot, dot);
        true
    }

    /// Of each shard, a hash of the vector and one of the writes it holds: where the first are equal, so are the second.
    #[cfg(any(test, feature = "rule-switches"))]
    #[doc(hidden)]
    pub fn witness(&self) -> Vec<(u64, u64)> {
        self.shards.iter().map(|shard| (shard.hash(&self.origins), shard.fingerprint)).collect()
    }

    /// Whether a write of `key` was taken in here, if only to be removed.
    #[cfg(any(test, feature = "rule-switches"))]
    #[doc(hidden)]
    pub fn covers(&self, key: &K, dot: Dot) -> bool {
        let shard = &self.shards[self.place(key.stable_hash())];
        self.origins.number(dot.origin).is_some_and(|origin| shard.covered(origin) >= dot.seq)
    }

    fn context(&self) -> Context<'_, W> {
        Context { origins: &self.origins, winner: &self.winner, rules: self.rules }
    }

    /// The shard of a hash: of other bits than the mark, so that the keys of a shard have all of them.
    fn place(&self, hash: u64) -> usize {
        (hash >> 40) as usize & (self.shards.len() - 1)
    }

    fn send(&mut self, to: ReplicaId, body: Body<K, V>) {
        let shards = self.shards.len().trailing_zeros() as u8;
        self.outputs.push_back(Output::Send { to, message: Message { shards, body } });
    }

    fn warn(&mut self, warning: Warning) {
        self.outputs.push_back(Output::Warning(warning));
    }

    fn neighbours(&self) -> Vec<ReplicaId> {
        self.peers.iter().filter(|entry| entry.1.neighbour).map(|entry| *entry.0).collect()
    }

    /// The dot of the write that `key` shows.
    pub fn dot(&self, key: &K) -> Option<Dot> {
        let hash = key.stable_hash();
        let shard = &self.shards[self.place(hash)];
        let sib = winning(&self.context(), shard.store.look(hash, key)?.1.as_slice())?;
        Some(self.origins.dot(sib.origin, sib.seq))
    }
}

impl<K, V, W> fmt::Debug for Replica<K, V, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica")
            .field("id", &self.id)
            .field("shards", &self.shards.len())
            .field("live", &self.shards.iter().map(|shard| shard.visible).sum::<usize>())
            .field("peers", &self.peers.keys())
            .finish_non_exhaustive()
    }
}
