//! May this side of a partition act: policies, agreed configurations, leases and fencing tokens.

pub(crate) mod accusation;
pub(crate) mod agreed;
pub(crate) mod fencing;
pub(crate) mod heartbeats;
pub(crate) mod policy;
pub(crate) mod terms;
pub(crate) mod view;

use alloc::collections::BTreeSet;
use alloc::string::String;
use core::time::Duration;

use agreed::{Agreed, Voter};
use policy::{Policy, Tally};
use view::{LeaseHolder, QuorumView};

/// A quorum policy with what qualifies it: a pure decision, which every node takes alone.
///
/// ```
/// use std::collections::BTreeSet;
/// use std::time::Duration;
/// use horde_ring::{Agreed, Decision, Policy, Quorum, QuorumView, Voter};
///
/// let agreed = Agreed::initial(["a", "b", "c"].map(|name| (name, Voter::new())));
/// let quorum = Quorum::new(Policy::Majority);
/// // What "a" sees after it lost "c" five seconds ago:
/// let with_b = BTreeSet::from(["b"]);
/// let view = QuorumView::new(&"a", &agreed, &with_b, &with_b).stable_for(Duration::from_secs(5));
/// assert_eq!(quorum.decide(&view), Decision::Keep);
/// // And what "c" sees:
/// let alone = BTreeSet::new();
/// let view = QuorumView::new(&"c", &agreed, &alone, &alone).stable_for(Duration::from_secs(5));
/// assert_eq!(quorum.decide(&view), Decision::StopSelf);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum<Id> {
    policy: Policy<Id>,
    stable_after: Duration,
    only: Option<(String, String)>,
}

/// What a node does about its children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Keep running, and start what is due.
    Keep,
    /// Stop every local child, and start nothing.
    StopSelf,
    /// Nothing is decided: start nothing, stop nothing, and ask again after this time or when the view changes.
    Wait(Duration),
}

impl<Id: Ord> Quorum<Id> {
    /// The policy with `stable_after` 3 s, counting all members.
    #[must_use]
    pub fn new(policy: Policy<Id>) -> Self {
        Self { policy, stable_after: Duration::from_secs(3), only: None }
    }

    /// Sets how long a view must not have changed before a loss is decided upon. A flapping view decides nothing.
    ///
    /// Sane: more than the time in which all members notice a loss; 1 to 20 s.
    #[must_use]
    pub fn stable_after(mut self, stable_after: Duration) -> Self {
        self.stable_after = stable_after;
        self
    }

    /// Counts only the members that have this label; the others follow them.
    #[must_use]
    pub fn only(mut self, label: impl Into<String>, value: impl Into<String>) -> Self {
        self.only = Some((label.into(), value.into()));
        self
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &Policy<Id> {
        &self.policy
    }

    /// Whether these members of a configuration are enough to keep a node running: with those that acknowledge it,
    /// the node itself included, its lease runs.
    ///
    /// It never turns from yes to no when members are added, and (but for [`Policy::None`]) two sets that are both
    /// enough share a member.
    #[must_use]
    pub fn grants(&self, agreed: &Agreed<Id>, side: &BTreeSet<&Id>) -> bool {
        let tally = Tally::new(agreed, |voter| self.counts(voter), side);
        self.policy.grants(&tally, |id| {
            side.contains(id) && agreed.voter(id).is_some_and(|voter| self.counts(voter))
        })
    }

    /// Whether a member counts.
    fn counts(&self, voter: &Voter) -> bool {
        self.only.as_ref().is_none_or(|(name, value)| voter.label_of(name) == Some(value))
    }

    /// Whether the policy can count in a configuration of this size at all: [`Policy::Static`] refuses more than
    /// `2 * size - 1` members, of which two sides could both have enough.
    #[must_use]
    pub fn allows(&self, agreed: &Agreed<Id>) -> bool {
        match &self.policy {
            Policy::Static { size } => {
                let counted = agreed.voters().filter(|(_, voter)| self.counts(voter)).count();
                *size > 0 && counted < 2 * *size
            }
            Policy::Referee { id } => agreed.voter(id).is_some_and(|voter| self.counts(voter)),
            _ => true,
        }
    }

    /// Whether a change from `old` to `next` holds once `by` have accepted it: more than half of both, and enough
    /// in both by the policy. Then no side can go on in the old one, nor a lease be taken over, behind its back.
    #[must_use]
    pub fn commits(&self, old: &Agreed<Id>, next: &Agreed<Id>, by: &BTreeSet<&Id>) -> bool {
        let majority =
            |agreed: &Agreed<Id>| 2 * agreed.ids().filter(|id| by.contains(id)).count() > agreed.len();
        let enough = |agreed: &Agreed<Id>| matches!(self.policy, Policy::None) || self.grants(agreed, by);
        next.epoch() == old.epoch() + 1 && [old, next].into_iter().all(|one| majority(one) && enough(one))
    }

    /// What to do in this view. Every side decides alone, and the sides agree.
    ///
    /// A node whose lease is over stops at once; `stable_after` does not shield it, so that the losing side stops
    /// before the other one starts anything.
    #[must_use]
    pub fn decide(&self, view: &QuorumView<'_, Id>) -> Decision {
        if matches!(self.policy, Policy::None) {
            return Decision::Keep;
        }
        let Some(agreed) = view.agreed else { return Decision::Wait(self.stable_after) };
        if agreed.voter(view.me).is_none() {
            return Decision::StopSelf;
        }
        let side = view.side(view.reachable);
        let whole = view.configurations().all(|agreed| agreed.ids().all(|id| side.contains(id)));
        let leased = view.configurations().all(|agreed| self.grants(agreed, &view.side(view.acknowledged)));
        let external = matches!(self.policy, Policy::Lease);
        if !leased && !external {
            return if view.never_leased { Decision::Wait(self.stable_after) } else { Decision::StopSelf };
        }
        if whole && leased {
            return Decision::Keep;
        }
        if view.stable_for < self.stable_after {
            return Decision::Wait(self.stable_after - view.stable_for);
        }
        let keeps = if external {
            match view.holder {
                LeaseHolder::Member(holder) => side.contains(holder),
                LeaseHolder::Nobody | LeaseHolder::Unknown => return Decision::Wait(self.stable_after),
            }
        } else {
            view.configurations().all(|agreed| self.grants(agreed, &side))
        };
        if keeps { Decision::Keep } else { Decision::StopSelf }
    }
}
