//! Every pure strategy over the same members, and random memberships to try them on.

use horde_ring::{BoundedSlots, KeyHash, Member, Members, Placement, Rendezvous, Ring, SlotTable, Slots};
use proptest::prelude::*;

/// A pure strategy and its name.
pub(crate) type Named = (&'static str, Box<dyn Placement<u16>>);

/// All strategies that move as little as possible.
pub(crate) fn minimal(members: &Members<u16>, slots: Slots) -> Vec<Named> {
    vec![
        ("rendezvous", Box::new(Rendezvous::new(members.clone()))),
        ("slots", Box::new(SlotTable::new(members.clone(), slots))),
        ("ring", Box::new(Ring::new(members.clone(), 16))),
    ]
}

/// All pure strategies.
pub(crate) fn all(members: &Members<u16>, slots: Slots) -> Vec<Named> {
    let mut all = minimal(members, slots);
    all.push(("bounded", Box::new(BoundedSlots::new(members.clone(), slots))));
    all
}

/// The keys that laws are tried on.
pub(crate) fn keys(count: u64) -> impl Iterator<Item = KeyHash> {
    (0..count).map(|n| KeyHash::of(format!("key-{n}")))
}

/// Members with random ids, weights and zones; the weights are often equal.
pub(crate) fn members(most: usize) -> impl Strategy<Value = Members<u16>> {
    let weight = prop_oneof![4 => Just(1_u32), 2 => 1..5_u32, 1 => Just(0)];
    let one = (any::<u16>(), weight, 0..5_u8);
    (prop::collection::vec(one, 0..=most), any::<bool>(), any::<bool>()).prop_map(|(all, weighted, zoned)| {
        let member = |(id, weight, zone): (u16, u32, u8)| {
            let member = Member::new(id).weight(if weighted { weight } else { 1 });
            if zoned && zone > 0 { member.zone(format!("zone-{zone}")) } else { member }
        };
        all.into_iter().map(member).collect()
    })
}

/// A few slot counts, fewer and more than members.
pub(crate) fn slots() -> impl Strategy<Value = Slots> {
    (4..10_u32).prop_map(|bits| Slots::at_least(1 << bits))
}
