//! The answer to "which k members hold this key".

use alloc::boxed::Box;
use core::fmt;

/// Held without allocation.
const INLINE: usize = 4;

/// The members that hold a key, the owner first. Up to four are held without allocation.
#[derive(Clone, PartialEq, Eq)]
pub struct Replicas<'a, Id> {
    inline: [Option<&'a Id>; INLINE],
    /// Empty unless all of `inline` is taken.
    more: Box<[&'a Id]>,
}

impl<'a, Id> Replicas<'a, Id> {
    /// The first `k` of up to three members, which come before the places without one.
    #[inline(always)]
    pub(crate) fn few(three: [Option<&'a Id>; 3], k: usize) -> Self {
        let [first, second, third] = three;
        let inline = [first.filter(|_| k > 0), second.filter(|_| k > 1), third.filter(|_| k > 2), None];
        Self { inline, more: Box::default() }
    }

    /// How many members there are.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.inline.iter().flatten().count() + self.more.len()
    }

    /// Whether there is no member.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.inline[0].is_none()
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
    /// No members.
    fn default() -> Self {
        Self { inline: [None; INLINE], more: Box::default() }
    }
}

impl<Id: fmt::Debug> fmt::Debug for Replicas<'_, Id> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, Id> FromIterator<&'a Id> for Replicas<'a, Id> {
    fn from_iter<I: IntoIterator<Item = &'a Id>>(ids: I) -> Self {
        let mut ids = ids.into_iter();
        let inline = [ids.next(), ids.next(), ids.next(), ids.next()];
        // An iterator that has ended need not stay at its end.
        let more = if inline[INLINE - 1].is_some() { ids.collect() } else { Box::default() };
        Self { inline, more }
    }
}

impl<'a, Id> IntoIterator for Replicas<'a, Id> {
    type Item = &'a Id;
    type IntoIter = core::iter::Chain<
        core::iter::Flatten<core::array::IntoIter<Option<&'a Id>, INLINE>>,
        alloc::vec::IntoIter<&'a Id>,
    >;

    fn into_iter(self) -> Self::IntoIter {
        self.inline.into_iter().flatten().chain(self.more.into_vec())
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

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
