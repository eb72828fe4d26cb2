//! Local writes, and the batch that pushes them.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Replica;
use crate::engine::dictionary::Dictionary;
use crate::engine::few::Obs;
use crate::engine::origins::Origins;
use crate::engine::shard::{Context, winning};
use crate::engine::store::Sib;
use crate::message::{Batch, Body, Op, Shared};
use crate::{Change, Key, Now, Stamp, Winner};

/// Local writes that are not pushed yet: a batch under way.
#[derive(Clone, Debug)]
pub(super) struct Pending<K, V> {
    ops: Vec<Op<K, V>>,
    names: Dictionary,
    /// Stamps count from here.
    stamp: u64,
    bytes: usize,
    /// Writes of the last batch: the next one is probably as long.
    last: usize,
}

impl<K, V> Default for Pending<K, V> {
    fn default() -> Self {
        Self { ops: Vec::new(), names: Dictionary::default(), stamp: 0, bytes: 0, last: 0 }
    }
}

impl<K, V> Pending<K, V> {
    #[cold]
    fn begin(&mut self, origins: &Origins, stamp: Stamp) {
        self.ops.reserve(self.last);
        self.names.place(origins, 0);
        self.stamp = stamp.to_bits();
    }
}

impl<K: Key, V: Clone, W: Winner<V>> Replica<K, V, W> {
    /// Puts `value` under `key` here, at once; [`Replica::flush`] pushes it to the neighbours.
    ///
    /// It replaces every write of the key that this replica knows, whatever the clocks say. Returns what changed.
    pub fn put(&mut self, now: Now, key: K, value: V) -> Change<K, V> {
        let hash = key.stable_hash();
        let place = self.place(hash);
        let clock = &mut self.clock;
        let stamp = |top| clock.write(now, top);
        let shard = if let [shard] = &mut self.shards[..] { shard } else { &mut self.shards[place] };
        let Some(over) = shard.overwrite(&self.origins, (hash, &key), &value, stamp) else {
            return self.put_anyhow(now, hash, key, value);
        };
        if self.neighbours > 0 {
            self.add_to_batch(over.seq, over.stamp, key.clone(), Some(&value), Obs::One(over.dot));
        }
        Change::Put { key, old: Some(over.old), new: value }
    }

    /// Puts a value whatever the key holds.
    #[inline(never)]
    fn put_anyhow(&mut self, now: Now, hash: u64, key: K, value: V) -> Change<K, V> {
        let place = self.place(hash);
        let shard = &mut self.shards[place];
        let found = shard.store.look(hash, &key);
        let (found, top) =
            found.map_or((None, Stamp::default()), |(slot, sibs)| (Some(slot), top(sibs.as_slice())));
        let stamp = self.clock.write(now, top);
        let cx = Context { origins: &self.origins, winner: &self.winner, rules: self.rules };
        let local = shard.local(&cx, (hash, &key, found), stamp, Some(value.clone()));
        if self.neighbours > 0 {
            self.queue(local.seq, stamp, key.clone(), Some(&value), local.obs);
        }
        Change::Put { key, old: local.old, new: value }
    }

    /// Removes `key` here, at once; [`Replica::flush`] pushes it to the neighbours.
    ///
    /// It removes what this replica knows: a write made elsewhere at the same time survives. `None`: the key shows nothing, and
    /// nothing was done.
    pub fn remove(&mut self, now: Now, key: &K) -> Option<Change<K, V>> {
        let hash = key.stable_hash();
        let place = self.place(hash);
        let shard = &mut self.shards[place];
        let (slot, sibs) = shard.store.look(hash, key)?;
        let cx = Context { origins: &self.origins, winner: &self.winner, rules: self.rules };
        let sibs = sibs.as_slice();
        winning(&cx, sibs)?.value.as_ref()?;
        let stamp = self.clock.write(now, top(sibs));
        let local = shard.local(&cx, (hash, key, Some(slot)), stamp, None);
        if self.neighbours > 0 {
            self.queue(local.seq, stamp, key.clone(), None, local.obs);
        }
        self.note_tombstones(now);
        local.old.map(|old| Change::Removed { key: key.clone(), old })
    }

    /// Puts several pairs. One list of changes, in order.
    pub fn merge(&mut self, now: Now, pairs: impl IntoIterator<Item = (K, V)>) -> Vec<Change<K, V>> {
        pairs.into_iter().map(|(key, value)| self.put(now, key, value)).collect()
    }

    /// Removes several keys. Those that show nothing are passed over.
    pub fn drop_keys<'a>(&mut self, now: Now, keys: impl IntoIterator<Item = &'a K>) -> Vec<Change<K, V>>
    where
        K: 'a,
    {
        keys.into_iter().filter_map(|key| self.remove(now, key)).collect()
    }

    /// Removes every key that shows a value here. A key put elsewhere at the same time stays.
    pub fn clear(&mut self, now: Now) -> Vec<Change<K, V>> {
        let keys: Vec<K> = self.iter().map(|(key, _)| key.clone()).collect();
        self.drop_keys(now, &keys)
    }

    /// The pairs among `keys` that show a value.
    pub fn take<'a>(&self, keys: impl IntoIterator<Item = &'a K>) -> BTreeMap<K, V>
    where
        K: 'a,
    {
        let found =
            keys.into_iter().filter_map(|key| self.get(key).map(|value| (key.clone(), value.clone())));
        found.collect()
    }

    /// All pairs, in the order of their keys.
    pub fn to_map(&self) -> BTreeMap<K, V> {
        self.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Queues a write for the neighbours.
    pub(super) fn queue(&mut self, seq: u64, stamp: Stamp, key: K, value: Option<&V>, obs: Obs) {
        self.add_to_batch(seq, stamp, key, value, obs);
    }

    #[inline(always)]
    fn add_to_batch(&mut self, seq: u64, stamp: Stamp, key: K, value: Option<&V>, mut obs: Obs) {
        let pending = &mut self.pending;
        if pending.ops.is_empty() {
            pending.begin(&self.origins, stamp);
        }
        pending.bytes = pending.bytes.saturating_add(weight(self.weigh, &key, value)).saturating_add(8);
        // The own number is 0, and so is its place.
        for dot in obs.as_mut_slice().iter_mut().filter(|dot| dot.0 != 0) {
            dot.0 = pending.names.place(&self.origins, dot.0);
        }
        let stamp = stamp.to_bits().wrapping_sub(pending.stamp).cast_signed();
        // The place first, then the value, so that it is copied once.
        pending.ops.push(Op { seq, stamp, key, value: None, obs });
        if let (Some(op), Some(value)) = (pending.ops.last_mut(), value) {
            op.value = Some(value.clone());
        }
        if pending.ops.len() >= self.config.max_batch_ops || pending.bytes >= self.config.max_batch_bytes {
            self.push();
        }
    }

    /// Sends what is pending to every neighbour that takes it.
    pub(super) fn push(&mut self) {
        if self.pending.ops.is_empty() {
            return;
        }
        let last = self.pending.ops.len();
        let Pending { ops, names, stamp, .. } =
            core::mem::replace(&mut self.pending, Pending { last, ..Pending::default() });
        let batch = Shared(Arc::new(Batch { origins: names.ids, stamp, ops }));
        for to in self.neighbours() {
            if self.peers.get(&to).is_some_and(|peer| !peer.congested) {
                self.send(to, Body::Ops(batch.clone()));
            }
        }
    }
}

/// How a write counts against the size of a batch.
#[inline]
pub(super) fn weight<K, V>(weigh: Option<fn(&K, &V) -> usize>, key: &K, value: Option<&V>) -> usize {
    match (value, weigh) {
        (None, _) => size_of::<K>(),
        (Some(_), None) => size_of::<K>() + size_of::<V>(),
        (Some(value), Some(weigh)) => weigh(key, value),
    }
}

/// The highest stamp among siblings.
pub(super) fn top<V>(sibs: &[Sib<V>]) -> Stamp {
    sibs.iter().map(|sib| sib.stamp).max().unwrap_or_default()
}
