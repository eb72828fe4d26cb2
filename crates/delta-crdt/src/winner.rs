//! Who wins among concurrent writes of one key.

use core::cmp::Ordering;
use core::fmt;

use crate::{Dot, Stamp};

/// One of the concurrent writes that a key holds.
#[derive(Clone, Copy)]
pub struct Sibling<'a, V> {
    /// The write.
    pub dot: Dot,
    /// When it was made, by the clock of who made it.
    pub stamp: Stamp,
    /// What it put, or `None` if it removed.
    pub value: Option<&'a V>,
}

impl<V: fmt::Debug> fmt::Debug for Sibling<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sibling")
            .field("dot", &self.dot)
            .field("stamp", &self.stamp)
            .field("value", &self.value)
            .finish()
    }
}

/// Chooses the sibling that readers see.
///
/// The order must be total and depend on the two siblings alone, or replicas show different values although they hold the
/// same siblings. Where it says `Equal`, the higher stamp wins, then the higher dot.
pub trait Winner<V> {
    /// `Greater` if `a` wins over `b`.
    fn compare(&self, a: &Sibling<'_, V>, b: &Sibling<'_, V>) -> Ordering;
}

/// A value beats a removal, then the higher stamp wins, then the higher dot. The default.
///
/// DeltaCrdt's AWLWWMap orders by each machine's private monotonic clock instead, so its last writer is whoever has the
/// larger clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastWriter;

impl<V> Winner<V> for LastWriter {
    fn compare(&self, a: &Sibling<'_, V>, b: &Sibling<'_, V>) -> Ordering {
        a.value.is_some().cmp(&b.value.is_some())
    }
}

/// Any function with the right type is a policy.
impl<V, F: Fn(&Sibling<'_, V>, &Sibling<'_, V>) -> Ordering> Winner<V> for F {
    fn compare(&self, a: &Sibling<'_, V>, b: &Sibling<'_, V>) -> Ordering {
        self(a, b)
    }
}
