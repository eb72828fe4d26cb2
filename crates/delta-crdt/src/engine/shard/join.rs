//! R4: merging what a session brought.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::mem;

use super::{Context, Entry, Shard};
use crate::engine::few::Few;
use crate::engine::rules::Rule;
use crate::engine::store::{Found, Sib, Sibs, mark};
use crate::id::MAX_SEQ;
use crate::{Change, Key, Winner};

/// Keys looked up ahead: their cache lines fit a small cache.
const AHEAD: usize = 128;

/// Keys with their siblings.
pub(crate) type Entries<K, V> = Vec<(K, Few<Sib<V>>)>;

/// A complete session: the sender's siblings of some keys, and its vector and floors in the same state.
#[derive(Clone, Debug)]
pub(crate) struct Joined<K, V> {
    /// As they came.
    parts: Vec<Entries<K, V>>,
    pub(crate) vector: BTreeMap<u32, u64>,
    /// The vector by number of origin.
    covered: Vec<u64>,
    pub(crate) floors: BTreeMap<u32, u64>,
    /// All keys of the sender are in it: what it covers and does not bring is removed.
    pub(crate) whole: bool,
    runs: Runs,
    /// The own vector when the session was asked for; read only with a rule switched off.
    pub(crate) asked_at: Vec<u64>,
}

/// The dots of a session in the order in which they came: nearly always that of their origins and numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runs {
    /// Origin, first and last number.
    runs: Vec<(u32, u64, u64)>,
    are_mixed: bool,
}

impl Runs {
    #[inline]
    pub(crate) fn add(&mut self, (origin, seq): (u32, u64)) {
        match self.runs.last_mut() {
            Some((last, _, end)) if *last == origin && *end < seq => *end = seq,
            Some((last, ..)) if *last >= origin => self.are_mixed = true,
            _ => self.runs.push((origin, seq, seq)),
        }
    }
}

impl<K, V> Joined<K, V> {
    pub(crate) fn new(
        (parts, runs): (Vec<Entries<K, V>>, Runs),
        vector: BTreeMap<u32, u64>,
        floors: BTreeMap<u32, u64>,
        whole: bool,
    ) -> Self {
        let mut covered = Vec::new();
        for (&origin, &seq) in &vector {
            covered.resize(origin as usize, 0);
            covered.push(seq);
        }
        Self { parts, vector, covered, floors, whole, runs, asked_at: Vec::new() }
    }

    /// All keys with their siblings.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &(K, Few<Sib<V>>)> {
        self.parts.iter().flatten()
    }

    fn len(&self) -> usize {
        self.parts.iter().map(Vec::len).sum()
    }

    #[inline]
    fn covers(&self, dot: (u32, u64)) -> bool {
        self.covered.get(dot.0 as usize).is_some_and(|&seq| dot.1 <= seq)
    }

    /// False if it brings a dot that its own vector does not cover, or one dot twice, or if a floor is above the vector, or a number
    /// that nobody comes to: nobody can be in such a state.
    pub(crate) fn is_sound(&self) -> bool {
        let dots_are = if self.runs.are_mixed {
            let dots = self.entries().flat_map(|entry| entry.1.as_slice()).map(Sib::dot);
            let mut dots: Vec<(u32, u64)> = dots.collect();
            dots.sort_unstable();
            dots.windows(2).all(|pair| pair[0] != pair[1])
                && dots.iter().all(|&dot| dot.1 > 0 && self.covers(dot))
        } else {
            self.runs.runs.iter().all(|&(origin, first, last)| first > 0 && self.covers((origin, last)))
        };
        let numbers_are = self.vector.values().all(|&seq| seq <= MAX_SEQ);
        dots_are
            && numbers_are
            && self.floors.iter().all(|(&origin, &floor)| floor == 0 || self.covers((origin, floor)))
    }
}

impl<K: Key, V: Clone> Shard<K, V> {
    /// Merges a session in one step, then applies what was waiting for it. True if the vector moved.
    pub(crate) fn join<W: Winner<V>>(
        &mut self,
        cx: &Context<'_, W>,
        mut session: Joined<K, V>,
        changes: &mut Vec<Change<K, V>>,
    ) -> bool {
        if let Some(log) = &mut self.log {
            log.push(Entry::Join(session.clone()));
        }
        let version = self.version;
        let mut fresh = Vec::new();
        self.make_room(&session);
        let mut seen = session.whole.then(|| Seen::new(self.store.slots()));
        changes.reserve(session.len());
        if session.runs.are_mixed {
            fresh.reserve(session.len());
        }
        let mut ahead: Vec<Found> = Vec::with_capacity(AHEAD);
        for part in mem::take(&mut session.parts) {
            let mut entries = part.into_iter();
            while entries.len() > 0 {
                ahead.extend(entries.as_slice().iter().take(AHEAD).map(|entry| self.store.ahead(&entry.0)));
                for (found, entry) in ahead.drain(..).zip(entries.by_ref()) {
                    let slot = self.join_key(cx, &session, entry, found, &mut fresh, changes);
                    if let (Some(slot), Some(seen)) = (slot, &mut seen) {
                        seen.add(slot);
                    }
                }
            }
        }
        if let Some(seen) = seen.filter(|_| cx.rules.hold(Rule::JoinRemoves)) {
            let others: Vec<u32> =
                self.store.iter().map(|entry| entry.0).filter(|&slot| !seen.has(slot)).collect();
            for slot in others {
                if self.store.sibs(slot).iter().any(|sib| session.covers(sib.dot())) {
                    self.rewrite(cx, slot, |sib| session.covers(sib.dot()), Vec::new(), changes);
                }
            }
        }
        fresh.sort_unstable();
        for ((origin, seq), mark) in fresh {
            self.append(mark, origin, seq);
        }
        for (&origin, &seq) in &session.vector {
            self.advance(cx.origins, origin, seq);
        }
        for (&origin, &floor) in &session.floors {
            let lane = self.lane(origin);
            lane.floor = lane.floor.max(floor);
        }
        self.drain(cx, changes);
        self.version != version
    }

    /// Makes room for what a large session brings. Its keys come in the order of the sender's store: taken one by one, they would
    /// fill a part of this one before it grows. And slots of a whole session keep their numbers to its end.
    fn make_room(&mut self, session: &Joined<K, V>) {
        let Some((first, _)) = session.entries().next() else { return };
        if session.whole || session.len() > self.store.len() / 16 {
            let is_absent = |key: &K| self.store.find(key.stable_hash(), key).is_none();
            let is_empty = self.store.len() == 0;
            let absent = session.entries().filter(|entry| is_empty || is_absent(&entry.0)).count();
            self.store.reserve(self.store.len() + absent, first.stable_hash());
        }
    }

    /// Keeps my sibling iff it is in the fragment or not covered by the sender; adds theirs iff not covered by mine.
    fn join_key<W: Winner<V>>(
        &mut self,
        cx: &Context<'_, W>,
        session: &Joined<K, V>,
        (key, theirs): (K, Few<Sib<V>>),
        found: Found,
        fresh: &mut Vec<((u32, u64), u32)>,
        changes: &mut Vec<Change<K, V>>,
    ) -> Option<u32> {
        let hash = found.hash;
        // One sibling here, and one there that replaces it: nearly always.
        if let Few::One(new) = &theirs
            && let dot = new.dot()
            && !self.covers(dot)
            && cx.rules.hold(Rule::VectorAtCommit)
            && cx.rules.hold(Rule::JoinRemoves)
            && let Some(slot) = found.slot
            && let Some((held_key, Sibs::One(held))) = self.store.entry_mut(slot)
            && *held_key == key
            && held.dot() != dot
            && session.covers(held.dot())
            && let Few::One(new) = theirs
        {
            let shown = new.value.clone();
            let old = mem::replace(held, new);
            self.replaced(cx.origins, mark(hash), &old, dot, shown.is_some());
            self.show(key, old.value, shown, changes);
            self.note(session, fresh, dot, mark(hash));
            return Some(slot);
        }
        let found = self.store.again(found, &key);
        let mine = found.map_or(&[][..], |slot| self.store.sibs(slot));
        let is_news = |sib: &Sib<V>| {
            let dot = sib.dot();
            let known = if cx.rules.hold(Rule::VectorAtCommit) {
                self.covers(dot)
            } else {
                session.asked_at.get(dot.0 as usize).is_some_and(|&seq| dot.1 <= seq)
            };
            let known = known && cx.rules.hold(Rule::JoinKnows);
            !known && !cx.drops(dot.0) && mine.iter().all(|sib| sib.dot() != dot)
        };
        let removes = cx.rules.hold(Rule::JoinRemoves);
        let is_gone = |sib: &Sib<V>, theirs: &[Sib<V>]| {
            removes && session.covers(sib.dot()) && theirs.iter().all(|other| other.dot() != sib.dot())
        };
        if let (None, [new]) = (found, theirs.as_slice()) {
            let (is_news, dot) = (is_news(new), new.dot());
            let sibs = Sibs::from_few(theirs).filter(|_| is_news)?;
            let slot = self.insert(cx, hash, key, sibs, changes);
            self.note(session, fresh, dot, mark(hash));
            return Some(slot);
        }
        let dots: Vec<(u32, u64)> = theirs.as_slice().iter().map(Sib::dot).collect();
        let news: Vec<bool> = theirs.as_slice().iter().map(is_news).collect();
        let changed = mine.iter().any(|sib| is_gone(sib, theirs.as_slice())) || news.contains(&true);
        let mut is_new = news.iter();
        let mut theirs = theirs.into_vec();
        theirs.retain(|_| is_new.next() == Some(&true));
        let added: Vec<_> = theirs.iter().map(Sib::dot).collect();
        let gone = |sib: &Sib<V>| removes && session.covers(sib.dot()) && !dots.contains(&sib.dot());
        let slot = match found {
            None => self.insert(cx, hash, key, Sibs::from_vec(theirs)?, changes),
            Some(slot) => {
                if changed {
                    self.rewrite(cx, slot, gone, theirs, changes);
                }
                slot
            }
        };
        for dot in added {
            self.note(session, fresh, dot, mark(hash));
        }
        Some(slot)
    }

    /// Appends a write to the index, at once if they come in order.
    #[inline(always)]
    fn note(
        &mut self,
        session: &Joined<K, V>,
        fresh: &mut Vec<((u32, u64), u32)>,
        dot: (u32, u64),
        mark: u32,
    ) {
        if session.runs.are_mixed {
            fresh.push((dot, mark));
        } else {
            self.append(mark, dot.0, dot.1);
        }
    }
}

/// A set of slots.
struct Seen(Vec<u64>);

impl Seen {
    fn new(slots: u32) -> Self {
        Self(alloc::vec![0; slots as usize / 64 + 1])
    }

    fn add(&mut self, slot: u32) {
        let place = slot as usize / 64;
        if place >= self.0.len() {
            self.0.resize(place + 1, 0);
        }
        self.0[place] |= 1 << (slot % 64);
    }

    fn has(&self, slot: u32) -> bool {
        self.0.get(slot as usize / 64).is_some_and(|word| word & (1 << (slot % 64)) != 0)
    }
}
