//! Counters.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{Decompose, Lattice};
use crate::ReplicaId;

/// A counter that only grows.
///
/// Concurrent increments all count: 2 here and 3 there make 5. Each replica keeps its own total, so a delta that comes twice
/// counts once.
///
/// ```
/// use delta_crdt::{GCounter, Lattice, ReplicaId};
/// let (mut here, mut there) = (GCounter::new(), GCounter::new());
/// let delta = here.increment(ReplicaId::new(1, 1), 2);
/// there.increment(ReplicaId::new(2, 1), 3);
/// there.join(&delta);
/// there.join(&delta);
/// assert_eq!(there.value(), 5);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct GCounter(BTreeMap<ReplicaId, u64>);

impl GCounter {
    /// Zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `by` as `replica`; returns the delta. A replica's total stays at `u64::MAX`.
    pub fn increment(&mut self, replica: ReplicaId, by: u64) -> Self {
        let before = self.0.get(&replica).copied().unwrap_or_default();
        let total = before.saturating_add(by);
        if total == before {
            return Self::default();
        }
        self.0.insert(replica, total);
        Self(BTreeMap::from([(replica, total)]))
    }

    /// The sum over all replicas.
    #[must_use]
    pub fn value(&self) -> u128 {
        self.0.values().map(|&total| u128::from(total)).sum()
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for GCounter {
    /// A total of zero is refused, and so are replicas that do not rise: one state has one form.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let refuse = |total: &u64| (*total == 0).then_some("a replica that counted nothing");
        super::ordered::map(deserializer, refuse).map(Self)
    }
}

impl Lattice for GCounter {
    fn join(&mut self, other: &Self) -> bool {
        let mut changed = false;
        for (&replica, &total) in &other.0 {
            let mine = self.0.entry(replica).or_default();
            changed |= total > *mine;
            *mine = total.max(*mine);
        }
        changed
    }

    fn includes(&self, other: &Self) -> bool {
        other.0.iter().all(|(replica, total)| self.0.get(replica).is_some_and(|mine| mine >= total))
    }
}

impl Decompose for GCounter {
    fn decompose(&self) -> Vec<Self> {
        self.0.iter().map(|(&replica, &total)| Self(BTreeMap::from([(replica, total)]))).collect()
    }
}

/// A counter that goes up and down: two [`GCounter`]s.
///
/// Concurrent changes all count: from 10, +2 here and -3 there make 9.
///
/// ```
/// use delta_crdt::{Lattice, PNCounter, ReplicaId};
/// let (a, b) = (ReplicaId::new(1, 1), ReplicaId::new(2, 1));
/// let mut here = PNCounter::new();
/// here.increment(a, 10);
/// let mut there = here.clone();
/// here.increment(a, 2);
/// let delta = there.decrement(b, 3); // at the same time
/// here.join(&delta);
/// here.join(&delta);
/// assert_eq!(here.value(), 9);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PNCounter {
    up: GCounter,
    down: GCounter,
}

impl PNCounter {
    /// Zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `by` as `replica`; returns the delta. What a replica added stays at `u64::MAX`.
    pub fn increment(&mut self, replica: ReplicaId, by: u64) -> Self {
        Self { up: self.up.increment(replica, by), down: GCounter::default() }
    }

    /// Takes `by` away as `replica`; returns the delta. What a replica took away stays at `u64::MAX`.
    pub fn decrement(&mut self, replica: ReplicaId, by: u64) -> Self {
        Self { up: GCounter::default(), down: self.down.increment(replica, by) }
    }

    /// The sum over all replicas.
    #[must_use]
    pub fn value(&self) -> i128 {
        let half = |counter: &GCounter| i128::try_from(counter.value()).unwrap_or(i128::MAX);
        half(&self.up) - half(&self.down)
    }
}

impl Lattice for PNCounter {
    fn join(&mut self, other: &Self) -> bool {
        self.up.join(&other.up) | self.down.join(&other.down)
    }

    fn includes(&self, other: &Self) -> bool {
        self.up.includes(&other.up) && self.down.includes(&other.down)
    }
}

impl Decompose for PNCounter {
    fn decompose(&self) -> Vec<Self> {
        let ups = self.up.decompose().into_iter().map(|up| Self { up, down: GCounter::default() });
        let downs = self.down.decompose().into_iter().map(|down| Self { up: GCounter::default(), down });
        ups.chain(downs).collect()
    }
}
