//! Maps, whatever type their values have, maps among them.

use std::collections::BTreeMap;

use super::{Deed, Event, Subject, covers, deed, key, list, maximal, removes};
use crate::*;

impl Event {
    /// What it does to the value of its key.
    fn inside(&self) -> Self {
        Self { a: self.a / 16, b: self.b / 3, ..self.clone() }
    }
}

/// What events do inside, by key.
fn by_key<'a>(events: impl IntoIterator<Item = &'a Event>) -> BTreeMap<u16, Vec<Event>> {
    let mut keys = BTreeMap::<u16, Vec<Event>>::new();
    for event in events {
        keys.entry(key(event)).or_default().push(event.inside());
    }
    keys
}

/// A key that shows what the bottom shows is left out: it is there or not by what the value knows, not by what it shows.
impl<V: Subject> Subject for GMap<u16, V> {
    fn act(&mut self, event: &Event) -> Self {
        self.update(key(event), |value| value.act(&event.inside()))
    }
    fn show(&self) -> String {
        let bottom = V::default();
        assert!(self.iter().all(|(_, value)| *value != bottom), "a key at its bottom");
        let shown = self.iter().map(|(key, value)| (*key, value.show()));
        list(shown.filter(|entry| entry.1 != bottom.show()))
    }
    fn expect(known: &[&Event]) -> String {
        let bottom = V::default().show();
        let keys = by_key(known.iter().copied()).into_iter();
        let shown = keys.map(|(key, events)| (key, V::expect(&events.iter().collect::<Vec<_>>())));
        list(shown.filter(|entry| entry.1 != bottom))
    }
}

/// What happened to a key before a removal that is known, in view of that removal, is as if it had never been.
impl<V: Subject + Embed<Store: std::fmt::Debug>> Subject for ORMap<u16, V> {
    fn act(&mut self, event: &Event) -> Self {
        match deed(event) {
            Deed::Clear => self.clear(),
            Deed::Remove => self.remove(&key(event)),
            Deed::Write => self.update(key(event), |value| value.act(&event.inside())),
        }
    }
    fn show(&self) -> String {
        list(self.keys().map(|key| (*key, self.get(key).map(|value| value.show()))))
    }
    fn expect(known: &[&Event]) -> String {
        let left = maximal(known, |later, earlier| removes(later) && covers(later, earlier));
        let mut shown = Vec::new();
        for (key, events) in by_key(left.into_iter().filter(|event| !removes(event))) {
            let events: Vec<_> = events.iter().collect();
            if V::holds(&events) {
                shown.push((key, Some(V::expect(&events))));
            }
        }
        list(shown)
    }
}

impl Subject for AWLWWMap<u16, u16> {
    fn act(&mut self, event: &Event) -> Self {
        match deed(event) {
            Deed::Clear => self.clear(),
            Deed::Remove => self.remove(&key(event)),
            Deed::Write => self.put(event.replica, event.stamp, key(event), event.b),
        }
    }
    fn show(&self) -> String {
        list(self.iter())
    }
    fn expect(known: &[&Event]) -> String {
        let mut shown: BTreeMap<u16, &Event> = BTreeMap::new();
        for event in maximal(known, covers).into_iter().filter(|event| !removes(event)) {
            let best = shown.entry(key(event)).or_insert(event);
            if (event.stamp, event.replica) > (best.stamp, best.replica) {
                *best = event;
            }
        }
        list(shown.into_iter().map(|(key, event)| (key, event.b)))
    }
}
