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

/// One step of a replica's state: a write that was applied, or a session. Opaque; serde when the feature is on.
#[derive(Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Record<K, V> {
    pub(crate) shards: u8,
    pub(crate) step: Step<K, V>,
}

impl<K, V> fmt::Debug for Record<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.step {
            Step::Write(batch) => write!(f, "Record({} writes)", batch.ops.len()),
            Step::Join(fragment, _) => write!(f, "Record(session of {} keys)", fragment.entries.len()),
        }
    }
}

#[derive(Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Step<K, V> {
    Write(Batch<K, V>),
    Join(Fragment<K, V>, Commit),
}

/// Where records are kept. The driver calls it: a replica does no input or output.
///
/// ```text
///   start:  load ─► Replica::restore(new epoch) ─► record() ─► take_log ─► append, which names the life
///   turn:   take_log ─► append (one group commit for the turn's writes) ─► acknowledge them as durable
///   seldom: snapshot ─► replace
/// ```
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
    /// None of the records may be relied on to be there after a restart.
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
    /// Records contradict each other or are missing between others.
    #[error("the log is damaged: a record does not follow from those before it; nothing was started")]
    Damaged,
}
