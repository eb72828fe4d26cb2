//! Random histories of three replicas, and what must hold of the states they lead to and of the deltas on the way.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::spec::{Event, Subject};
use crate::*;

/// `(replica, step, a, b)`: a write if the step is even, else a merge from another replica: its state, or the delta to it.
type Steps = Vec<(u8, u8, u16, u16)>;

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
            let after = &run.sites[at].state;
            assert_eq!(before.clone().joined(&delta), *after, "m(x) = x join delta");
            assert!(
                delta.decompose().iter().all(|piece| !before.includes(piece)),
                "no piece is needless: {delta:?}"
            );
            assert_eq!(delta, after.delta(&before), "it is the least of all deltas");
            assert_eq!(delta == T::default(), before == *after, "what changes nothing returns the bottom");
            run.sites[at].knows.insert(number);
            run.events.push(event);
            run.deltas.push(delta);
        } else {
            let from = (at + 1 + usize::from(a % 2)) % 3;
            let (state, knows) = (run.sites[from].state.clone(), run.sites[from].knows.clone());
            let news = if a % 4 < 2 { state } else { state.delta(&run.sites[at].state) };
            run.sites[at].state.join(&news);
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

fn join_all<'a, T: Lattice + 'a>(states: impl IntoIterator<Item = &'a T>) -> T {
    states.into_iter().fold(T::default(), |all, state| all.joined(state))
}

/// Of states that replicas reached, and of any groups of deltas, in which earlier ones can be missing.
fn obeys_the_laws<T: Subject>(steps: &Steps) {
    let run = run::<T>(steps);
    let states = [0, 1, 2].map(|i| run.sites[i].state.clone());
    three_states_obey(&states);
    let groups = [0, 1, 2].map(|bit| {
        let chosen = run.events.iter().filter(|event| (event.a ^ event.b) >> (13 + bit) & 1 == 0);
        join_all(chosen.map(|event| &run.deltas[event.number]))
    });
    three_states_obey(&groups);
    let full = join_all(&states);
    let group = join_all(run.deltas.iter().rev());
    assert_eq!(group.clone().joined(&full), group, "a group of deltas, in any order, is the full state");
    assert_eq!(full, group);
    assert_eq!(full.joined(&groups[0]), group, "deltas that come again change nothing");
}

fn three_states_obey<T: Decompose + std::fmt::Debug>([x, y, z]: &[T; 3]) {
    let [x, y, z] = [x.clone(), y.clone(), z.clone()];
    let xy = x.clone().joined(&y);
    assert_eq!(xy, y.clone().joined(&x), "commutative");
    assert_eq!(xy.clone().joined(&z), x.clone().joined(&y.clone().joined(&z)), "associative");
    assert!(!x.clone().join(&x) && x.includes(&x), "idempotent");
    assert!(!x.clone().join(&T::default()), "the bottom is neutral");
    assert_eq!(T::default().joined(&x), x, "the bottom is neutral on the left");
    assert!(xy.includes(&x) && xy.includes(&y), "monotone");
    assert_eq!(x.clone().join(&y), xy != x, "join tells truly whether it changed anything");
    assert_eq!(x.includes(&y), xy == x, "a state includes another if joining it changes nothing");

    let pieces = x.decompose();
    assert_eq!(join_all(&pieces), x, "the pieces make the whole");
    for piece in &pieces {
        assert_eq!(piece.decompose(), std::slice::from_ref(piece), "a piece does not come apart");
    }
    for skipped in 0..pieces.len().min(12) {
        let rest = pieces.iter().enumerate().filter(|piece| piece.0 != skipped);
        assert_ne!(join_all(rest.map(|piece| piece.1)), x, "no piece is superfluous");
    }
    let delta = x.delta(&y);
    assert_eq!(y.clone().joined(&delta), y.clone().joined(&x), "the delta brings all");
    assert!(delta.decompose().iter().all(|piece| !y.includes(piece)), "the delta is minimal");
    let optimal = join_all(pieces.iter().filter(|piece| !y.includes(piece)));
    assert_eq!(delta, optimal, "the delta is the one that decomposition gives");
    assert_eq!(x.delta(&x), T::default(), "nothing is missing to a state itself");
    assert_eq!(x.delta(&T::default()), x, "all is missing to the bottom");
}

#[test]
fn a_key_with_an_empty_store_is_no_key() {
    type Nested = DotMap<u8, DotMap<u8, DotSet>>;
    assert_eq!(DotMap::of(5, DotSet::default()), DotMap::default());
    assert_eq!(Nested::of(5, DotMap::of(6, DotSet::default())), Nested::default());
    assert_eq!(DotMap::of(5, DotFun::<u8>::default()), DotMap::default());
    let dots = [1, 2].map(|seq| Dot::new(ReplicaId::new(1, 1), seq));
    let state = |store, known: &[Dot]| Causal::new(store, known.iter().copied().collect());
    // Nothing; a key that holds nothing any more; that key with a write.
    let states = [
        state(Nested::of(5, DotMap::default()), &[]),
        state(Nested::of(5, DotMap::of(6, DotSet::default())), &dots[..1]),
        state(Nested::of(5, DotMap::of(6, DotSet::of(dots[1]))), &[]),
    ];
    three_states_obey(&states);
    let [nothing, gone, there] = &states;
    assert_eq!(*nothing, Causal::default());
    assert!(gone.store().is_empty() && gone.store().get(&5).is_none());
    assert!(gone.clone().joined(there).store().get(&5).is_some());
    #[cfg(feature = "serde")]
    for whole in &states {
        assert_eq!(crate::decode(&crate::encode(whole)).as_ref(), Ok(whole), "it is refused");
    }
}

#[cfg(feature = "serde")]
fn keeps_states_and_deltas_through_their_wire_form<T>(steps: &Steps)
where
    T: Subject + serde::Serialize + serde::de::DeserializeOwned,
{
    let run = run::<T>(steps);
    let states: Vec<_> = run.sites.into_iter().map(|site| site.state).collect();
    for whole in states.iter().chain(&run.deltas) {
        let bytes = crate::encode(whole);
        assert_eq!(crate::decode::<T>(&bytes).as_ref(), Ok(whole));
        for end in 0..bytes.len() {
            assert!(crate::decode::<T>(&bytes[..end]).is_err(), "cut after {end} of {bytes:?}");
        }
    }
    assert!(crate::decode::<Vec<T>>(&crate::encode(&run.deltas)).as_ref() == Ok(&run.deltas));
    let [xy, yx] = [(0, 1), (1, 0)].map(|(x, y)| crate::encode(&states[x].clone().joined(&states[y])));
    assert_eq!(xy, yx, "one state has one form");
}

macro_rules! laws {
    ($($name:ident: $t:ty;)*) => {$(
        mod $name {
            use super::*;

            proptest! {
                #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

                #[test]
                fn follows_its_specification(steps in vec(any::<(u8, u8, u16, u16)>(), 0..30)) {
                    follows_the_specification::<$t>(&steps);
                }

                #[test]
                fn obeys_its_laws(steps in vec(any::<(u8, u8, u16, u16)>(), 0..20)) {
                    obeys_the_laws::<$t>(&steps);
                }

                #[cfg(feature = "serde")]
                #[test]
                fn keeps_its_state_through_its_wire_form(steps in vec(any::<(u8, u8, u16, u16)>(), 0..20)) {
                    keeps_states_and_deltas_through_their_wire_form::<$t>(&steps);
                }
            }
        }
    )*};
}

laws! {
    causal_context: CausalContext;
    g_counter: GCounter;
    pn_counter: PNCounter;
    g_set: GSet<u16>;
    aw_set: AWSet<u16>;
    rw_set: RWSet<u16>;
    ew_flag: EWFlag;
    dw_flag: DWFlag;
    lww_register: LWWRegister<u16>;
    mv_register: MVRegister<u16>;
    max_register: MaxRegister<u16>;
    min_register: MinRegister<u16>;
    g_map_of_counters: GMap<u16, GCounter>;
    g_map_of_g_maps: GMap<u16, GMap<u16, LWWRegister<u16>>>;
    g_map_of_or_maps: GMap<u16, ORMap<u16, EWFlag>>;
    or_map_of_aw_sets: ORMap<u16, AWSet<u16>>;
    or_map_of_rw_sets: ORMap<u16, RWSet<u16>>;
    or_map_of_ew_flags: ORMap<u16, EWFlag>;
    or_map_of_dw_flags: ORMap<u16, DWFlag>;
    or_map_of_mv_registers: ORMap<u16, MVRegister<u16>>;
    or_map_of_aw_lww_maps: ORMap<u16, AWLWWMap<u16, u16>>;
    or_map_of_or_maps: ORMap<u16, ORMap<u16, AWSet<u16>>>;
    or_map_three_deep: ORMap<u16, ORMap<u16, ORMap<u16, MVRegister<u16>>>>;
    aw_lww_map: AWLWWMap<u16, u16>;
}
