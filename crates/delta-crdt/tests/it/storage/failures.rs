//! A disk that fails once, and what a driver does then.

use delta_crdt::{LastWriter, RedbStorage, RestoreError, Storage};

use super::disk::Disk;
use super::life::{Held, Log, Map, config, exchange, held, id, later, link, restore};
use crate::support::START;

/// What a driver does when an append fails.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    /// The same records again, before any later ones.
    Again,
    /// A snapshot in the place of all.
    Snapshot,
    /// It goes on without them.
    GoesOn,
}

/// Some turns on a disk that fails once, at deed `fails` after it was opened. What a start from the file is then, and what it
/// should be; `None` once the disk did not come to fail.
fn turns(fails: usize, then: Then) -> Option<(Result<Held, RestoreError>, Held)> {
    let disk = Disk::default();
    let open = |disk: &Disk| RedbStorage::on_backend(disk.clone()).expect("it opens");
    let mut storage = open(&disk);
    disk.fail_after(fails);
    let mut map = Map::new(id(1, 1), config(), LastWriter);
    map.record();
    let mut failed = false;
    for turn in 0..6 {
        // Turns of one write, and of one session with somebody who was not there before: nothing but the log itself shows what is
        // missing.
        if turn % 2 == 0 {
            map.put(later(turn), turn, turn);
            map.flush(later(turn));
        } else {
            let mut other = Map::new(id(1 + turn, 1), config(), LastWriter);
            other.merge(later(turn), (0..4).map(|key| (10 + 4 * (turn / 2) + key, turn)));
            link(later(turn), &mut map, &mut other);
            exchange(later(turn), &mut map, &mut other, |_, _| ());
            map.peer_down(later(turn), other.id());
        }
        while map.poll_output().is_some() {}
        let records = map.take_log();
        if turn == 5 && disk.is_yet_to_fail() {
            return None;
        }
        if storage.append(&records).is_err() {
            failed = true;
            // The database does nothing more after an error of its file: it is opened anew.
            drop(storage);
            storage = open(&disk);
            match then {
                Then::Again => storage.append(&records).expect("the disk is well again"),
                Then::Snapshot => storage.replace(&map.snapshot()).expect("the disk is well again"),
                Then::GoesOn => {}
            }
        }
    }
    assert!(failed, "deed {fails} was of an append");
    let log: Log = storage.load().expect("it can be read");
    Some((restore(START, id(1, 2), &log).map(|map| held(&map)), held(&map)))
}

#[test]
fn an_append_that_fails_loses_nothing_if_it_is_made_again_and_is_noticed_if_it_is_not() {
    let (mut noticed, mut landed) = (0, 0);
    for fails in 0.. {
        for then in [Then::Again, Then::Snapshot, Then::GoesOn] {
            let Some((start, expected)) = turns(fails, then) else {
                assert!(noticed > 10, "{noticed} holes; {landed} appends failed and were there all the same");
                return;
            };
            match start {
                Ok(held) => {
                    assert_eq!(held, expected, "deed {fails}");
                    landed += usize::from(then == Then::GoesOn);
                }
                Err(error) => {
                    assert!(then == Then::GoesOn && error == RestoreError::Damaged, "deed {fails}: {error}");
                    noticed += 1;
                }
            }
        }
    }
}
