//! Strategies that look at load: asked by one node only, the key's coordinator.

pub(crate) mod bounded_load;
pub(crate) mod least_loaded;
pub(crate) mod random;

use crate::candidate::Candidate;
use crate::member::Member;
use crate::members::Members;

/// A live strategy: its answer depends on load or chance, so only the key's coordinator asks it, and the answer
/// stands in the record until the host goes.
pub trait LivePlacement<Id> {
    /// The members it was built from.
    fn members(&self) -> &Members<Id>;

    /// The host for a candidate among the members that `filter` accepts; `None` if it accepts none.
    ///
    /// `load` says what a member carries now, in any one unit.
    fn choose(
        &mut self,
        candidate: &Candidate<'_>,
        load: &dyn Fn(&Id) -> u64,
        filter: &dyn Fn(&Member<Id>) -> bool,
    ) -> Option<&Id>;
}

/// The weight that shares of load are counted in: 1 for all if nobody has any.
fn weights<Id>(accepted: &[&Member<Id>]) -> impl Fn(&Member<Id>) -> u128 + use<Id> {
    let all_zero = accepted.iter().all(|member| member.weight_of() == 0);
    move |member| if all_zero { 1 } else { u128::from(member.weight_of()) }
}
