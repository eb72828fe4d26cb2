//! Who keeps a name that two hold.

use std::cmp::Ordering;
use std::sync::Arc;

use delta_crdt::{Sibling, Winner};
use serde::{Deserialize, Serialize};

use super::Entry;

/// The order that decides between two processes under one name: the same on all nodes, part of a registry's identity.
///
/// Between copies of one supervised child the higher claim rank wins before any of these is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Order {
    /// The first registration keeps the name; ties by pid, the lower one wins.
    #[default]
    KeepOldest,
    /// The last registration takes the name; ties by pid, the higher one wins.
    KeepNewest,
}

impl Order {
    /// Compares two holders of one name: `Greater` when `a` keeps it.
    #[must_use]
    pub fn compare(self, a: &Entry, b: &Entry) -> Ordering {
        if let (Some(mine), Some(theirs)) = (&a.claim, &b.claim)
            && a.same_child(b)
            && mine.rank != theirs.rank
        {
            return mine.rank.cmp(&theirs.rank);
        }
        let newer = a.registered_at.cmp(&b.registered_at).then_with(|| a.pid.cmp(&b.pid));
        match self {
            Self::KeepOldest => newer.reverse(),
            Self::KeepNewest => newer,
        }
    }
}

impl Winner<Arc<Entry>> for Order {
    fn compare(&self, a: &Sibling<'_, Arc<Entry>>, b: &Sibling<'_, Arc<Entry>>) -> Ordering {
        match (a.value, b.value) {
            (Some(a), Some(b)) => Order::compare(*self, a, b),
            (Some(_), None) => Ordering::Greater,
            (None, Some(_)) => Ordering::Less,
            (None, None) => Ordering::Equal,
        }
    }
}
