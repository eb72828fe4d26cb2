//! Exactly what moves between two placements.

use alloc::vec::Vec;
use core::fmt;

use crate::hash::KeyHash;
use crate::placement::Placement;

/// The difference between two placements, key by key or as ranges of the key space.
///
/// The two may be of different strategies or slot counts.
///
/// ```
/// use horde_ring::{Diff, KeyHash, Members, SlotTable, Slots};
///
/// let slots = Slots::at_least(1024);
/// let before = SlotTable::new(Members::of(["a", "b"]), slots);
/// let after = SlotTable::new(Members::of(["a", "b", "c"]), slots);
/// let diff = Diff::new(&before, &after);
/// let moved = diff.moved_fraction().expect("tables have ranges");
/// assert!((0.3..0.37).contains(&moved));
/// assert!(diff.over([KeyHash::of("x")]).all(|(_, moved)| moved.to == Some(&"c")));
/// ```
pub struct Diff<'a, Id> {
    before: &'a dyn Placement<Id>,
    after: &'a dyn Placement<Id>,
}

/// Where a key was and where it goes.
#[derive(Debug, PartialEq, Eq)]
pub struct Move<'a, Id> {
    /// The owner before; `None` if there were no members.
    pub from: Option<&'a Id>,
    /// The owner after; `None` if there are no members.
    pub to: Option<&'a Id>,
}

impl<Id> Clone for Move<'_, Id> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Id> Copy for Move<'_, Id> {}

/// A range of key hashes that moves as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedRange<'a, Id> {
    /// The first key hash.
    pub start: u64,
    /// The last key hash, included.
    pub end: u64,
    /// From whom to whom.
    pub moved: Move<'a, Id>,
}

impl<'a, Id: PartialEq> Diff<'a, Id> {
    /// The move of `key`; `None` if it stays.
    #[must_use]
    pub fn of(&self, key: KeyHash) -> Option<Move<'a, Id>> {
        let moved = Move { from: self.before.owner(key), to: self.after.owner(key) };
        (moved.from != moved.to).then_some(moved)
    }

    /// Those of `keys` that move, in their order.
    pub fn over(
        &self,
        keys: impl IntoIterator<Item = KeyHash>,
    ) -> impl Iterator<Item = (KeyHash, Move<'a, Id>)> {
        keys.into_iter().filter_map(|key| self.of(key).map(|moved| (key, moved)))
    }

    /// All ranges of the key space that move, in order; `None` if one of the strategies has no ranges
    /// (rendezvous). Neighbouring ranges with the same move are one.
    #[must_use]
    pub fn ranges(&self) -> Option<Vec<MovedRange<'a, Id>>> {
        let (before, after) = (self.before.regions()?, self.after.regions()?);
        let mut ranges: Vec<MovedRange<'a, Id>> = Vec::new();
        let (mut b, mut a, mut start) = (0, 0, 0_u64);
        loop {
            let next =
                |regions: &[crate::Region<'a, Id>], at: usize| regions.get(at + 1).map(|next| next.start);
            let (next_b, next_a) = (next(&before, b), next(&after, a));
            let next = [next_b, next_a].into_iter().flatten().min();
            let end = next.map_or(u64::MAX, |next| next - 1);
            let moved = Move { from: before[b].owner, to: after[a].owner };
            if moved.from != moved.to {
                match ranges
                    .last_mut()
                    .filter(|last| last.moved == moved && last.end.wrapping_add(1) == start)
                {
                    Some(last) => last.end = end,
                    None => ranges.push(MovedRange { start, end, moved }),
                }
            }
            let Some(next) = next else { return Some(ranges) };
            b += usize::from(next_b == Some(next));
            a += usize::from(next_a == Some(next));
            start = next;
        }
    }

    /// The exact share of the key space that moves, 0 to 1; `None` where [`ranges`](Self::ranges) is.
    #[must_use]
    pub fn moved_fraction(&self) -> Option<f64> {
        let moved: u128 = self.ranges()?.iter().map(|range| u128::from(range.end - range.start) + 1).sum();
        Some(moved as f64 / (1_u128 << 64) as f64)
    }
}

impl<'a, Id> Diff<'a, Id> {
    /// Compares two placements.
    #[must_use]
    pub fn new(before: &'a dyn Placement<Id>, after: &'a dyn Placement<Id>) -> Self {
        Self { before, after }
    }
}

impl<Id> fmt::Debug for Diff<'_, Id> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = (self.before.members().len(), self.after.members().len());
        f.debug_struct("Diff").field("members_before", &before).field("members_after", &after).finish()
    }
}
