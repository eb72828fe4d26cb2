//! Dot stores: what is there, by the dots of the writes that put it there.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::CausalContext;
use crate::Dot;

/// A container of dots that merges under causal contexts: a dot that one side knows and does not hold was removed there.
///
/// ```
/// use delta_crdt::{CausalContext, Dot, DotSet, DotStore, ReplicaId};
/// let [old, new] = [1, 2].map(|seq| Dot::new(ReplicaId::new(1, 1), seq));
/// let (mut mine, theirs) = (DotSet::of(old), DotSet::of(new));
/// let (i_know, they_know) = (CausalContext::from_iter([old]), CausalContext::from_iter([old, new]));
/// mine.join(&i_know, &theirs, &they_know);
/// assert_eq!(mine.dots(), [new]); // the old one was removed there, the new one is not known here
/// ```
///
/// Source: Almeida, Shoker and Baquero, "Delta State Replicated Data Types", 2018.
pub trait DotStore: Clone + Default + PartialEq {
    /// True if it holds no dot.
    fn is_empty(&self) -> bool;

    /// Calls `visit` with each dot held.
    fn visit(&self, visit: &mut dyn FnMut(Dot));

    /// Merges `other`, of which `theirs` is the context; `mine` is the context of this store. True if that changed anything.
    fn join(&mut self, mine: &CausalContext, other: &Self, theirs: &CausalContext) -> bool;

    /// The part with the dots that `keep` holds.
    #[must_use]
    fn restrict(&self, keep: &dyn Fn(Dot) -> bool) -> Self;

    /// The dots held.
    fn dots(&self) -> Vec<Dot> {
        let mut dots = Vec::new();
        self.visit(&mut |dot| dots.push(dot));
        dots
    }
}

/// A set of dots: the store of flags, and of the elements of sets.
///
/// ```
/// use delta_crdt::{Causal, CausalContext, Dot, DotSet, DotStore, Lattice, ReplicaId};
/// let [here, there] = [1, 2].map(|node| Dot::new(ReplicaId::new(node, 1), 1));
/// let [one, other] = [here, there].map(|dot| Causal::new(DotSet::of(dot), CausalContext::new())); // at the same time
/// assert_eq!(one.joined(&other).store().dots(), [here, there]); // both are held
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DotSet(
    #[cfg_attr(feature = "serde", serde(deserialize_with = "super::ordered::set"))] pub(crate) BTreeSet<Dot>,
);

impl DotSet {
    /// The set of one dot.
    #[must_use]
    pub fn of(dot: Dot) -> Self {
        Self(BTreeSet::from([dot]))
    }
}

impl DotStore for DotSet {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn visit(&self, visit: &mut dyn FnMut(Dot)) {
        self.0.iter().copied().for_each(visit);
    }

    fn join(&mut self, mine: &CausalContext, other: &Self, theirs: &CausalContext) -> bool {
        let before = self.0.len();
        self.0.retain(|dot| other.0.contains(dot) || !theirs.contains(*dot));
        let mut changed = self.0.len() != before;
        for &dot in &other.0 {
            changed |= !mine.contains(dot) && self.0.insert(dot);
        }
        changed
    }

    fn restrict(&self, keep: &dyn Fn(Dot) -> bool) -> Self {
        Self(self.0.iter().copied().filter(|&dot| keep(dot)).collect())
    }
}

/// A value for each dot. A dot names one write, so its value never changes.
///
/// ```
/// use delta_crdt::{Causal, CausalContext, Dot, DotFun, Lattice, ReplicaId};
/// let [here, there] = [1, 2].map(|node| Dot::new(ReplicaId::new(node, 1), 1));
/// let one = Causal::new(DotFun::of(here, "tea"), CausalContext::new());
/// let other = Causal::new(DotFun::of(there, "coffee"), CausalContext::new()); // at the same time
/// let both = one.joined(&other);
/// assert_eq!(both.store().iter().collect::<Vec<_>>(), [(here, &"tea"), (there, &"coffee")]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct DotFun<V>(pub(crate) BTreeMap<Dot, V>);

impl<V> DotFun<V> {
    /// One write and its value.
    #[must_use]
    pub fn of(dot: Dot, value: V) -> Self {
        Self(BTreeMap::from([(dot, value)]))
    }

    /// The writes and their values.
    pub fn iter(&self) -> impl Iterator<Item = (Dot, &V)> {
        self.0.iter().map(|(dot, value)| (*dot, value))
    }
}

impl<V> Default for DotFun<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

#[cfg(feature = "serde")]
impl<'de, V: serde::Deserialize<'de>> serde::Deserialize<'de> for DotFun<V> {
    /// Dots that do not rise are refused: one state has one form.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::ordered::map(deserializer, |_| None).map(Self)
    }
}

impl<V: Clone + PartialEq> DotStore for DotFun<V> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn visit(&self, visit: &mut dyn FnMut(Dot)) {
        self.0.keys().copied().for_each(visit);
    }

    fn join(&mut self, mine: &CausalContext, other: &Self, theirs: &CausalContext) -> bool {
        let before = self.0.len();
        self.0.retain(|dot, _| other.0.contains_key(dot) || !theirs.contains(*dot));
        let mut changed = self.0.len() != before;
        for (&dot, value) in &other.0 {
            if !mine.contains(dot) {
                changed |= self.0.insert(dot, value.clone()).is_none();
            }
        }
        changed
    }

    fn restrict(&self, keep: &dyn Fn(Dot) -> bool) -> Self {
        Self(self.0.iter().filter(|entry| keep(*entry.0)).map(|(dot, value)| (*dot, value.clone())).collect())
    }
}

/// A dot store for each key. A key without dots is not there.
///
/// ```
/// use delta_crdt::{Causal, CausalContext, Dot, DotMap, DotSet, Lattice, ReplicaId};
/// let [first, second] = [1, 2].map(|node| Dot::new(ReplicaId::new(node, 1), 1));
/// let written = Causal::new(DotMap::of("tea", DotSet::of(first)), CausalContext::new());
/// let removed = Causal::new(DotMap::default(), CausalContext::from_iter([first]));
/// let other = Causal::new(DotMap::of("coffee", DotSet::of(second)), CausalContext::new()); // at the same time
/// let left = written.joined(&removed).joined(&other);
/// assert_eq!((left.store().get(&"tea"), left.store().get(&"coffee")), (None, Some(&DotSet::of(second))));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct DotMap<K, S>(pub(crate) BTreeMap<K, S>);

impl<K: Ord, S> DotMap<K, S> {
    /// One key and its store; the empty map if the store is empty.
    #[must_use]
    pub fn of(key: K, store: S) -> Self
    where
        S: DotStore,
    {
        match store.is_empty() {
            true => Self::default(),
            false => Self(BTreeMap::from([(key, store)])),
        }
    }

    /// The store of `key`.
    pub fn get(&self, key: &K) -> Option<&S> {
        self.0.get(key)
    }
}

impl<K, S> Default for DotMap<K, S> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

#[cfg(feature = "serde")]
impl<'de, K, S> serde::Deserialize<'de> for DotMap<K, S>
where
    K: Ord + serde::Deserialize<'de>,
    S: DotStore + serde::Deserialize<'de>,
{
    /// A key without dots is refused, and so are keys that do not rise: one state has one form.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::ordered::map(deserializer, |store: &S| store.is_empty().then_some("a key without dots"))
            .map(Self)
    }
}

impl<K: Clone + Ord, S: DotStore> DotStore for DotMap<K, S> {
    fn is_empty(&self) -> bool {
        self.0.values().all(DotStore::is_empty)
    }

    fn visit(&self, visit: &mut dyn FnMut(Dot)) {
        self.0.values().for_each(|store| store.visit(visit));
    }

    fn join(&mut self, mine: &CausalContext, other: &Self, theirs: &CausalContext) -> bool {
        let nothing = S::default();
        let mut changed = false;
        self.0.retain(|key, store| {
            changed |= store.join(mine, other.0.get(key).unwrap_or(&nothing), theirs);
            !store.is_empty()
        });
        for (key, store) in &other.0 {
            // A key that both sides have was merged above, and may be gone since.
            if !self.0.contains_key(key) {
                let mut fresh = S::default();
                fresh.join(mine, store, theirs);
                if !fresh.is_empty() {
                    self.0.insert(key.clone(), fresh);
                    changed = true;
                }
            }
        }
        changed
    }

    fn restrict(&self, keep: &dyn Fn(Dot) -> bool) -> Self {
        let parts = self.0.iter().map(|(key, store)| (key.clone(), store.restrict(keep)));
        Self(parts.filter(|part| !part.1.is_empty()).collect())
    }
}
