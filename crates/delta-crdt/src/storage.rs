//! Keeping a replica through restarts.

#[cfg(feature = "redb")]
mod embedded;
#[cfg(feature = "serde")]
mod log;

use alloc::vec::Vec;
use core::fmt;

use crate::message::{Batch, Commit, Fragment};

#[cfg(feature = "redb")]
pub use embedded::{RedbError, RedbStorage};
#[cfg(feature = "serde")]
pub use log::{append_frame, read_frames};

/// One step of a replica's state: a write that was applied, or a session; or a part of a snapshot. Opaque; serde when the feature
/// is on. Records are numbered in the order in which they were made, so that a log shows whether one is missing.
#[derive(Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Record<K, V> {
    pub(crate) shards: u8,
    /// Counts on through all lives of a log. A snapshot bears the number of the last record that was taken before it.
    pub(crate) number: u64,
    pub(crate) step: Step<K, V>,
}

impl<K, V> fmt::Debug for Record<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.step {
            Step::Write(batch) => write!(f, "Record({} writes)", batch.ops.len()),
            Step::Join(fragment, _) => write!(f, "Record(session of {} keys)", fragment.entries.len()),
            Step::Snapshot(fragment, _) => write!(f, "Record(snapshot of {} keys)", fragment.entries.len()),
        }
    }
}

#[derive(Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Step<K, V> {
    Write(Batch<K, V>),
    Join(Fragment<K, V>, Commit),
    /// All that a shard held: one of a snapshot's records, which stand one after the other, by shard.
    Snapshot(Fragment<K, V>, Commit),
}

/// Where records are kept. The driver calls it: a replica does no input or output.
///
/// ```text
///   start:  load ─► Replica::restore(new epoch) ─► record() ─► take_log ─► append, which names the life
///   turn:   take_log ─► append (one group commit for the turn's writes) ─► acknowledge them as durable
///   seldom: snapshot ─► replace
///   error of an append: append the same records again, before any later ones; or snapshot ─► replace
/// ```
///
/// What [`Replica::take_log`](crate::Replica::take_log) gave is given once: the driver keeps it until an append has succeeded.
pub trait Storage<K, V> {
    /// What can go wrong.
    type Error;

    /// All records, in the order in which they were appended.
    ///
    /// # Errors
    /// The store cannot be read; it is as it was.
    fn load(&mut self) -> Result<Vec<Record<K, V>>, Self::Error>;

    /// Appends records, all or none; when it returns they are durable.
    ///
    /// # Errors
    /// None of the records may be relied on to be there after a restart, and none to be absent. Append the same records again before
    /// any later ones (alone or at the head of a longer list; that some are there twice does no harm), or replace all with a snapshot.
    /// Whoever goes on without them has a log with a hole, which [`Replica::restore`](crate::Replica::restore) refuses as
    /// [`RestoreError::Damaged`].
    fn append(&mut self, records: &[Record<K, V>]) -> Result<(), Self::Error>;

    /// Puts a snapshot in the place of all records, at once.
    ///
    /// # Errors
    /// The store holds either the old records or the snapshot.
    fn replace(&mut self, snapshot: &[Record<K, V>]) -> Result<(), Self::Error>;
}

/// Why a replica cannot start from a log. There is no replica; the log is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The log names this life, or a later one of its node: its epoch is used.
    #[error("the log is of this epoch or a later one: every start needs a higher one; nothing was started")]
    Epoch,
    /// The map was made with another number of shards, which is fixed for its life.
    #[error("the log is of a map with another number of shards; nothing was started")]
    Shards,
    /// Records contradict each other or are missing between others: records were lost by a failed append, taken out or put elsewhere,
    /// a snapshot is not whole, or the log does not begin with the first record or a snapshot.
    ///
    /// To start from the rest could take keys from other replicas. Put the log aside and start empty, under an epoch above all of this
    /// node: what peers hold comes back.
    #[error("the log is damaged: a record does not follow from those before it; nothing was started")]
    Damaged,
    /// The log names more lives than [`Config::max_origins`](crate::Config::max_origins) allows. Nothing is damaged.
    #[error("the log names more lives than max_origins allows: start with a higher one; nothing was started")]
    TooMany,
}
