//! Limits and intervals at the ends of their ranges: nothing panics, a loop that drives until nothing is due ends, and the replicas
//! agree as soon as what they may tell each other shows that they differ.

use std::collections::VecDeque;
use std::time::Duration;

use delta_crdt::{Config, LastWriter, Now, Output, Replica};

use crate::support::{START, id, later, sends};

type Map = Replica<u64, u64>;

/// Two that have each other as a neighbour.
struct Pair {
    now: Now,
    maps: [Map; 2],
}

impl Pair {
    fn new(config: &Config) -> Self {
        let maps = [1, 2].map(|node| {
            let mut map = Map::new(id(node), config.clone(), LastWriter);
            map.set_members([id(1), id(2)]);
            map
        });
        Self { now: START, maps }
    }

    /// What a driver does at one moment: timers go off while any is due, also while messages are on their way.
    fn drive(&mut self, what: &str) {
        let mut wire = VecDeque::new();
        for turn in 0.. {
            assert!(turn < 2_000, "{what}: always something is due at once");
            let mut is_quiet = true;
            for (at, map) in self.maps.iter_mut().enumerate() {
                if map.poll_timeout().is_some_and(|due| due <= self.now.monotonic) {
                    map.handle_timeout(self.now);
                    is_quiet = false;
                }
                map.flush(self.now);
                while let Some(output) = map.poll_output() {
                    if let Output::Send { message, .. } = output {
                        wire.push_back((at, message));
                    }
                }
                map.check_invariants();
            }
            let Some((from, message)) = wire.pop_front() else {
                if is_quiet {
                    return;
                }
                continue;
            };
            self.maps[1 - from].receive(self.now, id(from as u64 + 1), message);
        }
    }

    /// Lets half a second pass.
    fn run(&mut self, what: &str) {
        for _ in 0..100 {
            self.now = later(self.now, Duration::from_millis(5));
            self.drive(what);
        }
    }

    fn are_equal(&self) -> bool {
        self.maps[0].to_map() == self.maps[1].to_map()
    }
}

type Set = fn(&mut Config, Duration);

const INTERVALS: [(&str, Set); 5] = [
    ("status_interval", |config, time| config.status_interval = time),
    ("relay_interval", |config, time| config.relay_interval = time),
    ("repull_after", |config, time| config.repull_after = time),
    ("session_timeout", |config, time| config.session_timeout = time),
    ("max_drift", |config, time| config.max_drift = time),
];

/// Each extreme by itself, and all of a kind at once; and whether a lost push is noticed within half a second.
fn extremes() -> Vec<(String, Config, bool)> {
    let quick = || Config { shards: 4, status_interval: Duration::from_millis(100), ..Config::default() };
    let mut all = Vec::new();
    for time in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        let mut every = quick();
        for (name, set) in INTERVALS {
            let mut config = quick();
            set(&mut config, time);
            set(&mut every, time);
            all.push((format!("{name}: {time:?}"), config, name == "max_drift" || time < Duration::MAX));
        }
        all.push((format!("all times: {time:?}"), every, time < Duration::MAX));
    }
    let most = Config {
        max_batch_ops: usize::MAX,
        max_batch_bytes: usize::MAX,
        max_fragment_keys: usize::MAX,
        session_window: u32::MAX,
        max_sessions: usize::MAX,
        max_staged: usize::MAX,
        max_parked: usize::MAX,
        max_tombstones: usize::MAX,
        max_origins: usize::MAX,
        max_peers: usize::MAX,
        max_told: usize::MAX,
        ..quick()
    };
    all.push(("all counts: the most".to_owned(), most, true));
    // Whoever stages nothing or knows nobody else holds nothing else: these two are left as they are.
    let least = Config {
        shards: 0,
        max_batch_ops: 0,
        max_batch_bytes: 0,
        max_fragment_keys: 0,
        session_window: 0,
        max_sessions: 0,
        max_parked: 0,
        max_tombstones: 0,
        max_peers: 0,
        max_told: 0,
        ..quick()
    };
    all.push(("all counts: the least".to_owned(), least, true));
    all
}

#[test]
fn with_any_limit_or_interval_at_its_end_a_pair_agrees_and_a_loop_that_drives_it_ends() {
    for (what, config, notices) in extremes() {
        let mut pair = Pair::new(&config);
        for (at, first) in [(0, 0), (1, 20)] {
            pair.maps[at].merge(START, (first..first + 30).map(|key| (key, key + first)));
            pair.maps[at].remove(START, &(first + 3));
        }
        for (at, other) in [(0, id(2)), (1, id(1))] {
            pair.maps[at].peer_up(START, other);
            pair.maps[at].catch_up(START, other);
        }
        pair.drive(&what);
        pair.run(&what);
        assert!(pair.are_equal() && pair.maps[0].len() == 49, "{what}: not what was there at first");
        // A push is lost, then one comes.
        for lost in [true, false] {
            pair.maps[0].put(pair.now, u64::from(lost), 77);
            pair.maps[0].remove(pair.now, &(30 + u64::from(lost)));
            pair.maps[0].flush(pair.now);
            if lost {
                assert!(!sends(&mut pair.maps[0]).is_empty(), "{what}");
            }
        }
        pair.run(&what);
        pair.run(&what);
        assert!(pair.are_equal() || !notices, "{what}: not what was lost");
    }
}

#[test]
fn times_in_force_are_within_the_range_that_is_told() {
    let with = |time| Config {
        status_interval: time,
        relay_interval: time,
        repull_after: time,
        session_timeout: time,
        max_drift: time,
        ..Config::default()
    };
    let in_force = |time| {
        let config = Map::new(id(1), with(time), LastWriter).config().clone();
        let Config { status_interval, relay_interval, repull_after, session_timeout, max_drift, .. } = config;
        [status_interval, relay_interval, repull_after, session_timeout, max_drift]
    };
    let (shortest, longest) = (Config::SHORTEST, Config::LONGEST);
    assert_eq!(in_force(Duration::MAX), [longest; 5]);
    assert_eq!(in_force(Duration::ZERO), [shortest, shortest, shortest, shortest, Duration::ZERO]);
    assert_eq!(in_force(Duration::from_millis(7)), [Duration::from_millis(7); 5]);
}

#[test]
fn what_is_weighed_as_heavier_than_anything_goes_out_at_once() {
    let mut map = Map::new(id(1), Config::default(), LastWriter).weigh_with(|_, _| usize::MAX);
    map.peer_up(START, id(2));
    drop(sends(&mut map));
    map.put(START, 1, 1);
    map.put(START, 1, 2);
    map.put(START, 2, 2);
    let kinds: Vec<_> = sends(&mut map).iter().map(|sent| sent.1.kind()).collect();
    assert_eq!(kinds, ["op"; 3]);
}
