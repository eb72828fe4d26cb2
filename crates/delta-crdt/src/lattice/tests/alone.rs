//! One replica alone does what the collection of the standard library does.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use crate::*;

const ME: ReplicaId = ReplicaId::new(1, 1);

fn at(ms: usize) -> Stamp {
    Stamp::at_unix_ms(ms as u64)
}

macro_rules! same_set {
    ($ours:expr, $std:expr) => {
        prop_assert!($ours.iter().eq($std.iter()));
        prop_assert_eq!(($ours.len(), $ours.is_empty()), ($std.len(), $std.is_empty()));
        for element in 0..8 {
            prop_assert_eq!($ours.contains(&element), $std.contains(&element));
        }
    };
}

/// `$get` gives what a key shows, `$iter` keys and what they show.
macro_rules! same_map {
    ($ours:expr, $std:expr, $get:expr, $iter:expr) => {
        prop_assert!($iter.eq($std.clone()));
        prop_assert_eq!(($ours.len(), $ours.is_empty()), ($std.len(), $std.is_empty()));
        for key in 0..8 {
            prop_assert_eq!($get(key), $std.get(&key).cloned());
        }
    };
}

/// The only value of a register.
fn only(register: &MVRegister<u8>) -> Option<u8> {
    assert!(register.iter().count() < 2, "nobody else writes");
    register.iter().next().copied()
}

/// `(kind, key, value)`: kind 0 clears, 1 to 4 remove, others write.
fn steps() -> impl Strategy<Value = Vec<(u8, u8, u8)>> {
    vec((0_u8..16, 0_u8..8, any::<u8>()), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_growing_set_alone_is_a_set(steps in steps()) {
        let (mut ours, mut std) = (GSet::new(), BTreeSet::new());
        for (_, element, _) in steps {
            prop_assert_eq!(ours.insert(element) != GSet::new(), std.insert(element));
            same_set!(ours, std);
        }
    }

    #[test]
    fn an_add_wins_set_alone_is_a_set(steps in steps()) {
        let (mut ours, mut std) = (AWSet::new(), BTreeSet::new());
        for (kind, element, _) in steps {
            match kind {
                0 => {
                    ours.clear();
                    std.clear();
                }
                1..=4 => prop_assert_eq!(ours.remove(&element) != AWSet::new(), std.remove(&element)),
                _ => _ = (ours.insert(ME, element), std.insert(element)),
            }
            same_set!(ours, std);
        }
    }

    #[test]
    fn a_remove_wins_set_alone_is_a_set(steps in steps()) {
        let (mut ours, mut std) = (RWSet::new(), BTreeSet::new());
        for (kind, element, _) in steps {
            match kind {
                0..=4 => _ = (ours.remove(ME, element), std.remove(&element)),
                _ => _ = (ours.insert(ME, element), std.insert(element)),
            }
            same_set!(ours, std);
        }
    }

    #[test]
    fn a_growing_map_alone_is_a_map(steps in steps()) {
        let (mut ours, mut std) = (GMap::<u8, LWWRegister<u8>>::new(), BTreeMap::new());
        for (moment, (_, key, value)) in steps.into_iter().enumerate() {
            ours.update(key, |register| register.write(ME, at(moment), value));
            std.insert(key, value);
            let shown = |register: &LWWRegister<u8>| *register.get().expect("it was written");
            same_map!(ours, std, |key| ours.get(&key).map(shown), ours.iter().map(|(key, value)| (*key, shown(value))));
        }
    }

    #[test]
    fn a_map_of_registers_alone_is_a_map(steps in steps()) {
        let (mut ours, mut std) = (ORMap::<u8, MVRegister<u8>>::new(), BTreeMap::new());
        for (kind, key, value) in steps {
            match kind {
                0 => {
                    ours.clear();
                    std.clear();
                }
                1..=4 => prop_assert_eq!(ours.remove(&key) != ORMap::new(), std.remove(&key).is_some()),
                _ => _ = (ours.update(key, |register| register.write(ME, value)), std.insert(key, value)),
            }
            let get = |key| ours.get(&key).and_then(|register| only(&register));
            same_map!(ours, std, get, ours.keys().map(|key| (*key, get(*key).expect("it is there"))));
        }
    }

    /// The map inside is one of the standard library too; it goes with its last key.
    #[test]
    fn a_map_of_maps_alone_is_a_map_of_maps(steps in vec((0_u8..24, 0_u8..8, 0_u8..3, any::<u8>()), 0..60)) {
        type Inner = ORMap<u8, MVRegister<u8>>;
        let (mut ours, mut std) = (ORMap::<u8, Inner>::new(), BTreeMap::<u8, BTreeMap<u8, u8>>::new());
        let plain = |map: &Inner| -> BTreeMap<u8, u8> {
            map.keys().map(|key| (*key, map.get(key).and_then(|value| only(&value)).expect("a value"))).collect()
        };
        for (kind, outer, inner, value) in steps {
            let map = std.entry(outer).or_default();
            match kind {
                0 => {
                    ours.clear();
                    std.clear();
                }
                1..=2 => _ = (ours.remove(&outer), std.remove(&outer)),
                3..=4 => {
                    ours.update(outer, |map| map.clear());
                    map.clear();
                }
                5..=9 => _ = (ours.update(outer, |map| map.remove(&inner)), map.remove(&inner)),
                _ => {
                    ours.update(outer, |map| map.update(inner, |register| register.write(ME, value)));
                    map.insert(inner, value);
                }
            }
            std.retain(|_, map| !map.is_empty());
            let get = |key| ours.get(&key).map(|map| plain(&map));
            same_map!(ours, std, get, ours.keys().map(|key| (*key, get(*key).expect("it is there"))));
        }
    }

    /// The stamp is any: it decides among concurrent writes only, and alone there are none.
    #[test]
    fn a_map_of_values_alone_is_a_map(steps in vec((0_u8..16, 0_u8..8, any::<u8>(), 0_usize..5), 0..60)) {
        let (mut ours, mut std) = (AWLWWMap::new(), BTreeMap::new());
        for (kind, key, value, moment) in steps {
            match kind {
                0 => {
                    ours.clear();
                    std.clear();
                }
                1..=4 => prop_assert_eq!(ours.remove(&key) != AWLWWMap::new(), std.remove(&key).is_some()),
                _ => _ = (ours.put(ME, at(moment), key, value), std.insert(key, value)),
            }
            same_map!(ours, std, |key| ours.get(&key).copied(), ours.iter().map(|(key, value)| (*key, *value)));
        }
    }

    #[test]
    fn counters_alone_are_integers(steps in vec(any::<i32>(), 0..60)) {
        let (mut up, mut both, mut sum, mut net) = (GCounter::new(), PNCounter::new(), 0_u128, 0_i128);
        for by in steps {
            let size = u64::from(by.unsigned_abs());
            up.increment(ME, size);
            sum += u128::from(size);
            match by < 0 {
                true => both.decrement(ME, size),
                false => both.increment(ME, size),
            };
            net += i128::from(by);
            prop_assert_eq!((up.value(), both.value()), (sum, net));
        }
    }

    #[test]
    fn flags_alone_are_booleans(steps in vec(any::<bool>(), 0..30)) {
        let (mut off_first, mut on_first) = (EWFlag::new(), DWFlag::new());
        prop_assert!(!off_first.is_enabled() && on_first.is_enabled());
        for on in steps {
            match on {
                true => _ = (off_first.enable(ME), on_first.enable()),
                false => _ = (off_first.disable(), on_first.disable(ME)),
            }
            prop_assert_eq!((off_first.is_enabled(), on_first.is_enabled()), (on, on));
        }
    }

    #[test]
    fn registers_alone_are_variables(steps in vec(any::<Option<u8>>(), 0..30)) {
        let (mut last, mut all, mut most, mut least) =
            (LWWRegister::new(), MVRegister::new(), MaxRegister::new(), MinRegister::new());
        let mut written = Vec::new();
        for (moment, value) in steps.into_iter().enumerate() {
            match value {
                None => _ = all.clear(),
                Some(value) => {
                    last.write(ME, at(moment), value);
                    all.write(ME, value);
                    most.write(value);
                    least.write(value);
                    written.push((moment, value));
                }
            }
            prop_assert_eq!(only(&all), value);
            prop_assert_eq!((last.get(), last.stamp()), written.last().map_or((None, None), |w| (Some(&w.1), Some(at(w.0)))));
            prop_assert_eq!(most.get(), written.iter().map(|write| &write.1).max());
            prop_assert_eq!(least.get(), written.iter().map(|write| &write.1).min());
        }
    }

    #[test]
    fn a_context_is_a_set_of_dots(steps in vec((0_u64..3, 1_u64..40), 0..80), other in vec((0_u64..3, 1_u64..40), 0..80)) {
        let dot = |&(node, seq): &(u64, u64)| Dot::new(ReplicaId::new(node, 1), seq);
        let (mut ours, mut std) = (CausalContext::new(), BTreeSet::new());
        for step in &steps {
            prop_assert_eq!(ours.insert(dot(step)), std.insert(dot(step)));
        }
        prop_assert!(ours.dots().eq(std.iter().copied()));
        prop_assert_eq!(ours.len(), std.len() as u64);
        let theirs: CausalContext = other.iter().map(dot).collect();
        let their_dots: BTreeSet<_> = other.iter().map(dot).collect();
        prop_assert!(ours.without(&theirs).dots().eq(std.difference(&their_dots).copied()));
        prop_assert_eq!(ours.includes(&theirs), std.is_superset(&their_dots));
        let joined = ours.clone().joined(&theirs);
        prop_assert!(joined.dots().eq(std.union(&their_dots).copied()));
        for seq in 1..42 {
            let dot = Dot::new(ReplicaId::new(1, 1), seq);
            prop_assert_eq!(ours.contains(dot), std.contains(&dot));
        }
    }
}
