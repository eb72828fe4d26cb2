//! Recording what changes the state, and starting from such a record.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::Replica;
use super::serve::pack;
use crate::engine::dictionary::Dictionary;
use crate::engine::park::Write;
use crate::engine::shard::{Context, Entry, Offered};
use crate::message::{Batch, Commit, Op};
use crate::storage::{Record, RestoreError, Step};
use crate::{Config, Key, Now, ReplicaId, Stamp, Winner};

impl<K: Key, V: Clone, W: Winner<V>> Replica<K, V, W> {
    /// Begins to record what changes the state, for [`Replica::take_log`]. Every write then costs two more copies of key and value.
    pub fn record(&mut self) {
        for shard in &mut self.shards {
            shard.log.get_or_insert_default();
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
        records
    }

    /// The whole state as a log, to replace a long one.
    pub fn snapshot(&self) -> Vec<Record<K, V>> {
        let record = |(place, shard): (usize, &crate::engine::shard::Shard<K, V>)| {
            let keys = shard.store.iter().map(|(_, key, sibs)| (key, sibs.as_slice()));
            let commit = Commit { whole: true, ..self.commit(place as u16) };
            self.wrap(Step::Join(pack(&self.origins, place as u16, keys), commit))
        };
        self.shards.iter().enumerate().map(record).collect()
    }

    /// Starts from a log. `id` must have an epoch above all in which the log was written.
    ///
    /// The replica covers what the log holds and pulls the rest, its own former writes among it.
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
            match record.step {
                Step::Write(batch) => replica.replay_write(now, batch)?,
                Step::Join(fragment, commit) => {
                    let place = usize::from(commit.shard);
                    let fragments = BTreeMap::from([(0, fragment)]);
                    let session = replica.joined(now, fragments, &commit).filter(|s| s.is_sound());
                    let session =
                        session.filter(|_| place < replica.shards.len()).ok_or(RestoreError::Damaged)?;
                    if session.vector.contains_key(&0) {
                        return Err(RestoreError::Epoch);
                    }
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
        if origin == 0 {
            return Err(RestoreError::Epoch);
        }
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
