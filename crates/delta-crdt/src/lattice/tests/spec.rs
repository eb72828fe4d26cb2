//! What each type should show, computed from the events alone: who wrote what, having seen what.

mod maps;

use std::collections::{BTreeMap, BTreeSet};

use crate::*;

/// One write: by whom, when, which (`a` chooses what is done, `b` to what), and the writes seen by then.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) number: usize,
    pub(super) replica: ReplicaId,
    pub(super) stamp: Stamp,
    pub(super) a: u16,
    pub(super) b: u16,
    pub(super) sees: BTreeSet<usize>,
}

/// A type under test.
pub(super) trait Subject: Decompose + std::fmt::Debug {
    /// Does what the event says, each mutator of the type in its turn; returns the delta.
    fn act(&mut self, event: &Event) -> Self;
    /// What it shows.
    fn show(&self) -> String;
    /// What it should show when these events are known.
    fn expect(known: &[&Event]) -> String;
    /// Whether writes are held when these events are known, so that a key with this value is there.
    fn holds(known: &[&Event]) -> bool {
        Self::expect(known) != Self::default().show()
    }
}

/// What an event does to a set or map.
#[derive(PartialEq)]
enum Deed {
    /// Removes all that it sees.
    Clear,
    /// Removes what it sees of its key.
    Remove,
    Write,
}

fn deed(event: &Event) -> Deed {
    match event.a % 16 {
        0 => Deed::Clear,
        1..=4 => Deed::Remove,
        _ => Deed::Write,
    }
}

/// True if `later` does away with what it sees of the key of `earlier`.
fn covers(later: &Event, earlier: &Event) -> bool {
    deed(later) == Deed::Clear || key(later) == key(earlier)
}

/// Events that no later one has done away with: one that has seen them, and of which `undone(later, earlier)` says so.
fn maximal<'a>(known: &[&'a Event], undone: impl Fn(&Event, &Event) -> bool) -> Vec<&'a Event> {
    let seen =
        |event: &Event| known.iter().any(|other| other.sees.contains(&event.number) && undone(other, event));
    known.iter().copied().filter(|event| !seen(event)).collect()
}

fn key(event: &Event) -> u16 {
    event.b % 3
}

fn removes(event: &Event) -> bool {
    deed(event) != Deed::Write
}

/// How much an event counts: seldom nothing, seldom all that a replica can count.
fn count(event: &Event) -> u64 {
    match event.b % 32 {
        0 => u64::MAX,
        1 => 0,
        _ => u64::from(event.b),
    }
}

/// The sum of what replicas counted, each up to its limit.
fn total<'a>(events: impl Iterator<Item = &'a &'a Event>) -> u128 {
    let mut totals = BTreeMap::new();
    for event in events {
        let total = totals.entry(event.replica).or_insert(0_u64);
        *total = total.saturating_add(count(event));
    }
    totals.into_values().map(u128::from).sum()
}

fn list<T: std::fmt::Debug>(items: impl IntoIterator<Item = T>) -> String {
    format!("{:?}", items.into_iter().collect::<Vec<_>>())
}

impl Subject for CausalContext {
    fn act(&mut self, event: &Event) -> Self {
        let dot = Dot::new(event.replica, u64::from(event.b % 20));
        match self.insert(dot) {
            true => Self::from_iter([dot]),
            false => Self::default(),
        }
    }
    fn show(&self) -> String {
        list(self.dots())
    }
    fn expect(known: &[&Event]) -> String {
        let dots = known.iter().map(|event| Dot::new(event.replica, u64::from(event.b % 20)));
        list(dots.filter(|dot| dot.seq > 0).collect::<BTreeSet<_>>())
    }
}

impl Subject for GCounter {
    fn act(&mut self, event: &Event) -> Self {
        self.increment(event.replica, count(event))
    }
    fn show(&self) -> String {
        self.value().to_string()
    }
    fn expect(known: &[&Event]) -> String {
        total(known.iter()).to_string()
    }
}

impl Subject for PNCounter {
    fn act(&mut self, event: &Event) -> Self {
        match removes(event) {
            true => self.decrement(event.replica, count(event)),
            false => self.increment(event.replica, count(event)),
        }
    }
    fn show(&self) -> String {
        self.value().to_string()
    }
    fn expect(known: &[&Event]) -> String {
        let [down, up] = [true, false].map(|down| total(known.iter().filter(|event| removes(event) == down)));
        (up.cast_signed() - down.cast_signed()).to_string()
    }
}

impl Subject for GSet<u16> {
    fn act(&mut self, event: &Event) -> Self {
        self.insert(event.b % 12)
    }
    fn show(&self) -> String {
        list(self.iter())
    }
    fn expect(known: &[&Event]) -> String {
        list(known.iter().map(|event| event.b % 12).collect::<BTreeSet<_>>())
    }
}

impl Subject for AWSet<u16> {
    fn act(&mut self, event: &Event) -> Self {
        match deed(event) {
            Deed::Clear => self.clear(),
            Deed::Remove => self.remove(&key(event)),
            Deed::Write => self.insert(event.replica, key(event)),
        }
    }
    fn show(&self) -> String {
        list(self.iter())
    }
    fn expect(known: &[&Event]) -> String {
        let left = maximal(known, covers);
        list(left.into_iter().filter(|event| !removes(event)).map(key).collect::<BTreeSet<_>>())
    }
}

impl Subject for RWSet<u16> {
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
    /// Removals are held too.
    fn holds(known: &[&Event]) -> bool {
        !known.is_empty()
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

impl Subject for LWWRegister<u16> {
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

impl Subject for MVRegister<u16> {
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

impl Subject for MaxRegister<u16> {
    fn act(&mut self, event: &Event) -> Self {
        self.write(event.b % 24)
    }
    fn show(&self) -> String {
        format!("{:?}", self.get())
    }
    fn expect(known: &[&Event]) -> String {
        format!("{:?}", known.iter().map(|event| event.b % 24).max())
    }
}

impl Subject for MinRegister<u16> {
    fn act(&mut self, event: &Event) -> Self {
        self.write(event.b % 24)
    }
    fn show(&self) -> String {
        format!("{:?}", self.get())
    }
    fn expect(known: &[&Event]) -> String {
        format!("{:?}", known.iter().map(|event| event.b % 24).min())
    }
}
