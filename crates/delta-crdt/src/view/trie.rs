//! The nodes of a view: branches by bits of the hash, and buckets of a few keys at their ends.
//!
//! ```text
//!   root ─► branch: children in the order of their places
//!             │ 0..2    │ 2..4    │ 4..8    │ 8..16
//!           bucket    bucket    nothing   bucket; one of a single place may be a branch
//! ```
//!
//! A branch has [`WIDTH`] places, chosen by the next bits of the hash, from the top. A child stands for one place or for several in
//! a row, as many as a power of two, so a full bucket is cut in two and not in sixteen, and buckets stay well filled.
//! Only a child of
//! one place becomes a branch when it is full. Two halves that are nearly empty become one again.
//!
//! What a child needs to be looked up in lies in its parent: the ranks of a branch, the tags of a bucket. So a lookup waits for
//! memory once per level, and a bucket's key is found without reading its other keys.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::{fmt, mem, slice};

use crate::Key;

/// Bits of the hash that a branch uses.
const BITS: u32 = 4;
/// Places in a branch.
const WIDTH: u32 = 1 << BITS;
/// Keys in a bucket, unless more share one hash.
pub(super) const BUCKET: usize = 23;
/// Two halves with so few keys in all are one bucket. Half of what is cut, so that a key that comes and goes does not cut each time.
pub(super) const JOIN: usize = BUCKET / 2;

/// A place in a bucket. Empty only while its keys are being moved.
pub(super) type Slot<K, V> = Option<(K, V)>;

/// What lies behind some places of a branch, or the whole.
#[derive(Default)]
pub(super) enum Child<K, V> {
    #[default]
    Empty,
    Bucket {
        /// Low bits of the hashes of the first keys.
        tags: [u8; BUCKET],
        slots: Arc<[Slot<K, V>]>,
    },
    Branch {
        places: Places,
        children: Arc<[Child<K, V>]>,
    },
}

impl<K, V> Clone for Child<K, V> {
    fn clone(&self) -> Self {
        match self {
            Self::Empty => Self::Empty,
            Self::Bucket { tags, slots } => Self::Bucket { tags: *tags, slots: Arc::clone(slots) },
            Self::Branch { places, children } => {
                Self::Branch { places: *places, children: Arc::clone(children) }
            }
        }
    }
}

impl<K, V> fmt::Debug for Child<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Bucket { slots, .. } => write!(f, "Bucket({})", slots.len()),
            Self::Branch { children, .. } => f.debug_list().entries(children.iter()).finish(),
        }
    }
}

/// The place of a hash in a branch below which `depth` bits were used.
const fn place(hash: u64, depth: u32) -> u32 {
    ((hash << depth) >> (u64::BITS - BITS)) as u32
}

/// Which child stands for which places.
#[derive(Clone, Copy)]
pub(super) struct Places {
    /// A bit for each place at which a child begins; the lowest is set.
    starts: u16,
    /// The child of each place: what could be counted in `starts`, in one step.
    ranks: [u8; WIDTH as usize],
}

impl Places {
    fn new(starts: u16) -> Self {
        let upto = |place: usize| starts & (u16::MAX >> (WIDTH as usize - 1 - place));
        Self { starts, ranks: core::array::from_fn(|place| upto(place).count_ones() as u8 - 1) }
    }

    /// The child of a place.
    const fn rank(&self, place: u32) -> usize {
        self.ranks[place as usize] as usize
    }

    /// The first place of the child of a place, and how many places it has.
    const fn range(&self, place: u32) -> (u32, u32) {
        let start = u16::BITS - 1 - (self.starts & (u16::MAX >> (WIDTH - 1 - place))).leading_zeros();
        let above = (self.starts as u32 | 1 << WIDTH) >> (place + 1);
        (start, place + 1 + above.trailing_zeros() - start)
    }
}

const fn tag(hash: u64) -> u8 {
    hash as u8
}

/// Where a key lies in a bucket. All tags are compared at once.
fn find<K: Key, V>(tags: &[u8; BUCKET], slots: &[Slot<K, V>], hash: u64, key: &K) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // The top bit of each byte that is the tag, and seldom of one beside it that is not.
    let hits = |first: usize| {
        let word = u64::from_le_bytes(core::array::from_fn(|i| tags[first + i]));
        let differ = word ^ (u64::from(tag(hash)) * ONES);
        differ.wrapping_sub(ONES) & !differ & (ONES << 7)
    };
    // The last word takes in a tag of the one before: each is read as it lies.
    let mut hits = hits(0) >> 7 | hits(8) >> 6 | hits(BUCKET - 8) >> 5;
    let is = |at: usize| matches!(slots.get(at), Some(Some((held, _))) if held == key);
    while hits != 0 {
        let (byte, word) = (hits.trailing_zeros() / 8, hits.trailing_zeros() % 8);
        let at = (byte + word * 8 - word / 2) as usize;
        if is(at) {
            return Some(at);
        }
        hits &= hits - 1;
    }
    if slots.len() > BUCKET { (BUCKET..slots.len()).find(|at| is(*at)) } else { None }
}

/// The children of a branch, to be changed; copied before if a snapshot shares them.
fn own<K, V>(children: &mut Arc<[Child<K, V>]>) -> &mut [Child<K, V>] {
    if Arc::strong_count(children) > 1 {
        warm(children);
    }
    Arc::make_mut(children)
}

/// Reads the counts that a copy will raise: reads wait for memory side by side, counts that rise one after the other.
#[inline(never)]
fn warm<K, V>(children: &[Child<K, V>]) {
    let counts = children.iter().map(|child| match child {
        Child::Empty => 0,
        Child::Bucket { slots, .. } => Arc::strong_count(slots),
        Child::Branch { children, .. } => Arc::strong_count(children),
    });
    core::hint::black_box(counts.fold(0, usize::wrapping_add));
}

/// What lies at some places of a bucket, moved if nobody else holds it, then one more. The bucket is to be dropped.
fn carry<K: Clone, V: Clone>(
    slots: &mut Arc<[Slot<K, V>]>,
    places: impl Iterator<Item = usize>,
    more: Option<(K, V)>,
) -> Arc<[Slot<K, V>]> {
    let more = more.map(Some).into_iter();
    match Arc::get_mut(slots) {
        Some(own) => places.map(|at| own[at].take()).chain(more).collect(),
        None => places.map(|at| slots[at].clone()).chain(more).collect(),
    }
}

impl<K: Key, V> Child<K, V> {
    pub(super) fn get(&self, hash: u64, key: &K) -> Option<&V> {
        let (mut child, mut depth) = (self, 0);
        loop {
            match child {
                Self::Branch { places, children } => {
                    child = children.get(places.rank(place(hash, depth)))?;
                    depth += BITS;
                }
                Self::Bucket { tags, slots } => {
                    let at = find(tags, slots, hash, key)?;
                    return slots.get(at)?.as_ref().map(|pair| &pair.1);
                }
                Self::Empty => return None,
            }
        }
    }

    /// Keys, if it is no branch.
    pub(super) fn few(&self) -> Option<usize> {
        match self {
            Self::Empty => Some(0),
            Self::Bucket { slots, .. } => Some(slots.len()),
            Self::Branch { .. } => None,
        }
    }

    /// A bucket of these keys, or nothing if there are none.
    fn bucket(slots: Arc<[Slot<K, V>]>) -> Self {
        if slots.is_empty() {
            return Self::Empty;
        }
        let mut tags = [0; BUCKET];
        for (held, slot) in tags.iter_mut().zip(slots.iter()) {
            *held = slot.as_ref().map_or(0, |pair| tag(pair.0.stable_hash()));
        }
        Self::Bucket { tags, slots }
    }

    /// True for a bucket that must be cut before it takes this key: it is full, and some of its hashes differ.
    fn is_full_for(&self, hash: u64, key: &K) -> bool {
        let Self::Bucket { tags, slots } = self else { return false };
        slots.len() >= BUCKET
            && find(tags, slots, hash, key).is_none()
            && slots.iter().flatten().any(|pair| pair.0.stable_hash() != hash)
    }
}

impl<K: Key, V: Clone> Child<K, V> {
    /// Puts a value. True if the key is new.
    pub(super) fn put(&mut self, hash: u64, key: K, value: V) -> bool {
        let (mut child, mut depth) = (self, 0);
        loop {
            // A bucket below a branch is cut by the branch, so this one is the root or has one place only.
            if child.is_full_for(hash, &key) {
                let bucket = mem::take(child);
                *child = Self::Branch { places: Places::new(1), children: Arc::from([bucket]) };
            }
            match child {
                Self::Branch { places, children } => {
                    let at = place(hash, depth);
                    while children[places.rank(at)].is_full_for(hash, &key) && places.range(at).1 > 1 {
                        cut(places, children, at, depth);
                    }
                    child = &mut own(children)[places.rank(at)];
                    depth += BITS;
                }
                Self::Bucket { tags, slots } => return put_in_bucket(tags, slots, hash, key, value),
                Self::Empty => {
                    let mut tags = [0; BUCKET];
                    tags[0] = tag(hash);
                    *child = Self::Bucket { tags, slots: Arc::from([Some((key, value))]) };
                    return true;
                }
            }
        }
    }

    /// Removes a key that is there; what is left nearly empty is joined. `depth` bits of the hash were used.
    pub(super) fn remove(&mut self, hash: u64, key: &K, depth: u32) {
        match self {
            Self::Empty => {}
            Self::Bucket { tags, slots } => {
                let Some(at) = find(tags, slots, hash, key) else { return };
                let len = slots.len();
                if len == 1 {
                    *self = Self::Empty;
                    return;
                }
                *slots = carry(slots, (0..at).chain(at + 1..len), None);
                if at < BUCKET {
                    tags.copy_within(at + 1.., at);
                    let last = slots.get(BUCKET - 1).and_then(Option::as_ref);
                    tags[BUCKET - 1] = last.map_or(0, |pair| tag(pair.0.stable_hash()));
                }
            }
            Self::Branch { places, children } => {
                let at = place(hash, depth);
                own(children)[places.rank(at)].remove(hash, key, depth + BITS);
                while join(places, children, at) {}
                // All places are one child: the branch is of no use, unless what is below is a branch.
                if places.starts == 1 && children[0].few().is_some() {
                    *self = mem::take(&mut own(children)[0]);
                }
            }
        }
    }

    /// The keys of a bucket, moved if nobody else holds it.
    fn into_slots(self) -> Vec<Slot<K, V>> {
        let Self::Bucket { mut slots, .. } = self else { return Vec::new() };
        match Arc::get_mut(&mut slots) {
            Some(own) => own.iter_mut().map(Option::take).collect(),
            None => slots.to_vec(),
        }
    }
}

/// Puts a value in a bucket, whatever its size. True if the key is new.
fn put_in_bucket<K: Key, V: Clone>(
    tags: &mut [u8; BUCKET],
    slots: &mut Arc<[Slot<K, V>]>,
    hash: u64,
    key: K,
    value: V,
) -> bool {
    let len = slots.len();
    let found = find(tags, slots, hash, &key);
    match found {
        None => {
            if let Some(held) = tags.get_mut(len) {
                *held = tag(hash);
            }
            *slots = carry(slots, 0..len, Some((key, value)));
        }
        Some(at) => {
            if let Some(pair) = Arc::make_mut(slots)[at].as_mut() {
                pair.1 = value;
            }
        }
    }
    found.is_none()
}

/// Cuts the bucket of a place, which stands for several, in two halves.
fn cut<K: Key, V: Clone>(places: &mut Places, children: &mut Arc<[Child<K, V>]>, at: u32, depth: u32) {
    let rank = places.rank(at);
    let (start, width) = places.range(at);
    let Child::Bucket { slots, .. } = &mut own(children)[rank] else { return };
    let in_half = |half: bool| {
        let is_in = |slot: &Slot<K, V>| {
            slot.as_ref().is_some_and(|pair| (place(pair.0.stable_hash(), depth) & (width / 2) != 0) == half)
        };
        slots.iter().enumerate().filter(|entry| is_in(entry.1)).map(|entry| entry.0).collect::<Vec<_>>()
    };
    let (low, high) = (in_half(false), in_half(true));
    let mut halves = [low, high].map(|half| Child::bucket(carry(slots, half.into_iter(), None)));
    let old = own(children);
    let grown = (0..=old.len()).map(|i| match i.checked_sub(rank) {
        Some(half @ (0 | 1)) => mem::take(&mut halves[half]),
        None => mem::take(&mut old[i]),
        Some(_) => mem::take(&mut old[i - 1]),
    });
    *children = grown.collect();
    *places = Places::new(places.starts | 1 << (start + width / 2));
}

/// Joins the child of a place with its other half, if both are there and nearly empty. False: nothing was done.
fn join<K: Key, V: Clone>(places: &mut Places, children: &mut Arc<[Child<K, V>]>, at: u32) -> bool {
    let (start, width) = places.range(at);
    if width == WIDTH || places.range(start ^ width) != (start ^ width, width) {
        return false;
    }
    let high = start | width;
    let rank = places.rank(high);
    match (children[rank - 1].few(), children[rank].few()) {
        (Some(low), Some(high)) if low + high <= JOIN => {}
        _ => return false,
    }
    let old = own(children);
    let mut slots = mem::take(&mut old[rank - 1]).into_slots();
    slots.append(&mut mem::take(&mut old[rank]).into_slots());
    old[rank - 1] = Child::bucket(Arc::from(slots));
    let left = (0..rank).chain(rank + 1..old.len());
    *children = left.map(|i| mem::take(&mut old[i])).collect();
    *places = Places::new(places.starts & !(1 << high));
    true
}

/// All keys of a view, in the order of their hashes' top bits.
#[derive(Debug)]
pub(super) struct Iter<'a, K, V> {
    branches: Vec<slice::Iter<'a, Child<K, V>>>,
    bucket: slice::Iter<'a, Slot<K, V>>,
    left: usize,
}

impl<'a, K, V> Iter<'a, K, V> {
    pub(super) fn new(root: &'a Child<K, V>, len: usize) -> Self {
        Self { branches: Vec::from([slice::from_ref(root).iter()]), bucket: [].iter(), left: len }
    }
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.bucket.by_ref().flatten().next() {
                self.left -= 1;
                return Some((key, value));
            }
            match self.branches.last_mut()?.next() {
                None => {
                    self.branches.pop();
                }
                Some(Child::Empty) => {}
                Some(Child::Bucket { slots, .. }) => self.bucket = slots.iter(),
                Some(Child::Branch { children, .. }) => self.branches.push(children.iter()),
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<K, V> ExactSizeIterator for Iter<'_, K, V> {}

#[cfg(test)]
impl<K: Key, V> Child<K, V> {
    /// Keys below, all where a lookup finds them. Panics if a rule of the shape is broken.
    pub(super) fn check(&self, depth: u32) -> usize {
        match self {
            Self::Empty => 0,
            Self::Bucket { tags, slots } => {
                assert!(!slots.is_empty(), "a bucket holds something");
                let hashes: Vec<u64> = slots.iter().flatten().map(|pair| pair.0.stable_hash()).collect();
                assert_eq!(hashes.len(), slots.len(), "no place of a bucket is free");
                assert!(
                    tags.iter().zip(&hashes).all(|(held, hash)| *held == tag(*hash)),
                    "tags are in place"
                );
                let alike = hashes.iter().all(|hash| *hash == hashes[0]);
                assert!(hashes.len() <= BUCKET || alike, "only keys of one hash overfill a bucket");
                hashes.len()
            }
            Self::Branch { places, children } => {
                assert_eq!(places.starts & 1, 1, "the first place has a child");
                assert_eq!(places.starts.count_ones() as usize, children.len(), "each start has a child");
                assert_eq!(places.ranks, Places::new(places.starts).ranks, "ranks are counted");
                let of_use = children.len() > 1 || children[0].few().is_none();
                assert!(of_use, "a branch of one bucket is that bucket");
                for at in 0..WIDTH {
                    let (start, width) = places.range(at);
                    assert!(width.is_power_of_two() && start % width == 0, "halves of halves");
                    let other = start ^ width;
                    if width < WIDTH && places.range(other) == (other, width) {
                        let few = [at, other].map(|at| children[places.rank(at)].few());
                        let joined = matches!(few, [Some(a), Some(b)] if a + b <= JOIN);
                        assert!(!joined, "halves that are nearly empty are joined");
                    }
                    for (key, _) in Iter::new(&children[places.rank(at)], usize::MAX) {
                        let lies = places.rank(place(key.stable_hash(), depth));
                        assert_eq!(lies, places.rank(at), "keys lie where their hash says");
                    }
                }
                children.iter().map(|child| child.check(depth + BITS)).sum()
            }
        }
    }
}
