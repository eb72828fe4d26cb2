//! Logs of which a part is missing, stands there twice, or was never written.

use delta_crdt::{Config, LastWriter, RestoreError};

use super::life::{Held, Log, Map, config, exchange, held, id, later, life, link, restore};
use crate::support::START;

/// A log over three lives, with records of each kind: a snapshot, the names of lives, writes of its own and of others, and sessions,
/// some of them of whole shards with floors. Each record is a step of its own, and what was held after it stands
/// beside it.
fn lives() -> (Log, Vec<Held>) {
    let first = life();
    let (mut log, mut states) = (Log::new(), Vec::new());
    let half = first.steps.len() / 2;
    let keep = |log: &mut Log, states: &mut Vec<Held>, records: Log, held: Held| {
        assert!(records.len() <= 1, "what is held is known after each record");
        states.extend(records.iter().map(|_| held.clone()));
        log.extend(records);
    };
    for record in &first.steps[half].snapshot {
        keep(&mut log, &mut states, vec![record.clone()], first.steps[half].held.clone());
    }
    for step in &first.steps[half + 1..] {
        keep(&mut log, &mut states, step.records.clone(), step.held.clone());
    }
    let mut other = first.other;
    other.peer_down(later(900), first.ours.id());
    while other.poll_output().is_some() {}
    for epoch in 2..4 {
        let at = 1_000 * epoch;
        let mut ours = restore(later(at), id(1, epoch), &log).expect("the log is whole");
        let mut save = |ours: &mut Map| keep(&mut log, &mut states, ours.take_log(), held(ours));
        ours.record();
        save(&mut ours);
        for key in 0..4 {
            ours.put(later(at + key), key, at + key);
            save(&mut ours);
            other.put(later(at + key), 20 + key, at + key);
        }
        // The other drops its tombstones before all members cover them, so that floors come with its sessions.
        other.remove(later(at + 5), &(20 + epoch));
        other.set_members([id(2, 1)]);
        other.handle_timeout(later(at + 6));
        link(later(at + 10), &mut ours, &mut other);
        exchange(later(at + 10), &mut ours, &mut other, |ours, _| save(ours));
        other.put(later(at + 11), 30, at);
        exchange(later(at + 12), &mut ours, &mut other, |ours, _| save(ours));
        ours.remove(later(at + 13), &1);
        save(&mut ours);
        other.peer_down(later(at + 20), ours.id());
        while other.poll_output().is_some() {}
    }
    let kind = |record| format!("{record:?}").contains("session of ");
    assert!(log.iter().filter(|record| kind(*record)).count() >= 6, "{log:?}");
    assert_eq!(restore(START, id(1, 9), &log).map(|map| held(&map)), Ok(states[states.len() - 1].clone()));
    (log, states)
}

#[test]
fn a_log_without_some_records_of_its_middle_is_refused() {
    let (log, states) = lives();
    for from in 0..log.len() {
        for to in from + 1..=log.len() {
            let rest: Log = log[..from].iter().chain(&log[to..]).cloned().collect();
            let start = restore(START, id(1, 9), &rest);
            // Whole up to its end: a prefix. Less than the first snapshot is none.
            if to == log.len() && from != 1 {
                let expected = if from == 0 { Held::new() } else { states[from - 1].clone() };
                assert_eq!(start.map(|map| held(&map)), Ok(expected), "without {from}..{to}");
            } else {
                assert_eq!(start.err(), Some(RestoreError::Damaged), "without {from}..{to}: {log:?}");
            }
        }
    }
}

#[test]
fn records_that_stand_in_a_log_twice_change_nothing() {
    let (log, states) = lives();
    // As by an append that failed, had reached the disk all the same, and was made again, alone or with what came since. The snapshot
    // is of two records, which belong together.
    for from in 2..log.len() {
        for to in from + 1..=log.len() {
            let twice: Log = log[..to].iter().chain(&log[from..]).cloned().collect();
            let start = restore(START, id(1, 9), &twice).expect("nothing is missing");
            assert_eq!(held(&start), states[states.len() - 1], "{from}..{to} twice");
        }
    }
}

#[test]
fn what_was_recorded_before_a_snapshot_and_is_appended_after_it_changes_nothing() {
    let mut map = Map::new(id(1, 1), config(), LastWriter);
    map.record();
    map.put(START, 1, 1);
    let mut log = map.snapshot();
    for key in 2..6 {
        map.put(START, key, key);
    }
    // Whether it was taken with some of them or all still waiting.
    let late = map.snapshot();
    let taken = map.take_log();
    map.remove(START, &4);
    map.put(START, 7, 7);
    let later = map.take_log();
    log.extend(taken.iter().chain(&later).cloned());
    assert_eq!(restore(START, id(1, 2), &log).map(|again| held(&again)), Ok(held(&map)));
    let log: Log = late.iter().chain(&taken).chain(&later).cloned().collect();
    assert_eq!(restore(START, id(1, 2), &log).map(|again| held(&again)), Ok(held(&map)));
    let log: Log = late.iter().chain(&later).cloned().collect();
    assert_eq!(restore(START, id(1, 2), &log).err(), Some(RestoreError::Damaged), "they belong to it");
}

/// A replica with some keys that records nothing, and the log so far: it was never stored, or it came from the log and went on.
fn unrecorded(restored: bool) -> (Log, Map) {
    let mut log = Log::new();
    let mut map = Map::new(id(1, 1), config(), LastWriter);
    if restored {
        map.record();
        map.put(START, 1, 1);
        log = map.take_log();
        map = restore(START, id(1, 2), &log).expect("the log is whole");
    }
    let mut other = Map::new(id(2, 1), config(), LastWriter);
    other.merge(START, (10..20).map(|key| (key, key)));
    map.put(START, 2, 2);
    link(START, &mut map, &mut other);
    exchange(START, &mut map, &mut other, |_, _| ());
    (log, map)
}

#[test]
fn a_record_begun_late_needs_a_snapshot_of_what_was_there_before() {
    for restored in [false, true] {
        // Without one.
        let (mut log, mut map) = unrecorded(restored);
        map.record();
        map.put(START, 3, 3);
        log.extend(map.take_log());
        assert_eq!(restore(START, id(1, 9), &log).err(), Some(RestoreError::Damaged));
        // With one, taken before or after it was begun.
        for before in [false, true] {
            let (_, mut map) = unrecorded(restored);
            let early = map.snapshot();
            map.record();
            let mut log = if before { early } else { map.snapshot() };
            map.put(START, 3, 3);
            log.extend(map.take_log());
            assert_eq!(restore(START, id(1, 9), &log).map(|again| held(&again)), Ok(held(&map)));
        }
        // With one that was too early.
        let (_, mut map) = unrecorded(restored);
        let mut log = map.snapshot();
        map.put(START, 4, 4);
        map.record();
        map.put(START, 3, 3);
        log.extend(map.take_log());
        assert_eq!(restore(START, id(1, 9), &log).err(), Some(RestoreError::Damaged));
    }
}

/// Without it the map would cover what the other wrote first, and have other replicas delete it.
#[test]
fn a_log_that_lost_one_session_does_not_start() {
    let map = |node| Map::new(id(node, 1), Config::default(), LastWriter);
    let (mut ours, mut other) = (map(1), map(2));
    ours.record();
    let mut log = ours.take_log();
    other.merge(START, (1..6).map(|key| (key, key)));
    link(START, &mut ours, &mut other);
    exchange(START, &mut ours, &mut other, |_, _| ());
    let lost = ours.take_log();
    assert_eq!(format!("{lost:?}"), "[Record(session of 5 keys)]");
    ours.peer_down(START, other.id());
    other.peer_down(START, ours.id());
    other.merge(START, (6..10).map(|key| (key, key)));
    link(START, &mut ours, &mut other);
    exchange(START, &mut ours, &mut other, |_, _| ());
    log.extend(ours.take_log());
    let start = Map::restore(START, id(1, 2), Config::default(), LastWriter, log);
    assert_eq!(start.map(|map| map.len()).err(), Some(RestoreError::Damaged));
}
