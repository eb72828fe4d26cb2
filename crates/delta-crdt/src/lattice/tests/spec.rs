//! What each type should show, computed from the events alone: who wrote what, having seen what.

use std::collections::{BTreeMap, BTreeSet};

use crate::*;

/// One write: by whom, when, which (`a` chooses what is done, `b` to what), and the writes seen by then.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) number: usize,
    pub(super) replica: ReplicaId,
    pub(super) stamp: Stamp,
    pub(super) a: u8,
    pub(super) b: u8,
    pub(super) sees: BTreeSet<usize>,
}

/// A type under test.
pub(super) trait Subject: Decompose + std::fmt::Debug {
    /// Does what the event says; returns the delta.
    fn act(&mut self, event: &Event) -> Self;
    /// What it shows.
    fn show(&self) -> String;
    /// What it should show when these events are known.
    fn expect(known: &[&Event]) -> String;
}

/// Events that no other has seen among those that `touches` the same.
fn maximal<'a>(known: &[&'a Event], same: impl Fn(&Event, &Event) -> bool) -> Vec<&'a Event> {
    let seen =
        |event: &Event| known.iter().any(|other| other.sees.contains(&event.number) && same(other, event));
    known.iter().copied().filter(|event| !seen(event)).collect()
}

fn key(event: &Event) -> u8 {
    event.b % 3
}

fn removes(event: &Event) -> bool {
    event.a.is_multiple_of(3)
}

fn list<T: std::fmt::Debug>(items: impl IntoIterator<Item = T>) -> String {
    format!("{:?}", items.into_iter().collect::<Vec<_>>())
}

impl Subject for GCounter {
    fn act(&mut self, event: &Event) -> Self {
        self.increment(event.replica, u64::from(event.a))
    }
    fn show(&self) -> String {
        self.value().to_string()
    }
    fn expect(known: &[&Event]) -> String {
        known.iter().map(|event| u64::from(event.a)).sum::<u64>().to_string()
    }
}

impl Subject for PNCounter {
    fn act(&mut self, event: &Event) -> Self {
        match removes(event) {
            true => self.decrement(event.replica, u64::from(event.b)),
            false => self.increment(event.replica, u64::from(event.b)),
        }
    }
    fn show(&self) -> String {
        self.value().to_string()
    }
    fn expect(known: &[&Event]) -> String {
        let signed = |event: &&Event| i64::from(event.b) * if removes(event) { -1 } else { 1 };
        known.iter().map(signed).sum::<i64>().to_string()
    }
}

impl Subject for GSet<u8> {
    fn act(&mut self, event: &Event) -> Self {
        self.insert(event.b)
    }
    fn show(&self) -> String {
        list(self.iter())
    }
    fn expect(known: &[&Event]) -> String {
        list(known.iter().map(|event| event.b).collect::<BTreeSet<_>>())
    }
}

impl Subject for AWSet<u8> {
    fn act(&mut self, event: &Event) -> Self {
        match removes(event) {
            true => self.remove(&key(event)),
            false => self.insert(event.replica, key(event)),
        }
    }
    fn show(&self) -> String {
        list(self.iter())
    }
    fn expect(known: &[&Event]) -> String {
        let left = maximal(known, |a, b| key(a) == key(b));
        list(left.into_iter().filter(|event| !removes(event)).map(key).collect::<BTreeSet<_>>())
    }
}

impl Subject for RWSet<u8> {
    fn act(&mut self, event: &Event) -> Self {
        match removes(event) {
            true => self.remove(event.replica, key(event)),
            false => self.insert(event.replica, key(event)),
        }
    }
    fn show(&self) -> String {
        list(self.iter())
    }
    fn expect(known: &[&Event]) -> String {
        let left = maximal(known, |a, b| key(a) == key(b));
        let removed: BTreeSet<_> =
            left.iter().filter(|event| removes(event)).map(|event| key(event)).collect();
        let added: BTreeSet<_> = left.iter().map(|event| key(event)).collect();
        list(added.difference(&removed))
    }
}

impl Subject for EWFlag {
    fn act(&mut self, event: &Event) -> Self {
        if removes(event) { self.disable() } else { self.enable(event.replica) }
    }
    fn show(&self) -> String {
        self.is_enabled().to_string()
    }
    fn expect(known: &[&Event]) -> String {
        maximal(known, |_, _| true).iter().any(|event| !removes(event)).to_string()
    }
}

impl Subject for DWFlag {
    fn act(&mut self, event: &Event) -> Self {
        if removes(event) { self.disable(event.replica) } else { self.enable() }
    }
    fn show(&self) -> String {
        self.is_enabled().to_string()
    }
    fn expect(known: &[&Event]) -> String {
        (!maximal(known, |_, _| true).iter().any(|event| removes(event))).to_string()
    }
}

impl Subject for LWWRegister<u8> {
    fn act(&mut self, event: &Event) -> Self {
        self.write(event.replica, event.stamp, event.b)
    }
    fn show(&self) -> String {
        format!("{:?}", self.get())
    }
    fn expect(known: &[&Event]) -> String {
        let last = known.iter().max_by_key(|event| (event.stamp, event.replica));
        format!("{:?}", last.map(|event| event.b))
    }
}

impl Subject for MVRegister<u8> {
    fn act(&mut self, event: &Event) -> Self {
        if removes(event) { self.clear() } else { self.write(event.replica, event.b) }
    }
    fn show(&self) -> String {
        list(self.iter().collect::<std::collections::BinaryHeap<_>>().into_sorted_vec())
    }
    fn expect(known: &[&Event]) -> String {
        let left = maximal(known, |_, _| true);
        let mut values: Vec<_> = left.iter().filter(|event| !removes(event)).map(|event| event.b).collect();
        values.sort_unstable();
        list(values)
    }
}

impl Subject for MaxRegister<u8> {
    fn act(&mut self, event: &Event) -> Self {
        self.write(event.b)
    }
    fn show(&self) -> String {
        format!("{:?}", self.get())
    }
    fn expect(known: &[&Event]) -> String {
        format!("{:?}", known.iter().map(|event| event.b).max())
    }
}

impl Subject for MinRegister<u8> {
    fn act(&mut self, event: &Event) -> Self {
        self.write(event.b)
    }
    fn show(&self) -> String {
        format!("{:?}", self.get())
    }
    fn expect(known: &[&Event]) -> String {
        format!("{:?}", known.iter().map(|event| event.b).min())
    }
}

impl Subject for GMap<u8, GCounter> {
    fn act(&mut self, event: &Event) -> Self {
        self.update(key(event), |counter| counter.increment(event.replica, u64::from(event.a)))
    }
    fn show(&self) -> String {
        list(self.iter().map(|(key, counter)| (*key, counter.value())))
    }
    fn expect(known: &[&Event]) -> String {
        let mut sums = BTreeMap::new();
        for event in known.iter().filter(|event| event.a > 0) {
            *sums.entry(key(event)).or_insert(0_u128) += u128::from(event.a);
        }
        list(sums)
    }
}

/// `a` removes the key, or adds or removes an element of its set.
impl Subject for ORMap<u8, AWSet<u8>> {
    fn act(&mut self, event: &Event) -> Self {
        let element = event.b / 3 % 3;
        match event.a % 5 {
            0 => self.remove(&key(event)),
            1 => self.update(key(event), |set| set.remove(&element)),
            _ => self.update(key(event), |set| set.insert(event.replica, element)),
        }
    }
    fn show(&self) -> String {
        list(self.keys().map(|key| (*key, self.get(key).map(|set| set.iter().copied().collect::<Vec<_>>()))))
    }
    fn expect(known: &[&Event]) -> String {
        let element = |event: &Event| event.b / 3 % 3;
        let left = maximal(known, |a, b| key(a) == key(b) && (a.a % 5 == 0 || element(a) == element(b)));
        let mut sets: BTreeMap<u8, BTreeSet<u8>> = BTreeMap::new();
        for event in left.into_iter().filter(|event| event.a % 5 > 1) {
            sets.entry(key(event)).or_default().insert(element(event));
        }
        list(sets.into_iter().map(|(key, set)| (key, Some(set.into_iter().collect::<Vec<_>>()))))
    }
}

impl Subject for AWLWWMap<u8, u8> {
    fn act(&mut self, event: &Event) -> Self {
        match removes(event) {
            true => self.remove(&key(event)),
            false => self.put(event.replica, event.stamp, key(event), event.a),
        }
    }
    fn show(&self) -> String {
        list(self.iter())
    }
    fn expect(known: &[&Event]) -> String {
        let mut shown: BTreeMap<u8, &Event> = BTreeMap::new();
        for event in maximal(known, |a, b| key(a) == key(b)).into_iter().filter(|event| !removes(event)) {
            let best = shown.entry(key(event)).or_insert(event);
            if (event.stamp, event.replica) > (best.stamp, best.replica) {
                *best = event;
            }
        }
        list(shown.into_iter().map(|(key, event)| (key, event.a)))
    }
}
