//! What a replica shows, for readers in other threads.

#[cfg(test)]
mod tests;
mod trie;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use crate::{Change, Key, Replica, Winner};
use trie::{Child, Iter};

/// What a replica shows at one moment: a map whose clones are snapshots.
///
/// A [`Replica`] has one owner, its driver. The driver keeps a view beside it, applies to it every [`Change`] that local writes return
/// and that [`Output::Changed`](crate::Output::Changed) brings, and gives clones away. A clone never changes; readers on any thread
/// read it without a lock, while the driver goes on. If all changes are applied in the order in which they came, the view shows what
/// the replica shows. That order is the order of the calls, if outputs are taken after every call and before the next write.
///
/// A view shows the moment after the changes that were applied to it: all of them, none that came later. It says nothing of other
/// replicas, and the replica's own promises hold: writes made together elsewhere may arrive apart.
/// Who gives clones away after whole batches (a list of `Changed`, the writes of one request) shows no half of them.
///
/// # Cost
///
/// It is a hash trie: branches of 16 places, and buckets of at most 23 keys below them. A million keys are four or five branches
/// deep. Only keys that share all of their hash make a bucket larger. Nodes are counted references, shared by a view and its clones.
///
/// - `clone`: one reference count, whatever the size.
/// - `get`: one node per level; of a bucket nearly always only the key that is looked for.
/// - `apply` where no clone shares the nodes on the way: a value is replaced in its place; a new key or a removal makes
///   its bucket anew and moves the keys over. Nothing is cloned.
/// - `apply` where clones share them: the nodes on the way are copied once, one per level with at most 16 references in each, and
///   the bucket with its keys and values. The next change on the same way finds them the view's own, until the next clone.
///   So a driver gives a clone away per batch and not per change, and values that are costly to clone belong in an `Arc`.
/// - Memory: 12 bytes for each key beyond key and value where it was made at once, more where keys came one by one. A clone
///   keeps what was changed since it was made. Who drops the last clone of a node frees it, readers too.
///
/// The source of the idea is the hash array mapped trie (Bagwell, 2001); that a child may stand for several places of its parent is from
/// extendible hashing (Fagin, Nievergelt, Pippenger and Strong, 1979).
///
/// ```
/// use core::time::Duration;
/// use delta_crdt::{Config, LastWriter, Now, Replica, ReplicaId, View};
/// use std::{sync::mpsc, thread};
///
/// let now = Now { monotonic: Duration::ZERO, unix_ms: 1_700_000_000_000 };
/// let mut map = Replica::<String, u32>::new(ReplicaId::new(1, 1), Config::default(), LastWriter);
/// let mut view = View::of(&map);
/// let (publish, published) = mpsc::channel::<View<String, u32>>();
/// thread::scope(|scope| {
///     let reader = scope.spawn(move || {
///         let snapshot = published.recv().expect("a snapshot");
///         let first = snapshot.get(&"a".into()).copied();
///         assert!(published.recv().is_err(), "the driver is done, and has written on");
///         (first, snapshot.get(&"a".into()).copied())
///     });
///     view.apply(map.put(now, "a".into(), 1));
///     publish.send(view.clone()).expect("a reader");
///     view.apply(map.put(now, "a".into(), 2));
///     drop(publish);
///     assert_eq!(reader.join().expect("no panic"), (Some(1), Some(1)));
/// });
/// assert_eq!(view.get(&"a".into()), Some(&2));
/// ```
pub struct View<K, V> {
    root: Child<K, V>,
    len: usize,
}

impl<K, V> View<K, V> {
    /// A view that shows nothing: the view of a replica that is new.
    #[must_use]
    pub const fn new() -> Self {
        Self { root: Child::Empty, len: 0 }
    }

    /// Keys shown.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True if no key is shown.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All keys and values, in an order that says nothing.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&K, &V)> {
        Iter::new(&self.root, self.len)
    }
}

impl<K: Key, V> View<K, V> {
    /// The value that `key` shows.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.root.get(key.stable_hash(), key)
    }

    /// True if `key` shows a value.
    pub fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }
}

impl<K: Key, V: Clone> View<K, V> {
    /// All that `replica` shows now. Clones every key and value, so it is made once: at the start, or after
    /// [`Replica::restore`]. [`Self::apply`] goes on from there.
    #[must_use]
    pub fn of<W: Winner<V>>(replica: &Replica<K, V, W>) -> Self {
        // In the order of the hashes, so that what comes next lies where the last came to lie.
        let mut all: Vec<_> = replica.iter().map(|(key, value)| (key.stable_hash(), key, value)).collect();
        all.sort_unstable_by_key(|entry| entry.0);
        let mut view = Self::new();
        for (_, key, value) in all {
            view.put(key.clone(), value.clone());
        }
        view
    }

    /// Follows one change. Clones made before it do not see it.
    pub fn apply(&mut self, change: Change<K, V>) {
        match change {
            Change::Put { key, new, .. } => self.put(key, new),
            Change::Removed { key, .. } => {
                let hash = key.stable_hash();
                if self.root.get(hash, &key).is_some() {
                    self.root.remove(hash, &key, 0);
                    self.len -= 1;
                }
            }
        }
    }

    /// Follows several changes, in their order.
    pub fn apply_all(&mut self, changes: impl IntoIterator<Item = Change<K, V>>) {
        changes.into_iter().for_each(|change| self.apply(change));
    }

    /// All pairs, in the order of their keys.
    pub fn to_map(&self) -> BTreeMap<K, V> {
        self.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn put(&mut self, key: K, value: V) {
        self.len += usize::from(self.root.put(key.stable_hash(), key, value));
    }

    /// Panics if a rule of the inner shape is broken.
    #[cfg(test)]
    pub(crate) fn check_invariants(&self) {
        assert_eq!(self.root.check(0), self.len, "keys are counted");
        assert!(self.iter().all(|(key, _)| self.contains_key(key)), "what is listed is found");
        assert_eq!(self.iter().count(), self.len, "what is counted is listed");
    }
}

/// A snapshot: it never changes, and costs one reference count.
impl<K, V> Clone for View<K, V> {
    fn clone(&self) -> Self {
        Self { root: self.root.clone(), len: self.len }
    }
}

impl<K, V> Default for View<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> fmt::Debug for View<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("len", &self.len).finish_non_exhaustive()
    }
}
