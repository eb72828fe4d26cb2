//! The published view: what lookups read, without a lock.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use arc_swap::ArcSwap;
use horde_transport::NodeId;

use crate::machine::{Change, Entry, Key};

/// All names, and the nodes whose names are hidden. One writer at a time (who holds the machine), any number of readers.
#[derive(Debug)]
pub(crate) struct Readers {
    names: papaya::HashMap<Key, Arc<Entry>, Xxh3>,
    hidden: ArcSwap<BTreeSet<NodeId>>,
}

impl Readers {
    pub(crate) fn new() -> Self {
        let names = papaya::HashMap::with_hasher(Xxh3 { seed: seed() });
        Self { names, hidden: ArcSwap::from_pointee(BTreeSet::new()) }
    }

    pub(crate) fn apply(&self, changes: &[Change]) {
        let names = self.names.pin();
        for change in changes {
            match change {
                Change::Put { key, new, .. } => {
                    names.insert(key.clone(), Arc::clone(new));
                }
                Change::Removed { key, .. } => {
                    names.remove(key);
                }
            }
        }
    }

    pub(crate) fn hide(&self, nodes: BTreeSet<NodeId>) {
        self.hidden.store(Arc::new(nodes));
    }

    /// What `read` makes of the entry of `key`, if it is shown.
    pub(crate) fn get<T>(&self, key: &[u8], read: impl FnOnce(&Arc<Entry>) -> T) -> Option<T> {
        let names = self.names.pin();
        let entry = names.get(key)?;
        let hidden = self.hidden.load();
        (hidden.is_empty() || !hidden.contains(entry.pid.node())).then(|| read(entry))
    }

    /// Calls `each` with every entry shown, in no order. A name that changes meanwhile is seen before or after.
    pub(crate) fn each(&self, mut each: impl FnMut(&Key, &Arc<Entry>)) {
        let hidden = self.hidden.load();
        for (key, entry) in &self.names.pin() {
            if hidden.is_empty() || !hidden.contains(entry.pid.node()) {
                each(key, entry);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        if self.hidden.load().is_empty() {
            return self.names.len();
        }
        let mut shown = 0;
        self.each(|_, _| shown += 1);
        shown
    }
}

/// A seed of this map's own, so that nobody outside can choose keys that collide.
fn seed() -> u64 {
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// XXH3 over whole keys: one pass, no state to set up.
#[derive(Debug, Clone)]
struct Xxh3 {
    seed: u64,
}

impl BuildHasher for Xxh3 {
    type Hasher = Whole;

    fn build_hasher(&self) -> Whole {
        Whole(self.seed)
    }
}

struct Whole(u64);

impl Hasher for Whole {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = twox_hash::XxHash3_64::oneshot_with_seed(self.0, bytes);
    }

    // The length before the bytes: the hash below covers it.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
