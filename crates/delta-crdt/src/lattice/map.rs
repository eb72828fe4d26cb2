//! Maps.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::causal::causal_type;
use super::{Causal, Decompose, DotFun, DotMap, DotStore, Embed, Lattice};
use crate::{Dot, ReplicaId, Stamp};

/// A map whose keys are never removed and whose values are lattices: values of one key are joined.
///
/// ```
/// use delta_crdt::{GCounter, GMap, Lattice, ReplicaId};
/// let (mut here, mut there) = (GMap::<&str, GCounter>::new(), GMap::<&str, GCounter>::new());
/// here.update("page", |views| views.increment(ReplicaId::new(1, 1), 2));
/// let delta = there.update("page", |views| views.increment(ReplicaId::new(2, 1), 3)); // at the same time
/// here.join(&delta);
/// assert_eq!(here.get(&"page").map(GCounter::value), Some(5));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct GMap<K, V>(BTreeMap<K, V>);

impl<K, V> Default for GMap<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Clone + Ord, V: Lattice> GMap<K, V> {
    /// The empty map.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes the value of `key`, from its bottom if it is not there. `change` returns the delta of the value; this returns
    /// that of the map.
    pub fn update(&mut self, key: K, change: impl FnOnce(&mut V) -> V) -> Self {
        let delta = change(self.0.entry(key.clone()).or_default());
        if self.0.get(&key).is_some_and(|value| *value == V::default()) {
            self.0.remove(&key);
        }
        match delta == V::default() {
            true => Self::default(),
            false => Self(BTreeMap::from([(key, delta)])),
        }
    }

    /// The value of `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key)
    }

    /// How many keys.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter()
    }
}

#[cfg(feature = "serde")]
impl<'de, K, V> serde::Deserialize<'de> for GMap<K, V>
where
    K: Ord + serde::Deserialize<'de>,
    V: Lattice + serde::Deserialize<'de>,
{
    /// A key at its bottom is refused, and so are keys that do not rise: one state has one form.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let refuse = |value: &V| (*value == V::default()).then_some("a key at its bottom");
        super::ordered::map(deserializer, refuse).map(Self)
    }
}

impl<K: Clone + Ord, V: Lattice> Lattice for GMap<K, V> {
    fn join(&mut self, other: &Self) -> bool {
        let mut changed = false;
        for (key, value) in &other.0 {
            match self.0.get_mut(key) {
                Some(mine) => changed |= mine.join(value),
                None => {
                    changed = true;
                    self.0.insert(key.clone(), value.clone());
                }
            }
        }
        changed
    }

    fn includes(&self, other: &Self) -> bool {
        other.0.iter().all(|(key, value)| self.0.get(key).is_some_and(|mine| mine.includes(value)))
    }
}

impl<K: Clone + Ord, V: Decompose> Decompose for GMap<K, V> {
    fn decompose(&self) -> Vec<Self> {
        let pieces = |(key, value): (&K, &V)| {
            let key = key.clone();
            value.decompose().into_iter().map(move |piece| Self(BTreeMap::from([(key.clone(), piece)])))
        };
        self.0.iter().flat_map(pieces).collect()
    }

    /// Looks at each key, and costs for each what the delta of its value costs. No value is decomposed that need not be.
    fn delta(&self, known: &Self) -> Self {
        let bottom = V::default();
        let part = |(key, value): (&K, &V)| {
            let delta = known.0.get(key).map_or_else(|| value.clone(), |theirs| value.delta(theirs));
            (delta != bottom).then(|| (key.clone(), delta))
        };
        Self(self.0.iter().filter_map(part).collect())
    }
}

/// A map with causal values, which may be maps again. Removing a key removes what is known of its value; a change made
/// elsewhere at the same time survives.
///
/// ```
/// use delta_crdt::{AWSet, Lattice, ORMap, ReplicaId};
/// let (a, b) = (ReplicaId::new(1, 1), ReplicaId::new(2, 1));
/// let mut here = ORMap::<&str, AWSet<u32>>::new();
/// here.update("team", |set| set.insert(a, 1));
/// let mut there = here.clone();
/// here.remove(&"team");
/// there.update("team", |set| set.insert(b, 2)); // at the same time
/// here.join(&there);
/// assert_eq!(here.get(&"team").map(|set| set.iter().copied().collect()), Some(vec![2]));
/// ```
///
/// A map in a map behaves alike at each depth, `clear` included:
///
/// ```
/// use delta_crdt::{Lattice, MVRegister, ORMap, ReplicaId};
/// let (a, b) = (ReplicaId::new(1, 1), ReplicaId::new(2, 1));
/// let mut here = ORMap::<&str, ORMap<&str, MVRegister<u32>>>::new();
/// here.update("door", |door| door.update("colour", |colour| colour.write(a, 1)));
/// let mut there = here.clone();
/// here.clear();
/// there.update("door", |door| door.update("width", |width| width.write(b, 90))); // at the same time
/// here.join(&there);
/// let door = here.get(&"door").expect("it has a width");
/// assert_eq!(door.keys().collect::<Vec<_>>(), [&"width"]);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(
        serialize = "K: serde::Serialize, C::Store: serde::Serialize",
        deserialize = "K: serde::Deserialize<'de>, C::Store: serde::Deserialize<'de>"
    ))
)]
pub struct ORMap<K: Clone + Ord, C: Embed>(Causal<DotMap<K, C::Store>>);

impl<K: Clone + Ord, C: Embed> Default for ORMap<K, C> {
    fn default() -> Self {
        Self(Causal::default())
    }
}

impl<K: Clone + Ord, C: Embed> ORMap<K, C> {
    /// The empty map.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes the value of `key`, from its bottom if it is not there. `change` returns the delta of the value; this returns
    /// that of the map. Copies the value and the context, so it costs their size.
    ///
    /// Let `change` return what the mutators of the value returned, joined if they were several. The value as a whole would
    /// not do: it comes with all that the map knows, and as a delta would remove every other key.
    pub fn update(&mut self, key: K, change: impl FnOnce(&mut C) -> C) -> Self {
        let mut value = self.value(self.0.store.get(&key));
        let delta = change(&mut value);
        let Causal { store, context } = delta.as_causal().clone();
        let delta = Self(Causal { store: DotMap::of(key, store), context });
        self.0.join(&delta.0);
        delta
    }

    /// Removes what is known of `key`; returns the delta.
    pub fn remove(&mut self, key: &K) -> Self {
        let dots = self.0.store.get(key).map(DotStore::dots).unwrap_or_default();
        let delta = Self(Causal::new(DotMap::default(), dots.into_iter().collect()));
        self.0.join(&delta.0);
        delta
    }

    /// Removes all keys known; returns the delta.
    pub fn clear(&mut self) -> Self {
        let delta = Self(Causal::new(DotMap::default(), self.0.store.dots().into_iter().collect()));
        self.0.join(&delta.0);
        delta
    }

    /// The value of `key`, a copy.
    pub fn get(&self, key: &K) -> Option<C> {
        self.0.store.get(key).map(|store| self.value(Some(store)))
    }

    /// How many keys.
    pub fn len(&self) -> usize {
        self.0.store.0.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.0.store.0.is_empty()
    }

    /// The keys in order: those whose value holds a write. A flag or set that shows nothing may hold some: an
    /// [`RWSet`](super::RWSet) remembers removals. A [`DWFlag`](super::DWFlag) that is on holds none.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.store.0.keys()
    }

    fn value(&self, store: Option<&C::Store>) -> C {
        let store = store.cloned().unwrap_or_default();
        C::from_causal(Causal { store, context: self.0.context.clone() })
    }
}

impl<K: Clone + Ord, C: Embed> Lattice for ORMap<K, C> {
    fn join(&mut self, other: &Self) -> bool {
        self.0.join(&other.0)
    }
}

impl<K: Clone + Ord, C: Embed> Decompose for ORMap<K, C> {
    fn decompose(&self) -> Vec<Self> {
        self.0.decompose().into_iter().map(Self).collect()
    }

    fn delta(&self, known: &Self) -> Self {
        Self(self.0.delta(&known.0))
    }
}

impl<K: Clone + Ord, C: Embed> Embed for ORMap<K, C> {
    type Store = DotMap<K, C::Store>;

    fn from_causal(causal: Causal<Self::Store>) -> Self {
        Self(causal)
    }

    fn as_causal(&self) -> &Causal<Self::Store> {
        &self.0
    }
}

causal_type! {
    /// A map where a put wins over a concurrent removal, and the latest stamp among concurrent puts: the value form of what
    /// [`Replica`](crate::Replica) runs, and of DeltaCrdt's AWLWWMap.
    ///
    /// ```
    /// use delta_crdt::{AWLWWMap, Lattice, ReplicaId, Stamp};
    /// let mut here = AWLWWMap::new();
    /// here.put(ReplicaId::new(1, 1), Stamp::at_unix_ms(1), "k", "old");
    /// let mut there = here.clone();
    /// here.remove(&"k");
    /// there.put(ReplicaId::new(2, 1), Stamp::at_unix_ms(2), "k", "new"); // at the same time
    /// here.join(&there);
    /// assert_eq!(here.get(&"k"), Some(&"new"));
    /// ```
    AWLWWMap<K, V>(DotMap<K, DotFun<(Stamp, V)>>) where K: Clone + Ord, V: Clone + PartialEq
}

impl<K: Clone + Ord, V: Clone + PartialEq> AWLWWMap<K, V> {
    /// Puts `value` under `key` as `replica`, in place of all writes known; returns the delta.
    pub fn put(&mut self, replica: ReplicaId, stamp: Stamp, key: K, value: V) -> Self {
        let replaced = self.0.store.get(&key).map(DotStore::dots).unwrap_or_default();
        let dot = self.0.context.next(replica);
        self.apply(DotMap::of(key, DotFun::of(dot, (stamp, value))), replaced)
    }

    /// Removes what is known of `key`; returns the delta.
    pub fn remove(&mut self, key: &K) -> Self {
        let replaced = self.0.store.get(key).map(DotStore::dots).unwrap_or_default();
        self.apply(DotMap::default(), replaced)
    }

    /// Removes all keys known; returns the delta.
    pub fn clear(&mut self) -> Self {
        self.apply(DotMap::default(), self.0.store.dots())
    }

    /// The value that `key` shows.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.0.store.get(key).and_then(latest)
    }

    /// How many keys.
    pub fn len(&self) -> usize {
        self.0.store.0.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.0.store.0.is_empty()
    }

    /// Keys and what they show, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.store.0.iter().filter_map(|(key, writes)| Some((key, latest(writes)?)))
    }
}

fn latest<V>(writes: &DotFun<(Stamp, V)>) -> Option<&V> {
    let order = |entry: &(&Dot, &(Stamp, V))| (entry.1.0, *entry.0);
    writes.0.iter().max_by_key(order).map(|entry| &entry.1.1)
}
