//! The vector as it is compared with that of peers: kept once for all that hold the same.

use alloc::sync::Arc;

use super::Shard;
use crate::engine::peer::Vector;

impl<K, V> Shard<K, V> {
    /// The vector, shared by all who ask at this version.
    pub(crate) fn vector(&mut self) -> Vector {
        if let Some((version, vector)) = &self.snapshot
            && *version == self.version
        {
            return vector.clone();
        }
        let vector = Vector::new(self.lanes.iter().map(|lane| lane.covered).collect());
        self.snapshot = Some((self.version, vector.clone()));
        vector
    }

    /// How many entries have risen since the vector was `old`.
    pub(crate) fn moved_since(&mut self, old: Option<&Vector>) -> usize {
        if let (Some((from, version, moved)), Some(old)) = (&self.moved_on, old)
            && *version == self.version
            && Arc::ptr_eq(from, old)
        {
            return *moved;
        }
        let was = old.map_or(&[][..], |old| old.as_slice()).iter().copied().chain(core::iter::repeat(0));
        let moved = self.lanes.iter().zip(was).filter(|(lane, was)| lane.covered != *was).count();
        self.moved_on = old.map(|old| (old.clone(), self.version, moved));
        moved
    }
}
