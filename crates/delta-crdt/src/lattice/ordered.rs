//! Sets and maps as they come from outside: in order, and nothing twice.
//!
//! So one state has one form, and what takes no bytes, such as `()`, cannot come more than once however often it is promised.

use alloc::collections::{BTreeMap, BTreeSet};
use core::fmt;
use core::marker::PhantomData;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

const DISORDER: &str = "what should rise does not";

/// A set, unless an element is not above the one before it.
pub(super) fn set<'de, D: Deserializer<'de>, T: Ord + Deserialize<'de>>(
    deserializer: D,
) -> Result<BTreeSet<T>, D::Error> {
    deserializer.deserialize_seq(Elements(PhantomData))
}

/// A map, unless a key is not above the one before it, or `refuse` has something against a value.
pub(super) fn map<'de, D: Deserializer<'de>, K: Ord + Deserialize<'de>, V: Deserialize<'de>>(
    deserializer: D,
    refuse: fn(&V) -> Option<&'static str>,
) -> Result<BTreeMap<K, V>, D::Error> {
    deserializer.deserialize_map(Entries(refuse, PhantomData))
}

struct Elements<T>(PhantomData<T>);

impl<'de, T: Ord + Deserialize<'de>> Visitor<'de> for Elements<T> {
    type Value = BTreeSet<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence that rises")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<BTreeSet<T>, A::Error> {
        let mut set = BTreeSet::new();
        while let Some(element) = access.next_element()? {
            if set.last().is_some_and(|last| *last >= element) {
                return Err(Error::custom(DISORDER));
            }
            set.insert(element);
        }
        Ok(set)
    }
}

struct Entries<K, V>(fn(&V) -> Option<&'static str>, PhantomData<K>);

impl<'de, K: Ord + Deserialize<'de>, V: Deserialize<'de>> Visitor<'de> for Entries<K, V> {
    type Value = BTreeMap<K, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map whose keys rise")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<BTreeMap<K, V>, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((key, value)) = access.next_entry::<K, V>()? {
            if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(Error::custom(DISORDER));
            }
            if let Some(why) = (self.0)(&value) {
                return Err(Error::custom(why));
            }
            map.insert(key, value);
        }
        Ok(map)
    }
}
