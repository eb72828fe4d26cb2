//! The coordinator rule, explicit targets, live strategies, and strategies by name.

use std::collections::BTreeMap;

use horde_ring::{
    Base, BoundedLoad, Candidate, Decided, Filter, KeyHash, LeastLoaded, LivePlacement, Member, Members,
    Placement, Placer, Random, Rendezvous, Slots, Strategy, Target, Unplaced, recommended,
};

fn strategies() -> Vec<Strategy> {
    let slots = Slots::at_least(4096);
    vec![
        Strategy::Rendezvous,
        Strategy::SlotTable { slots },
        Strategy::BoundedSlots { slots },
        Strategy::Ring { points: 128 },
        Strategy::BoundedLoad { eps: 250, base: Base::Rendezvous },
        Strategy::BoundedLoad { eps: 100, base: Base::SlotTable { slots } },
        Strategy::BoundedLoad { eps: 0, base: Base::Ring { points: 64 } },
        Strategy::LeastLoaded,
        Strategy::Random { seed: 7 },
    ]
}

fn key(n: u32) -> KeyHash {
    KeyHash::of(format!("child-{n}"))
}

/// Places `count` candidates one after the other by load; answers the loads.
fn fill(
    live: &mut dyn LivePlacement<u16>,
    count: u32,
    filter: &dyn Fn(&Member<u16>) -> bool,
) -> BTreeMap<u16, u64> {
    let mut loads: BTreeMap<u16, u64> = BTreeMap::new();
    for n in 0..count {
        let host =
            live.choose(&Candidate::new(key(n)), &|id| loads.get(id).copied().unwrap_or(0), filter).copied();
        *loads.entry(host.expect("somebody is accepted")).or_default() += 1;
    }
    loads
}

#[test]
fn a_keys_coordinator_is_the_same_whatever_the_strategy() {
    let members = Members::of(0..20_u16);
    let rule = Rendezvous::new(members.clone());
    for strategy in strategies() {
        let placer = Placer::new(strategy, members.clone());
        for key in (0..100).map(key) {
            assert_eq!(placer.coordinator(key), rule.owner(key), "{strategy}");
            let decided =
                placer.decide(&Candidate::new(key), Target::Any, &|_| true).expect("there are members");
            match decided {
                Decided::Ask(coordinator) => {
                    assert!(!strategy.is_pure() && Some(coordinator) == rule.owner(key), "{strategy}");
                }
                Decided::Host(host) => {
                    assert!(strategy.is_pure(), "{strategy}");
                    assert_eq!(placer.placement().and_then(|pure| pure.owner(key)), Some(host), "{strategy}");
                }
            }
        }
    }
}

#[test]
fn an_explicit_target_is_taken_or_refused_with_the_reason() {
    let members: Members<u16> = [Member::new(1), Member::new(2).draining(true)].into_iter().collect();
    let filter = Filter::new();
    let accepts = |member: &Member<u16>| filter.accepts(member);
    for strategy in strategies() {
        let mut placer = Placer::new(strategy, members.clone());
        let candidate = Candidate::new(key(1));
        assert_eq!(placer.decide(&candidate, Target::Member(&1), &accepts), Ok(Decided::Host(&1)));
        assert_eq!(placer.decide(&candidate, Target::Member(&2), &accepts), Err(Unplaced::TargetRefused));
        assert_eq!(
            placer.choose(&candidate, Target::Member(&3), &accepts, &|_| 0),
            Err(Unplaced::UnknownTarget)
        );
        assert_eq!(placer.choose(&candidate, Target::Any, &accepts, &|_| 0), Ok(&1), "{strategy}");
        assert_eq!(placer.choose(&candidate, Target::Any, &|_| false, &|_| 0), Err(Unplaced::NoneAccepted));
        let mut empty = Placer::<u16>::new(strategy, Members::new());
        assert_eq!(empty.choose(&candidate, Target::Any, &accepts, &|_| 0), Err(Unplaced::NoMembers));
        assert_eq!(empty.decide(&candidate, Target::Any, &accepts), Err(Unplaced::NoMembers));
    }
}

#[test]
fn a_bounded_load_never_exceeds_its_capacity() {
    for eps in [0, 100, 250] {
        let members: Members<u16> = (0..10).map(|id| Member::new(id).weight(1 + u32::from(id % 2))).collect();
        let mut live = BoundedLoad::with_eps(Rendezvous::new(members.clone()), eps);
        let loads = fill(&mut live, 1000, &|_| true);
        for (id, load) in loads {
            let weight = f64::from(members.get(&id).map_or(0, Member::weight_of));
            let capacity = (1000.0 * weight / 15.0 * (1.0 + f64::from(eps) / 1000.0)).ceil();
            assert!(load as f64 <= capacity, "{eps}: {id} has {load} of {capacity}");
        }
    }
    // Capacities are those of the accepted members.
    let loads =
        fill(&mut BoundedLoad::new(Rendezvous::new(Members::of(0..10_u16))), 400, &|member| *member.id() < 4);
    assert!(loads.len() == 4 && loads.values().all(|&load| load <= 125), "{loads:?}");
}

#[test]
fn the_less_loaded_of_two_is_far_more_even_than_one() {
    let members = Members::of(0..32_u16);
    let most = |loads: BTreeMap<u16, u64>| loads.into_values().max().unwrap_or(0);
    let two = most(fill(&mut LeastLoaded::new(members.clone()), 3200, &|_| true));
    let one = most(fill(&mut Random::new(members, 1), 3200, &|_| true));
    assert!(two <= 104 && one > 112, "{two} {one}");
}

#[test]
fn random_follows_its_seed_and_the_weights() {
    let members: Members<u16> = (0..3).map(|id| Member::new(id).weight([1, 3, 0][usize::from(id)])).collect();
    let loads = fill(&mut Random::new(members.clone(), 5), 4000, &|_| true);
    assert_eq!(loads, fill(&mut Random::new(members.clone(), 5), 4000, &|_| true));
    assert_ne!(loads, fill(&mut Random::new(members.clone(), 6), 4000, &|_| true));
    assert!((900..1100).contains(&loads[&0]) && loads.len() == 2, "{loads:?}");
    assert_eq!(fill(&mut Random::new(members, 5), 3, &|member| *member.id() == 2), BTreeMap::from([(2, 3)]));
}

#[test]
fn a_strategy_is_read_from_its_text() {
    for strategy in strategies() {
        assert_eq!(strategy.to_string().parse(), Ok(strategy));
    }
    for wrong in
        ["", "rendezvous/1", "slots", "slots/100", "ring/x", "bounded-load/250", "bounded-load/1/random/2"]
    {
        assert!(wrong.parse::<Strategy>().is_err(), "{wrong}");
    }
}

#[test]
fn the_recommendation_is_for_the_user_and_grows_with_the_cluster() {
    assert_eq!(recommended(3), Strategy::Rendezvous);
    assert_eq!(recommended(32), Strategy::Rendezvous);
    assert_eq!(recommended(100).to_string(), "slots/8192");
    assert_eq!(recommended(1000).to_string(), "slots/65536");
    assert_eq!(recommended(usize::MAX).to_string(), "slots/16777216");
}

/// A strategy of a user's own: children of kind "video" go where the label says so.
struct ByKind(Rendezvous<&'static str>);

impl Placement<&'static str> for ByKind {
    fn members(&self) -> &Members<&'static str> {
        self.0.members()
    }

    fn ranking(&self, key: KeyHash) -> Vec<&Member<&'static str>> {
        self.0.ranking(key)
    }

    fn place(
        &self,
        candidate: &Candidate<'_>,
        filter: &dyn Fn(&Member<&'static str>) -> bool,
    ) -> Option<&&'static str> {
        let wanted = |member: &Member<_>| candidate.kind != "video" || member.can("gpu");
        self.owner_among(candidate.key, &|member| wanted(member) && filter(member))
    }
}

#[test]
fn a_strategy_of_ones_own_sees_the_whole_candidate() {
    let members: Members<_> =
        [Member::new("a"), Member::new("b").capability("gpu"), Member::new("c")].into_iter().collect();
    let placer = Placer::pure(members.clone(), Box::new(ByKind(Rendezvous::new(members))));
    for key in (0..20).map(key) {
        let video = placer.decide(&Candidate::new(key).kind("video"), Target::Any, &|_| true);
        assert_eq!(video, Ok(Decided::Host(&"b")));
    }
    let hosts = (0..20).map(|n| placer.decide(&Candidate::new(key(n)), Target::Any, &|_| true));
    assert!(hosts.filter(|host| *host != Ok(Decided::Host(&"b"))).count() > 5);
}
