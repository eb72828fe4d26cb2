//! The embedded store on a disk that crashes.

use std::fmt::Debug;

use delta_crdt::{Record, RedbError, RedbStorage, Replica, Storage};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::disk::{Crash, Deed, Disk, windows};
use super::life::{Log, config, id, life, restore};
use crate::support::START;

/// A call of the store.
enum Call<V> {
    Append(Vec<Record<u64, V>>),
    Replace(Vec<Record<u64, V>>),
}

/// What was done to the disk by some calls, and what the store holds after each; before the first, nothing.
fn run<V>(calls: &[Call<V>]) -> (Vec<Deed>, Vec<Vec<Record<u64, V>>>)
where
    V: Clone + Serialize + DeserializeOwned,
{
    let disk = Disk::default();
    let mut storage = RedbStorage::on_backend(disk.clone()).expect("a new database opens");
    disk.act(Deed::Acknowledge(0));
    let mut contents = vec![Vec::new()];
    for (number, call) in calls.iter().enumerate() {
        match call {
            Call::Append(records) => {
                storage.append(records).expect("the append succeeds");
                contents.push([&contents[number][..], &records[..]].concat());
            }
            Call::Replace(records) => {
                storage.replace(records).expect("the snapshot is written");
                contents.push(records.clone());
            }
        }
        disk.act(Deed::Acknowledge(number + 1));
    }
    drop(storage);
    (disk.deeds(), contents)
}

/// The store opens and holds what was acknowledged, or that and the call that was under way, whole. If it shall, it goes on from
/// there.
fn check<V>(crash: Crash, contents: &[Vec<Record<u64, V>>], goes_on: bool) -> Vec<Record<u64, V>>
where
    V: Clone + PartialEq + Debug + Serialize + DeserializeOwned,
{
    let Crash { image, acknowledged, what } = crash;
    let disk = Disk::with(image);
    let open = |disk: &Disk| {
        RedbStorage::on_backend(disk.clone())
            .unwrap_or_else(|error| panic!("{what}: it does not open: {error}"))
    };
    let mut storage = open(&disk);
    let read: Vec<Record<u64, V>> = storage.load().unwrap_or_else(|error| panic!("{what}: {error}"));
    let allowed = &contents[acknowledged..contents.len().min(acknowledged + 2)];
    assert!(allowed.contains(&read), "{what}: {} records after {acknowledged} calls", read.len());
    if let Some(last) = read.last().filter(|_| goes_on) {
        storage.append(std::slice::from_ref(last)).unwrap_or_else(|error| panic!("{what}: {error}"));
        drop(storage);
        let again: Vec<Record<u64, V>> = open(&disk).load().unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(again[..again.len() - 1] == read && again.last() == Some(last), "{what}: it does not go on");
    }
    read
}

/// Turns of some records each, with two snapshots between them, as a driver writes them.
fn calls() -> Vec<Call<u64>> {
    let steps = life().steps;
    let mut calls = Vec::new();
    for (turn, steps) in steps.chunks(6).enumerate() {
        calls.push(Call::Append(steps.iter().flat_map(|step| step.records.iter().cloned()).collect()));
        if let (3 | 7, Some(last)) = (turn, steps.last()) {
            calls.push(Call::Replace(last.snapshot.clone()));
        }
    }
    assert!(calls.len() > 10, "{} calls", calls.len());
    calls
}

fn is_a_state(log: &Log) {
    let restored = restore(START, id(1, 2), log).expect("what is read is a state");
    restored.check_invariants();
}

#[test]
fn a_crash_at_any_write_of_an_append_or_a_snapshot_leaves_all_of_it_or_none() {
    let (deeds, contents) = run(&calls());
    contents.iter().for_each(is_a_state);
    let mut crashes = 0;
    for window in windows(&deeds) {
        for crash in window.in_order() {
            check(crash, &contents, crashes % 4 == 0);
            crashes += 1;
        }
    }
    assert!(crashes > 100, "{crashes} crashes");
}

#[test]
fn a_crash_that_loses_any_of_what_was_not_synced_loses_nothing_that_was_durable() {
    let (deeds, contents) = run(&calls());
    let (mut old, mut new) = (0, 0);
    for window in windows(&deeds) {
        for crash in window.in_any_order(8) {
            let acknowledged = crash.acknowledged;
            match check(crash, &contents, (old + new) % 4 == 0) == contents[acknowledged] {
                true => old += 1,
                false => new += 1,
            }
        }
    }
    assert!(old > 50 && new > 10, "{old} crashes left the old state, {new} the new one");
}

/// Each value is of half the file that a new database has.
fn large() -> Vec<Call<Vec<u8>>> {
    let mut map = Replica::<u64, Vec<u8>>::new(id(1, 1), config(), delta_crdt::LastWriter);
    map.record();
    let mut turn = |key: u64| {
        map.put(START, key, vec![key as u8 + 1; 600_000]);
        Call::Append(map.take_log())
    };
    (0..2).map(&mut turn).collect()
}

#[test]
fn a_crash_while_the_file_grows_loses_nothing_that_was_durable() {
    let (deeds, contents) = run(&large());
    let mut growths = 0;
    let windows = windows(&deeds);
    for (at, window) in windows.iter().enumerate() {
        // The window in which the length was set, and the one after it, that writes what needs it.
        if window.grows() || at > 0 && windows[at - 1].grows() {
            window.in_any_order(4).for_each(|crash| _ = check(crash, &contents, false));
            growths += 1;
        }
    }
    assert!(growths > 0, "the file grew");
}

/// Nothing was acknowledged yet: it may not open, and then it says so.
#[test]
fn a_crash_while_the_database_is_made_leaves_an_empty_one_or_an_error() {
    let disk = Disk::default();
    drop(RedbStorage::on_backend(disk.clone()).expect("a new database opens"));
    let mut image = Vec::new();
    let mut opened = 0;
    for deed in disk.deeds() {
        let storage: Result<Log, RedbError> =
            RedbStorage::on_backend(Disk::with(image.clone())).and_then(|mut storage| storage.load());
        if let Ok(log) = storage {
            assert!(log.is_empty());
            opened += 1;
        }
        deed.play(&mut image);
    }
    assert!(opened > 1, "{opened}");
}

#[test]
fn a_file_keeps_a_map_through_restarts_and_a_snapshot() {
    let path = std::env::temp_dir().join(format!("delta-crdt-{}.redb", std::process::id()));
    let life = life();
    let shown = &life.steps.last().expect("there are steps").shown;
    let mut storage = RedbStorage::open(&path).expect("a new file opens");
    for step in &life.steps {
        storage.append(&step.records).expect("the append succeeds");
    }
    drop(storage);
    let mut storage = RedbStorage::open(&path).expect("the file opens again");
    assert!(RedbStorage::open(&path).is_err(), "one program at a time");
    let records: Log = storage.load().expect("it loads");
    let map = restore(START, id(1, 2), &records).expect("the log is whole");
    assert_eq!(map.to_map(), *shown);
    storage.replace(&map.snapshot()).expect("the snapshot is written");
    let records: Log = storage.load().expect("it loads");
    assert_eq!(records.len(), 2, "one record per shard");
    let again = restore(START, id(1, 3), &records).expect("a snapshot is a log");
    assert_eq!(again.to_map(), *shown);
    drop(storage);
    std::fs::remove_file(path).expect("the file is there");
}
