//! Long histories: a million writes in all in a release build, a tenth of that in others.
//!
//! `DELTA_CRDT_TIMES` makes them so many times as long.

use std::collections::BTreeSet;
use std::time::Duration;

use super::random::Random;
use super::world::{Shape, Storage, World};
use crate::Config;

/// What a long history has, and must be seen to have had at its end.
struct Long {
    writes: u64,
    nodes: usize,
    in_line: bool,
    shards: u16,
    storage: Storage,
    /// Messages that arrive at one step, at most: short lives need a faster network to get through.
    most_at_once: u64,
    /// One step in 24 times so many is a restart. Each leaves an entry in the vectors: hundreds make a history slow.
    restarts_one_in: u64,
    max_tombstones: usize,
}

const ALL: [Long; 5] = [
    Long {
        writes: 600_000,
        nodes: 4,
        in_line: false,
        shards: 2,
        storage: Storage::NoRestarts,
        most_at_once: 8,
        restarts_one_in: 1,
        max_tombstones: 2,
    },
    Long {
        writes: 150_000,
        nodes: 4,
        in_line: true,
        shards: 4,
        storage: Storage::Forgets,
        most_at_once: 8,
        restarts_one_in: 100,
        max_tombstones: 0,
    },
    Long {
        writes: 100_000,
        nodes: 4,
        in_line: false,
        shards: 8,
        storage: Storage::Keeps,
        most_at_once: 32,
        restarts_one_in: 100,
        max_tombstones: 0,
    },
    Long {
        writes: 150_000,
        nodes: 5,
        in_line: true,
        shards: 2,
        storage: Storage::Lags,
        most_at_once: 8,
        restarts_one_in: 100,
        max_tombstones: 4,
    },
    Long {
        writes: 60_000,
        nodes: 4,
        in_line: false,
        shards: 2,
        storage: Storage::Forgets,
        most_at_once: 32,
        restarts_one_in: 12,
        max_tombstones: 2,
    },
];

impl Long {
    fn shape(&self) -> Shape {
        let config = Config {
            shards: self.shards,
            session_timeout: Duration::from_secs(1),
            max_batch_ops: 3,
            max_fragment_keys: 8,
            session_window: 2,
            max_parked: 8,
            max_tombstones: self.max_tombstones,
            max_sessions: 2,
            max_told: 1,
            ..Config::default()
        };
        Shape {
            nodes: self.nodes,
            in_line: self.in_line,
            storage: self.storage,
            config,
            keys: 64,
            most_at_once: self.most_at_once,
            hears_early: true,
            restarts_one_in: self.restarts_one_in,
            checks_one_in: 64,
            compares_one_in: 0,
        }
    }

    fn run(&self) {
        let times = std::env::var("DELTA_CRDT_TIMES").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
        let writes = self.writes * times / if cfg!(debug_assertions) { 10 } else { 1 };
        let mut world = World::of_shape(Random::of(1), None, self.shape());
        world.live_to_write(writes);
        let known_to_all = world.known_to_all();
        world.settle();
        assert_eq!(world.judge(), Ok(()));
        assert!(world.writes() >= writes, "{} writes", world.writes());
        self.assert_is_what_happened(&world);
        let told = format!("{known_to_all} known to all before the network became kind, {:?}", world.tally);
        println!("{} writes in one history, no divergence, no mismatch: {told}", world.writes());
        // A network that lets nothing through leaves all to the end. Where lives are short, much is lost with them.
        let lives_are_long = self.storage == Storage::NoRestarts || self.restarts_one_in >= 100;
        assert!(!lives_are_long || known_to_all > writes / 2, "little came through: {told}");
    }

    /// A change of the steps shall not hollow a history out.
    fn assert_is_what_happened(&self, world: &World) {
        let writers: BTreeSet<u64> = world.oracle.events.keys().map(|name| name.1.origin.node).collect();
        assert_eq!(writers.len(), self.nodes, "nodes that wrote, and were understood by all at the end");
        let shards: BTreeSet<usize> = world.oracle.events.keys().map(|name| name.0).collect();
        assert_eq!(shards.len(), usize::from(self.shards), "shards that were written to");
        let tally = &world.tally;
        assert!(tally.dropped > 100, "the limit of tombstones was hit: {tally:?}");
        let (restarts, losses) = match self.storage {
            Storage::NoRestarts => (0..=0, 0..=0),
            Storage::Keeps => (5..=u64::MAX, 0..=0),
            Storage::Forgets | Storage::Lags => (5..=u64::MAX, 1..=u64::MAX),
        };
        assert!(restarts.contains(&tally.restarts), "restarts: {tally:?}");
        assert!(losses.contains(&tally.lost), "writes that were gone with a restart: {tally:?}");
        let few = cfg!(debug_assertions) || self.storage == Storage::NoRestarts;
        assert!(
            few || tally.heard_early > 0,
            "a new life was heard of before the old one was down: {tally:?}"
        );
    }
}

#[test]
fn the_long_histories_have_a_million_writes_and_all_that_may_happen() {
    assert!(ALL.iter().map(|long| long.writes).sum::<u64>() >= 1_000_000);
    assert!(ALL.iter().all(|long| long.nodes >= 4 && long.shards >= 2));
    assert!(ALL.iter().any(|long| long.in_line) && ALL.iter().any(|long| !long.in_line));
    assert!(ALL.iter().any(|long| long.max_tombstones == 0));
    for storage in Storage::ALL {
        assert!(ALL.iter().any(|long| long.storage == storage && long.writes >= 100_000), "{storage:?}");
    }
}

#[test]
fn a_long_history_ends_as_the_specification_says() {
    ALL[0].run();
}

#[test]
fn a_long_history_in_a_line_with_restarts_that_forget_all_ends_as_the_specification_says() {
    ALL[1].run();
}

#[test]
fn a_long_history_with_restarts_from_logs_ends_as_the_specification_says() {
    ALL[2].run();
}

#[test]
fn a_long_history_in_a_line_with_restarts_from_logs_that_lag_ends_as_the_specification_says() {
    ALL[3].run();
}

#[test]
fn a_history_of_hundreds_of_lives_ends_as_the_specification_says() {
    ALL[4].run();
}
