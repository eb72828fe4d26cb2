//! Deltas at their edges: that of a change that is none, of a clear, and what finding one may cost.

use crate::*;

const A: ReplicaId = ReplicaId::new(1, 1);
const B: ReplicaId = ReplicaId::new(2, 1);

fn at(ms: u64) -> Stamp {
    Stamp::at_unix_ms(ms)
}

/// Puts `changes` one by one to a state; none may change it, and each must say so by the bottom.
fn change_nothing<T: Lattice + std::fmt::Debug>(state: &T, changes: &[fn(&mut T) -> T]) {
    for (number, change) in changes.iter().enumerate() {
        let mut after = state.clone();
        assert_eq!(change(&mut after), T::default(), "change {number} returns the bottom");
        assert_eq!(after, *state, "change {number} changes nothing");
    }
}

#[test]
fn a_mutator_that_changes_nothing_returns_the_bottom() {
    let mut full = GCounter::new();
    full.increment(A, u64::MAX);
    change_nothing(&full, &[|x| x.increment(A, 1), |x| x.increment(B, 0)]);
    let mut full = PNCounter::new();
    full.increment(A, u64::MAX);
    full.decrement(A, u64::MAX);
    change_nothing(&full, &[|x| x.increment(A, 1), |x| x.decrement(A, 1), |x| x.decrement(B, 0)]);
    change_nothing(&GSet::new().insert(1), &[|x| x.insert(1)]);
    change_nothing(&MaxRegister::new().write(5), &[|x| x.write(5), |x| x.write(4)]);
    change_nothing(&MinRegister::new().write(5), &[|x| x.write(5), |x| x.write(6)]);
    let register = LWWRegister::new().write(B, at(5), 1);
    change_nothing(
        &register,
        &[|x| x.write(A, at(5), 2), |x| x.write(B, at(4), 2), |x| x.write(B, at(5), 1)],
    );
    change_nothing(
        &GMap::new().update(1, |x: &mut GSet<u8>| x.insert(1)),
        &[|x| x.update(1, |x| x.insert(1))],
    );
    change_nothing(&GMap::<u8, GCounter>::new(), &[|x| x.update(1, |x| x.increment(A, 0))]);

    change_nothing(&AWSet::new().insert(A, 1), &[|x| x.remove(&2)]);
    change_nothing(&AWSet::<u8>::new(), &[|x| x.clear()]);
    change_nothing(&EWFlag::new(), &[|x| x.disable()]);
    change_nothing(&DWFlag::new(), &[|x| x.enable()]);
    change_nothing(&MVRegister::<u8>::new(), &[|x| x.clear()]);
    change_nothing(&AWLWWMap::new().put(A, at(1), 1, 1), &[|x| x.remove(&2)]);
    change_nothing(&AWLWWMap::<u8, u8>::new(), &[|x| x.clear()]);
    let map = ORMap::<u8, AWSet<u8>>::new().update(1, |x| x.insert(A, 1));
    change_nothing(
        &map,
        &[|x| x.remove(&2), |x| x.update(1, |x| x.remove(&2)), |x| x.update(2, |x| x.clear())],
    );
    change_nothing(&ORMap::<u8, AWSet<u8>>::new(), &[|x| x.clear()]);
}

/// What `clear` gives where one write is known and another is made elsewhere at the same time: both ways, and by the delta alone.
fn cleared<T: Lattice + std::fmt::Debug>(
    known: &T,
    clear: impl Fn(&mut T) -> T,
    write: impl Fn(&mut T) -> T,
) -> T {
    let (mut here, mut there) = (known.clone(), known.clone());
    let delta = clear(&mut here);
    assert_ne!(here, *known, "it clears");
    write(&mut there);
    let both = here.clone().joined(&there);
    assert_eq!(both, there.clone().joined(&here));
    assert_eq!(both, there.joined(&delta));
    both
}

#[test]
fn a_clear_removes_what_it_knows_and_keeps_what_is_added_at_the_same_time() {
    let mut set = AWSet::new();
    set.insert(A, 1);
    set.insert(A, 2);
    let left = cleared(&set, |x| x.clear(), |x| x.insert(B, 2).joined(&x.insert(B, 3)));
    assert_eq!(left.iter().collect::<Vec<_>>(), [&2, &3], "one added anew, one that was not there");

    let mut map = AWLWWMap::new();
    map.put(A, at(9), 1, "a");
    map.put(A, at(9), 2, "b");
    let left = cleared(&map, |x| x.clear(), |x| x.put(B, at(1), 2, "c").joined(&x.put(B, at(1), 3, "d")));
    assert_eq!(left.iter().collect::<Vec<_>>(), [(&2, &"c"), (&3, &"d")], "whatever the stamps");

    let register = MVRegister::new().write(A, 1);
    let left = cleared(&register, |x| x.clear(), |x| x.write(B, 2));
    assert_eq!(left.iter().collect::<Vec<_>>(), [&2]);

    let mut map = ORMap::<u8, ORMap<u8, AWSet<u8>>>::new();
    map.update(1, |map| map.update(1, |set| set.insert(A, 1)));
    map.update(2, |map| map.update(1, |set| set.insert(A, 1)));
    let write = |map: &mut ORMap<u8, ORMap<u8, AWSet<u8>>>| {
        map.update(2, |map| {
            map.update(1, |set| set.insert(B, 2)).joined(&map.update(3, |set| set.insert(B, 3)))
        })
    };
    let shown = |map: &ORMap<u8, ORMap<u8, AWSet<u8>>>| -> Vec<(u8, u8, Vec<u8>)> {
        let inner = |key| {
            map.get(key).into_iter().flat_map(|inner| {
                inner
                    .keys()
                    .map(|k| {
                        (*key, *k, inner.get(k).map(|set| set.iter().copied().collect()).unwrap_or_default())
                    })
                    .collect::<Vec<_>>()
            })
        };
        map.keys().flat_map(inner).collect()
    };
    let left = cleared(&map, |x| x.clear(), write);
    assert_eq!(shown(&left), [(2, 1, vec![2]), (2, 3, vec![3])], "the whole map cleared");
    let left = cleared(&map, |x| x.remove(&2), write);
    assert_eq!(shown(&left), [(1, 1, vec![1]), (2, 1, vec![2]), (2, 3, vec![3])], "its key removed");
    let left = cleared(&map, |x| x.update(2, |map| map.clear()), write);
    assert_eq!(shown(&left), [(1, 1, vec![1]), (2, 1, vec![2]), (2, 3, vec![3])], "the map inside cleared");
    let left = cleared(&map, |x| x.update(2, |map| map.remove(&1)), write);
    assert_eq!(shown(&left), [(1, 1, vec![1]), (2, 1, vec![2]), (2, 3, vec![3])], "the key inside removed");
    let left = cleared(&map, |x| x.update(2, |map| map.update(1, |set| set.clear())), write);
    assert_eq!(shown(&left), [(1, 1, vec![1]), (2, 1, vec![2]), (2, 3, vec![3])], "the set inside cleared");
}

/// A set that must not come apart: the number of writes it knows is beyond all memory.
#[derive(Clone, Debug, Default, PartialEq)]
struct Whole(AWSet<u8>);

impl Lattice for Whole {
    fn join(&mut self, other: &Self) -> bool {
        self.0.join(&other.0)
    }
}

impl Decompose for Whole {
    fn decompose(&self) -> Vec<Self> {
        panic!("one piece for each write ever known");
    }

    fn delta(&self, known: &Self) -> Self {
        Self(self.0.delta(&known.0))
    }
}

#[test]
fn the_delta_of_a_map_of_causal_values_does_not_count_their_writes() {
    let mut context = CausalContext::new();
    context.insert_range(A, 1, 1 << 60);
    let old = Whole(AWSet::from_causal(Causal::new(DotMap::default(), context)));
    let mut here = GMap::<u8, Whole>::new();
    for key in 1..=3 {
        here.update(key, |value| {
            value.join(&old);
            old.clone()
        });
    }
    let mut there = here.clone();
    let insert = |value: &mut Whole| Whole(value.0.insert(B, 7));
    let changed = here.update(1, insert);
    let fresh = here.update(4, insert);
    there.update(2, insert);
    assert_eq!(here.delta(&there), changed.joined(&fresh), "what changed and what is new, no more");
    assert_eq!(here.delta(&here), GMap::new());
    assert_eq!(here.delta(&GMap::new()), here);
}
