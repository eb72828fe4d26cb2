//! Each call of the engine as it is documented, and the scenarios of DeltaCrdt's own tests.

mod alone;
mod silent;

use std::collections::BTreeMap;
use std::time::Duration;

use delta_crdt::{
    AWLWWMap, Change, Config, Dot, LastWriter, Lattice, Now, Output, Replica, Stamp, append_frame,
    read_frames,
};

use crate::support::{Net, START, id, later, outputs, sends};

type Map = Replica<u64, u64>;

fn lone(node: u64) -> Map {
    Map::new(id(node), Config::default(), LastWriter)
}

fn put(key: u64, old: Option<u64>, new: u64) -> Change<u64, u64> {
    Change::Put { key, old, new }
}

fn removed(key: u64, old: u64) -> Change<u64, u64> {
    Change::Removed { key, old }
}

/// Carries messages between two until there are none; what each reported.
fn exchange(now: Now, a: &mut Map, b: &mut Map) -> [Vec<Change<u64, u64>>; 2] {
    let mut reported = [Vec::new(), Vec::new()];
    loop {
        let [of_a, of_b] = &mut reported;
        if !(carry(now, a, b, of_a) | carry(now, b, a, of_b)) {
            return reported;
        }
    }
}

/// Carries what one has for the other. False if it has nothing.
fn carry(now: Now, from: &mut Map, to: &mut Map, reported: &mut Vec<Change<u64, u64>>) -> bool {
    from.flush(now);
    let outputs = outputs(from);
    let any = !outputs.is_empty();
    for output in outputs {
        match output {
            Output::Send { to: whom, message } if whom == to.id() => to.receive(now, from.id(), message),
            Output::Changed(changes) => reported.extend(changes),
            _ => {}
        }
    }
    any
}

fn meet(now: Now, a: &mut Map, b: &mut Map) -> [Vec<Change<u64, u64>>; 2] {
    a.peer_up(now, b.id());
    b.peer_up(now, a.id());
    exchange(now, a, b)
}

#[test]
fn a_list_of_neighbours_takes_the_place_of_the_one_before() {
    let mut net = Net::new(4, Config::default());
    net.connect_all();
    let shown = |net: &Net, key| [1, 2, 3].map(|i| net.get(i, key).is_some());
    net.put(0, 1, 1);
    net.set_neighbours(0, [1, 2]);
    net.settle();
    assert_eq!(shown(&net, 1), [true, true, false], "a sync begins at once");
    net.set_neighbours(0, [2, 3]);
    net.settle();
    assert_eq!(shown(&net, 1), [true, true, true]);
    net.put(0, 2, 2);
    net.run(Duration::from_secs(3));
    assert_eq!(shown(&net, 2), [false, true, true], "1 is no neighbour any more");
    // One direction: nobody has 0 as a neighbour.
    net.put(3, 3, 3);
    net.run(Duration::from_secs(3));
    assert_eq!((net.get(0, 3), net.get(2, 3)), (None, None));
    net.set_neighbours(0, []);
    net.put(0, 4, 4);
    net.run(Duration::from_secs(3));
    assert_eq!(shown(&net, 4), [false; 3]);
    assert_eq!(net.replica(0).poll_timeout(), None, "nobody is to be told of anything");
}

#[test]
fn the_own_id_in_a_list_of_neighbours_and_a_list_named_again_change_nothing() {
    let mut map = lone(1);
    map.set_neighbours(START, [id(1), id(3), id(2)]);
    assert_eq!(sends(&mut map).iter().map(|sent| sent.0).collect::<Vec<_>>(), [id(2), id(3)]);
    let due = map.poll_timeout();
    let soon = later(START, Duration::from_millis(300));
    map.set_neighbours(soon, [id(2), id(3), id(2), id(1)]);
    map.flush(soon);
    assert_eq!((outputs(&mut map), map.poll_timeout()), (vec![], due));
    map.check_invariants();
    map.put(soon, 1, 1);
    map.flush(soon);
    assert_eq!(sends(&mut map).len(), 2, "each neighbour once");
    // A connection that was replaced is told all again.
    map.peer_up(soon, id(2));
    assert_eq!(sends(&mut map).iter().map(|sent| sent.1.kind()).collect::<Vec<_>>(), ["status"]);
    map.check_invariants();
}

#[test]
fn a_merge_puts_its_pairs_in_order_and_returns_one_list() {
    let mut map = lone(1);
    assert_eq!(
        map.merge(START, [(2, 20), (1, 10), (2, 21)]),
        [put(2, None, 20), put(1, None, 10), put(2, Some(20), 21)]
    );
    assert_eq!(map.merge(START, []), []);
    assert_eq!(map.to_map(), BTreeMap::from([(1, 10), (2, 21)]));
}

#[test]
fn absent_keys_are_passed_over_when_keys_are_dropped() {
    let mut map = lone(1);
    map.peer_up(START, id(2));
    map.merge(START, [(1, 10), (2, 20), (3, 30)]);
    map.flush(START);
    drop(outputs(&mut map));
    assert_eq!(map.drop_keys(START, &[2, 9, 1, 2]), [removed(2, 20), removed(1, 10)]);
    map.flush(START);
    assert_eq!(sends(&mut map).len(), 1);
    assert_eq!(map.drop_keys(START, &[1, 9]), []);
    map.flush(START);
    assert_eq!(sends(&mut map), [], "there is nothing to tell");
    assert_eq!(map.to_map(), BTreeMap::from([(3, 30)]));
}

#[test]
fn reads_agree_with_each_other_on_values_tombstones_and_siblings() {
    let (mut map, mut other) = (lone(1), lone(2));
    map.merge(START, [(1, 10), (2, 20), (3, 30)]);
    other.put(later(START, Duration::from_millis(1)), 3, 33);
    meet(START, &mut map, &mut other);
    map.remove(START, &2);
    assert_eq!(map.remove(START, &2), None, "its tombstone is no value");
    assert_eq!(map.remove(START, &7), None);
    let shown = BTreeMap::from([(1, 10), (3, 33)]);
    assert_eq!(map.to_map(), shown);
    assert_eq!(map.iter().map(|(key, value)| (*key, *value)).collect::<BTreeMap<_, _>>(), shown);
    assert_eq!((map.len(), map.iter().count(), map.is_empty()), (2, 2, false));
    assert_eq!([1, 2, 3, 7].map(|key| map.contains_key(&key)), [true, false, true, false]);
    assert_eq!([1, 2, 3, 7].map(|key| map.get(&key).copied()), [Some(10), None, Some(33), None]);
    assert_eq!(map.take(&[3, 2, 7, 3, 1]), shown);
    assert_eq!(map.take(&[]), BTreeMap::new());
    // Siblings come in the order of their dots; a tombstone is one without a value.
    let siblings = |key| map.siblings(&key).map(|sib| (sib.dot, sib.value.copied())).collect::<Vec<_>>();
    assert_eq!(siblings(3), [(Dot::new(id(1), 3), Some(30)), (Dot::new(id(2), 1), Some(33))]);
    assert_eq!(siblings(2), [(Dot::new(id(1), 4), None)]);
    assert_eq!(siblings(7), []);
    // The dot is that of the write that is shown, and of the tombstone where nothing is.
    assert_eq!(
        [3, 2, 7].map(|key| map.dot(&key)),
        [Some(Dot::new(id(2), 1)), Some(Dot::new(id(1), 4)), None]
    );
    assert_eq!((map.stats().live, map.stats().tombstones), (2, 1));
    assert!(lone(1).is_empty());
}

#[test]
fn a_cleared_map_goes_on_and_keeps_what_was_put_elsewhere_meanwhile() {
    let mut net = Net::full(2, Config::default());
    net.merge(0, [(1, 1), (2, 2), (3, 3)]);
    net.settle();
    net.put(1, 2, 22);
    net.put(1, 4, 44);
    let now = net.now();
    let mut changes = net.replica_mut(0).clear(now);
    changes.sort_by_key(|change| *change.key());
    assert_eq!(changes, [removed(1, 1), removed(2, 2), removed(3, 3)]);
    assert!(net.replica(0).is_empty());
    assert_eq!(net.replica_mut(0).clear(now), []);
    net.put(0, 3, 33);
    assert_eq!(net.get(0, 3), Some(33));
    net.settle();
    net.assert_equal();
    assert_eq!(net.replica(0).to_map(), BTreeMap::from([(2, 22), (3, 33), (4, 44)]));
}

#[test]
fn several_maps_in_one_process_do_not_see_each_other() {
    // Two maps on two nodes each, under their names: the ids say who writes, the driver says which map.
    let mut nodes = [1, 2].map(|node| BTreeMap::from([("users", lone(node)), ("rooms", lone(node))]));
    nodes[0].get_mut("users").expect("made above").put(START, 1, 1);
    nodes[1].get_mut("rooms").expect("made above").put(START, 2, 2);
    for name in ["users", "rooms"] {
        let [here, there] = &mut nodes;
        let (here, there) =
            (here.get_mut(name).expect("made above"), there.get_mut(name).expect("made above"));
        meet(START, here, there);
    }
    for node in &nodes {
        assert_eq!(node["users"].to_map(), BTreeMap::from([(1, 1)]));
        assert_eq!(node["rooms"].to_map(), BTreeMap::from([(2, 2)]));
    }
}

#[test]
fn an_equal_value_put_again_is_a_change_here_and_there() {
    let mut net = Net::full(2, Config::default());
    net.put(0, 1, 5);
    net.settle();
    assert_eq!(net.put(0, 1, 5), put(1, Some(5), 5));
    net.settle();
    assert_eq!(net.node(1).changes, [put(1, None, 5), put(1, Some(5), 5)]);
}

#[test]
fn a_write_that_loses_is_no_change() {
    let (mut a, mut b) = (lone(1), lone(2));
    a.put(later(START, Duration::from_millis(1)), 1, 10);
    b.put(START, 1, 20);
    assert_eq!(meet(START, &mut a, &mut b), [vec![], vec![put(1, Some(20), 10)]]);
    // A removal beside it takes its own, and shows nothing new.
    let (mut a, mut b) = (lone(1), lone(2));
    a.put(START, 1, 10);
    meet(START, &mut a, &mut b);
    a.remove(START, &1);
    b.put(START, 1, 20);
    assert_eq!(exchange(START, &mut a, &mut b), [vec![put(1, None, 20)], vec![]]);
}

#[test]
fn a_value_that_says_nothing_is_a_value() {
    let mut maps =
        [1, 2].map(|node| Replica::<u64, Option<u64>>::new(id(node), Config::default(), LastWriter));
    let [a, b] = &mut maps;
    a.peer_up(START, b.id());
    assert_eq!(a.put(START, 1, None), Change::Put { key: 1, old: None, new: None });
    assert_eq!((a.get(&1), a.len(), a.contains_key(&1)), (Some(&None), 1, true));
    a.flush(START);
    let mut reported = Vec::new();
    for (_, message) in sends(a) {
        b.receive(START, id(1), message);
        reported.extend(outputs(b).into_iter().filter(|output| matches!(output, Output::Changed(_))));
    }
    assert_eq!(reported, [Output::Changed(vec![Change::Put { key: 1, old: None, new: None }])]);
    assert_eq!((b.get(&1), b.len()), (Some(&None), 1));
    assert_eq!(a.remove(START, &1), Some(Change::Removed { key: 1, old: None }));
}

#[test]
fn the_length_of_a_list_of_changes_is_the_count_of_keys_that_were_updated() {
    let mut net = Net::new(2, Config { shards: 4, max_fragment_keys: 7, ..Config::default() });
    net.merge(0, (0..300).map(|key| (key, key)));
    net.link(0, 1);
    net.settle();
    // A session: each key once, one list for each of the four shards, whatever the fragments.
    assert_eq!((net.node(1).changes.len(), net.node(1).batches), (300, 4));
    // A push: one list of one message.
    net.merge(0, (0..50).map(|key| (key, 1_000)));
    net.replica_mut(0).drop_keys(START, &[100, 101, 400]);
    net.settle();
    assert_eq!((net.node(1).changes.len(), net.node(1).batches), (300 + 52, 5));
    // The same again brings nothing.
    let now = net.now();
    let other = net.replica(1).id();
    net.replica_mut(0).peer_up(now, other);
    net.run(Duration::from_secs(3));
    assert_eq!((net.node(1).changes.len(), net.node(1).batches), (352, 5));
    // Here, the returned list counts.
    assert_eq!(net.replica_mut(0).merge(now, (0..7).map(|key| (key, 0))).len(), 7);
    assert_eq!(net.replica_mut(0).drop_keys(now, &[0, 1, 999]).len(), 2);
    assert_eq!(net.replica_mut(0).clear(now).len(), 296);
}

#[test]
fn what_was_written_right_before_the_end_is_with_the_neighbours_after_one_flush() {
    let (mut ours, mut theirs) = (lone(1), lone(2));
    meet(START, &mut ours, &mut theirs);
    ours.put(START, 1, 1);
    ours.flush(START);
    let last = sends(&mut ours);
    ours.put(START, 2, 2);
    assert_eq!(sends(&mut ours), [], "this one was not flushed");
    drop(ours);
    last.into_iter().for_each(|(_, message)| theirs.receive(START, id(1), message));
    assert_eq!(theirs.to_map(), BTreeMap::from([(1, 1)]));
    // The next life gets back what was flushed; the rest is lost without storage.
    let mut next = Map::new(delta_crdt::ReplicaId::new(1, 2), Config::default(), LastWriter);
    meet(START, &mut next, &mut theirs);
    assert_eq!((next.to_map(), theirs.len()), (BTreeMap::from([(1, 1)]), 1));
}

#[test]
fn a_map_comes_back_from_its_log_and_brings_what_was_never_flushed() {
    let (mut ours, mut theirs) = (lone(1), lone(2));
    let mut log = Vec::new();
    ours.record();
    meet(START, &mut ours, &mut theirs);
    ours.merge(START, [(1, 1), (2, 2)]);
    ours.remove(START, &2);
    ours.take_log().iter().for_each(|record| append_frame(&mut log, record));
    ours.put(START, 3, 3);
    drop(ours);
    let restored = |epoch| {
        let records = read_frames::<u64, u64>(&log).0;
        let id = delta_crdt::ReplicaId::new(1, epoch);
        Map::restore(START, id, Config::default(), LastWriter, records).expect("the log is whole")
    };
    assert_eq!(restored(2).to_map(), BTreeMap::from([(1, 1)]), "but for what was not recorded");
    let mut next = restored(2);
    theirs.peer_down(START, id(1));
    assert!(theirs.is_empty());
    meet(START, &mut next, &mut theirs);
    assert_eq!(theirs.to_map(), BTreeMap::from([(1, 1)]));
    // Each life that wrote is one entry of the vector.
    next.put(START, 4, 4);
    exchange(START, &mut next, &mut theirs);
    assert_eq!(theirs.stats().origins, 3);
}

#[test]
fn the_first_message_is_as_small_with_many_keys_as_with_none() {
    for keys in [0, 10, 1_000, 10_000] {
        let mut map = lone(1);
        map.merge(START, (0..keys).map(|key| (key, key)));
        map.peer_up(START, id(2));
        let first = sends(&mut map);
        let bytes: usize = first.iter().map(|sent| sent.1.encode().len()).sum();
        assert!(first.len() == 1 && bytes <= 64, "{keys} keys: {bytes} bytes");
    }
}

#[test]
fn a_low_limit_on_keys_per_message_loses_nothing() {
    for limit in [0, 1, 200] {
        let mut net = Net::new(2, Config { max_fragment_keys: limit, ..Config::default() });
        net.merge(0, (0..1_000).map(|key| (key, key)));
        net.merge(1, (5_000..5_100).map(|key| (key, key)));
        net.link(0, 1);
        net.settle();
        net.assert_equal();
        assert_eq!(net.replica(1).len(), 1_100, "limit {limit}");
    }
}

#[test]
fn writes_on_both_sides_while_a_session_is_under_way_lose_nothing() {
    let config = Config { max_fragment_keys: 1, session_window: 2, ..Config::default() };
    let mut a = Map::new(id(1), config.clone(), LastWriter);
    let mut b = Map::new(id(2), config, LastWriter);
    a.merge(START, (0..15).map(|key| (key, key)));
    a.peer_up(START, id(2));
    b.peer_up(START, id(1));
    // Each message is followed by writes: new keys at the one that serves, removals and overwrites at the one that is served.
    let mut expected: BTreeMap<u64, u64> = (0..15).map(|key| (key, key)).collect();
    let mut step = 0;
    loop {
        let (from_a, from_b) = (sends(&mut a), sends(&mut b));
        if from_a.is_empty() && from_b.is_empty() && step > 40 {
            break;
        }
        from_a.into_iter().for_each(|(_, message)| b.receive(START, id(1), message));
        from_b.into_iter().for_each(|(_, message)| a.receive(START, id(2), message));
        if step < 30 {
            a.put(START, 100 + step, step);
            expected.insert(100 + step, step);
            let arrived = b.iter().map(|entry| *entry.0).find(|key| (100..).contains(key));
            if let (Some(key), 0) = (arrived, step % 3) {
                b.remove(START, &key);
                expected.remove(&key);
            }
            b.put(START, 200 + step % 4, step);
            expected.insert(200 + step % 4, step);
        }
        step += 1;
        a.flush(START);
        b.flush(START);
    }
    let mut now = START;
    for _ in 0..30 {
        now = later(now, Duration::from_millis(100));
        a.handle_timeout(now);
        b.handle_timeout(now);
        exchange(now, &mut a, &mut b);
    }
    assert_eq!((a.to_map(), b.to_map()), (expected.clone(), expected));
    assert_eq!((a.stats().diverged, b.stats().diverged), (0, 0), "nothing had to be repaired");
}

#[test]
fn what_was_removed_while_a_session_brings_it_does_not_come_back() {
    let mut a = Map::new(id(1), Config { max_fragment_keys: 1, ..Config::default() }, LastWriter);
    let mut b = lone(2);
    a.peer_up(START, id(2));
    drop(outputs(&mut a));
    a.merge(START, (0..15).map(|key| (key, key)));
    a.flush(START);
    // The push is slow: the next status overtakes it, and brings a pull.
    let push = sends(&mut a);
    let now = later(START, Duration::from_secs(1));
    a.handle_timeout(now);
    sends(&mut a).into_iter().for_each(|(_, message)| b.receive(now, id(1), message));
    sends(&mut b).into_iter().for_each(|(_, message)| a.receive(now, id(2), message));
    let mut answer = sends(&mut a);
    assert_eq!((answer.len(), answer[15].1.kind()), (16, "commit"));
    let late = answer.split_off(7);
    answer.into_iter().for_each(|(_, message)| b.receive(now, id(1), message));
    assert!(b.is_empty(), "nothing of a session is there before its end");
    push.into_iter().for_each(|(_, message)| b.receive(now, id(1), message));
    assert_eq!(b.len(), 15);
    b.drop_keys(now, &[0, 1, 2, 3, 4]);
    b.merge(now, (5..10).map(|key| (key, 100 + key)));
    a.put(now, 20, 20);
    a.remove(now, &14);
    late.into_iter().for_each(|(_, message)| b.receive(now, id(1), message));
    assert_eq!(b.len(), 10);
    assert!((5..10).all(|key| b.siblings(&key).count() == 1), "replaced is replaced");
    b.check_invariants();
    a.peer_down(now, id(2));
    meet(now, &mut a, &mut b);
    let overwritten = (5..10).map(|key| (key, 100 + key));
    let expected: BTreeMap<u64, u64> =
        overwritten.chain((10..14).map(|key| (key, key))).chain([(20, 20)]).collect();
    assert_eq!((a.to_map(), b.to_map()), (expected.clone(), expected));
    assert_eq!((a.stats().diverged, b.stats().diverged), (0, 0), "nothing had to be repaired");
}

#[test]
fn the_last_writer_is_the_last_by_the_wall_clock_whatever_the_uptime() {
    let wall = |unix_ms, uptime| Now { monotonic: Duration::from_secs(uptime), unix_ms };
    let (mut a, mut b) = (lone(1), lone(2));
    // The first has been up for a day, the second has just started, and writes later.
    a.put(wall(START.unix_ms, 86_400), 1, 10);
    b.put(wall(START.unix_ms + 5, 1), 1, 20);
    meet(START, &mut a, &mut b);
    assert_eq!((a.get(&1), b.get(&1)), (Some(&20), Some(&20)));
    assert_eq!(a.siblings(&1).count(), 2, "both are kept until the next write");
    // Who has seen the other's write replaces it, even with a clock that is behind.
    a.put(wall(START.unix_ms - 400, 86_401), 1, 30);
    exchange(START, &mut a, &mut b);
    assert_eq!((a.get(&1), b.get(&1), b.siblings(&1).count()), (Some(&30), Some(&30), 1));
    // Equal stamps go to the higher id, everywhere.
    a.put(START, 2, 1);
    b.put(START, 2, 2);
    let stamps = [&a, &b].map(|map| map.siblings(&2).next().map(|sibling| sibling.stamp));
    exchange(START, &mut a, &mut b);
    let winner = if stamps[0] > stamps[1] { 1 } else { 2 };
    assert_eq!((a.get(&2), b.get(&2)), (Some(&winner), Some(&winner)));
}

#[test]
fn the_plain_map_type_adds_joins_removes_resolves_and_goes_on_after_it_was_cleared() {
    let stamp = Stamp::at_unix_ms;
    let mut here = AWLWWMap::new();
    let first = here.put(id(1), stamp(1), "a", 1);
    let mut there = AWLWWMap::new();
    there.put(id(2), stamp(1), "b", 2);
    // Two adds join; a delta alone brings its key alone.
    assert!(there.join(&first));
    assert!(!there.join(&first));
    assert_eq!(there.iter().collect::<Vec<_>>(), [(&"a", &1), (&"b", &2)]);
    assert_eq!(here.get(&"b"), None);
    // A conflict goes to the later one, and a removal takes what it has seen.
    here.put(id(1), stamp(5), "a", 10);
    there.put(id(2), stamp(4), "a", 20);
    here.join(&there);
    assert_eq!(here.get(&"a"), Some(&10));
    here.remove(&"a");
    there.put(id(2), stamp(6), "a", 30);
    here.join(&there);
    assert_eq!(here.get(&"a"), Some(&30));
    here.clear();
    assert_eq!(here.iter().count(), 0);
    here.put(id(1), stamp(7), "c", 3);
    there.join(&here);
    assert_eq!(there.iter().collect::<Vec<_>>(), [(&"c", &3)]);
}
