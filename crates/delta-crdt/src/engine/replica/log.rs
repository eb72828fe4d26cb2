//! Recording what changes the state, and starting from such a record.
//!
//! Records are numbered from 1 on, through all lives of a log, and steps that were not recorded count as well: so a number that is left
//! out is a step that the log does not show. What comes after it may rely on that step, a session above all: it raises the vector and
//! brings only what this replica lacked.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::Replica;
use super::pull::Unreadable;
use super::serve::pack;
use crate::engine::dictionary::Dictionary;
use crate::engine::park::Write;
use crate::engine::shard::{Context, Entry, Joined, Offered, Runs};
use crate::message::{Batch, Commit, Op};
use crate::storage::{Record, RestoreError, Step};
use crate::{Config, Key, Now, ReplicaId, Stamp, Winner};

/// A session of a replica that wrote nothing and holds nothing: only the name of the own life comes of it.
fn nothing_but_a_name<K, V>() -> Joined<K, V> {
    let no_keys = (Vec::new(), Runs::default());
    Joined::new(no_keys, BTreeMap::from([(0, 0)]), BTreeMap::new(), false)
}

/// No log is that long.
const LAST_NUMBER: u64 = u64::MAX >> 1;

/// How far the records of a replica go.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbering {
    /// Of the last record that was taken, or that the replica started from.
    last: u64,
    /// Steps of all vectors at the start: those since then are in no record while nothing is recorded.
    steps: u64,
}

/// How far a log has been read.
#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    last: u64,
    /// Number of the snapshot that is being read, and the shard that comes next.
    part: Option<(u64, u16)>,
}

impl Reading {
    /// Whether a record is news; an error if it does not follow from what was read.
    fn follow<K, V>(&mut self, record: &Record<K, V>) -> Result<bool, RestoreError> {
        let number = record.number;
        match (&record.step, self.part) {
            _ if number > LAST_NUMBER => Err(RestoreError::Damaged),
            (Step::Snapshot(_, commit), part) => {
                let due = part.unwrap_or((number, 0));
                if due != (number, commit.shard) {
                    return Err(RestoreError::Damaged);
                }
                let next = commit.shard + 1;
                self.part = (u32::from(next) < 1 << record.shards).then_some((number, next));
                if self.part.is_none() {
                    self.last = self.last.max(number);
                }
                Ok(true)
            }
            (_, Some(_)) => Err(RestoreError::Damaged),
            (_, None) if number > self.last + 1 => Err(RestoreError::Damaged),
            (_, None) => {
                let is_news = number > self.last;
                self.last = self.last.max(number);
                Ok(is_news)
            }
        }
    }

    fn end(self) -> Result<u64, RestoreError> {
        if self.part.is_some() { Err(RestoreError::Damaged) } else { Ok(self.last) }
    }
}

impl<K, V> Record<K, V> {
    /// All lives that it names.
    fn names(&self) -> impl Iterator<Item = ReplicaId> {
        let (writes, fragment, commit) = match &self.step {
            Step::Write(batch) => (&batch.origins[..], &[][..], &[][..]),
            Step::Join(fragment, commit) | Step::Snapshot(fragment, commit) => {
                (&[][..], &fragment.origins[..], &commit.origins[..])
            }
        };
        writes.iter().chain(commit).copied().chain(fragment.iter().map(|origin| origin.0))
    }

    /// True if it does nothing but name lives.
    fn brings_nothing(&self) -> bool {
        match &self.step {
            Step::Write(batch) => batch.ops.is_empty(),
            Step::Join(fragment, commit) | Step::Snapshot(fragment, commit) => {
                fragment.entries.is_empty()
                    && commit.vector.iter().chain(&commit.floors).all(|entry| entry.1 == 0)
            }
        }
    }

    fn is_written_by(&self, id: ReplicaId) -> bool {
        matches!(&self.step, Step::Write(batch) if batch.origins.first() == Some(&id))
    }
}

impl From<Unreadable> for RestoreError {
    fn from(error: Unreadable) -> Self {
        match error {
            Unreadable::TooMany => Self::TooMany,
            Unreadable::Nonsense => Self::Damaged,
        }
    }
}

impl<K: Key, V: Clone, W: Winner<V>> Replica<K, V, W> {
    /// Begins to record what changes the state, for [`Replica::take_log`]. Every write then costs two more copies of key and value.
    ///
    /// The first record names this life. Once it is durable, [`Replica::restore`] refuses this epoch and all before it, whether
    /// the life wrote anything or not: so take it and append it at once, before anything is pushed.
    ///
    /// What this replica wrote or heard before this call is in no record, unless it was restored from the log and did neither since.
    /// Store a [`Replica::snapshot`] then, taken now or later, in the place of the log, before the first records are appended: a log
    /// without it is refused as [`RestoreError::Damaged`]. A second call does nothing.
    pub fn record(&mut self) {
        if !self.is_recording() {
            self.numbering.last = self.last_number();
        }
        for (place, shard) in self.shards.iter_mut().enumerate() {
            if shard.log.is_none() {
                let first = (place == 0).then(|| Entry::Join(nothing_but_a_name()));
                shard.log = Some(first.into_iter().collect());
            }
        }
    }

    fn is_recording(&self) -> bool {
        self.shards.iter().any(|shard| shard.log.is_some())
    }

    /// Steps of all vectors.
    fn steps(&self) -> u64 {
        self.shards.iter().map(|shard| shard.version).sum()
    }

    /// The number of the last record that was taken; what was not recorded counts by steps.
    fn last_number(&self) -> u64 {
        let Numbering { last, steps } = self.numbering;
        if self.is_recording() { last } else { last + (self.steps() - steps) }
    }

    /// Takes what was recorded since the last call, in order. Appended to a log in this order, any prefix of it is a state
    /// to start from. Records are given once: keep them until they are appended. If one is missing in a log that goes on after it,
    /// [`Replica::restore`] refuses that log.
    ///
    /// Writes may be pushed before they are durable: what a crash takes comes back from the peers, since the next start has
    /// a new epoch.
    pub fn take_log(&mut self) -> Vec<Record<K, V>> {
        let logs: Vec<_> =
            self.shards.iter_mut().map(|shard| shard.log.as_mut().map(core::mem::take)).collect();
        let mut records = Vec::new();
        for (place, log) in logs.into_iter().enumerate() {
            for entry in log.unwrap_or_default() {
                let step = match entry {
                    Entry::Write(write) => Step::Write(self.write_record(write)),
                    Entry::Join(session) => {
                        let keys = session.entries().map(|(key, sibs)| (key, sibs.as_slice()));
                        let mut names = Dictionary::default();
                        let mut name = |entries: &BTreeMap<u32, u64>| {
                            let named = entries.iter().map(|(&o, &seq)| (names.place(&self.origins, o), seq));
                            named.collect::<Vec<_>>()
                        };
                        let (vector, floors) = (name(&session.vector), name(&session.floors));
                        let commit = Commit {
                            whole: session.whole,
                            vector,
                            floors,
                            origins: names.ids,
                            ..self.commit(place as u16)
                        };
                        Step::Join(pack(&self.origins, place as u16, keys), commit)
                    }
                };
                records.push(self.wrap(0, step));
            }
        }
        // A write names the life as well.
        if let [first, second, ..] = &records[..]
            && first.brings_nothing()
            && second.is_written_by(self.id)
        {
            records.remove(0);
        }
        for record in &mut records {
            self.numbering.last += 1;
            record.number = self.numbering.last;
        }
        records
    }

    /// The whole state as a log, to replace a long one: a record for each shard, all of which are stored at once, as
    /// [`Storage::replace`](crate::Storage::replace) does. What [`Replica::take_log`] gives afterwards is appended to it, what was
    /// recorded before and not taken yet among it.
    pub fn snapshot(&self) -> Vec<Record<K, V>> {
        let number = self.last_number();
        let record = |(place, shard): (usize, &crate::engine::shard::Shard<K, V>)| {
            let keys = shard.store.iter().map(|(_, key, sibs)| (key, sibs.as_slice()));
            let mut commit = Commit { whole: true, ..self.commit(place as u16) };
            // A life that wrote nothing is named too.
            if place == 0 && !commit.origins.contains(&self.id) {
                commit.vector.push((commit.origins.len() as u32, 0));
                commit.origins.push(self.id);
            }
            self.wrap(number, Step::Snapshot(pack(&self.origins, place as u16, keys), commit))
        };
        self.shards.iter().enumerate().map(record).collect()
    }

    /// Starts from a log. `id` must have an epoch above those of all former lives of its node.
    ///
    /// The replica covers what the log holds and pulls the rest, its own former writes among it. A used epoch is refused if the
    /// log shows it: by the first record of that life or of a later one (see [`Replica::record`]), by a snapshot that it or a later
    /// one made, or by any of their writes, of which peers may have told. A log without all of these cannot show it.
    ///
    /// # Errors
    /// [`RestoreError`]; there is no replica then, and the log is as it was.
    pub fn restore(
        now: Now,
        id: ReplicaId,
        config: Config,
        winner: W,
        log: impl IntoIterator<Item = Record<K, V>>,
    ) -> Result<Self, RestoreError> {
        let mut replica = Self::new(id, config, winner);
        let mut reading = Reading::default();
        for record in log {
            if usize::from(record.shards) != replica.shards.len().trailing_zeros() as usize {
                return Err(RestoreError::Shards);
            }
            if record.names().any(|named| named.node == id.node && named.epoch >= id.epoch) {
                return Err(RestoreError::Epoch);
            }
            let is_news = reading.follow(&record)?;
            // A name has done its service: lives that wrote nothing shall not pile up among the origins.
            if !is_news || record.brings_nothing() {
                continue;
            }
            match record.step {
                Step::Write(batch) => replica.replay_write(now, batch)?,
                Step::Join(fragment, commit) | Step::Snapshot(fragment, commit) => {
                    let place = usize::from(commit.shard);
                    let fragments = BTreeMap::from([(0, fragment)]);
                    let session = replica.joined(now, fragments, &commit).map_err(RestoreError::from)?;
                    if !session.is_sound() || place >= replica.shards.len() {
                        return Err(RestoreError::Damaged);
                    }
                    let cx =
                        Context { origins: &replica.origins, winner: &replica.winner, rules: replica.rules };
                    replica.shards[place].join(&cx, session, &mut Vec::new());
                }
            }
        }
        replica.numbering = Numbering { last: reading.end()?, steps: replica.steps() };
        replica.outputs.clear();
        replica.note_tombstones(now);
        Ok(replica)
    }

    fn replay_write(&mut self, now: Now, batch: Batch<K, V>) -> Result<(), RestoreError> {
        let numbers = self.origins.intern_all(&batch.origins).ok_or(RestoreError::TooMany)?;
        let &origin = numbers.first().ok_or(RestoreError::Damaged)?;
        for mut op in batch.ops {
            for dot in op.obs.as_mut_slice() {
                dot.0 = *numbers.get(dot.0 as usize).ok_or(RestoreError::Damaged)?;
            }
            let hash = op.key.stable_hash();
            let stamp = Stamp::from_bits(batch.stamp.wrapping_add_signed(op.stamp));
            let write = Write { origin, seq: op.seq, stamp, hash, key: op.key, value: op.value, obs: op.obs };
            let cx = Context { origins: &self.origins, winner: &self.winner, rules: self.rules };
            let place = self.place(hash);
            if self.shards[place].offer(&cx, write, None, 0, &mut Vec::new()) == Offered::Refused {
                return Err(RestoreError::Damaged);
            }
            self.observe(now, origin, stamp);
        }
        Ok(())
    }

    fn write_record(&self, write: Write<K, V>) -> Batch<K, V> {
        let mut names = Dictionary::default();
        names.place(&self.origins, write.origin);
        let Write { seq, stamp, key, value, mut obs, .. } = write;
        for dot in obs.as_mut_slice() {
            dot.0 = names.place(&self.origins, dot.0);
        }
        Batch {
            origins: names.ids,
            stamp: stamp.to_bits(),
            ops: Vec::from([Op { seq, stamp: 0, key, value, obs }]),
        }
    }

    fn wrap(&self, number: u64, step: Step<K, V>) -> Record<K, V> {
        Record { shards: self.shards.len().trailing_zeros() as u8, number, step }
    }
}
