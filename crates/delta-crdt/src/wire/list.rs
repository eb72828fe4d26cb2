//! Lists of what may be large in memory and small on the wire.

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Bytes set aside for each item that a length promises. A length never promises more items than there are bytes left.
const ROOM: usize = 128;
/// Bytes set aside for all of them.
const ALL: usize = 1 << 20;

/// A vector as serde reads it, but that items of more than [`ROOM`] bytes get their place as they come.
pub(crate) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(Items(PhantomData))
}

struct Items<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Vec<T>, A::Error> {
        let promised = access.size_hint().unwrap_or(0);
        let size = size_of::<T>().max(1);
        let mut items =
            Vec::with_capacity(promised.min(promised.saturating_mul(ROOM) / size).min(ALL / size));
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(items)
    }
}
