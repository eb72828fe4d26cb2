//! A replica that is alone, against a map of the standard library.

use std::collections::BTreeMap;
use std::time::Duration;

use delta_crdt::{Change, Config, LastWriter, Now};
use proptest::prelude::*;

use super::{Map, put, removed};
use crate::support::{START, id, later, outputs};

/// A call on a lone replica: which, keys, a value.
type Call = (u8, Vec<u64>, u64);

/// Makes the call on both; what each says that changed.
fn call(map: &mut Map, model: &mut BTreeMap<u64, u64>, now: Now, call: &Call) -> [Vec<Change<u64, u64>>; 2] {
    let (kind, keys, value) = call;
    let first = keys.first().copied().unwrap_or_default();
    let drop_of = |model: &mut BTreeMap<u64, u64>, key: &u64| Some(removed(*key, model.remove(key)?));
    match kind % 8 {
        0..=2 => [vec![map.put(now, first, *value)], vec![put(first, model.insert(first, *value), *value)]],
        3 => [map.remove(now, &first).into_iter().collect(), drop_of(model, &first).into_iter().collect()],
        4 => {
            let pairs = || keys.iter().map(|key| (*key, value.wrapping_add(*key)));
            let expected = pairs().map(|(key, new)| put(key, model.insert(key, new), new)).collect();
            [map.merge(now, pairs()), expected]
        }
        5 => [map.drop_keys(now, keys), keys.iter().filter_map(|key| drop_of(model, key)).collect()],
        6 if value % 4 == 0 => {
            let mut changes = map.clear(now);
            changes.sort_by_key(|change| *change.key());
            [changes, std::mem::take(model).into_iter().map(|(key, old)| removed(key, old)).collect()]
        }
        // Tombstones go: nobody else holds this map.
        _ => {
            map.handle_timeout(now);
            let soon = map.poll_timeout().is_some_and(|at| at > now.monotonic);
            assert!(map.stats().tombstones == 0 || soon, "what is left is looked at later");
            [vec![], vec![]]
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_replica_alone_behaves_as_a_tree_map(
        shards in prop_oneof![Just(1_u16), Just(4)],
        calls in prop::collection::vec((any::<u8>(), prop::collection::vec(0_u64..12, 0..5), any::<u64>()), 0..60),
        recorded in any::<bool>(),
    ) {
        let mut map = Map::new(id(1), Config { shards, ..Config::default() }, LastWriter);
        map.set_members([]);
        if recorded {
            map.record();
        }
        let (mut model, mut folded, mut now) = (BTreeMap::new(), BTreeMap::new(), START);
        for made in &calls {
            now = later(now, Duration::from_secs(made.2 % 3));
            let [changes, expected] = call(&mut map, &mut model, now, made);
            prop_assert_eq!(&changes, &expected);
            for change in changes {
                match change {
                    Change::Put { key, new, .. } => folded.insert(key, new),
                    Change::Removed { key, .. } => folded.remove(&key),
                };
            }
            prop_assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
            let asked = &made.1;
            let there = asked.iter().filter_map(|key| Some((*key, *model.get(key)?)));
            prop_assert_eq!(map.take(asked), there.collect());
            for key in 0..12 {
                prop_assert_eq!(map.get(&key), model.get(&key));
                prop_assert_eq!(map.contains_key(&key), model.contains_key(&key));
            }
            prop_assert_eq!(map.to_map(), model.clone());
            map.check_invariants();
        }
        prop_assert_eq!(&folded, &model);
        prop_assert!(outputs(&mut map).is_empty(), "alone, there is nothing to say");
        if recorded {
            let next = delta_crdt::ReplicaId::new(1, 2);
            let again = Map::restore(now, next, Config { shards, ..Config::default() }, LastWriter, map.take_log());
            prop_assert_eq!(again.map(|map| map.to_map()), Ok(model));
        }
    }
}
