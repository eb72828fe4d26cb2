//! The less loaded of two.

use alloc::sync::Arc;

use crate::candidate::Candidate;
use crate::live::LivePlacement;
use crate::member::Member;
use crate::members::Members;
use crate::placement::Placement;
use crate::rendezvous::Rendezvous;

/// Power of two choices: of the two members that the key's rendezvous ranking puts first, the less loaded.
///
/// Load is compared relative to weight; on a tie the first of the ranking wins. Two choices keep the busiest
/// member within a small constant of the mean, and do not flood a newcomer as "the least of all" would.
/// Source: Mitzenmacher, "The power of two choices in randomized load balancing" (2001).
#[derive(Debug, Clone)]
pub struct LeastLoaded<Id> {
    ranking: Rendezvous<Id>,
}

impl<Id> LeastLoaded<Id> {
    /// Over these members.
    #[must_use]
    pub fn new(members: impl Into<Arc<Members<Id>>>) -> Self {
        Self { ranking: Rendezvous::new(members) }
    }
}

impl<Id> LivePlacement<Id> for LeastLoaded<Id> {
    fn members(&self) -> &Members<Id> {
        self.ranking.members()
    }

    fn choose(
        &mut self,
        candidate: &Candidate<'_>,
        load: &dyn Fn(&Id) -> u64,
        filter: &dyn Fn(&Member<Id>) -> bool,
    ) -> Option<&Id> {
        let mut two = self.ranking.ranking(candidate.key).into_iter().filter(|member| filter(member)).take(2);
        let first = two.next()?;
        let Some(second) = two.next().filter(|second| second.weight_of() > 0) else {
            return Some(first.id());
        };
        let cost =
            |one: &Member<Id>, other: &Member<Id>| u128::from(load(one.id())) * u128::from(other.weight_of());
        Some(if cost(second, first) < cost(first, second) { second } else { first }.id())
    }
}
