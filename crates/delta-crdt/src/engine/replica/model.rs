//! The engine against an executable specification, over random histories and over all short ones.
//!
//! `DELTA_CRDT_SEEDS` sets how many random histories run: 10,000 by default, 100,000 in a release build, where a million take
//! seven minutes and a half of one core. `DELTA_CRDT_SEED` runs one alone and prints how it ended. `DELTA_CRDT_RATE` says in how many histories each rule is
//! switched off, to count those that notice.

mod exhaustive;
mod long;
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

/// Switches a rule off. `by` is the first history that notices, as the table below and the protocol page have it.
fn is_noticed(rule: Rule, by: u64) {
    let wrong = |seed| run(seed, Some(rule), Storage::of(seed)).err().map(|wrong| (seed, wrong));
    let found = (1..=10 * by.max(100)).find_map(wrong);
    println!("{rule:?} off: found by history {found:?}");
    let histories = std::env::var("DELTA_CRDT_RATE").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    if histories > 0 {
        let count = (1..=histories).filter(|&seed| wrong(seed).is_some()).count();
        println!("{rule:?} off: found by {count} of {histories} histories");
    }
    let first = found.map(|found| found.0);
    assert_eq!(
        first,
        Some(by),
        "{rule:?} off: if the engine or the histories changed, the table here and that in docs/protocol.md do too"
    );
}

#[test]
fn every_history_ends_as_the_specification_says() {
    if let Some(seed) = std::env::var("DELTA_CRDT_SEED").ok().and_then(|text| text.parse().ok()) {
        let outcome = run(seed, None, Storage::of(seed));
        println!("history {seed}: {outcome:?}");
        assert!(outcome.is_ok());
        return;
    }
    let (mut histories, mut writes) = (0, 0);
    for seed in 1..=seeds(if cfg!(debug_assertions) { 10_000 } else { 100_000 }) {
        match run(seed, None, Storage::of(seed)) {
            Ok(count) => (histories, writes) = (histories + 1, writes + count),
            Err(wrong) => panic!("history {seed}: {wrong}; DELTA_CRDT_SEED={seed} repeats it"),
        }
    }
    println!("{writes} writes in {histories} histories, no divergence, no mismatch");
}

/// The table of the protocol page.
macro_rules! noticed {
    ($($name:ident: $rule:ident by history $seed:literal;)*) => {$(
        #[test]
        fn $name() {
            is_noticed(Rule::$rule, $seed);
        }
    )*};
}

noticed! {
    writes_out_of_order_are_noticed: InOrder by history 1;
    writes_before_what_they_replace_are_noticed: Dependencies by history 8;
    writes_that_replace_nothing_are_noticed: Replaces by history 4;
    a_session_that_removes_nothing_is_noticed: JoinRemoves by history 3;
    a_session_that_brings_back_what_is_known_is_noticed: JoinKnows by history 4;
    a_vector_read_after_the_fragments_is_noticed: OneState by history 1;
    a_vector_remembered_from_the_pull_is_noticed: VectorAtCommit by history 8;
    a_torn_session_that_is_applied_is_noticed: AbortAppliesNothing by history 13;
    a_put_that_does_not_name_the_tombstone_is_noticed: PutNamesTombstone by history 4;
    tombstones_dropped_before_their_time_are_noticed: Stability by history 22;
    a_gap_sent_to_a_puller_below_the_floor_is_noticed: Repair by history 51;
    lives_of_which_the_last_alone_counts_are_noticed: EveryLife by history 10;
    damage_that_nobody_looks_for_is_noticed: Union by history 1;
}
