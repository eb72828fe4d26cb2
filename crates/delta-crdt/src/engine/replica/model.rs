//! The engine against an executable specification, over random histories and over all short ones.
//!
//! `DELTA_CRDT_SEEDS` sets how many random histories run: 10,000 by default, 100,000 in a release build, where a million take
//! five minutes. `DELTA_CRDT_SEED` runs one alone and prints how it ended.

mod exhaustive;
mod oracle;
mod random;
mod repair;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::super::rules::Rule;
use world::{Storage, World};

fn seeds(default: u64) -> u64 {
    std::env::var("DELTA_CRDT_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Runs one history; what is wrong at its end, or in it.
fn run(seed: u64, broken: Option<Rule>, storage: Storage) -> Result<u64, String> {
    let history = || {
        if broken == Some(Rule::Union) {
            return repair::damaged_history(seed, broken, storage);
        }
        let mut world = World::new(seed, broken, storage);
        world.live();
        world.settle();
        world.judge().map(|()| world.writes())
    };
    if broken.is_none() {
        return history();
    }
    // A broken engine may also break its own assertions, which counts as found.
    catch_unwind(AssertUnwindSafe(history)).unwrap_or_else(|_| Err("an assertion failed".into()))
}

/// The first history that shows that a rule is off, within `limit`, and how it shows.
fn found_after(rule: Rule, limit: u64) -> Option<(u64, String)> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let wrong = |seed| run(seed, Some(rule), Storage::of(seed)).err().map(|wrong| (seed, wrong));
    let found = (1..=limit).find_map(wrong);
    std::panic::set_hook(hook);
    found
}

#[test]
fn every_history_ends_as_the_specification_says() {
    if let Some(seed) = std::env::var("DELTA_CRDT_SEED").ok().and_then(|text| text.parse().ok()) {
        let outcome = run(seed, None, Storage::of(seed));
        println!("history {seed}: {outcome:?}");
        assert!(outcome.is_ok());
        return;
    }
    let mut writes = 0;
    for seed in 1..=seeds(if cfg!(debug_assertions) { 10_000 } else { 100_000 }) {
        match run(seed, None, Storage::of(seed)) {
            Ok(count) => writes += count,
            Err(wrong) => panic!("history {seed}: {wrong}; DELTA_CRDT_SEED={seed} repeats it"),
        }
    }
    println!("{writes} writes, no divergence, no mismatch");
}

/// One history of many steps, of which some three in ten are writes.
fn long_history(storage: Storage, steps: u64) {
    let times = std::env::var("DELTA_CRDT_TIMES").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut world = World::new(7, None, storage);
    world.chaos(steps * times / if cfg!(debug_assertions) { 10 } else { 1 });
    world.settle();
    assert_eq!(world.judge(), Ok(()));
    println!("{} writes in one history, no divergence, no mismatch", world.writes());
}

/// A million writes in a release build.
#[test]
fn one_long_history_ends_as_the_specification_says() {
    long_history(Storage::NoRestarts, 3_600_000);
}

/// Each restart leaves an entry in the vectors: thousands of them make a history slow. `DELTA_CRDT_TIMES` makes these longer.
#[test]
fn a_long_history_with_restarts_ends_as_the_specification_says() {
    long_history(Storage::Forgets, 300_000);
}

#[test]
fn a_long_history_with_restarts_from_logs_that_lag_ends_as_the_specification_says() {
    long_history(Storage::Keeps, 100_000);
}

macro_rules! notices {
    ($($name:ident: $rule:ident within $limit:expr;)*) => {$(
        #[test]
        fn $name() {
            let found = found_after(Rule::$rule, $limit);
            println!("{:?} off: found by history {found:?}", Rule::$rule);
            assert!(found.is_some(), "{:?} off was not noticed within {} histories", Rule::$rule, $limit);
        }
    )*};
}

notices! {
    writes_out_of_order_are_noticed: InOrder within 1_000;
    writes_before_what_they_replace_are_noticed: Dependencies within 5_000;
    writes_that_replace_nothing_are_noticed: Replaces within 1_000;
    a_session_that_removes_nothing_is_noticed: JoinRemoves within 1_000;
    a_session_that_brings_back_what_is_known_is_noticed: JoinKnows within 1_000;
    a_vector_read_after_the_fragments_is_noticed: OneState within 5_000;
    a_vector_remembered_from_the_pull_is_noticed: VectorAtCommit within 5_000;
    a_torn_session_that_is_applied_is_noticed: AbortAppliesNothing within 5_000;
    a_put_that_does_not_name_the_tombstone_is_noticed: PutNamesTombstone within 50_000;
    tombstones_dropped_before_their_time_are_noticed: Stability within 1_000;
    a_gap_sent_to_a_puller_below_the_floor_is_noticed: Repair within 5_000;
    lives_of_which_the_last_alone_counts_are_noticed: EveryLife within 5_000;
    damage_that_nobody_looks_for_is_noticed: Union within 100;
}
