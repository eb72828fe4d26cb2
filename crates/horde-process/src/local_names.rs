//! The names of one node's processes: read much, written now and then.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;

const SHARDS: usize = 64;

type Shard = HashMap<u64, (Arc<str>, u64), BuildHasherDefault<Same>>;

/// Names and the numbers of those who hold them. Sharded: readers of several threads seldom meet at a lock, and a look-up touches the
/// table and the name, no entry of its own.
///
/// The tables are keyed by hash. Of two names with one hash the second lies at the next number that is free.
pub(crate) struct LocalNames {
    shards: Box<[RwLock<Shard>]>,
    /// Of this node's own, so that nobody outside can choose names that collide.
    seed: SeedableRandomState,
}

impl Default for LocalNames {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        let random = || RandomState::new().build_hasher().finish();
        Self { shards, seed: SeedableRandomState::with_seed(random(), SharedSeed::global_fixed()) }
    }
}

impl LocalNames {
    fn hash(&self, name: &str) -> u64 {
        let mut hasher = self.seed.build_hasher();
        hasher.write(name.as_bytes());
        hasher.finish()
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard> {
        // Bits that the table itself does not go by.
        &self.shards[(hash >> 40) as usize % SHARDS]
    }

    fn read(&self, hash: u64) -> RwLockReadGuard<'_, Shard> {
        self.shard(hash).read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, hash: u64) -> RwLockWriteGuard<'_, Shard> {
        self.shard(hash).write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who holds the name.
    pub(crate) fn get(&self, name: &str) -> Option<u64> {
        let hash = self.hash(name);
        let shard = self.read(hash);
        let mut place = hash;
        loop {
            let (other, number) = shard.get(&place)?;
            if **other == *name {
                return Some(*number);
            }
            place = place.wrapping_add(1);
        }
    }

    /// Gives the name, or says who holds it.
    pub(crate) fn insert(&self, name: &Arc<str>, number: u64) -> Result<(), u64> {
        let hash = self.hash(name);
        let mut shard = self.write(hash);
        let place = place(&shard, hash, name);
        match shard.get(&place) {
            Some((_, holder)) => Err(*holder),
            None => {
                shard.insert(place, (Arc::clone(name), number));
                Ok(())
            }
        }
    }

    /// Takes the name from whoever holds it, or from `holder` alone; says from whom.
    pub(crate) fn remove(&self, name: &str, holder: Option<u64>) -> Option<u64> {
        let hash = self.hash(name);
        let mut shard = self.write(hash);
        remove(&mut shard, hash, name, holder, |name| self.hash(name))
    }
}

/// Where the name is, or would be.
fn place(shard: &Shard, hash: u64, name: &str) -> u64 {
    let mut place = hash;
    while shard.get(&place).is_some_and(|(other, _)| **other != *name) {
        place = place.wrapping_add(1);
    }
    place
}

fn remove(
    shard: &mut Shard,
    hash: u64,
    name: &str,
    holder: Option<u64>,
    hash_of: impl Fn(&str) -> u64,
) -> Option<u64> {
    let gap = place(shard, hash, name);
    let number = shard.get(&gap).map(|(_, number)| *number)?;
    if holder.is_some_and(|holder| holder != number) {
        return None;
    }
    shard.remove(&gap);
    // What lies behind it may lie there only because this place was taken.
    let mut next = gap.wrapping_add(1);
    while let Some((name, number)) = shard.remove(&next) {
        let place = place(shard, hash_of(&name), &name);
        shard.insert(place, (name, number));
        next = next.wrapping_add(1);
    }
    Some(number)
}

/// What is a hash already.
#[derive(Default)]
struct Same(u64);

impl Hasher for Same {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn a_name_is_held_by_one_until_that_one_lets_it_go() {
        let (names, name) = (LocalNames::default(), Arc::<str>::from("a"));
        assert_eq!((names.insert(&name, 1), names.insert(&name, 2)), (Ok(()), Err(1)));
        assert_eq!((names.remove("a", Some(2)), names.get("a")), (None, Some(1)));
        assert_eq!((names.remove("a", Some(1)), names.get("a")), (Some(1), None));
        assert_eq!(names.remove("a", None), None);
    }

    proptest! {
        #[test]
        fn names_of_one_hash_are_told_apart_whatever_comes_and_goes(
            steps in prop::collection::vec((0..12_u8, any::<bool>()), 0..60),
        ) {
            // Three hashes side by side for all names.
            let hash_of = |name: &str| u64::MAX - u64::from(name.as_bytes()[0] % 3);
            let (mut shard, mut model) = (Shard::default(), BTreeMap::new());
            for (at, add) in steps {
                let name = char::from(b'a' + at).to_string();
                if add {
                    let place = place(&shard, hash_of(&name), &name);
                    shard.entry(place).or_insert_with(|| (name.as_str().into(), u64::from(at)));
                    model.insert(name, u64::from(at));
                } else {
                    let removed = remove(&mut shard, hash_of(&name), &name, None, hash_of);
                    prop_assert_eq!(removed, model.remove(&name));
                }
                prop_assert_eq!(shard.len(), model.len());
                for (name, number) in &model {
                    let found = shard.get(&place(&shard, hash_of(name), name));
                    prop_assert_eq!(found.map(|(_, number)| *number), Some(*number));
                }
            }
        }
    }
}
