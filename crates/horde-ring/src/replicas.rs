//! The answer to "which k members hold this key".

use alloc::vec::Vec;
use core::fmt;

/// Held without allocation.
const INLINE: usize = 4;

/// The members that hold a key, the owner first. Up to four are held without allocation.
#[derive(Clone, PartialEq, Eq)]
pub struct Replicas<'a, Id> {
    len: usize,
    inline: [Option<&'a Id>; INLINE],
    more: Vec<&'a Id>,
}

impl<'a, Id> Replicas<'a, Id> {
    /// No members.
    #[must_use]
    #[inline]
    pub const fn new() -> Self {
        Self { len: 0, inline: [None; INLINE], more: Vec::new() }
    }

    /// Adds a member at the end.
    #[inline]
    pub fn push(&mut self, id: &'a Id) {
        match self.inline.get_mut(self.len) {
            Some(place) => *place = Some(id),
            None => self.more.push(id),
        }
        self.len += 1;
    }

    /// How many members there are.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The member at `index`; 0 is the owner.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a Id> {
        match self.inline.get(index) {
            Some(place) => *place,
            None => self.more.get(index - INLINE).copied(),
        }
    }

    /// The members, the owner first.
    pub fn iter(&self) -> impl Iterator<Item = &'a Id> + '_ {
        self.inline.iter().filter_map(|place| *place).chain(self.more.iter().copied())
    }
}

impl<Id> Replicas<'_, Id> {
    /// Whether `id` is among them.
    #[must_use]
    pub fn contains(&self, id: &Id) -> bool
    where
        Id: PartialEq,
    {
        self.iter().any(|held| held == id)
    }
}

impl<Id> Default for Replicas<'_, Id> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Id: fmt::Debug> fmt::Debug for Replicas<'_, Id> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, Id> FromIterator<&'a Id> for Replicas<'a, Id> {
    fn from_iter<I: IntoIterator<Item = &'a Id>>(ids: I) -> Self {
        let mut replicas = Self::new();
        ids.into_iter().for_each(|id| replicas.push(id));
        replicas
    }
}

impl<'a, Id> IntoIterator for Replicas<'a, Id> {
    type Item = &'a Id;
    type IntoIter = core::iter::Chain<
        core::iter::Flatten<core::array::IntoIter<Option<&'a Id>, INLINE>>,
        alloc::vec::IntoIter<&'a Id>,
    >;

    fn into_iter(self) -> Self::IntoIter {
        self.inline.into_iter().flatten().chain(self.more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_four_are_held_in_order() {
        let ids: Vec<u8> = (0..9).collect();
        let replicas: Replicas<'_, u8> = ids.iter().collect();
        assert_eq!(replicas.len(), 9);
        assert_eq!(replicas.iter().copied().collect::<Vec<_>>(), ids);
        assert_eq!(replicas.get(6), Some(&6));
        assert_eq!(replicas.get(9), None);
        assert_eq!(replicas.into_iter().copied().collect::<Vec<_>>(), ids);
    }
}
