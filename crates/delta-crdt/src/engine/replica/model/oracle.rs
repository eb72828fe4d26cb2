//! The specification: a graph of writes, each with those it replaces.
//!
//! A key holds the writes that no other known write replaces. It shows the one with the highest stamp among those that put a
//! value. Known is what some replica covers at the end: what only a replica without storage knew is gone with it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Change, Dot, Replica, Stamp};

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

/// Whether a replica knows a write.
pub(super) fn covers(replica: &Replica<u64, u64>, name: &Name) -> bool {
    let number = replica.origins.number(name.1.origin);
    number.is_some_and(|number| replica.shards[name.0].covers((number, name.1.seq)))
}

/// Does to a subscriber's copy what a change says.
pub(super) fn fold(mirror: &mut BTreeMap<u64, u64>, change: Change<u64, u64>, wrong: &mut Option<String>) {
    let old = match &change {
        Change::Put { key, new, .. } => mirror.insert(*key, *new),
        Change::Removed { key, .. } => mirror.remove(key),
    };
    if old.as_ref() != change.old() {
        wrong.get_or_insert(format!("a subscriber that holds {old:?} was told {change:?}"));
    }
}
