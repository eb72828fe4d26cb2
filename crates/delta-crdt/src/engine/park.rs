//! Writes that wait for an earlier one, with a limit.

use alloc::collections::BTreeMap;

use super::few::Obs;
use crate::Stamp;

/// A write from elsewhere, its origins by number.
#[derive(Clone, Debug)]
pub(crate) struct Write<K, V> {
    pub(crate) origin: u32,
    pub(crate) seq: u64,
    pub(crate) stamp: Stamp,
    pub(crate) hash: u64,
    pub(crate) key: K,
    pub(crate) value: Option<V>,
    /// The dots it replaces, origins by number.
    pub(crate) obs: Obs,
}

#[derive(Clone, Debug)]
pub(crate) struct Park<K, V> {
    writes: BTreeMap<(u32, u64), Write<K, V>>,
}

impl<K, V> Default for Park<K, V> {
    fn default() -> Self {
        Self { writes: BTreeMap::new() }
    }
}

impl<K, V> Park<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.writes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// False at the limit: the write is dropped.
    pub(crate) fn add(&mut self, write: Write<K, V>, limit: usize) -> bool {
        let place = (write.origin, write.seq);
        if self.writes.len() >= limit && !self.writes.contains_key(&place) {
            return false;
        }
        self.writes.insert(place, write);
        true
    }

    /// The first waiting write of the first origin from `origin` on.
    pub(crate) fn head(&self, origin: u32) -> Option<&Write<K, V>> {
        self.writes.range((origin, 0)..).next().map(|entry| entry.1)
    }

    pub(crate) fn take(&mut self, place: (u32, u64)) -> Option<Write<K, V>> {
        self.writes.remove(&place)
    }

    /// Drops what one origin wrote.
    pub(crate) fn forget(&mut self, origin: u32) {
        while let Some((&place, _)) = self.writes.range((origin, 0)..=(origin, u64::MAX)).next() {
            self.writes.remove(&place);
        }
    }
}
