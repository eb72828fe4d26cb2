//! Tables for many small things, without order.

use std::collections::BTreeMap;

use crate::key::mix;

/// Numbers by numbers, open addressing. The keys must be spread in all their bits, and not 0.
#[derive(Debug)]
struct Slots {
    keys: Vec<u64>,
    len: usize,
}

impl Slots {
    fn new() -> Self {
        Self { keys: vec![0; 1 << 10], len: 0 }
    }

    /// Where the key is, or would be.
    fn place(&self, key: u64) -> usize {
        let mask = self.keys.len() - 1;
        let mut place = key as usize & mask;
        while self.keys[place] != 0 && self.keys[place] != key {
            place = (place + 1) & mask;
        }
        place
    }

    fn is_full(&self) -> bool {
        self.len * 4 >= self.keys.len() * 3
    }
}

/// A set of hashes.
#[derive(Debug)]
pub(super) struct Seen(Slots);

impl Seen {
    pub(super) fn new() -> Self {
        Self(Slots::new())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len
    }

    /// True if it was not there.
    pub(super) fn insert(&mut self, hash: u64) -> bool {
        let hash = hash.max(1);
        if self.0.is_full() {
            let keys = vec![0; self.0.keys.len() * 2];
            let old = core::mem::replace(&mut self.0.keys, keys);
            for key in old.into_iter().filter(|&key| key != 0) {
                let place = self.0.place(key);
                self.0.keys[place] = key;
            }
        }
        let place = self.0.place(hash);
        let is_new = self.0.keys[place] == 0;
        self.0.keys[place] = hash;
        self.0.len += usize::from(is_new);
        is_new
    }
}

/// What came of what, for inputs that are numbers below 2^63.
#[derive(Debug)]
pub(super) struct Results {
    slots: Slots,
    results: Vec<(u32, u32)>,
}

impl Results {
    pub(super) fn new() -> Self {
        let slots = Slots::new();
        Self { results: vec![(0, 0); slots.keys.len()], slots }
    }

    pub(super) fn get(&self, input: u64) -> Option<(u32, u32)> {
        // A bijection, so that no two inputs are taken for one.
        let place = self.slots.place(mix(input + 1));
        (self.slots.keys[place] != 0).then(|| self.results[place])
    }

    pub(super) fn insert(&mut self, input: u64, result: (u32, u32)) {
        if self.slots.is_full() {
            let count = self.slots.keys.len() * 2;
            let keys = core::mem::replace(&mut self.slots.keys, vec![0; count]);
            let results = core::mem::replace(&mut self.results, vec![(0, 0); count]);
            for (key, result) in keys.into_iter().zip(results).filter(|entry| entry.0 != 0) {
                let place = self.slots.place(key);
                (self.slots.keys[place], self.results[place]) = (key, result);
            }
        }
        let key = mix(input + 1);
        let place = self.slots.place(key);
        self.slots.len += usize::from(self.slots.keys[place] == 0);
        (self.slots.keys[place], self.results[place]) = (key, result);
    }
}

/// Things that are alike stand here once, under a number.
#[derive(Debug)]
pub(super) struct Kinds<T> {
    kinds: Vec<T>,
    numbers: BTreeMap<String, u32>,
}

impl<T> Kinds<T> {
    pub(super) fn new() -> Self {
        Self { kinds: Vec::new(), numbers: BTreeMap::new() }
    }

    /// The number of what has this print; the first one of it is kept.
    pub(super) fn number(&mut self, print: String, one: T) -> u32 {
        let Self { kinds, numbers } = self;
        *numbers.entry(print).or_insert_with(|| {
            kinds.push(one);
            kinds.len() as u32 - 1
        })
    }

    pub(super) fn get(&self, number: u32) -> &T {
        &self.kinds[number as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.kinds.len()
    }
}
