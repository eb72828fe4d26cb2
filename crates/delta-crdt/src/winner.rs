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

/// One of the concurrent writes of a value between which a [`Winner`] chooses.
#[derive(Clone, Copy, Debug)]
pub struct Contender<'a, V> {
    /// The write.
    pub dot: Dot,
    /// When it was made, by the clock of who made it.
    pub stamp: Stamp,
    /// What it put.
    pub value: &'a V,
}

/// Chooses the value that readers see where several were put at the same time.
///
/// The order must be total and depend on the two alone, or replicas show different values although they hold the same. Where it
/// says `Equal`, the higher stamp wins, then the higher dot.
///
/// Removals do not contend: a value always beats a removal that does not know of it. A policy could not say otherwise for long, since
/// tombstones are dropped in time, on one replica sooner than on another; where a removal shall outrank values, make it a value.
pub trait Winner<V> {
    /// `Greater` if `a` wins over `b`.
    fn compare(&self, a: &Contender<'_, V>, b: &Contender<'_, V>) -> Ordering;
}

/// The higher stamp wins, then the higher dot. The default.
///
/// DeltaCrdt's AWLWWMap orders by each machine's private monotonic clock instead, so its last writer is whoever has the
/// larger clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastWriter;

impl<V> Winner<V> for LastWriter {
    fn compare(&self, _: &Contender<'_, V>, _: &Contender<'_, V>) -> Ordering {
        Ordering::Equal
    }
}

/// Any function with the right type is a policy.
impl<V, F: Fn(&Contender<'_, V>, &Contender<'_, V>) -> Ordering> Winner<V> for F {
    fn compare(&self, a: &Contender<'_, V>, b: &Contender<'_, V>) -> Ordering {
        self(a, b)
    }
}
