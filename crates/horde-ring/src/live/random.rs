//! Any member.

use alloc::sync::Arc;

use crate::candidate::Candidate;
use crate::hash::KeyHash;
use crate::live::LivePlacement;
use crate::member::Member;
use crate::members::Members;
use crate::mix::{mix, stream};
use crate::placement::Placement;
use crate::rendezvous::Rendezvous;

/// Any accepted member, in proportion to its weight: Horde's `UniformRandomDistribution`, from a seed.
///
/// The same seed and the same questions give the same answers.
#[derive(Debug, Clone)]
pub struct Random<Id> {
    ranking: Rendezvous<Id>,
    seed: u64,
    asked: u64,
}

impl<Id> Random<Id> {
    /// Over these members, from this seed.
    #[must_use]
    pub fn new(members: impl Into<Arc<Members<Id>>>, seed: u64) -> Self {
        Self { ranking: Rendezvous::new(members), seed: mix(seed), asked: 0 }
    }
}

impl<Id> LivePlacement<Id> for Random<Id> {
    fn members(&self) -> &Members<Id> {
        self.ranking.members()
    }

    fn choose(
        &mut self,
        _: &Candidate<'_>,
        _: &dyn Fn(&Id) -> u64,
        filter: &dyn Fn(&Member<Id>) -> bool,
    ) -> Option<&Id> {
        self.asked += 1;
        self.ranking.owner_among(KeyHash::from_u64(stream(self.seed, self.asked)), filter)
    }
}
