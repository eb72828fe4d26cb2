//! Recording what changes the state, and starting from such a record.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::Replica;
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

impl<K, V> Record<K, V> {
    /// All lives that it names.
    fn names(&self) -> impl Iterator<Item = ReplicaId> {
        let (writes, fragment, commit) = match &self.step {
            Step::Write(batch) => (&batch.origins[..], &[][..], &[][..]),
            Step::Join(fragment, commit) => (&[][..], &fragment.origins[..], &commit.origins[..]),
        };
        writes.iter().chain(commit).copied().chain(fragment.iter().map(|origin| origin.0))
    }

    /// True if it does nothing but name lives.
    fn brings_nothing(&self) -> bool {
        match &self.step {
            Step::Write(batch) => batch.ops.is_empty(),
            Step::Join(fragment, commit) => {
                fragment.entries.is_empty()
                    && commit.vector.iter().chain(&commit.floors).all(|entry| entry.1 == 0)
            }
        }
    }

    fn is_written_by(&self, id: ReplicaId) -> bool {
        matches!(&self.step, Step::Write(batch) if batch.origins.first() == Some(&id))
    }
}

impl<K: Key, V: Clone, W: Winner<V>> Replica<K, V, W> {
    /// Begins to record what changes the state, for [`Replica::take_log`]. Every write then costs two more copies of key and value.
    ///
    /// The first record names this life. Once it is durable, [`Replica::restore`] refuses this epoch and all before it, whether
    /// the life wrote anything or not: so take it and append it at once, before anything is pushed.
    pub fn record(&mut self) {
        for (place, shard) in self.shards.iter_mut().enumerate() {
            if shard.log.is_none() {
                let first = (place == 0).then(|| Entry::Join(nothing_but_a_name()));
                shard.log = Some(first.into_iter().collect());
            }
        }
    }

    /// Takes what was recorded since the last call, in order. Appended to a log in this order, any prefix of it is a state
    /// to start from.
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
                records.push(self.wrap(step));
            }
        }
        // A write names the life as well.
        if let [first, second, ..] = &records[..]
            && first.brings_nothing()
            && second.is_written_by(self.id)
        {
            records.remove(0);
        }
        records
    }

    /// The whole state as a log, to replace a long one.
    pub fn snapshot(&self) -> Vec<Record<K, V>> {
        let record = |(place, shard): (usize, &crate::engine::shard::Shard<K, V>)| {
            let keys = shard.store.iter().map(|(_, key, sibs)| (key, sibs.as_slice()));
            let mut commit = Commit { whole: true, ..self.commit(place as u16) };
            // A life that wrote nothing is named too.
            if place == 0 && !commit.origins.contains(&self.id) {
                commit.vector.push((commit.origins.len() as u32, 0));
                commit.origins.push(self.id);
            }
            self.wrap(Step::Join(pack(&self.origins, place as u16, keys), commit))
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
        for record in log {
            if usize::from(record.shards) != replica.shards.len().trailing_zeros() as usize {
                return Err(RestoreError::Shards);
            }
            if record.names().any(|named| named.node == id.node && named.epoch >= id.epoch) {
                return Err(RestoreError::Epoch);
            }
            // Its name has done its service: lives that wrote nothing shall not pile up among the origins.
            if record.brings_nothing() {
                continue;
            }
            match record.step {
                Step::Write(batch) => replica.replay_write(now, batch)?,
                Step::Join(fragment, commit) => {
                    let place = usize::from(commit.shard);
                    let fragments = BTreeMap::from([(0, fragment)]);
                    let session = replica.joined(now, fragments, &commit).ok().filter(|s| s.is_sound());
                    let session =
                        session.filter(|_| place < replica.shards.len()).ok_or(RestoreError::Damaged)?;
                    let cx =
                        Context { origins: &replica.origins, winner: &replica.winner, rules: replica.rules };
                    replica.shards[place].join(&cx, session, &mut Vec::new());
                }
            }
        }
        replica.outputs.clear();
        replica.note_tombstones(now);
        Ok(replica)
    }

    fn replay_write(&mut self, now: Now, batch: Batch<K, V>) -> Result<(), RestoreError> {
        let numbers = self.origins.intern_all(&batch.origins).ok_or(RestoreError::Damaged)?;
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

    fn wrap(&self, step: Step<K, V>) -> Record<K, V> {
        Record { shards: self.shards.len().trailing_zeros() as u8, step }
    }
}
