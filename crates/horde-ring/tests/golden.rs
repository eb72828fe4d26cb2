//! Frozen answers: a change here moves keys in every running cluster, and must not happen by accident.

use horde_ring::{KEY_SEED, KeyHash, Member, Members, Placement, Rendezvous};

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

/// The owners of `key-0` .. `key-19`, one letter each.
fn owners(placement: &dyn Placement<&'static str>) -> String {
    (0..40).map(|n| *placement.owner(KeyHash::of(format!("key-{n}"))).expect("there are members")).collect()
}

#[test]
fn rendezvous_is_frozen() {
    assert_eq!(
        owners(&Rendezvous::new(Members::of(["a", "b", "c", "d", "e"]))),
        "debbbeecacdabcdeaebbcabeabdacebeccabbacc"
    );
    let weighted: Members<_> = [("a", 1), ("b", 2), ("c", 3), ("d", 0)]
        .map(|(id, weight)| Member::new(id).weight(weight))
        .into_iter()
        .collect();
    assert_eq!(owners(&Rendezvous::new(weighted)), "bccbbccccccabccbacbbcabcabbacbbccccbbacc");
}
