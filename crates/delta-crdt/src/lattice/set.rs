//! Sets.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::causal::causal_type;
use super::{Decompose, DotMap, DotSet, DotStore, Lattice};
use crate::ReplicaId;

/// A set that only grows: elements are never removed, and concurrent insertions all stay.
///
/// ```
/// use delta_crdt::{GSet, Lattice};
/// let (mut here, mut there) = (GSet::new(), GSet::new());
/// let delta = here.insert("tea");
/// there.insert("coffee"); // at the same time
/// there.join(&delta);
/// assert_eq!(there.iter().collect::<Vec<_>>(), [&"coffee", &"tea"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(serialize = "T: serde::Serialize", deserialize = "T: Ord + serde::Deserialize<'de>"))
)]
pub struct GSet<T>(
    #[cfg_attr(feature = "serde", serde(deserialize_with = "super::ordered::set"))] BTreeSet<T>,
);

impl<T> Default for GSet<T> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<T: Clone + Ord> GSet<T> {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `element`; returns the delta, which is empty if it was there.
    pub fn insert(&mut self, element: T) -> Self {
        match self.0.insert(element.clone()) {
            true => Self(BTreeSet::from([element])),
            false => Self::default(),
        }
    }

    /// True if `element` is in it.
    pub fn contains(&self, element: &T) -> bool {
        self.0.contains(element)
    }

    /// How many elements.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The elements in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

impl<T: Clone + Ord> Lattice for GSet<T> {
    fn join(&mut self, other: &Self) -> bool {
        let before = self.0.len();
        self.0.extend(other.0.iter().cloned());
        self.0.len() != before
    }

    fn includes(&self, other: &Self) -> bool {
        self.0.is_superset(&other.0)
    }
}

impl<T: Clone + Ord> Decompose for GSet<T> {
    fn decompose(&self) -> Vec<Self> {
        self.0.iter().map(|element| Self(BTreeSet::from([element.clone()]))).collect()
    }
}

causal_type! {
    /// A set where adding wins over a concurrent removal (ORSWOT: no tombstones).
    ///
    /// ```
    /// use delta_crdt::{AWSet, Lattice, ReplicaId};
    /// let mut here = AWSet::new();
    /// here.insert(ReplicaId::new(1, 1), "milk");
    /// let mut there = here.clone();
    /// here.remove(&"milk");
    /// there.insert(ReplicaId::new(2, 1), "milk"); // at the same time
    /// here.join(&there);
    /// assert!(here.contains(&"milk"));
    /// ```
    ///
    /// Source: Bieniusa and others, "An Optimized Conflict-free Replicated Set", 2012.
    AWSet<T>(DotMap<T, DotSet>) where T: Clone + Ord
}

impl<T: Clone + Ord> AWSet<T> {
    /// Adds `element` as `replica`; returns the delta.
    pub fn insert(&mut self, replica: ReplicaId, element: T) -> Self {
        let replaced = self.0.store.get(&element).map(DotStore::dots).unwrap_or_default();
        let dot = self.0.context.next(replica);
        self.apply(DotMap::of(element, DotSet::of(dot)), replaced)
    }

    /// Removes what is known of `element`; returns the delta.
    pub fn remove(&mut self, element: &T) -> Self {
        let replaced = self.0.store.get(element).map(DotStore::dots).unwrap_or_default();
        self.apply(DotMap::default(), replaced)
    }

    /// Removes all elements known; returns the delta.
    pub fn clear(&mut self) -> Self {
        self.apply(DotMap::default(), self.0.store.dots())
    }

    /// True if `element` is in it.
    pub fn contains(&self, element: &T) -> bool {
        self.0.store.get(element).is_some()
    }

    /// How many elements.
    pub fn len(&self) -> usize {
        self.0.store.0.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.0.store.0.is_empty()
    }

    /// The elements in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.store.0.keys()
    }
}

causal_type! {
    /// A set where removing wins over a concurrent adding.
    ///
    /// The dots of `true` are additions, those of `false` removals; an element is in the set if it has additions and no
    /// removals. A removed element costs a few bytes until it is added again.
    ///
    /// ```
    /// use delta_crdt::{Lattice, RWSet, ReplicaId};
    /// let mut here = RWSet::new();
    /// here.insert(ReplicaId::new(1, 1), "key");
    /// let mut there = here.clone();
    /// here.remove(ReplicaId::new(1, 1), "key");
    /// there.insert(ReplicaId::new(2, 1), "key"); // at the same time
    /// here.join(&there);
    /// assert!(!here.contains(&"key"));
    /// ```
    RWSet<T>(DotMap<T, DotMap<bool, DotSet>>) where T: Clone + Ord
}

impl<T: Clone + Ord> RWSet<T> {
    /// Adds `element` as `replica`; returns the delta.
    pub fn insert(&mut self, replica: ReplicaId, element: T) -> Self {
        self.write(replica, element, true)
    }

    /// Removes `element` as `replica`; returns the delta.
    pub fn remove(&mut self, replica: ReplicaId, element: T) -> Self {
        self.write(replica, element, false)
    }

    fn write(&mut self, replica: ReplicaId, element: T, present: bool) -> Self {
        let replaced = self.0.store.get(&element).map(DotStore::dots).unwrap_or_default();
        let dot = self.0.context.next(replica);
        self.apply(DotMap::of(element, DotMap::of(present, DotSet::of(dot))), replaced)
    }

    /// True if `element` is in it.
    pub fn contains(&self, element: &T) -> bool {
        self.0.store.get(element).is_some_and(is_present)
    }

    /// How many elements. Looks at each, those that are remembered as removed too.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The elements in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.store.0.iter().filter(|entry| is_present(entry.1)).map(|entry| entry.0)
    }
}

fn is_present(writes: &DotMap<bool, DotSet>) -> bool {
    writes.get(&true).is_some() && writes.get(&false).is_none()
}
