//! A list that is nearly always empty or of one item, and then takes no memory of its own.

use alloc::vec::Vec;

/// None, one or several items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Few<T> {
    None,
    One(T),
    Many(Vec<T>),
}

/// The dots that a write replaces, origins by number.
pub(crate) type Obs = Few<(u32, u64)>;

impl<T> Few<T> {
    pub(crate) fn as_slice(&self) -> &[T] {
        match self {
            Self::None => &[],
            Self::One(item) => core::slice::from_ref(item),
            Self::Many(items) => items,
        }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        match self {
            Self::None => &mut [],
            Self::One(item) => core::slice::from_mut(item),
            Self::Many(items) => items,
        }
    }

    pub(crate) fn into_vec(self) -> Vec<T> {
        match self {
            Self::None => Vec::new(),
            Self::One(item) => Vec::from([item]),
            Self::Many(items) => items,
        }
    }
}

impl<T: PartialEq> Few<T> {
    pub(crate) fn contains(&self, item: &T) -> bool {
        self.as_slice().contains(item)
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut items = items.into_iter();
        match (items.next(), items.next()) {
            (None, _) => Self::None,
            (Some(item), None) => Self::One(item),
            (Some(first), Some(second)) => Self::Many([first, second].into_iter().chain(items).collect()),
        }
    }
}

#[cfg(feature = "serde")]
mod wire {
    use alloc::vec::Vec;
    use core::fmt;
    use core::marker::PhantomData;

    use serde::de::{SeqAccess, Visitor};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Few;

    impl<T: Serialize> Serialize for Few<T> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(self.as_slice())
        }
    }

    impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_seq(Items(PhantomData))
        }
    }

    struct Items<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
        type Value = Few<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a sequence")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Few<T>, A::Error> {
            let Some(first) = items.next_element()? else { return Ok(Few::None) };
            if items.size_hint() == Some(0) {
                return Ok(Few::One(first));
            }
            let Some(second) = items.next_element()? else { return Ok(Few::One(first)) };
            // Grows with what is really there, not with what the length promises.
            let mut all = Vec::from([first, second]);
            while let Some(item) = items.next_element()? {
                all.push(item);
            }
            Ok(Few::Many(all))
        }
    }
}
