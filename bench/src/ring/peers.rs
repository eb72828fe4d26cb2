//! The peers of the ring suite behind one seam, with 128 points per member where they have points.

use std::hash::Hash;

use crate::harness::ns_per_item;

/// Points per member, as libring has them.
const POINTS: u32 = 128;

/// A peer's ring of members `0..n`.
pub trait Peer {
    /// Nanoseconds per lookup of these keys.
    fn lookup_text(&self, keys: &[String], least: usize) -> f64;
    /// Nanoseconds per lookup of these keys.
    fn lookup_number(&self, keys: &[u64], least: usize) -> f64;
    /// The owner of a key.
    fn owner(&self, key: u64) -> u32;
    /// Takes a member out.
    fn remove(&mut self, member: u32);
}

/// The peers by name.
pub const PEERS: [(&str, fn(u32) -> Box<dyn Peer>); 3] = [
    ("hashring", |n| Box::new(Plain::new(n))),
    ("consistent_hash_ring", |n| Box::new(Weighted::new(n))),
    ("mpchash", |n| Box::new(MultiProbe::new(n))),
];

/// One virtual node of `hashring`, which has none of its own.
#[derive(Debug, Clone, Copy, Hash, PartialEq)]
struct Point {
    member: u32,
    number: u32,
}

struct Plain(hashring::HashRing<Point>);

impl Plain {
    fn new(n: u32) -> Self {
        let mut ring = hashring::HashRing::new();
        let points = (0..n).flat_map(|member| (0..POINTS).map(move |number| Point { member, number }));
        ring.batch_add(points.collect());
        Self(ring)
    }

    fn get(&self, key: &impl Hash) -> u32 {
        self.0.get(key).expect("the ring has members").member
    }
}

struct Weighted(consistent_hash_ring::Ring<u32>);

impl Weighted {
    fn new(n: u32) -> Self {
        Self(consistent_hash_ring::RingBuilder::default().vnodes(POINTS as usize).nodes_iter(0..n).build())
    }

    fn get(&self, key: &impl Hash) -> u32 {
        *self.0.get(key)
    }
}

struct MultiProbe(mpchash::HashRing<u32>);

impl MultiProbe {
    fn new(n: u32) -> Self {
        let ring = mpchash::HashRing::new();
        (0..n).for_each(|member| ring.add(member));
        Self(ring)
    }

    fn get(&self, key: &impl Hash) -> u32 {
        *self.0.node(key).expect("the ring has members").node()
    }
}

macro_rules! peer {
    ($ring:ty, $remove:expr) => {
        impl Peer for $ring {
            fn lookup_text(&self, keys: &[String], least: usize) -> f64 {
                ns_per_item(keys, least, |key| self.get(&key.as_str()))
            }

            fn lookup_number(&self, keys: &[u64], least: usize) -> f64 {
                ns_per_item(keys, least, |key| self.get(key))
            }

            fn owner(&self, key: u64) -> u32 {
                self.get(&key)
            }

            fn remove(&mut self, member: u32) {
                let remove: fn(&mut Self, u32) = $remove;
                remove(self, member);
            }
        }
    };
}

peer!(Plain, |ring, member| {
    for number in 0..POINTS {
        ring.0.remove(&Point { member, number });
    }
});
peer!(Weighted, |ring, member| {
    ring.0.remove(&member);
});
peer!(MultiProbe, |ring, member| ring.0.remove(&member));
