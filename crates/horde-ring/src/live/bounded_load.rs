//! A pure strategy with a capacity for each member.

use alloc::vec::Vec;

use crate::candidate::Candidate;
use crate::live::{LivePlacement, weights};
use crate::member::Member;
use crate::members::Members;
use crate::placement::Placement;

/// A pure strategy whose members take nothing more beyond a bound on their load.
///
/// A member's capacity is its share, by weight, of the whole load with the candidate in it, times `1 + eps`,
/// rounded up. The candidate goes to the first member in the base strategy's ranking that is below its capacity.
/// There is always one. Load and capacity are those of the members that the filter accepts.
/// Source: Mirrokni, Thorup and Zadimoghaddam, "Consistent hashing with bounded loads" (2016).
#[derive(Debug, Clone)]
pub struct BoundedLoad<P> {
    base: P,
    thousandths: u32,
}

impl<P> BoundedLoad<P> {
    /// With eps 0.25.
    #[must_use]
    pub fn new(base: P) -> Self {
        Self::with_eps(base, 250)
    }

    /// With eps in thousandths. A small eps spreads evenly and moves more; 0 is allowed.
    #[must_use]
    pub fn with_eps(base: P, thousandths: u32) -> Self {
        Self { base, thousandths }
    }
}

impl<Id, P: Placement<Id>> LivePlacement<Id> for BoundedLoad<P> {
    fn members(&self) -> &Members<Id> {
        self.base.members()
    }

    fn choose(
        &mut self,
        candidate: &Candidate<'_>,
        load: &dyn Fn(&Id) -> u64,
        filter: &dyn Fn(&Member<Id>) -> bool,
    ) -> Option<&Id> {
        let accepted: Vec<_> =
            self.base.ranking(candidate.key).into_iter().filter(|member| filter(member)).collect();
        let weight = weights(&accepted);
        let all: u128 = accepted.iter().map(|member| u128::from(load(member.id()))).sum();
        let all = all + u128::from(candidate.weight.max(1));
        let total: u128 = accepted.iter().map(|member| weight(member)).sum();
        let below = |member: &&&Member<Id>| {
            let capacity =
                all.saturating_mul(weight(member)).saturating_mul(u128::from(1000 + self.thousandths));
            u128::from(load(member.id())) < capacity.div_ceil(1000 * total)
        };
        accepted.iter().find(below).or(accepted.first()).map(|member| member.id())
    }
}
