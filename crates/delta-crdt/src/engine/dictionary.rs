//! The origins that one message names.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::origins::Origins;
use crate::ReplicaId;

#[derive(Clone, Debug, Default)]
pub(crate) struct Dictionary {
    pub(crate) ids: Vec<ReplicaId>,
    places: BTreeMap<u32, u32>,
    /// The last answer: most writes of a message are of one origin.
    last: Option<(u32, u32)>,
}

impl Dictionary {
    /// The place of an origin in the message.
    #[inline]
    pub(crate) fn place(&mut self, origins: &Origins, number: u32) -> u32 {
        match self.last {
            Some((last, place)) if last == number => place,
            _ => self.find(origins, number),
        }
    }

    fn find(&mut self, origins: &Origins, number: u32) -> u32 {
        let Self { ids, places, last } = self;
        let place = *places.entry(number).or_insert_with(|| {
            ids.push(origins.id(number));
            (ids.len() - 1) as u32
        });
        *last = Some((number, place));
        place
    }

    /// Entries of a vector, origins by place; zeros left out.
    pub(crate) fn entries(
        &mut self,
        origins: &Origins,
        vector: impl Iterator<Item = u64>,
    ) -> Vec<(u32, u64)> {
        let entries = (0_u32..).zip(vector).filter(|entry| entry.1 > 0);
        entries.map(|(number, seq)| (self.place(origins, number), seq)).collect()
    }
}
