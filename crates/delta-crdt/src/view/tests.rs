use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::View;
use super::trie::{BUCKET, Child};
use crate::{Change, Config, Key, LastWriter, Now, Output, Replica, ReplicaId};

/// Keys that crowd: some share a whole hash, some all but a few bits of it, at either end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Crowded(u8);

impl Key for Crowded {
    fn stable_hash(&self) -> u64 {
        let bits = u64::from(self.0 >> 2);
        match self.0 & 3 {
            0 => 0,
            1 => bits >> 3,
            2 => bits << 58,
            _ => bits.stable_hash(),
        }
    }
}

fn put<K: Key, V: Clone>(view: &mut View<K, V>, key: K, value: V) {
    view.apply(Change::Put { key, old: None, new: value });
}

fn remove<K: Key, V: Clone>(view: &mut View<K, V>, key: K, old: V) {
    view.apply(Change::Removed { key, old });
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u16),
    Remove(u8),
    Snapshot,
    Forget,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (any::<u8>(), any::<u16>()).prop_map(|(key, value)| Step::Put(key, value)),
        6 => any::<u8>().prop_map(Step::Remove),
        1 => Just(Step::Snapshot),
        1 => Just(Step::Forget),
    ];
    vec(step, 0..600)
}

/// Applies the steps to a view and to a map; then every snapshot must show what the map was at its moment.
fn follows_a_map<K: Key>(steps: Vec<Step>, key_of: fn(u8) -> K) {
    let (mut view, mut map) = (View::new(), BTreeMap::new());
    let mut snapshots = Vec::new();
    for step in steps {
        match step {
            Step::Put(key, value) => {
                put(&mut view, key_of(key), value);
                map.insert(key_of(key), value);
            }
            Step::Remove(key) => {
                remove(&mut view, key_of(key), 0);
                map.remove(&key_of(key));
            }
            Step::Snapshot => snapshots.push((view.clone(), map.clone())),
            Step::Forget => {
                snapshots.pop();
            }
        }
        assert_eq!(view.len(), map.len());
    }
    snapshots.push((view.clone(), map.clone()));
    for key in map.into_keys() {
        remove(&mut view, key, 0);
        view.check_invariants();
    }
    assert!(matches!(view.root, Child::Empty), "an emptied view holds nothing");
    for (snapshot, map) in snapshots {
        snapshot.check_invariants();
        assert_eq!(snapshot.to_map(), map);
        for key in (0..=u8::MAX).map(key_of) {
            assert_eq!(snapshot.get(&key), map.get(&key));
            assert_eq!(snapshot.contains_key(&key), map.contains_key(&key));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_view_and_its_snapshots_follow_a_map(steps in steps()) {
        follows_a_map(steps, u64::from);
    }

    #[test]
    fn a_view_and_its_snapshots_follow_a_map_if_hashes_collide(steps in steps()) {
        follows_a_map(steps, Crowded);
    }

    #[test]
    fn a_view_of_text_follows_a_map(steps in steps()) {
        follows_a_map(steps, |key| format!("key {key}"));
    }
}

#[test]
fn keys_of_one_hash_fill_one_bucket_and_leave_it() {
    let mut view = View::new();
    let same: Vec<_> = (0..64).map(|i| Crowded(i << 2)).collect();
    for (i, key) in same.iter().enumerate() {
        put(&mut view, *key, i);
    }
    assert_eq!(view.root.few(), Some(64), "cutting would not part them");
    put(&mut view, Crowded(2 | 63 << 2), 64);
    assert_eq!(view.root.few(), None, "one that differs is parted");
    view.check_invariants();
    for (i, key) in same.iter().enumerate().rev() {
        assert_eq!(view.get(key), Some(&i));
        remove(&mut view, *key, i);
        view.check_invariants();
        assert_eq!((view.get(key), view.len()), (None, i + 1));
    }
    assert_eq!(view.root.few(), Some(1));
}

#[test]
fn many_keys_are_few_levels_deep_in_buckets_well_filled() {
    fn buckets<K, V>(child: &Child<K, V>, depth: usize, found: &mut Vec<usize>) {
        match child {
            Child::Empty => {}
            Child::Bucket { .. } => found.push(depth),
            Child::Branch { children, .. } => {
                children.iter().for_each(|child| buckets(child, depth + 1, found));
            }
        }
    }
    let keys = 50_000;
    let mut view = View::new();
    (0..keys as u64).for_each(|key| put(&mut view, key, ()));
    view.check_invariants();
    let mut found = Vec::new();
    buckets(&view.root, 0, &mut found);
    let deepest = found.iter().max().unwrap();
    assert!(*deepest <= 4, "{deepest} branches before a bucket");
    assert!(found.len() * BUCKET / 2 <= keys, "{} buckets are less than half full", found.len());
    assert_eq!(size_of::<Child<u64, u64>>(), 40);
}

/// A value that knows how often it was cloned, and that is counted.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.0.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

#[test]
fn a_snapshot_clones_no_value_and_a_change_beside_it_only_those_of_one_bucket() {
    let clones = Arc::new(AtomicUsize::new(0));
    let count = || clones.swap(0, Ordering::Relaxed);
    let mut view = View::new();
    for key in 0..10_000_u64 {
        put(&mut view, key, Counted(Arc::clone(&clones)));
    }
    for key in 0..5_000 {
        put(&mut view, key, Counted(Arc::clone(&clones)));
        remove(&mut view, 9_999 - key, Counted(Arc::clone(&clones)));
    }
    assert_eq!(count(), 0, "what nobody else holds is moved");
    let snapshot = view.clone();
    assert_eq!(count(), 0, "a snapshot copies nothing");
    put(&mut view, 7, Counted(Arc::clone(&clones)));
    let first = count();
    assert!((1..=BUCKET).contains(&first), "{first} values copied");
    put(&mut view, 7, Counted(Arc::clone(&clones)));
    assert_eq!(count(), 0, "the way is the view's own by now");
    drop(snapshot);
    remove(&mut view, 8, Counted(Arc::clone(&clones)));
    assert_eq!(count(), 0, "a snapshot that is gone is not minded");
}

/// Nodes of `a` that `b` does not share.
fn own<K, V>(a: &Child<K, V>, b: &Child<K, V>) -> usize {
    match (a, b) {
        (Child::Branch { children: a, .. }, Child::Branch { children: b, .. }) if Arc::ptr_eq(a, b) => 0,
        (Child::Bucket { slots: a, .. }, Child::Bucket { slots: b, .. }) if Arc::ptr_eq(a, b) => 0,
        (Child::Empty, _) => 0,
        (Child::Branch { children: a, .. }, Child::Branch { children: b, .. }) => {
            1 + a.iter().zip(b.iter()).map(|(a, b)| own(a, b)).sum::<usize>()
        }
        _ => 1,
    }
}

#[test]
fn a_change_copies_the_nodes_on_its_way_alone_and_once() {
    let mut view = View::new();
    (0..20_000_u64).for_each(|key| put(&mut view, key, key));
    let snapshot = view.clone();
    assert_eq!(own(&view.root, &snapshot.root), 0, "all is shared");
    put(&mut view, 5, 0);
    let way = own(&view.root, &snapshot.root);
    assert!((3..=5).contains(&way), "{way} nodes copied");
    put(&mut view, 5, 1);
    assert_eq!(own(&view.root, &snapshot.root), way);
    remove(&mut view, 30_000, 0);
    assert_eq!(own(&view.root, &snapshot.root), way, "removing what is not there copies nothing");
    assert_eq!((view.get(&5), snapshot.get(&5)), (Some(&1), Some(&5)));
}

#[test]
fn values_are_freed_with_the_last_snapshot_that_shows_them() {
    let token = Arc::new(());
    let held = || Arc::strong_count(&token) - 1;
    let mut view = View::new();
    for key in 0..1_000_u64 {
        put(&mut view, key, Arc::clone(&token));
    }
    let snapshot = view.clone();
    assert_eq!(held(), 1_000);
    for key in 0..1_000 {
        remove(&mut view, key, Arc::clone(&token));
    }
    assert_eq!((view.len(), held()), (0, 1_000), "the snapshot holds them, the view nothing");
    put(&mut view, 1, Arc::clone(&token));
    drop(snapshot);
    assert_eq!(held(), 1);
    drop(view);
    assert_eq!(held(), 0);
}

#[test]
fn a_view_is_sent_and_shared_where_keys_and_values_are() {
    const fn crosses_threads<T: Send + Sync>() {}
    const { crosses_threads::<View<String, Arc<[u8]>>>() };
}

/// Two replicas, each with a view that follows its changes.
struct Pair {
    now: Now,
    replicas: [Replica<u64, u64>; 2],
    views: [View<u64, u64>; 2],
}

impl Pair {
    fn new(config: &Config) -> Self {
        let replica = |node| Replica::new(ReplicaId::new(node, 1), config.clone(), LastWriter);
        let now = Now { monotonic: Duration::ZERO, unix_ms: 1_700_000_000_000 };
        Self { now, replicas: [replica(1), replica(2)], views: [View::new(), View::new()] }
    }

    fn write(&mut self, at: usize, key: u64, value: Option<u64>) {
        let change = match value {
            Some(value) => Some(self.replicas[at].put(self.now, key, value)),
            None => self.replicas[at].remove(self.now, &key),
        };
        self.views[at].apply_all(change);
    }

    fn link(&mut self, up: bool) {
        let ids = self.replicas.each_ref().map(Replica::id);
        for (replica, peer) in self.replicas.iter_mut().zip([ids[1], ids[0]]) {
            if up {
                replica.peer_up(self.now, peer);
            } else {
                replica.peer_down(self.now, peer);
            }
        }
    }

    /// Carries what they send, unless it is to be lost, until they are silent.
    fn exchange(&mut self, lost: bool) {
        let mut silent = false;
        while !silent {
            silent = true;
            for at in 0..2 {
                self.replicas[at].flush(self.now);
                self.replicas[at].handle_timeout(self.now);
                while let Some(output) = self.replicas[at].poll_output() {
                    match output {
                        Output::Send { message, .. } if !lost => {
                            let from = self.replicas[at].id();
                            self.replicas[1 - at].receive(self.now, from, message);
                            silent = false;
                        }
                        Output::Changed(changes) => self.views[at].apply_all(changes),
                        _ => {}
                    }
                }
            }
        }
        self.now.monotonic += Duration::from_secs(2);
        self.now.unix_ms += 2_000;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_view_that_follows_all_changes_shows_what_its_replica_shows(
        shards in prop_oneof![Just(1_u16), Just(4)],
        // Writes of either side; then the link is cut or not, and what is under way lost or not.
        rounds in vec((vec((0..2_usize, 0..60_u64, any::<Option<u64>>()), 0..40), any::<bool>(), any::<bool>()), 1..12),
    ) {
        let mut pair = Pair::new(&Config { shards, ..Config::default() });
        pair.link(true);
        for (writes, cut, lost) in rounds {
            if cut {
                pair.link(false);
            }
            for (at, key, value) in writes {
                pair.write(at, key, value);
            }
            pair.exchange(lost);
            if cut {
                pair.link(true);
            }
            for (replica, view) in pair.replicas.iter().zip(&pair.views) {
                view.check_invariants();
                assert_eq!(view.to_map(), replica.to_map());
                assert_eq!(View::of(replica).to_map(), replica.to_map());
            }
        }
        for _ in 0..3 {
            pair.exchange(false);
        }
        assert_eq!(pair.views[0].to_map(), pair.replicas[0].to_map());
        assert_eq!(pair.views[0].to_map(), pair.views[1].to_map());
    }
}
