//! The floor: a plain hash map of the same keys and values, with the same pinned hash. It replicates nothing.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::hint::black_box;

use cpu_time::ThreadTime;

use super::{Numbered, Places, Value};

/// A key under its pinned hash.
#[derive(Debug, PartialEq, Eq)]
pub struct Pinned<K>(pub K);

impl<K: Numbered> Hash for Pinned<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.stable_hash());
    }
}

/// Takes a hash that is one already.
#[derive(Debug, Default)]
pub struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.is_empty(), "only hashes come here");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// The plain map.
pub type Plain<K> = HashMap<Pinned<K>, Value, BuildHasherDefault<AsIs>>;

/// Keys `0..keys`.
pub fn filled<K: Numbered>(keys: u64) -> Plain<K> {
    (0..keys).map(|i| (Pinned(K::number(i)), Value::number(i))).collect()
}

/// Nanoseconds per overwrite of a random key.
pub fn put<K: Numbered>(map: &mut Plain<K>, keys: u64) -> f64 {
    let mut places = Places::new();
    let writes: Vec<_> =
        (0..100_000).map(|i| (Pinned(K::number(places.below(keys))), Value::number(i))).collect();
    let count = writes.len() as f64;
    let start = ThreadTime::now();
    for (key, value) in writes {
        black_box(map.insert(key, value));
    }
    start.elapsed().as_nanos() as f64 / count
}
