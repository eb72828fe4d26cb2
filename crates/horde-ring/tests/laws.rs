//! The laws of every placement, over random memberships.

#[path = "common/placements.rs"]
mod placements;

use std::collections::{BTreeMap, BTreeSet};

use horde_ring::{Diff, KeyHash, Member, Members, Placement, Ring};
use placements::{all, keys, members, minimal, slots};
use proptest::prelude::*;

/// The replicas as the definition says them: always the best of what is left in the zones used least.
fn spread_by_hand(ranking: &[&Member<u16>], k: usize) -> Vec<u16> {
    let mut left: Vec<_> = ranking.to_vec();
    let mut used: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    let mut chosen = Vec::new();
    while chosen.len() < k && !left.is_empty() {
        let uses = |member: &Member<u16>| used.get(&member.zone_of()).copied().unwrap_or(0);
        let least = left.iter().map(|member| uses(member)).min().unwrap_or(0);
        let at = left.iter().position(|member| uses(member) == least).unwrap_or(0);
        let member = left.remove(at);
        *used.entry(member.zone_of()).or_default() += 1;
        chosen.push(*member.id());
    }
    chosen
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_same_set_has_the_same_owners_in_any_order_of_changes(
        set in members(12), extra in members(6), slots in slots()
    ) {
        // Another history of the same set: backwards, with members that come and go.
        let mut other = Members::new();
        set.iter().rev().for_each(|member| drop(other.insert(member.clone())));
        extra.iter().for_each(|member| drop(other.insert(member.clone())));
        extra.iter().for_each(|member| drop(other.remove(member.id())));
        set.iter().for_each(|member| drop(other.insert(member.clone())));
        prop_assert_eq!(&set, &other);
        for ((name, one), (_, two)) in all(&set, slots).iter().zip(all(&other, slots)) {
            for key in keys(50) {
                prop_assert_eq!(one.owner(key), two.owner(key), "{}", name);
                prop_assert_eq!(one.replicas(key, 3), two.replicas(key, 3), "{}", name);
            }
        }
        // A ring that grew and shrank step by step is the ring built at once.
        let mut grown = Ring::new(Members::new(), 16);
        for member in extra.iter().chain(set.iter().rev()) {
            grown = grown.with(member.clone());
        }
        for member in extra.iter().filter(|member| !set.contains(member.id())) {
            grown = grown.without(member.id());
        }
        let built = Ring::new(set.clone(), 16);
        prop_assert_eq!(grown.members(), built.members());
        prop_assert_eq!(grown.regions(), built.regions());
    }

    #[test]
    fn a_change_of_one_member_moves_keys_only_to_or_from_it(
        set in members(12), newcomer in any::<u16>(), weight in 0..6_u32, slots in slots()
    ) {
        let mut larger = set.clone();
        prop_assume!(larger.insert(Member::new(newcomer).weight(weight).zone("zone-1")).is_none());
        // Read forwards it is a join, backwards a leave.
        for ((name, before), (_, after)) in minimal(&set, slots).iter().zip(minimal(&larger, slots)) {
            for key in keys(200) {
                let (was, is) = (before.owner(key), after.owner(key));
                prop_assert!(was == is || is == Some(&newcomer), "{}: {:?} {:?}", name, was, is);
                let without = after.owner_among(key, &|member| *member.id() != newcomer);
                prop_assert_eq!(without, was, "{}: a filter is like a smaller set", name);
            }
        }
    }

    #[test]
    fn those_that_a_filter_leaves_share_as_a_set_of_their_own_if_all_of_them_weigh_nothing(
        set in members(6), newcomer in any::<u16>(), slots in slots()
    ) {
        let set: Members<u16> = set.iter().map(|member| member.clone().weight(0)).collect();
        let mut larger = set.clone();
        prop_assume!(larger.insert(Member::new(newcomer)).is_none());
        for ((name, before), (_, after)) in minimal(&set, slots).iter().zip(minimal(&larger, slots)) {
            for key in keys(100) {
                let without = after.owner_among(key, &|member| *member.id() != newcomer);
                prop_assert_eq!(without, before.owner(key), "{}", name);
            }
        }
    }

    #[test]
    fn a_change_of_weight_moves_keys_only_to_or_from_that_member(
        set in members(12), at in any::<prop::sample::Index>(), weight in 1..6_u32, slots in slots()
    ) {
        prop_assume!(set.iter().any(|member| member.weight_of() > 0));
        let changed = at.get(set.as_slice()).clone();
        prop_assume!(changed.weight_of() > 0);
        let up = weight >= changed.weight_of();
        let mut other = set.clone();
        other.insert(changed.clone().weight(weight));
        for ((name, before), (_, after)) in minimal(&set, slots).iter().zip(minimal(&other, slots)) {
            for key in keys(200) {
                let (was, is) = (before.owner(key), after.owner(key));
                let gainer = if up { is } else { was };
                prop_assert!(was == is || gainer == Some(changed.id()), "{}: {:?} {:?}", name, was, is);
            }
        }
    }

    #[test]
    fn replicas_are_min_k_n_distinct_members_spread_over_zones(
        set in members(12), k in 0..15_usize, slots in slots()
    ) {
        for (name, placement) in all(&set, slots) {
            for key in keys(40) {
                let ranking = placement.ranking(key);
                let ids: BTreeSet<u16> = ranking.iter().map(|member| *member.id()).collect();
                prop_assert_eq!((ranking.len(), ids.len()), (set.len(), set.len()), "{}", name);
                prop_assert_eq!(ranking.first().map(|member| member.id()), placement.owner(key), "{}", name);
                let replicas: Vec<u16> = placement.replicas(key, k).into_iter().copied().collect();
                prop_assert_eq!(&replicas, &spread_by_hand(&ranking, k), "{}", name);
                prop_assert_eq!(replicas.len(), k.min(set.len()), "{}", name);
                prop_assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), replicas.len(), "{}", name);
                let zones: BTreeSet<_> = set.iter().map(Member::zone_of).collect();
                let used: BTreeSet<_> = replicas.iter().filter_map(|id| set.get(id)).map(Member::zone_of).collect();
                prop_assert_eq!(used.len(), zones.len().min(replicas.len()), "{}", name);
                let longer: Vec<u16> = placement.replicas(key, k + 1).into_iter().copied().collect();
                prop_assert_eq!(&longer[..replicas.len()], &replicas[..], "{}", name);
            }
        }
    }

    #[test]
    fn a_filtered_owner_is_the_first_of_the_ranking_that_passes(
        set in members(12), modulo in 1..5_u16, slots in slots()
    ) {
        let filter = |member: &Member<u16>| member.id().is_multiple_of(modulo);
        for (name, placement) in all(&set, slots) {
            for key in keys(60) {
                let expected = placement.ranking(key).into_iter().find(|member| filter(member)).map(Member::id);
                prop_assert_eq!(placement.owner_among(key, &filter), expected, "{}", name);
            }
        }
    }

    #[test]
    fn a_diff_is_the_difference_of_two_full_scans(
        before in members(10), after in members(10), slots in slots(), more in slots()
    ) {
        for (name, one) in all(&before, slots) {
            for (other, two) in all(&after, more) {
                let diff = Diff::new(&*one, &*two);
                let scan: Vec<_> = keys(100)
                    .filter(|&key| one.owner(key) != two.owner(key))
                    .map(|key| (key, one.owner(key), two.owner(key)))
                    .collect();
                let found: Vec<_> = diff.over(keys(100)).map(|(key, moved)| (key, moved.from, moved.to)).collect();
                prop_assert_eq!(&found, &scan, "{} {}", name, other);
                let Some(ranges) = diff.ranges() else { continue };
                // The ranges' ends, their neighbours, and a hundred keys in between.
                let edges = ranges.iter().flat_map(|r| [r.start, r.end, r.start.wrapping_sub(1), r.end.wrapping_add(1)]);
                for key in edges.chain(keys(100).map(KeyHash::as_u64)).map(KeyHash::from_u64) {
                    let range = ranges.iter().find(|r| (r.start..=r.end).contains(&key.as_u64()));
                    prop_assert_eq!(range.map(|range| range.moved), diff.of(key), "{} {}", name, other);
                }
            }
        }
    }
}

#[test]
fn no_members_own_nothing() {
    for (name, placement) in all(&Members::new(), horde_ring::Slots::at_least(16)) {
        let key = KeyHash::of("key");
        assert_eq!(placement.owner(key), None, "{name}");
        assert_eq!(placement.owner_among(key, &|_| true), None, "{name}");
        assert!(placement.replicas(key, 3).is_empty() && placement.ranking(key).is_empty(), "{name}");
    }
}
