//! Random histories of three replicas, and what must hold of the states they lead to.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::spec::{Event, Subject};
use crate::*;

/// `(replica, step, a, b)`: a write if the step is even, else a merge from another replica.
type Steps = Vec<(u8, u8, u8, u8)>;

struct Site<T> {
    state: T,
    knows: BTreeSet<usize>,
}

struct Run<T> {
    sites: Vec<Site<T>>,
    events: Vec<Event>,
    deltas: Vec<T>,
}

fn run<T: Subject>(steps: &Steps) -> Run<T> {
    let site = || Site { state: T::default(), knows: BTreeSet::new() };
    let mut run = Run { sites: (0..3).map(|_| site()).collect(), events: Vec::new(), deltas: Vec::new() };
    for &(at, step, a, b) in steps {
        let at = usize::from(at % 3);
        if step % 2 == 0 {
            let number = run.events.len();
            let replica = ReplicaId::new(at as u64, 1);
            // Stamps rise with each write, as those of a clock do, but clocks of replicas differ by 5 writes' time.
            let stamp = Stamp::at_unix_ms((number + 5 * at) as u64);
            let event = Event { number, replica, stamp, a, b, sees: run.sites[at].knows.clone() };
            let before = run.sites[at].state.clone();
            let delta = run.sites[at].state.act(&event);
            assert_eq!(before.joined(&delta), run.sites[at].state, "m(x) = x join delta");
            run.sites[at].knows.insert(number);
            run.events.push(event);
            run.deltas.push(delta);
        } else {
            let from = (at + 1 + usize::from(a % 2)) % 3;
            let (state, knows) = (run.sites[from].state.clone(), run.sites[from].knows.clone());
            run.sites[at].state.join(&state);
            run.sites[at].knows.extend(knows);
        }
    }
    run
}

fn follows_the_specification<T: Subject>(steps: &Steps) {
    let run = run::<T>(steps);
    for site in &run.sites {
        let known: Vec<_> = run.events.iter().filter(|event| site.knows.contains(&event.number)).collect();
        assert_eq!(site.state.show(), T::expect(&known), "after {known:?}");
    }
}

fn obeys_the_laws<T: Subject>(steps: &Steps) {
    let run = run::<T>(steps);
    let [x, y, z] = [0, 1, 2].map(|i| run.sites[i].state.clone());
    let xy = x.clone().joined(&y);
    assert_eq!(xy, y.clone().joined(&x), "commutative");
    assert_eq!(xy.clone().joined(&z), x.clone().joined(&y.clone().joined(&z)), "associative");
    assert!(!x.clone().join(&x), "idempotent");
    assert!(!x.clone().join(&T::default()), "the bottom is neutral");
    assert_eq!(T::default().joined(&x), x, "the bottom is neutral on the left");
    assert!(xy.includes(&x) && xy.includes(&y), "monotone");
    assert_eq!(x.clone().join(&y), xy != x, "join tells truly whether it changed anything");

    let pieces = x.decompose();
    let whole = pieces.iter().fold(T::default(), |all, piece| all.joined(piece));
    assert_eq!(whole, x, "the pieces make the whole");
    for skipped in 0..pieces.len().min(12) {
        let rest = pieces.iter().enumerate().filter(|piece| piece.0 != skipped);
        let rest = rest.fold(T::default(), |all, piece| all.joined(piece.1));
        assert_ne!(rest, x, "no piece is superfluous");
    }
    let delta = x.delta(&y);
    assert_eq!(y.clone().joined(&delta), y.clone().joined(&x), "the delta brings all");
    assert!(delta.decompose().iter().all(|piece| !y.includes(piece)), "the delta is minimal");
    let optimal =
        pieces.iter().filter(|piece| !y.includes(piece)).fold(T::default(), |all, piece| all.joined(piece));
    assert_eq!(delta, optimal, "the delta is the one that decomposition gives");

    let full = [&x, &y, &z].into_iter().fold(T::default(), |all, state| all.joined(state));
    let group = run.deltas.iter().rev().fold(T::default(), |all, delta| all.joined(delta));
    assert_eq!(group.clone().joined(&full), group, "a group of deltas, in any order, is the full state");
    assert_eq!(full, group);
}

macro_rules! laws {
    ($($name:ident: $t:ty;)*) => {$(
        mod $name {
            use super::*;

            proptest! {
                #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

                #[test]
                fn follows_its_specification(steps in vec(any::<(u8, u8, u8, u8)>(), 0..30)) {
                    follows_the_specification::<$t>(&steps);
                }

                #[test]
                fn obeys_its_laws(steps in vec(any::<(u8, u8, u8, u8)>(), 0..20)) {
                    obeys_the_laws::<$t>(&steps);
                }
            }

            #[cfg(feature = "serde")]
            #[test]
            fn keeps_its_state_through_its_wire_form() {
                let steps = (0..60_u8).map(|i| (i % 3, i / 3, i.wrapping_mul(37), i.wrapping_mul(11))).collect();
                let state = run::<$t>(&steps).sites.swap_remove(1).state;
                let bytes = crate::encode(&state);
                assert_eq!(crate::decode::<$t>(&bytes), Ok(state));
                for end in 0..bytes.len() {
                    assert!(crate::decode::<$t>(&bytes[..end]).is_err());
                }
            }
        }
    )*};
}

laws! {
    g_counter: GCounter;
    pn_counter: PNCounter;
    g_set: GSet<u8>;
    aw_set: AWSet<u8>;
    rw_set: RWSet<u8>;
    ew_flag: EWFlag;
    dw_flag: DWFlag;
    lww_register: LWWRegister<u8>;
    mv_register: MVRegister<u8>;
    max_register: MaxRegister<u8>;
    min_register: MinRegister<u8>;
    g_map: GMap<u8, GCounter>;
    or_map: ORMap<u8, AWSet<u8>>;
    aw_lww_map: AWLWWMap<u8, u8>;
}

/// One replica alone does what the collection of the standard library does.
mod alone {
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_set_alone_is_a_set(steps in vec(any::<(bool, u8)>(), 0..50)) {
            let (mut ours, mut rw, mut std) = (AWSet::new(), RWSet::new(), BTreeSet::new());
            let me = ReplicaId::new(1, 1);
            for (adds, element) in steps {
                let element = element % 8;
                if adds {
                    ours.insert(me, element);
                    rw.insert(me, element);
                    std.insert(element);
                } else {
                    ours.remove(&element);
                    rw.remove(me, element);
                    std.remove(&element);
                }
                prop_assert!(ours.iter().eq(std.iter()) && rw.iter().eq(std.iter()));
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
}
