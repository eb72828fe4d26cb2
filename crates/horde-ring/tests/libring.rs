//! What libring offers, and its counterpart here.

use horde_ring::{DEFAULT_POINTS, KeyHash, Member, Members, NameFilter, Placement, Ring};

fn ring(nodes: &[&'static str]) -> Ring<&'static str> {
    Ring::new(Members::of(nodes.iter().copied()), DEFAULT_POINTS)
}

#[test]
fn a_new_ring_is_empty_and_nodes_come_and_go() {
    let empty = ring(&[]);
    assert_eq!(empty.owner(KeyHash::of("key")), None);
    let one = empty.with(Member::new("a"));
    assert_eq!(one.owner(KeyHash::of("key")), Some(&"a"));
    let two = one.with(Member::new("b").weight(2));
    assert_eq!(two.members().ids().copied().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(two.without(&"a").members().ids().copied().collect::<Vec<_>>(), ["b"]);
    assert_eq!(two.without(&"unknown").regions(), two.regions());
    // Unlike libring, a node of the empty name is a node, and an existing node's weight can be changed.
    assert_eq!(two.with(Member::new("")).members().len(), 3);
    let heavier = two.with(Member::new("a").weight(50));
    let owned =
        |ring: &Ring<_>| (0..400).filter(|n| ring.owner(KeyHash::of(format!("{n}"))) == Some(&"a")).count();
    assert!(owned(&heavier) > 2 * owned(&two));
}

#[test]
fn a_key_belongs_to_the_next_point_and_wraps_to_the_first() {
    let ring = ring(&["a", "b", "c"]);
    let regions = ring.regions().expect("a ring has regions");
    for window in regions.windows(2) {
        let end = KeyHash::from_u64(window[1].start - 1);
        assert_eq!(ring.owner(KeyHash::from_u64(window[0].start)), window[0].owner);
        assert_eq!(ring.owner(end), window[0].owner, "a point belongs to its own node");
    }
    let (first, last) = (ring.owner(KeyHash::from_u64(0)), ring.owner(KeyHash::from_u64(u64::MAX)));
    assert_eq!(first, last, "past the last point the ring goes on at the first");
}

#[test]
fn key_to_nodes_goes_around_the_end_and_begins_with_the_owner() {
    for nodes in [&["a", "b"][..], &["a", "b", "c", "d", "e"]] {
        let ring = ring(nodes);
        for n in 0..2000 {
            let key = KeyHash::of(format!("{n}"));
            let replicas = ring.replicas(key, 3);
            assert_eq!(replicas.len(), nodes.len().min(3));
            assert_eq!(replicas.get(0), ring.owner(key));
        }
    }
}

#[test]
fn managed_rings_are_sets_of_members_behind_a_name_filter() {
    let filter = NameFilter::default();
    let mut members = Members::new();
    for up in ["web-1", "remsh-17", "web-2", "rem-5"] {
        if filter.keeps(up) {
            members.insert(Member::new(up));
        }
    }
    assert_eq!(members, Members::of(["web-1", "web-2"]));
    let both = NameFilter::all().allow("web-*").deny("web-2");
    members.retain(|member| both.keeps(member.id()));
    assert_eq!(members.len(), 2, "with an allowlist the denylist has no effect");
}
