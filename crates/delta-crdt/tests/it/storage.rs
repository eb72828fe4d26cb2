//! Restarts from a log that was cut anywhere.

use std::collections::BTreeMap;
use std::time::Duration;

use delta_crdt::{
    Config, LastWriter, Now, Output, Record, Replica, ReplicaId, RestoreError, append_frame, read_frames,
};

use crate::support::START;

type Map = Replica<u64, u64>;

fn id(node: u64, epoch: u64) -> ReplicaId {
    ReplicaId::new(node, epoch)
}

fn config() -> Config {
    Config { shards: 2, max_batch_ops: 3, ..Config::default() }
}

fn later(now: Now, ms: u64) -> Now {
    Now { monotonic: now.monotonic + Duration::from_millis(ms), unix_ms: now.unix_ms + ms }
}

/// Carries messages between two replicas until there are none.
fn exchange(now: Now, a: &mut Map, b: &mut Map) {
    loop {
        a.flush(now);
        b.flush(now);
        let (from_a, from_b) = (a.poll_output(), b.poll_output());
        if from_a.is_none() && from_b.is_none() {
            return;
        }
        if let Some(Output::Send { message, .. }) = from_a {
            b.receive(now, a.id(), message);
        }
        if let Some(Output::Send { message, .. }) = from_b {
            a.receive(now, b.id(), message);
        }
    }
}

fn meet(now: Now, a: &mut Map, b: &mut Map) {
    let (a_id, b_id) = (a.id(), b.id());
    a.peer_up(now, b_id);
    b.peer_up(now, a_id);
    exchange(now, a, b);
}

/// What a turn recorded, and what was shown after it.
type Turn = (Vec<Record<u64, u64>>, BTreeMap<u64, u64>);

/// A replica that recorded a life with a peer: the peer, the log after each turn, and what was shown then.
fn life() -> (Map, Vec<Turn>) {
    let (mut ours, mut other) =
        (Map::new(id(1, 1), config(), LastWriter), Map::new(id(2, 1), config(), LastWriter));
    ours.record();
    other.merge(START, (100..110).map(|key| (key, key)));
    let mut turns = vec![(Vec::new(), BTreeMap::new())];
    meet(START, &mut ours, &mut other);
    for turn in 0..12_u64 {
        let now = later(START, turn);
        ours.put(now, turn, turn);
        ours.put(now, turn % 3, 1_000 + turn);
        other.put(now, 50 + turn, turn);
        other.put(now, turn % 3, 2_000 + turn);
        if turn % 4 == 3 {
            ours.remove(now, &(turn - 1));
            other.remove(now, &(100 + turn));
        }
        if turn % 2 == 0 {
            exchange(now, &mut ours, &mut other);
        }
        turns.push((ours.take_log(), ours.to_map()));
    }
    (other, turns)
}

#[test]
fn a_log_cut_at_any_byte_loses_nothing_that_was_durable() {
    let (_, turns) = life();
    let mut log = Vec::new();
    let ends: Vec<usize> = turns
        .iter()
        .map(|(records, _)| {
            records.iter().for_each(|record| append_frame(&mut log, record));
            log.len()
        })
        .collect();
    for cut in 0..=log.len() {
        let (records, end) = read_frames(&log[..cut]);
        assert!(end <= cut);
        let restored =
            Map::restore(START, id(1, 2), config(), LastWriter, records).expect("a prefix is a state");
        restored.check_invariants();
        if let Some(turn) = ends.iter().rposition(|&end| end == cut) {
            assert_eq!(restored.to_map(), turns[turn].1, "after turn {turn}");
        }
    }
}

#[test]
fn a_replica_from_a_cut_log_and_its_peer_agree_and_no_number_is_used_twice() {
    let (_, turns) = life();
    let mut log = Vec::new();
    turns.iter().flat_map(|turn| &turn.0).for_each(|record| append_frame(&mut log, record));
    let last = turns.last().expect("there are turns").1.clone();
    for cut in (0..=log.len()).step_by(37) {
        let mut other = life().0;
        let now = later(START, 1_000);
        other.peer_down(now, id(1, 1));
        while other.poll_output().is_some() {}
        let (records, _) = read_frames(&log[..cut]);
        let mut restored =
            Map::restore(now, id(1, 2), config(), LastWriter, records).expect("a prefix is a state");
        restored.put(now, 7_777, cut as u64);
        meet(now, &mut restored, &mut other);
        restored.check_invariants();
        other.check_invariants();
        assert_eq!(restored.to_map(), other.to_map(), "cut at {cut}");
        assert_eq!(restored.get(&7_777), Some(&(cut as u64)));
        assert_eq!(restored.dot(&7_777).map(|dot| dot.origin), Some(id(1, 2)));
        if cut == log.len() {
            assert!(last.keys().all(|key| restored.contains_key(key)));
        }
    }
}

#[test]
fn a_snapshot_stands_for_the_whole_log() {
    let (_, turns) = life();
    let records = turns.iter().flat_map(|turn| turn.0.clone());
    let restored = Map::restore(START, id(1, 2), config(), LastWriter, records).expect("the log is whole");
    let again =
        Map::restore(START, id(1, 3), config(), LastWriter, restored.snapshot()).expect("so is a snapshot");
    again.check_invariants();
    assert_eq!(again.to_map(), restored.to_map());
    let dots = |map: &Map, key: &u64| map.siblings(key).map(|sibling| sibling.dot).collect::<Vec<_>>();
    assert!((0..200).all(|key| dots(&again, &key) == dots(&restored, &key)));
}

#[test]
fn a_start_in_a_used_epoch_or_with_other_shards_or_with_a_hole_is_refused() {
    let (_, turns) = life();
    let records: Vec<_> = turns.iter().flat_map(|turn| turn.0.clone()).collect();
    let start = |id, config, records| Map::restore(START, id, config, LastWriter, records).err();
    assert_eq!(start(id(1, 1), config(), records.clone()), Some(RestoreError::Epoch));
    assert_eq!(start(id(1, 2), Config::default(), records.clone()), Some(RestoreError::Shards));
    assert_eq!(start(id(1, 2), config(), records[10..].to_vec()), Some(RestoreError::Damaged));
}

#[cfg(feature = "redb")]
mod embedded {
    use std::io;
    use std::sync::{Arc, Mutex};

    use delta_crdt::{RedbStorage, Storage};

    use super::*;

    /// What a database did to its file.
    #[derive(Clone, Debug)]
    enum Deed {
        Write(u64, Vec<u8>),
        Length(u64),
        Acknowledge(usize),
    }

    /// A file in memory that keeps all that was done to it.
    #[derive(Clone, Debug, Default)]
    struct Disk {
        image: Arc<Mutex<Vec<u8>>>,
        deeds: Arc<Mutex<Vec<Deed>>>,
    }

    impl Disk {
        fn play(&self, deed: &Deed) {
            let mut image = self.image.lock().expect("no test thread panics with it");
            match deed {
                Deed::Write(offset, data) => {
                    let end = *offset as usize + data.len();
                    if image.len() < end {
                        image.resize(end, 0);
                    }
                    image[*offset as usize..end].copy_from_slice(data);
                }
                Deed::Length(length) => image.resize(*length as usize, 0),
                Deed::Acknowledge(_) => {}
            }
        }

        fn act(&self, deed: Deed) {
            self.play(&deed);
            self.deeds.lock().expect("no test thread panics with it").push(deed);
        }
    }

    impl redb::StorageBackend for Disk {
        fn len(&self) -> io::Result<u64> {
            Ok(self.image.lock().expect("no test thread panics with it").len() as u64)
        }

        fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
            let image = self.image.lock().expect("no test thread panics with it");
            let part = image.get(offset as usize..offset as usize + len);
            part.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.act(Deed::Length(len));
            Ok(())
        }

        fn sync_data(&self, _eventual: bool) -> io::Result<()> {
            Ok(())
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.act(Deed::Write(offset, data.to_vec()));
            Ok(())
        }
    }

    fn loaded(disk: Disk) -> Vec<Record<u64, u64>> {
        RedbStorage::on_backend(disk).expect("the database opens").load().expect("the records are read")
    }

    #[test]
    fn a_crash_at_any_write_of_the_database_loses_nothing_that_was_durable() {
        let (_, turns) = life();
        let disk = Disk::default();
        let mut storage = RedbStorage::on_backend(disk.clone()).expect("a new database opens");
        let made = disk.deeds.lock().expect("no test thread panics with it").len();
        for (turn, (records, _)) in turns.iter().enumerate() {
            storage.append(records).expect("the append succeeds");
            disk.act(Deed::Acknowledge(turn));
        }
        let deeds = disk.deeds.lock().expect("no test thread panics with it").clone();
        let crashed = Disk::default();
        let mut acknowledged = 0;
        for (at, deed) in deeds.iter().enumerate() {
            if let (Deed::Write(offset, data), true) = (deed, at >= made) {
                // The crash comes within this write: after none of it, after half of it.
                for part in [0, data.len() / 2] {
                    let torn = Disk::default();
                    torn.image
                        .lock()
                        .expect("no test thread panics with it")
                        .clone_from(&crashed.image.lock().expect("no test thread panics with it"));
                    torn.play(&Deed::Write(*offset, data[..part].to_vec()));
                    let records = loaded(torn);
                    let restored = Map::restore(START, id(1, 2), config(), LastWriter, records);
                    let shown = restored.expect("what is read is a state").to_map();
                    let allowed = &turns[acknowledged..turns.len().min(acknowledged + 2)];
                    assert!(allowed.iter().any(|turn| turn.1 == shown), "crash in deed {at}");
                }
            }
            crashed.play(deed);
            if let Deed::Acknowledge(turn) = deed {
                acknowledged = *turn;
            }
        }
    }

    #[test]
    fn a_file_keeps_a_map_through_restarts_and_a_snapshot() {
        let path = std::env::temp_dir().join(format!("delta-crdt-{}.redb", std::process::id()));
        let (_, turns) = life();
        let shown = &turns.last().expect("there are turns").1;
        let mut storage = RedbStorage::open(&path).expect("a new file opens");
        for (records, _) in &turns {
            storage.append(records).expect("the append succeeds");
        }
        drop(storage);
        let mut storage = RedbStorage::open(&path).expect("the file opens again");
        let map = Map::restore(START, id(1, 2), config(), LastWriter, storage.load().expect("it loads"));
        let map = map.expect("the log is whole");
        assert_eq!(map.to_map(), *shown);
        storage.replace(&map.snapshot()).expect("the snapshot is written");
        let records: Vec<Record<u64, u64>> = storage.load().expect("it loads");
        assert_eq!(records.len(), 2, "one record per shard");
        let again =
            Map::restore(START, id(1, 3), config(), LastWriter, records).expect("a snapshot is a log");
        assert_eq!(again.to_map(), *shown);
        drop(storage);
        std::fs::remove_file(path).expect("the file is there");
    }
}
