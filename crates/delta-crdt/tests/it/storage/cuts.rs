//! A byte log that was cut at any byte, and the lives that begin with what is left of it.

use std::collections::BTreeSet;

use delta_crdt::read_frames;

use super::life::{Held, Ledger, Life, Map, Name, bytes, exchange, held, id, later, life, link, restore};
use crate::support::START;

#[test]
fn a_log_cut_at_any_byte_is_the_state_after_its_whole_records() {
    let Life { steps, .. } = life();
    let mut records = Vec::new();
    for step in &steps {
        records.extend(step.records.iter().cloned());
        assert!(step.records.len() <= 1, "what is held is known after each record");
        let restored = restore(START, id(1, 2), &records).expect("a prefix is a state");
        restored.check_invariants();
        assert_eq!(held(&restored), step.held, "after {} records", records.len());
        assert_eq!(restored.to_map(), step.shown, "after {} records", records.len());
    }
    assert!(records.len() > 50, "{} records", records.len());
    // A log is what is read of it: with the above, each cut is the state after the last record that is whole.
    let (log, ends) = bytes(&records);
    for cut in 0..=log.len() {
        let whole = ends.partition_point(|&end| end <= cut) - 1;
        let (read, end) = read_frames::<u64, u64>(&log[..cut]);
        assert_eq!((read.len(), end), (whole, ends[whole]), "cut at {cut}");
        assert!(read == records[..whole], "cut at {cut}");
    }
}

#[test]
fn a_torn_end_that_was_never_written_or_is_garbage_is_cut_off() {
    let records = life().records();
    let (log, ends) = bytes(&records);
    for (whole, frame) in ends.windows(2).enumerate() {
        let frame = &log[frame[0]..frame[1]];
        for cut in 0..frame.len() {
            // The file had its length, and its end was not written. Only if zeros were to come is the record there.
            let unwritten = [&log[..ends[whole]], &frame[..cut], &vec![0; frame.len() - cut + 16]].concat();
            let is_there = frame[cut..].iter().all(|&byte| byte == 0);
            let read = read_frames::<u64, u64>(&unwritten);
            assert_eq!(read.1, ends[whole + usize::from(is_there)], "record {whole}, cut at {cut}");
            for change in [1, 0x10, 0xff] {
                let mut bad = frame.to_vec();
                bad[cut] ^= change;
                assert_eq!(read_frames::<u64, u64>(&bad).1, 0, "record {whole}, byte {cut} changed");
            }
        }
    }
}

/// Two replicas that go on after one of them started again, and the file that this one writes.
struct After {
    ours: Map,
    other: Map,
    ledger: Ledger,
    file: Vec<u8>,
}

impl After {
    fn save(&mut self) {
        self.ledger.note(&held(&self.ours));
        self.file.extend(bytes(&self.ours.take_log()).0);
    }

    /// Both write without knowing of each other: keys of their own, and the same ones.
    fn write(&mut self, at: u64) {
        for key in 0..6 {
            self.ledger.write(later(at + key), &mut self.ours, key, Some(at + key));
            self.ledger.write(later(at + key), &mut self.other, 2 * key, Some(at + 100 + key));
        }
        self.ledger.write(later(at + 7), &mut self.ours, 3, None);
        self.ledger.write(later(at + 7), &mut self.other, 4, None);
        self.save();
    }

    fn exchange(&mut self, at: u64) {
        let Self { ours, other, ledger, .. } = self;
        exchange(later(at), ours, other, |ours, other| {
            ledger.note(&held(ours));
            ledger.note(&held(other));
        });
        self.save();
        self.ours.check_invariants();
        self.other.check_invariants();
    }

    /// The replica that keeps a log crashes and starts again from what is in its file. `epoch` is its new one.
    fn restart(&mut self, at: u64, epoch: u64) -> Held {
        let (records, length) = read_frames(&self.file);
        self.file.truncate(length);
        let old = self.ours.id();
        self.ours = restore(later(at), id(1, epoch), &records).expect("a prefix is a state");
        self.ours.record();
        let held = held(&self.ours);
        self.save();
        self.other.peer_down(later(at), old);
        while self.other.poll_output().is_some() {}
        held
    }

    fn live(&mut self, at: u64) {
        self.write(at);
        link(later(at + 20), &mut self.ours, &mut self.other);
        self.exchange(at + 20);
        self.write(at + 30);
        self.exchange(at + 50);
    }

    fn values(map: &Map) -> BTreeSet<Name> {
        held(map).into_iter().filter(|write| write.1.2.is_some()).map(|write| write.0).collect()
    }
}

/// Cuts within one record are equal, as the test above shows: so one at each record's end and one within each are all.
#[test]
fn two_lives_after_a_cut_lose_nothing_durable_and_no_name_is_of_two_writes() {
    let records = life().records();
    let (log, ends) = bytes(&records);
    for whole in 0..ends.len() {
        let Life { ours, other, ledger, heard, steps } = life();
        let within = ends.get(whole + 1).map_or(log.len(), |next| (ends[whole] + next) / 2);
        let mut after = After { ours, other, ledger, file: log[..within].to_vec() };
        let durable: BTreeSet<Name> =
            steps[..=whole].iter().flat_map(|step| step.held.keys().copied()).collect();
        assert_eq!(after.restart(1_000, 2), steps[whole].held, "cut after {whole} records");
        after.live(1_000);
        // This time the file is whole: all that was held is there again.
        let before = held(&after.ours);
        assert_eq!(after.restart(2_000, 3), before, "cut after {whole} records");
        after.live(2_000);

        assert!(after.ledger.clashes.is_empty(), "cut after {whole} records: {:?}", after.ledger.clashes);
        assert_eq!(after.ours.to_map(), after.other.to_map(), "cut after {whole} records");
        // Lost are only writes of the first life that were not durable and that nobody heard of.
        let is_known =
            |name: &Name| name.1.origin != id(1, 1) || durable.contains(name) || heard.contains(name);
        let known = after.ledger.writes.keys().copied().filter(is_known).collect();
        let alive = after.ledger.alive(known);
        assert_eq!(After::values(&after.ours), alive, "cut after {whole} records");
        assert_eq!(After::values(&after.other), alive, "cut after {whole} records");
    }
}

/// That the test above can fail: nothing was durable, so nothing shows that the epoch is used.
#[test]
fn the_ledger_notices_a_life_under_a_used_epoch() {
    let Life { ours, other, ledger, .. } = life();
    let mut after = After { ours, other, ledger, file: Vec::new() };
    after.restart(1_000, 1);
    after.write(1_000);
    assert!(!after.ledger.clashes.is_empty());
}
