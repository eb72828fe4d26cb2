//! Which starts are refused.

use delta_crdt::{Config, LastWriter, RestoreError, append_frame, read_frames};

use super::life::{Life, Log, Map, config, held, id, life, restore};
use crate::support::START;

fn refusal(node: u64, epoch: u64, log: &Log) -> Option<RestoreError> {
    restore(START, id(node, epoch), log).err()
}

#[test]
fn a_used_epoch_is_refused_from_the_first_durable_record_on() {
    let records = life().records();
    for length in 1..=records.len() {
        let log = records[..length].to_vec();
        assert_eq!(refusal(1, 1, &log), Some(RestoreError::Epoch), "{length} records");
        assert_eq!(refusal(1, 0, &log), Some(RestoreError::Epoch), "{length} records");
        assert_eq!(refusal(1, 2, &log), None, "{length} records");
        // Another node may start from it, unless it is one whose writes are in it.
        assert_eq!(refusal(3, 1, &log), None, "{length} records");
    }
    assert_eq!(refusal(2, 1, &records), Some(RestoreError::Epoch));
    assert_eq!(refusal(2, 2, &records), None);
}

#[test]
fn a_life_that_wrote_nothing_is_in_its_log_and_in_its_snapshot() {
    let mut log = Log::new();
    for epoch in 5..8 {
        let mut map = restore(START, id(1, epoch), &log).expect("the epoch is new");
        map.record();
        map.record();
        let named = map.take_log();
        assert_eq!(named.len(), 1);
        assert!(map.take_log().is_empty(), "once is enough");
        log.extend(named);
        assert_eq!(map.snapshot().len(), 2, "one record per shard");
        for log in [&log, &map.snapshot()] {
            assert_eq!(refusal(1, epoch, log), Some(RestoreError::Epoch));
            assert_eq!(refusal(1, epoch - 1, log), Some(RestoreError::Epoch));
            let next = restore(START, id(1, epoch + 1), log).expect("the epoch is new");
            assert!(next.is_empty());
            next.check_invariants();
        }
        assert_eq!(restore(START, id(1, epoch + 1), &log).map(|map| map.stats().origins), Ok(1));
    }
    // On disk as well.
    let mut bytes = Vec::new();
    log.iter().for_each(|record| append_frame(&mut bytes, record));
    assert!(read_frames(&bytes) == (log, bytes.len()));
}

#[test]
fn a_first_write_names_its_life_and_needs_no_record_before_it() {
    let mut map = Map::new(id(1, 4), Config::default(), LastWriter);
    map.record();
    map.put(START, 1, 1);
    let log = map.take_log();
    assert_eq!(log.len(), 1);
    let start = |epoch| Map::restore(START, id(1, epoch), Config::default(), LastWriter, log.clone()).err();
    assert_eq!((start(4), start(3), start(5)), (Some(RestoreError::Epoch), Some(RestoreError::Epoch), None));
}

#[test]
fn a_start_with_other_shards_or_with_a_hole_is_refused() {
    let records = life().records();
    let start = |config, records| Map::restore(START, id(1, 2), config, LastWriter, records).err();
    assert_eq!(start(Config::default(), records.clone()), Some(RestoreError::Shards));
    assert_eq!(start(config(), records[10..].to_vec()), Some(RestoreError::Damaged));
}

#[test]
fn a_log_of_more_lives_than_may_be_known_says_so_and_starts_once_they_may() {
    let Life { ours, steps, .. } = life();
    let log: Log = steps.iter().flat_map(|step| step.records.iter().cloned()).collect();
    for log in [log, ours.snapshot()] {
        // Two lives that wrote, and the new one.
        let start = |max_origins| {
            Map::restore(START, id(1, 2), Config { max_origins, ..config() }, LastWriter, log.clone())
        };
        assert_eq!(start(2).err(), Some(RestoreError::TooMany));
        assert!(RestoreError::TooMany.to_string().contains("max_origins"));
        assert_eq!(start(3).map(|map| held(&map)), Ok(held(&ours)));
    }
}

#[test]
fn a_snapshot_stands_for_the_log_up_to_it() {
    let steps = life().steps;
    for (at, step) in steps.iter().enumerate().skip(1) {
        let restored = restore(START, id(1, 2), &step.snapshot).expect("a snapshot is a log");
        restored.check_invariants();
        assert_eq!(
            (held(&restored), restored.to_map()),
            (step.held.clone(), step.shown.clone()),
            "step {at}"
        );
        // And the log goes on after it.
        let rest = steps[at + 1..].iter().flat_map(|step| &step.records);
        let log: Log = step.snapshot.iter().chain(rest).cloned().collect();
        let whole = restore(START, id(1, 2), &log).expect("a snapshot and what came after it are a log");
        assert_eq!(held(&whole), steps[steps.len() - 1].held, "step {at}");
    }
}
