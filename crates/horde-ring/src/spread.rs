//! Spreading replicas over zones.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use crate::member::Member;
use crate::members::Members;

/// The zone of each member as a small number; members without a zone share one.
#[derive(Debug, Clone)]
pub(crate) struct Zones {
    of: Vec<u32>,
    count: usize,
}

impl Zones {
    pub(crate) fn new<Id>(members: &Members<Id>) -> Self {
        Self::named(members.iter().map(Member::zone_of))
    }

    /// Numbers the zones of a list of members.
    pub(crate) fn named<'a>(zones: impl Iterator<Item = Option<&'a str>>) -> Self {
        let mut numbers = BTreeMap::new();
        let of = zones
            .map(|zone| {
                let next = numbers.len() as u32;
                *numbers.entry(zone).or_insert(next)
            })
            .collect();
        Self { of, count: numbers.len() }
    }

    /// How many zones there are; 1 for members without zones.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn of(&self, member: u32) -> u32 {
        self.of[member as usize]
    }
}

/// Takes `k` of `ranking` (all members, best first) so that the zones are used evenly.
///
/// Each pick is the best member left in the least used zones, so `k` picks are the first of `k + 1`.
pub(crate) fn spread(ranking: impl IntoIterator<Item = u32>, zones: &Zones, k: usize) -> Vec<u32> {
    if zones.count() < 2 {
        return ranking.into_iter().take(k).collect();
    }
    let mut used = vec![0_u32; zones.count()];
    let mut turns: Vec<(u32, u32)> = ranking
        .into_iter()
        .map(|member| {
            let turn = &mut used[zones.of(member) as usize];
            *turn += 1;
            (*turn, member)
        })
        .collect();
    // Stable: within one turn the ranking stays.
    turns.sort_by_key(|&(turn, _)| turn);
    turns.into_iter().take(k).map(|(_, member)| member).collect()
}
