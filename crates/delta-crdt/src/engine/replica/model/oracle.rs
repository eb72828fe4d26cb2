//! The specification: a graph of writes, each with those it replaces.
//!
//! A key holds the writes that no other known write replaces. It shows the one with the highest stamp among those that put a
//! value. Known is what some replica covers at the end: what only a replica without storage knew is gone with it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Dot, Stamp};

/// A write's name: numbers count per shard.
pub(super) type Name = (usize, Dot);

#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) key: u64,
    pub(super) stamp: Stamp,
    pub(super) value: Option<u64>,
    pub(super) replaces: Vec<Name>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Oracle {
    pub(super) events: BTreeMap<Name, Event>,
}

impl Oracle {
    /// The values that each key holds, by the writes that put them.
    pub(super) fn held(&self, known: impl Fn(&Name) -> bool) -> BTreeMap<u64, BTreeSet<Dot>> {
        let known: BTreeMap<_, _> = self.events.iter().filter(|event| known(event.0)).collect();
        let replaced: BTreeSet<_> = known.values().flat_map(|event| &event.replaces).collect();
        let mut held: BTreeMap<u64, BTreeSet<Dot>> = BTreeMap::new();
        for (name, event) in known {
            if event.value.is_some() && !replaced.contains(name) {
                held.entry(event.key).or_default().insert(name.1);
            }
        }
        held
    }

    /// What each key shows, given what it holds.
    pub(super) fn shown(
        &self,
        held: &BTreeMap<u64, BTreeSet<Dot>>,
        shard: impl Fn(u64) -> usize,
    ) -> BTreeMap<u64, u64> {
        let winner = |(&key, dots): (&u64, &BTreeSet<Dot>)| {
            let events = dots.iter().filter_map(|dot| Some((*dot, self.events.get(&(shard(key), *dot))?)));
            let best = events.max_by_key(|(dot, event)| (event.stamp, *dot))?;
            Some((key, best.1.value?))
        };
        held.iter().filter_map(winner).collect()
    }
}
