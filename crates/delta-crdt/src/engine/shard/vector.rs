//! The vector, kept once for all peers that hold or were told the same.

use alloc::sync::Arc;

use super::Shard;
use crate::engine::peer::Vector;

impl<K, V> Shard<K, V> {
    /// The vector as it is now.
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

    /// How many entries have risen since the vector was `old`. Looked at once for all peers that were told the same.
    pub(crate) fn risen_since(&mut self, old: Option<&Vector>) -> usize {
        if let (Some((from, version, risen)), Some(old)) = (&self.risen, old)
            && *version == self.version
            && Arc::ptr_eq(from, old)
        {
            return *risen;
        }
        let was = old.map_or(&[][..], |old| old.as_slice()).iter().copied().chain(core::iter::repeat(0));
        let risen = self.lanes.iter().zip(was).filter(|(lane, was)| lane.covered != *was).count();
        self.risen = old.map(|old| (old.clone(), self.version, risen));
        risen
    }
}
