//! Stretches of the key space with one owner.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::placement::Placement;

/// A stretch of key hashes with one owner: from `start` to the next region's start, the last one to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region<'a, Id> {
    /// The first key hash of the stretch.
    pub start: u64,
    /// Who owns it; `None` if there are no members.
    pub owner: Option<&'a Id>,
}

/// The exact share of the key space that each member owns, 0 to 1, in the order of ids.
///
/// `None` if the strategy has no regions (rendezvous), where a share is its weight's, give or take the keys at hand.
#[must_use]
pub fn shares<Id: Ord>(placement: &dyn Placement<Id>) -> Option<Vec<(&Id, f64)>> {
    let regions = placement.regions()?;
    let mut owned: BTreeMap<&Id, u128> = placement.members().ids().map(|id| (id, 0)).collect();
    let ends = regions.iter().skip(1).map(|next| u128::from(next.start)).chain([1 << 64]);
    for (region, end) in regions.iter().zip(ends) {
        if let Some(owner) = region.owner {
            *owned.entry(owner).or_default() += end - u128::from(region.start);
        }
    }
    let space = (1_u128 << 64) as f64;
    Some(owned.into_iter().map(|(id, owned)| (id, owned as f64 / space)).collect())
}
