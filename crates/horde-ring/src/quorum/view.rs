//! What one node knows when it decides.

use alloc::collections::BTreeSet;
use core::time::Duration;

use crate::quorum::agreed::Agreed;

/// What one node knows at one moment: the agreed configuration, who has acknowledged it lately, whom it reaches,
/// and since when that has not changed.
#[derive(Debug, Clone)]
pub struct QuorumView<'a, Id> {
    pub(crate) me: &'a Id,
    pub(crate) agreed: Option<&'a Agreed<Id>>,
    pub(crate) accepted: Option<&'a Agreed<Id>>,
    pub(crate) acknowledged: &'a BTreeSet<Id>,
    pub(crate) reachable: &'a BTreeSet<Id>,
    pub(crate) stable_for: Duration,
    pub(crate) never_leased: bool,
    pub(crate) holder: LeaseHolder<'a, Id>,
}

/// Who holds the lease of [`Policy::Lease`](crate::Policy::Lease), as far as this node knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseHolder<'a, Id> {
    /// This member, for itself and for whom it reaches.
    Member(&'a Id),
    /// Nobody holds it.
    Nobody,
    /// The store does not answer.
    Unknown,
}

/// A lease kept outside the cluster (etcd, Kubernetes, SQL), for [`Policy::Lease`](crate::Policy::Lease).
///
/// The calls never wait: an implementation acquires and renews in a task of its own, and lets its own holding end
/// before the store does.
pub trait ExternalLease<Id> {
    /// Says whether this node should hold the lease; until it is told otherwise it tries, and renews.
    ///
    /// The node with the lowest id of a side asks for it: at once on the side of the majority, 2 s later on the
    /// others, so that the larger side usually wins.
    fn want(&self, wanted: bool);

    /// Who holds it, as last seen; `None` if the store does not answer.
    fn holder(&self) -> Option<Option<Id>>;
}

impl<'a, Id: Ord> QuorumView<'a, Id> {
    /// The view of `me`: `acknowledged` are those whose acknowledgement of one of its heartbeats keeps its lease
    /// (see [`Heartbeats::fresh`](crate::Heartbeats::fresh)), `reachable` those that it counts as present. The node
    /// itself always belongs to both. The view has just changed.
    #[must_use]
    pub fn new(
        me: &'a Id,
        agreed: &'a Agreed<Id>,
        acknowledged: &'a BTreeSet<Id>,
        reachable: &'a BTreeSet<Id>,
    ) -> Self {
        Self {
            me,
            agreed: Some(agreed),
            accepted: None,
            acknowledged,
            reachable,
            stable_for: Duration::ZERO,
            never_leased: false,
            holder: LeaseHolder::Unknown,
        }
    }

    /// There is no agreed configuration yet.
    #[must_use]
    pub fn not_agreed(mut self) -> Self {
        self.agreed = None;
        self
    }

    /// A next configuration that this node has accepted, and does not yet know to hold: it must have enough in both.
    #[must_use]
    pub fn accepted(mut self, next: &'a Agreed<Id>) -> Self {
        self.accepted = Some(next);
        self
    }

    /// Since when `reachable` has not changed.
    #[must_use]
    pub fn stable_for(mut self, stable_for: Duration) -> Self {
        self.stable_for = stable_for;
        self
    }

    /// This node has only just started and never had a lease: it waits for one rather than stop.
    #[must_use]
    pub fn never_leased(mut self) -> Self {
        self.never_leased = true;
        self
    }

    /// Who holds the outside lease.
    #[must_use]
    pub fn holder(mut self, holder: LeaseHolder<'a, Id>) -> Self {
        self.holder = holder;
        self
    }

    pub(crate) fn side<'b>(&'b self, others: &'b BTreeSet<Id>) -> BTreeSet<&'b Id> {
        others.iter().chain([self.me]).collect()
    }

    pub(crate) fn configurations(&self) -> impl Iterator<Item = &'a Agreed<Id>> + use<'a, Id> {
        self.agreed.into_iter().chain(self.accepted)
    }
}
