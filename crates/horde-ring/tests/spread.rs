//! Evenness, weights and movement within bounds. The figures are exact or from fixed keys: nothing is left to chance.

use std::collections::BTreeMap;

use horde_ring::{
    BoundedSlots, Diff, KeyHash, Member, Members, Placement, Rendezvous, Ring, SlotTable, Slots, shares,
};

fn keys(count: u64) -> impl Iterator<Item = KeyHash> {
    (0..count).map(|n| KeyHash::of(format!("key-{n}")))
}

/// The busiest member over its fair share, exactly.
fn worst(placement: &dyn Placement<u16>) -> f64 {
    let weight = |id: &u16| f64::from(placement.members().get(id).map_or(0, Member::weight_of));
    let total: f64 = placement.members().ids().map(weight).sum();
    let shares = shares(placement).expect("a table");
    shares.iter().map(|(id, share)| share * total / weight(id)).fold(0.0, f64::max)
}

fn plain(n: u16) -> Members<u16> {
    Members::of(0..n)
}

fn weighted(n: u16) -> Members<u16> {
    (0..n).map(|id| Member::new(id).weight(1 + u32::from(id % 4))).collect()
}

#[test]
fn tables_are_even_within_bounds() {
    for (n, slots, ring) in [(3, 1.10, 1.25), (16, 1.25, 1.30), (100, 1.35, 1.40)] {
        let table = SlotTable::new(plain(n), Slots::at_least(128 * u32::from(n)));
        assert!(worst(&table) < slots, "{n}: {}", worst(&table));
        let circle = Ring::new(plain(n), 128);
        assert!(worst(&circle) < ring, "{n}: {}", worst(&circle));
    }
}

#[test]
fn rendezvous_is_as_even_as_chance() {
    let ring = Rendezvous::new(plain(16));
    let mut owned: BTreeMap<u16, f64> = BTreeMap::new();
    let count = 32_000;
    keys(count).filter_map(|key| ring.owner(key)).for_each(|owner| *owned.entry(*owner).or_default() += 1.0);
    let mean = count as f64 / 16.0;
    // Chi-square with 15 degrees of freedom: above 45 once in ten thousand hashes.
    let deviation: f64 = owned.values().map(|owned| (owned - mean).powi(2) / mean).sum();
    assert!(owned.len() == 16 && deviation < 45.0, "{deviation} {owned:?}");
}

#[test]
fn weights_are_respected() {
    let members = weighted(12);
    let total = f64::from(members.iter().map(Member::weight_of).sum::<u32>());
    let table = SlotTable::new(members.clone(), Slots::at_least(1 << 14));
    let circle = Ring::new(members.clone(), 512);
    for (name, placement) in [("slots", &table as &dyn Placement<u16>), ("ring", &circle)] {
        for (id, share) in shares(placement).expect("a table") {
            let fair = f64::from(members.get(id).map_or(0, Member::weight_of)) / total;
            assert!((0.85..1.15).contains(&(share / fair)), "{name} {id}: {share} for {fair}");
        }
    }
    let ring = Rendezvous::new(members.clone());
    let mut owned: BTreeMap<u32, f64> = BTreeMap::new();
    for owner in keys(30_000).filter_map(|key| ring.owner(key)) {
        *owned.entry(members.get(owner).map_or(0, Member::weight_of)).or_default() += 1.0;
    }
    for (weight, owned) in owned {
        let fair = 30_000.0 * 3.0 * f64::from(weight) / total;
        assert!((0.95..1.05).contains(&(owned / fair)), "weight {weight}: {owned} for {fair}");
    }
}

#[test]
fn under_a_bound_nobody_has_more_than_three_per_cent_above_its_share() {
    for n in [1, 2, 3, 7, 16, 40, 100] {
        let slots = Slots::at_least(256 * u32::from(n));
        for members in [plain(n), weighted(n)] {
            // A light member's share may be rounded up to a whole slot.
            let lightest =
                f64::from(slots.count()) / f64::from(members.iter().map(Member::weight_of).sum::<u32>());
            let bound = 1.03_f64.max(1.0 + 1.0 / lightest);
            let worst = worst(&BoundedSlots::new(members, slots));
            assert!(worst <= bound + 1e-9, "{n}: {worst} over {bound}");
        }
    }
}

#[test]
fn under_a_bound_a_change_moves_at_most_one_and_a_half_times_the_changed_share() {
    for n in [2, 3, 5, 16, 50, 64] {
        let slots = Slots::at_least(256 * u32::from(n));
        for all in [plain(n), weighted(n)] {
            let before = BoundedSlots::new(all.clone(), slots);
            let shares: BTreeMap<u16, f64> =
                shares(&before).expect("a table").into_iter().map(|(id, share)| (*id, share)).collect();
            for leaver in (0..n).step_by(usize::from(n / 8).max(1)) {
                let mut fewer = all.clone();
                fewer.remove(&leaver);
                let after = BoundedSlots::new(fewer, slots);
                // Forwards a leave, backwards a join.
                let moved = Diff::new(&before, &after).moved_fraction().expect("tables");
                let ratio = moved / shares[&leaver];
                assert!(ratio <= 1.5, "{n}: {ratio} when {leaver} leaves");
            }
        }
    }
}

#[test]
fn the_minimal_strategies_move_exactly_the_changed_share() {
    for n in [2, 3, 16, 100] {
        let (all, slots) = (weighted(n), Slots::at_least(64 * u32::from(n)));
        let mut fewer = all.clone();
        fewer.remove(&(n / 2));
        let tables = [&all, &fewer].map(|members| SlotTable::new(members.clone(), slots));
        let rings = [&all, &fewer].map(|members| Ring::new(members.clone(), 64));
        let [tables, rings] = [tables.each_ref().map(dynamic), rings.each_ref().map(dynamic)];
        for [before, after] in [tables, rings] {
            let share = shares(before).expect("a table")[usize::from(n / 2)].1;
            let moved = Diff::new(before, after).moved_fraction().expect("tables");
            assert!((moved - share).abs() < 1e-12, "{n}: {moved} of {share}");
        }
    }
}

fn dynamic<P: Placement<u16>>(placement: &P) -> &dyn Placement<u16> {
    placement
}
