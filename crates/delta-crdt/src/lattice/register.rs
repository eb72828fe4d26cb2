//! Registers.

use alloc::vec::Vec;

use super::causal::causal_type;
use super::{Decompose, DotFun, DotStore, Lattice};
use crate::{ReplicaId, Stamp};

/// A register that shows the write with the highest stamp; ties go to the higher replica.
///
/// Of two concurrent writes one is lost: use [`MVRegister`] to keep both. Stamps must rise with each write of a replica, as those
/// of a hybrid logical clock do.
///
/// ```
/// use delta_crdt::{LWWRegister, Lattice, ReplicaId, Stamp};
/// let (mut here, mut there) = (LWWRegister::new(), LWWRegister::new());
/// let delta = here.write(ReplicaId::new(1, 1), Stamp::at_unix_ms(2_000), "tea");
/// there.write(ReplicaId::new(2, 1), Stamp::at_unix_ms(1_000), "coffee"); // at the same time, by a clock that is behind
/// there.join(&delta);
/// assert_eq!(there.get(), Some(&"tea"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LWWRegister<T>(Option<(Stamp, ReplicaId, T)>);

impl<T> Default for LWWRegister<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Clone + Ord> LWWRegister<T> {
    /// The register that was never written.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes `value` as `replica` at `stamp`; returns the delta. A stamp below that of the present value changes nothing:
    /// the delta is the bottom.
    pub fn write(&mut self, replica: ReplicaId, stamp: Stamp, value: T) -> Self {
        let write = Self(Some((stamp, replica, value)));
        if self.join(&write) { write } else { Self::default() }
    }

    /// The value, if there is one.
    pub fn get(&self) -> Option<&T> {
        self.0.as_ref().map(|write| &write.2)
    }

    /// When the value was written.
    pub fn stamp(&self) -> Option<Stamp> {
        self.0.as_ref().map(|write| write.0)
    }
}

/// An optional value that a join replaces by the greater.
macro_rules! chain {
    ($name:ident, |$mine:ident, $theirs:ident| $greater:expr) => {
        impl<T: Clone + Ord> Lattice for $name<T> {
            fn join(&mut self, other: &Self) -> bool {
                let changed = match (&self.0, &other.0) {
                    (_, None) => false,
                    (None, Some(_)) => true,
                    (Some($mine), Some($theirs)) => $greater,
                };
                if changed {
                    self.0.clone_from(&other.0);
                }
                changed
            }
        }

        impl<T: Clone + Ord> Decompose for $name<T> {
            fn decompose(&self) -> Vec<Self> {
                self.0.iter().map(|value| Self(Some(value.clone()))).collect()
            }
        }
    };
}
chain!(LWWRegister, |mine, theirs| theirs > mine);
chain!(MaxRegister, |mine, theirs| theirs > mine);
chain!(MinRegister, |mine, theirs| theirs < mine);

macro_rules! extreme {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub struct $name<T>(Option<T>);

        impl<T> Default for $name<T> {
            fn default() -> Self {
                Self(None)
            }
        }

        impl<T: Clone + Ord> $name<T> {
            /// The register that was never written.
            #[must_use]
            pub fn new() -> Self {
                Self::default()
            }

            /// Takes `value` into account; returns the delta, which is the bottom if that changed nothing.
            pub fn write(&mut self, value: T) -> Self {
                let write = Self(Some(value));
                if self.join(&write) { write } else { Self::default() }
            }

            /// The value, if there is one.
            pub fn get(&self) -> Option<&T> {
                self.0.as_ref()
            }
        }
    };
}
extreme! {
    /// A register that keeps the greatest value ever written: 3 here and 5 there make 5.
    ///
    /// ```
    /// use delta_crdt::{Lattice, MaxRegister};
    /// let (mut here, mut there) = (MaxRegister::new(), MaxRegister::new());
    /// here.write(3);
    /// there.write(5); // at the same time
    /// here.join(&there);
    /// there.join(&here);
    /// assert_eq!((here.get(), there.get()), (Some(&5), Some(&5)));
    /// ```
    MaxRegister
}
extreme! {
    /// A register that keeps the least value ever written: 3 here and 5 there make 3.
    ///
    /// ```
    /// use delta_crdt::{Lattice, MinRegister};
    /// let (mut here, mut there) = (MinRegister::new(), MinRegister::new());
    /// here.write(3);
    /// there.write(5); // at the same time
    /// here.join(&there);
    /// there.join(&here);
    /// assert_eq!((here.get(), there.get()), (Some(&3), Some(&3)));
    /// ```
    MinRegister
}

causal_type! {
    /// A register that keeps all concurrent writes until one that has seen them replaces them.
    ///
    /// ```
    /// use delta_crdt::{Lattice, MVRegister, ReplicaId};
    /// let (mut here, mut there) = (MVRegister::new(), MVRegister::new());
    /// here.write(ReplicaId::new(1, 1), "tea");
    /// there.write(ReplicaId::new(2, 1), "coffee"); // at the same time
    /// here.join(&there);
    /// assert_eq!(here.iter().collect::<Vec<_>>(), [&"tea", &"coffee"]);
    /// here.write(ReplicaId::new(1, 1), "both");
    /// there.join(&here);
    /// assert_eq!(there.iter().collect::<Vec<_>>(), [&"both"]);
    /// ```
    MVRegister<T>(DotFun<T>) where T: Clone + PartialEq
}

impl<T: Clone + PartialEq> MVRegister<T> {
    /// Writes `value` as `replica`, in place of all that is known; returns the delta.
    pub fn write(&mut self, replica: ReplicaId, value: T) -> Self {
        self.apply(DotFun::of(self.0.context.next(replica), value), self.0.store.dots())
    }

    /// Removes all values known; returns the delta.
    pub fn clear(&mut self) -> Self {
        self.apply(DotFun::default(), self.0.store.dots())
    }

    /// The concurrent values, in the order of their dots.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.store.0.values()
    }
}
