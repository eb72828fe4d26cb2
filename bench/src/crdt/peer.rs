//! The peer: `crdts::Map` of `MVReg`.

use std::hint::black_box;

use cpu_time::ThreadTime;
use crdts::{CmRDT, CvRDT, MVReg, Map};

use super::{Numbered, Places, Value};

/// The peer's map.
pub type Peer<K> = Map<K, MVReg<Value, u64>, u64>;

/// Keys `0..keys`.
pub fn filled<K: Numbered>(keys: u64) -> Peer<K> {
    let mut map = Peer::new();
    for i in 0..keys {
        write(&mut map, K::number(i), Value::number(i));
    }
    map
}

fn write<K: Numbered>(map: &mut Peer<K>, key: K, value: Value) {
    let context = map.get(&key).derive_add_ctx(1);
    let op = map.update(key, context, |register, context| register.write(value, context));
    map.apply(op);
}

/// Nanoseconds per overwrite of a random key.
pub fn put<K: Numbered>(map: &mut Peer<K>, keys: u64) -> f64 {
    let mut places = Places::new();
    let keys: Vec<K> = (0..20_000).map(|_| K::number(places.below(keys))).collect();
    let count = keys.len() as f64;
    let start = ThreadTime::now();
    for key in keys {
        write(map, key, Value::number(7));
    }
    start.elapsed().as_nanos() as f64 / count
}

/// The values of a key.
pub fn get<K: Numbered>(map: &Peer<K>, key: &K) -> usize {
    map.get(key).val.map_or(0, |register| register.read().val.len())
}

/// Milliseconds to merge a full state into an empty one; it has no wire form of its own here.
pub fn merge<K: Numbered>(full: &Peer<K>) -> f64 {
    let copy = full.clone();
    let mut map = Peer::new();
    let start = ThreadTime::now();
    map.merge(copy);
    black_box(&map);
    start.elapsed().as_secs_f64() * 1e3
}

/// Microseconds to bring over 100 writes of random keys. It has no deltas: the other takes in the whole state, of which a copy is there.
pub fn difference<K: Numbered>(from: &mut Peer<K>, to: &mut Peer<K>, keys: u64) -> f64 {
    let mut places = Places::new();
    for i in 0..100 {
        write(from, K::number(places.below(keys)), Value::number(i));
    }
    let copy = from.clone();
    let start = ThreadTime::now();
    to.merge(copy);
    let taken = start.elapsed().as_secs_f64() * 1e6;
    assert_eq!(to.read_ctx().add_clock, from.read_ctx().add_clock);
    taken
}
