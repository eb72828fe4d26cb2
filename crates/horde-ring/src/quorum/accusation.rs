//! When a member that cannot be reached may be replaced.

use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

use crate::quorum::Quorum;
use crate::quorum::agreed::Agreed;
use crate::quorum::terms::LeaseTerms;

/// What a node has promised: whose heartbeats it no longer acknowledges.
///
/// A promise binds for the life of the accused (its incarnation). While one stands, the node accepts no new
/// configuration but the removal of the accused: else an old promise and a new configuration could both count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promises<Id> {
    given: BTreeMap<Id, u64>,
}

impl<Id> Default for Promises<Id> {
    fn default() -> Self {
        Self { given: BTreeMap::new() }
    }
}

impl<Id: Ord> Promises<Id> {
    /// None given.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Promises not to acknowledge this life of `accused`, or an earlier one, any more.
    pub fn promise(&mut self, accused: Id, incarnation: u64) {
        let given = self.given.entry(accused).or_insert(incarnation);
        *given = incarnation.max(*given);
    }

    /// Whether a heartbeat of this life of `id` may be acknowledged.
    #[must_use]
    pub fn may_acknowledge(&self, id: &Id, incarnation: u64) -> bool {
        self.given.get(id).is_none_or(|&promised| incarnation > promised)
    }

    /// Whether a next configuration may be accepted: nothing is promised, or it is the removal of the accused.
    #[must_use]
    pub fn may_accept(&self, next: &Agreed<Id>) -> bool {
        let settled = |(id, &promised): (&Id, &u64)| {
            next.voter(id).is_none_or(|voter| voter.incarnation_of() > promised)
        };
        self.given.iter().all(settled)
    }

    /// Takes a promise back. Only when its accuser has said that the accusation is over and nothing was replaced,
    /// or when a configuration without this life of the accused holds.
    pub fn release(&mut self, accused: &Id) {
        self.given.remove(accused);
    }
}

/// One node's case against a member that it cannot reach: the promises it has received.
#[derive(Debug, Clone)]
pub struct Accusation<Id> {
    accused: Id,
    /// When each promise was received, and the epoch that the promiser had accepted.
    promises: BTreeMap<Id, (Duration, u64)>,
}

impl<Id: Ord> Accusation<Id> {
    /// No promises yet.
    #[must_use]
    pub fn new(accused: Id) -> Self {
        Self { accused, promises: BTreeMap::new() }
    }

    /// The accused.
    #[must_use]
    pub fn accused(&self) -> &Id {
        &self.accused
    }

    /// Notes a promise received at `at`, on this node's clock, from `by`, which had then accepted the configuration
    /// of `epoch`. The accused cannot promise. Of two promises of a member the first counts.
    pub fn promised(&mut self, by: Id, at: Duration, epoch: u64) {
        if by != self.accused {
            self.promises.entry(by).or_insert((at, epoch));
        }
    }

    /// When the accused is Down: when the promise came after which those who have not promised are no longer enough
    /// to keep its lease. `None` while they are: it is then `Unreachable` here, and its children stay.
    ///
    /// Promises of members that had accepted a later configuration than `agreed` do not count: get to know it first.
    /// With [`Policy::None`](crate::Policy::None) there are no leases, and it is Down at once.
    #[must_use]
    pub fn down_since(&self, quorum: &Quorum<Id>, agreed: &Agreed<Id>) -> Option<Duration> {
        let mut left: BTreeSet<&Id> = agreed.ids().collect();
        if matches!(quorum.policy(), crate::Policy::None) {
            return Some(Duration::ZERO);
        }
        let mut promises: alloc::vec::Vec<(Duration, &Id)> = self
            .promises
            .iter()
            .filter(|(_, (_, epoch))| *epoch <= agreed.epoch())
            .map(|(id, (at, _))| (*at, id))
            .collect();
        promises.sort_unstable();
        promises.into_iter().find_map(|(at, id)| {
            left.remove(id);
            (!quorum.grants(agreed, &left)).then_some(at)
        })
    }

    /// When this node may replace what the accused ran; `None` while the accused is not Down.
    ///
    /// `since` is when this node got to know that `agreed` holds: leases of the configuration before it must have
    /// ended too.
    #[must_use]
    pub fn replace_at(
        &self,
        quorum: &Quorum<Id>,
        agreed: &Agreed<Id>,
        since: Duration,
        terms: &LeaseTerms,
    ) -> Option<Duration> {
        let down = self.down_since(quorum, agreed)?;
        if matches!(quorum.policy(), crate::Policy::None) {
            return Some(down);
        }
        Some(down.max(since).saturating_add(terms.takeover_delay()))
    }
}
