//! Frozen answers: a change here moves keys in every running cluster, and must not happen by accident.

use horde_ring::{
    BoundedSlots, KEY_SEED, KeyHash, Member, Members, Placement, Rendezvous, Ring, SlotTable, Slots,
};

#[test]
fn the_key_hash_is_frozen() {
    assert_eq!(KEY_SEED, 0x686f_7264_6531);
    let long: Vec<u8> = (0..1000_u32).map(|n| n as u8).collect();
    let vectors: [(&[u8], u64); 10] = [
        (b"", 0xb334_11be_4cc4_8cd5),
        (b"a", 0x2bc9_52b5_112d_8246),
        (b"key", 0x1fca_b510_3cc0_03f5),
        (b"greeter-42", 0xa442_994e_6043_bba2),
        (b"0123456789abcdef", 0xf844_11d9_b2e2_9770),
        ("m\u{fc}nchen".as_bytes(), 0x322c_7de3_550d_a9c2),
        (&long[..17], 0x5890_4cd6_ba0f_04cf),
        (&long[..129], 0x6450_d5e8_2868_2b14),
        (&long[..241], 0x061f_68bb_2d7b_2cad),
        (&long, 0xe683_6ff6_5ea3_e062),
    ];
    let found: Vec<u64> = vectors.iter().map(|(bytes, _)| KeyHash::of(bytes).as_u64()).collect();
    let frozen: Vec<u64> = vectors.iter().map(|(_, hash)| *hash).collect();
    assert_eq!(found, frozen, "{found:#018x?}");
}

/// The owners of `key-0` .. `key-39`, one letter each.
fn owners(placement: &dyn Placement<&'static str>) -> String {
    (0..40).map(|n| *placement.owner(KeyHash::of(format!("key-{n}"))).expect("there are members")).collect()
}

/// The three replicas of `key-0` .. `key-9`.
fn replicas(placement: &dyn Placement<&'static str>) -> String {
    let three =
        |n| placement.replicas(KeyHash::of(format!("key-{n}")), 3).into_iter().copied().collect::<String>();
    (0..10).map(three).collect::<Vec<_>>().join(" ")
}

fn even() -> Members<&'static str> {
    Members::of(["a", "b", "c", "d", "e"])
}

fn weighted() -> Members<&'static str> {
    let member = |(id, weight, zone)| Member::new(id).weight(weight).zone(zone);
    [("a", 1, "x"), ("b", 2, "x"), ("c", 3, "y"), ("d", 0, "z")].map(member).into_iter().collect()
}

fn frozen(build: impl Fn(Members<&'static str>) -> Box<dyn Placement<&'static str>>, expected: [&str; 4]) {
    let (even, weighted) = (build(even()), build(weighted()));
    let found = [owners(&*even), replicas(&*even), owners(&*weighted), replicas(&*weighted)];
    assert_eq!(found, expected);
}

#[test]
fn rendezvous_is_frozen() {
    frozen(
        |members| Box::new(Rendezvous::new(members)),
        [
            "edddceecbcceaababebddaecacdcdebeacbeaaea",
            "ead dbe dbc deb cbe eba eab cdb bae cae",
            "abbbcbbcbcccbcbabbbccaccacbcacbcccbcaacb",
            "acd bcd bcd bcd cbd bcd bcd cbd bcd cad",
        ],
    );
}

#[test]
fn the_slot_table_is_frozen() {
    let slots = Slots::at_least(4096);
    frozen(
        |members| Box::new(SlotTable::new(members, slots)),
        [
            "deeddebeadaeacbeaeecdbdaeacbbcddbddbddbd",
            "dea ebc ecb dec dbc ecb bcd eda abd dca",
            "ccccbcccacacbcbcacbcbbbabbcbbcbabcbbbcbb",
            "cad cbd cbd cad bcd cbd cbd cbd acd cbd",
        ],
    );
}

#[test]
fn bounded_slots_are_frozen() {
    let slots = Slots::at_least(4096);
    frozen(
        |members| Box::new(BoundedSlots::new(members, slots)),
        [
            "deeddebeadaeacbeaeecdbdaeacbbcddbddbddbd",
            "dea ebc ecb dec dbc ecb bcd eda abd dca",
            "ccccbcccacacbcbcacbcbbbabbcbbcbabcbbbcbb",
            "cad cbd cbd cad bcd cbd cbd cbd acd cbd",
        ],
    );
}

#[test]
fn the_ring_is_frozen() {
    frozen(
        |members| Box::new(Ring::new(members, 128)),
        [
            "dceaceebbaeceaddbddaaeacbdacbcdeaacaaacc",
            "dcb cba ebc abe ceb eca eac bad bda aed",
            "cccacccbbacbaccccaccccacbbcbbccbaccccacb",
            "cbd cbd cbd acd cbd cad cad bcd bcd acd",
        ],
    );
}

#[test]
fn a_hash_of_all_owners_of_a_large_table_is_frozen() {
    let table = SlotTable::new(Members::of(0..1000_u32), Slots::at_least(65_536));
    let owners: Vec<u8> = (0..65_536_u64)
        .flat_map(|slot| {
            table.replicas(KeyHash::from_u64(slot << 48), 3).into_iter().copied().collect::<Vec<_>>()
        })
        .flat_map(u32::to_le_bytes)
        .collect();
    assert_eq!(KeyHash::of(owners).as_u64(), 0x7c51_1c50_0e8f_ceef);
}

#[test]
fn a_hash_of_all_owners_under_a_bound_is_frozen() {
    let members: Members<u32> = (0..50).map(|id| Member::new(id).weight(1 + id % 3)).collect();
    let owner_hash = |placement: &dyn Placement<u32>| {
        let owners = (0..16_384_u64).filter_map(|slot| placement.owner(KeyHash::from_u64(slot << 50)));
        KeyHash::of(owners.flat_map(|owner| owner.to_le_bytes()).collect::<Vec<u8>>()).as_u64()
    };
    let slots = Slots::at_least(16_384);
    assert_eq!(owner_hash(&BoundedSlots::new(members.clone(), slots)), 0x2ed1_6f37_946e_e812);
    assert_ne!(owner_hash(&SlotTable::new(members, slots)), 0x2ed1_6f37_946e_e812);
}
