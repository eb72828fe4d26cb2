//! A neighbour that takes everything and says nothing.

use std::time::Duration;

use delta_crdt::{Config, LastWriter};

use super::Map;
use crate::support::{START, id, later, outputs, sends};

/// A minute in the life of a replica whose neighbour takes everything and says nothing: messages of each second, pushes apart.
fn minute_beside_the_silent(map: &mut Map, writes: bool) -> Vec<(usize, usize)> {
    let mut now = START;
    let mut seconds = Vec::new();
    let mut bytes = 0;
    for second in 0..60 {
        let (mut pushes, mut others) = (0, 0);
        for tick in 0..100 {
            now = later(now, Duration::from_millis(10));
            if map.poll_timeout().is_some_and(|at| at <= now.monotonic) {
                map.handle_timeout(now);
                let next = map.poll_timeout().expect("the next status is due some time");
                assert!(next > now.monotonic, "the timer spins");
            }
            if writes {
                let key = tick % 50;
                if tick % 3 == 0 {
                    map.remove(now, &key);
                } else {
                    map.put(now, key, tick);
                }
                map.flush(now);
            }
            for (_, message) in sends(map) {
                let count = if message.kind() == "op" { &mut pushes } else { &mut others };
                *count += 1;
            }
        }
        seconds.push((pushes, others));
        let stats = map.stats();
        assert!(stats.tombstones <= 50 && stats.parked == 0 && stats.origins <= 2, "{stats:?}");
        if second == 9 {
            bytes = stats.bytes;
        }
        assert!(second < 9 || stats.bytes <= bytes * 2, "it grows: {} bytes, then {}", bytes, stats.bytes);
        map.check_invariants();
    }
    seconds
}

#[test]
fn a_silent_neighbour_makes_nothing_grow_and_costs_no_more_than_is_written() {
    for spoke in [false, true] {
        let mut map = Map::new(id(1), Config { shards: 4, ..Config::default() }, LastWriter);
        map.set_members([id(1), id(2)]);
        map.peer_up(START, id(2));
        map.catch_up(START, id(2));
        if spoke {
            // It said what it has, and fell silent before it answered the pull.
            let mut other = Map::new(id(2), Config { shards: 4, ..Config::default() }, LastWriter);
            other.merge(START, (0..20).map(|key| (key, key)));
            other.peer_up(START, id(1));
            sends(&mut other).into_iter().for_each(|(_, message)| map.receive(START, id(2), message));
        }
        drop(outputs(&mut map));
        for (second, (pushes, others)) in minute_beside_the_silent(&mut map, true).into_iter().enumerate() {
            assert!(pushes <= 100, "one for each flush: {pushes} in second {second}");
            // A status, the question, and the pull that is repeated when its session has timed out.
            assert!(others <= 4, "{others} in second {second}");
        }
        assert_eq!(map.stats().sessions, 0);
        let given_up = map.stats().aborted;
        assert!(if spoke { (20..=30 * 4).contains(&given_up) } else { given_up == 0 }, "{given_up}");
    }
}

#[test]
fn a_silent_neighbour_of_an_idle_replica_hears_one_status_for_each_interval() {
    let interval = Duration::from_millis(200);
    let mut map = Map::new(id(1), Config { status_interval: interval, ..Config::default() }, LastWriter);
    map.peer_up(START, id(2));
    drop(outputs(&mut map));
    assert_eq!(minute_beside_the_silent(&mut map, false), [(0, 5); 60]);
}
