//! Who keeps a name that two hold.

use std::cmp::Ordering;
use std::sync::Arc;

use delta_crdt::{Contender, Winner};
use serde::{Deserialize, Serialize};

use super::Entry;

/// The order that decides between two processes under one name: the same on all nodes, part of a registry's identity.
///
/// Copies of one supervised child are not its to judge: between them the higher claim rank holds ([`Order::keeps`]).
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
    /// Compares two holders of one name by this order alone: `Greater` when `a` comes before `b`. Total.
    #[must_use]
    pub fn compare(self, a: &Entry, b: &Entry) -> Ordering {
        let newer = a.registered_at.cmp(&b.registered_at).then_with(|| a.pid.cmp(&b.pid));
        match self {
            Self::KeepOldest => newer.reverse(),
            Self::KeepNewest => newer,
        }
    }

    /// Whether the holder of `ours`, which lives, keeps the name from `theirs`: of one child the higher claim does, of
    /// others the first by this order.
    ///
    /// Not transitive with three (two copies of a child and a stranger between them in age), so the replica, whose order
    /// must be total, is given [`Order::compare`], and each holder's node applies this against what the replica shows.
    #[must_use]
    pub fn keeps(self, ours: &Entry, theirs: &Entry) -> bool {
        match (&ours.claim, &theirs.claim) {
            (Some(a), Some(b)) if a.same_child(b) && a.rank != b.rank => a.rank > b.rank,
            _ => self.compare(ours, theirs) == Ordering::Greater,
        }
    }
}

impl Winner<Arc<Entry>> for Order {
    fn compare(&self, a: &Contender<'_, Arc<Entry>>, b: &Contender<'_, Arc<Entry>>) -> Ordering {
        Order::compare(*self, a.value, b.value)
    }
}

#[cfg(test)]
mod tests {
    use delta_crdt::Stamp;
    use horde_process::Pid;
    use horde_transport::{NodeId, NodeName};
    use proptest::prelude::*;

    use super::*;

    fn entries() -> impl Strategy<Value = Entry> {
        (0..3_u64, 0..3_u64, 0..3_u64).prop_map(|(node, number, at)| {
            let node = NodeId::new(NodeName::new(format!("n{node}")).unwrap(), 1);
            let (pid, registered_at) = (Pid::new(node, number), Stamp::from_bits(at));
            Entry { pid, value: [].into(), registered_at, claim: None }
        })
    }

    proptest! {
        #[test]
        fn each_order_is_total(a in entries(), b in entries(), c in entries()) {
            for order in [Order::KeepOldest, Order::KeepNewest] {
                prop_assert_eq!(order.compare(&a, &b), order.compare(&b, &a).reverse());
                if order.compare(&a, &b).is_ge() && order.compare(&b, &c).is_ge() {
                    prop_assert!(order.compare(&a, &c).is_ge());
                }
                let same = a.pid == b.pid && a.registered_at == b.registered_at;
                prop_assert_eq!(order.compare(&a, &b).is_eq(), same, "two holders are never equal");
            }
        }
    }
}
