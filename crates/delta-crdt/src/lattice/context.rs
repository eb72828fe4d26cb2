//! Which writes are known.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use super::{Decompose, Lattice};
use crate::{Dot, ReplicaId};

/// A set of dots: for each replica, the ranges of its write numbers that are known.
///
/// Always compacted: ranges are sorted, never touch, and a run from 1 is one range (the version vector; what is beyond it is
/// the dot cloud). It takes a few bytes per replica however many writes there were.
///
/// ```
/// use delta_crdt::{CausalContext, Dot, Lattice, ReplicaId};
/// let (a, b) = (ReplicaId::new(1, 1), ReplicaId::new(2, 1));
/// let mut here = CausalContext::from_iter([Dot::new(a, 1), Dot::new(a, 3)]); // the second has not come yet
/// let there = CausalContext::from_iter([Dot::new(a, 2), Dot::new(b, 1)]); // heard at the same time
/// assert_eq!(here.covered(a), 1);
/// here.join(&there);
/// assert_eq!((here.covered(a), here.covered(b)), (3, 1));
/// assert_eq!(here.ranges().collect::<Vec<_>>(), [(a, 1, 3), (b, 1, 1)]);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CausalContext {
    ranges: BTreeMap<ReplicaId, Vec<(u64, u64)>>,
}

impl CausalContext {
    /// No dots.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// True if no dot is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Dots in it.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.ranges.values().flatten().fold(0, |sum, &(first, last)| (last - first + 1).saturating_add(sum))
    }

    /// True if `dot` is in it.
    #[must_use]
    pub fn contains(&self, dot: Dot) -> bool {
        self.ranges.get(&dot.origin).is_some_and(|ranges| {
            let after = ranges.partition_point(|range| range.0 <= dot.seq);
            after > 0 && dot.seq <= ranges[after - 1].1
        })
    }

    /// The number up to which all writes of `replica` are known.
    #[must_use]
    pub fn covered(&self, replica: ReplicaId) -> u64 {
        self.ranges
            .get(&replica)
            .and_then(|ranges| ranges.first())
            .filter(|range| range.0 == 1)
            .map_or(0, |r| r.1)
    }

    /// A dot for the next write of `replica`, above all that are known of it. Only `replica` itself may ask.
    ///
    /// # Panics
    /// After 2^64 - 1 writes of one replica.
    #[must_use]
    pub fn next(&self, replica: ReplicaId) -> Dot {
        let last = self.ranges.get(&replica).and_then(|ranges| ranges.last()).map_or(0, |range| range.1);
        Dot::new(replica, last.checked_add(1).expect("fewer than 2^64 writes"))
    }

    /// Adds a dot. True if it was not there. Number 0 names no write and is not added.
    pub fn insert(&mut self, dot: Dot) -> bool {
        self.insert_range(dot.origin, dot.seq, dot.seq)
    }

    /// Adds the dots `first..=last` of one replica.
    pub(crate) fn insert_range(&mut self, origin: ReplicaId, first: u64, last: u64) -> bool {
        let first = first.max(1);
        if first > last {
            return false;
        }
        let ranges = self.ranges.entry(origin).or_default();
        // Those that the new range touches: from the first that ends just before it, to the last that begins just after.
        let from = ranges.partition_point(|range| range.1 < first - 1);
        let to = ranges.partition_point(|range| range.0 <= last.saturating_add(1));
        if from == to {
            ranges.insert(from, (first, last));
            return true;
        }
        let merged = (ranges[from].0.min(first), ranges[to - 1].1.max(last));
        if to == from + 1 && ranges[from] == merged {
            return false;
        }
        ranges.splice(from..to, [merged]);
        true
    }

    /// All ranges: replica, first and last number.
    pub fn ranges(&self) -> impl Iterator<Item = (ReplicaId, u64, u64)> + '_ {
        self.ranges
            .iter()
            .flat_map(|(&id, ranges)| ranges.iter().map(move |&(first, last)| (id, first, last)))
    }

    /// All dots, which can be very many.
    pub fn dots(&self) -> impl Iterator<Item = Dot> + '_ {
        self.ranges().flat_map(|(id, first, last)| (first..=last).map(move |seq| Dot::new(id, seq)))
    }

    /// The dots that `other` does not have.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut rest = Self::default();
        for (id, mut first, last) in self.ranges() {
            for &(start, end) in other.ranges.get(&id).into_iter().flatten() {
                if end < first || start > last {
                    continue;
                }
                if start > first {
                    rest.insert_range(id, first, start - 1);
                }
                first = end.saturating_add(1);
                if end == u64::MAX {
                    first = u64::MAX;
                    break;
                }
            }
            if !other.contains(Dot::new(id, first)) {
                rest.insert_range(id, first, last);
            }
        }
        rest
    }
}

impl Lattice for CausalContext {
    fn join(&mut self, other: &Self) -> bool {
        other.ranges().fold(false, |changed, (id, first, last)| self.insert_range(id, first, last) | changed)
    }

    fn includes(&self, other: &Self) -> bool {
        other.ranges().all(|(id, first, last)| {
            self.ranges.get(&id).is_some_and(|ranges| {
                let after = ranges.partition_point(|range| range.0 <= first);
                after > 0 && last <= ranges[after - 1].1
            })
        })
    }
}

impl Decompose for CausalContext {
    fn decompose(&self) -> Vec<Self> {
        self.dots().map(|dot| Self::from_iter([dot])).collect()
    }

    /// Looks at the ranges, not at each dot.
    fn delta(&self, known: &Self) -> Self {
        self.without(known)
    }
}

impl FromIterator<Dot> for CausalContext {
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> Self {
        let mut context = Self::default();
        for dot in dots {
            context.insert(dot);
        }
        context
    }
}

impl fmt::Debug for CausalContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.ranges.iter()).finish()
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for CausalContext {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&self.ranges)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for CausalContext {
    /// Replicas that do not rise and ranges that are not in compact form are refused: one set of dots has one form. So are numbers
    /// that no replica lives to write (from 2^63), so that no state from outside makes the next write overflow.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let refuse = |ranges: &Vec<(u64, u64)>| {
            let compact = !ranges.is_empty()
                && ranges
                    .iter()
                    .all(|range| 1 <= range.0 && range.0 <= range.1 && range.1 <= crate::id::MAX_SEQ)
                && ranges.windows(2).all(|pair| pair[0].1 < pair[1].0 - 1);
            (!compact).then_some("ranges of dots are not in compact form, or beyond all numbers")
        };
        super::ordered::map(deserializer, refuse).map(|ranges| Self { ranges })
    }
}
