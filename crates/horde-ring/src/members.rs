//! The set of members that a placement is a function of.

use alloc::vec::Vec;

use crate::hash::StableHash;
use crate::member::Member;

/// A set of members, ordered by id, one entry per id.
///
/// Two sets that hold the same members are equal, whatever order they were built in: that is what makes the
/// pure strategies agree between nodes.
///
/// ```
/// use horde_ring::{Member, Members};
///
/// let one = Members::of(["a", "b", "c"]);
/// let other: Members<_> = ["c", "a", "b"].into_iter().map(Member::new).collect();
/// assert_eq!(one, other);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members<Id> {
    entries: Vec<Member<Id>>,
}

impl<Id> Default for Members<Id> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<Id: Ord> Members<Id> {
    /// The empty set: it owns nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Members of weight 1 without zones or labels.
    #[must_use]
    pub fn of(ids: impl IntoIterator<Item = Id>) -> Self
    where
        Id: StableHash,
    {
        ids.into_iter().map(Member::new).collect()
    }

    /// Adds a member, or replaces the one with its id, which is returned.
    pub fn insert(&mut self, member: Member<Id>) -> Option<Member<Id>> {
        match self.position(member.id()) {
            Ok(at) => Some(core::mem::replace(&mut self.entries[at], member)),
            Err(at) => {
                self.entries.insert(at, member);
                None
            }
        }
    }

    /// Removes the member `id` and returns it; `None` if it was not there.
    pub fn remove(&mut self, id: &Id) -> Option<Member<Id>> {
        self.position(id).ok().map(|at| self.entries.remove(at))
    }

    /// Keeps only the members that `keep` accepts.
    pub fn retain(&mut self, keep: impl FnMut(&Member<Id>) -> bool) {
        self.entries.retain(keep);
    }

    /// The member `id`.
    #[must_use]
    pub fn get(&self, id: &Id) -> Option<&Member<Id>> {
        self.position(id).ok().map(|at| &self.entries[at])
    }

    /// Whether `id` is a member.
    #[must_use]
    pub fn contains(&self, id: &Id) -> bool {
        self.position(id).is_ok()
    }

    fn position(&self, id: &Id) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| entry.id().cmp(id))
    }
}

impl<Id> Members<Id> {
    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The members in the order of their ids.
    pub fn iter(&self) -> core::slice::Iter<'_, Member<Id>> {
        self.entries.iter()
    }

    /// The members' ids in order.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = &Id> + DoubleEndedIterator {
        self.entries.iter().map(Member::id)
    }

    /// The members in the order of their ids.
    #[must_use]
    pub fn as_slice(&self) -> &[Member<Id>] {
        &self.entries
    }
}

impl<Id: Ord> FromIterator<Member<Id>> for Members<Id> {
    /// Of several members with one id the last counts.
    fn from_iter<I: IntoIterator<Item = Member<Id>>>(members: I) -> Self {
        let mut entries: Vec<Member<Id>> = members.into_iter().collect();
        // A stable sort of the reverse puts the last of equal ids first, and `dedup` keeps the first.
        entries.reverse();
        entries.sort_by(|a, b| a.id().cmp(b.id()));
        entries.dedup_by(|a, b| a.id() == b.id());
        Self { entries }
    }
}

impl<Id: Ord> Extend<Member<Id>> for Members<Id> {
    fn extend<I: IntoIterator<Item = Member<Id>>>(&mut self, members: I) {
        *self = core::mem::take(self).entries.into_iter().chain(members).collect();
    }
}

impl<Id> IntoIterator for Members<Id> {
    type Item = Member<Id>;
    type IntoIter = alloc::vec::IntoIter<Member<Id>>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'a, Id> IntoIterator for &'a Members<Id> {
    type Item = &'a Member<Id>;
    type IntoIter = core::slice::Iter<'a, Member<Id>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_description_of_an_id_counts() {
        let members: Members<u8> =
            [(2, 1), (1, 5), (2, 7)].into_iter().map(|(id, weight)| Member::new(id).weight(weight)).collect();
        assert_eq!(members.ids().copied().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(members.get(&2).map(Member::weight_of), Some(7));
    }

    #[test]
    fn insert_and_remove_say_what_was_there() {
        let mut members = Members::of([1_u8, 3]);
        assert_eq!(members.insert(Member::new(2)), None);
        assert_eq!(members.insert(Member::new(2).weight(9)), Some(Member::new(2)));
        assert_eq!(members.remove(&2).map(|m| m.weight_of()), Some(9));
        assert_eq!(members.remove(&2), None);
        assert_eq!(members, Members::of([3_u8, 1]));
    }
}
