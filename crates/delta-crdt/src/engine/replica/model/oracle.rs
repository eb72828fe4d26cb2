//! The specification: a graph of writes, each with those it replaces.
//!
//! A key holds the writes that no other known write replaces. It shows the one with the highest stamp among those that put a
//! value. Known is what some replica covers: what only a replica without storage knew is gone with it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Change, Dot, Replica, ReplicaId, Stamp};

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

/// What a replica must hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// The values of each key, by the writes that put them.
    pub(super) values: BTreeMap<u64, BTreeMap<Dot, (Stamp, u64)>>,
    /// The removals that stand. Their tombstones may be gone, as they are dropped in time.
    pub(super) removals: BTreeMap<Name, u64>,
}

impl State {
    /// What each key shows.
    pub(super) fn shown(&self) -> BTreeMap<u64, u64> {
        let winner = |(&key, values): (&u64, &BTreeMap<Dot, (Stamp, u64)>)| {
            let best = values.iter().max_by_key(|(dot, value)| (value.0, **dot))?;
            Some((key, best.1.1))
        };
        self.values.iter().filter_map(winner).collect()
    }
}

impl Oracle {
    /// Adds a write, if it is one: named as no other, of a key whose writes it replaces, and stamped above all of them.
    pub(super) fn add(&mut self, name: Name, event: Event) -> Result<(), String> {
        for replaced in &event.replaces {
            let Some(old) = self.events.get(replaced) else {
                return Err(format!("{name:?} replaces {replaced:?}, which nobody wrote"));
            };
            if old.key != event.key || old.stamp >= event.stamp {
                return Err(format!("{name:?}, {event:?}, replaces {replaced:?}, {old:?}"));
            }
        }
        match self.events.insert(name, event) {
            None => Ok(()),
            Some(first) => Err(format!("{name:?} names two writes: {first:?} too")),
        }
    }

    /// The known writes that no known write replaces.
    fn standing(&self, known: impl Fn(&Name) -> bool) -> impl Iterator<Item = (&Name, &Event)> {
        let known: BTreeMap<_, _> = self.events.iter().filter(|event| known(event.0)).collect();
        let replaced: BTreeSet<_> = known.values().flat_map(|event| &event.replaces).collect();
        known.into_iter().filter(move |event| !replaced.contains(event.0))
    }

    /// What a replica holds that knows these writes.
    pub(super) fn state(&self, known: impl Fn(&Name) -> bool) -> State {
        let mut state = State::default();
        for (&name, event) in self.standing(known) {
            match event.value {
                Some(value) => {
                    state.values.entry(event.key).or_default().insert(name.1, (event.stamp, value));
                }
                None => _ = state.removals.insert(name, event.key),
            }
        }
        state
    }
}

/// How many writes of a life a replica knows.
pub(super) fn covered(replica: &Replica<u64, u64>, shard: usize, life: ReplicaId) -> u64 {
    replica.origins.number(life).map_or(0, |number| replica.shards[shard].covered(number))
}

/// Whether a replica knows a write.
pub(super) fn covers(replica: &Replica<u64, u64>, name: &Name) -> bool {
    name.1.seq <= covered(replica, name.0, name.1.origin)
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
