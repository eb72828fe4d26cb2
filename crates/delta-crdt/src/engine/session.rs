//! Sessions: the answer to a pull, on its way in and on its way out.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use crate::message::{Commit, Fragment};

/// A session that we asked for. Nothing of it is applied before it is complete.
#[derive(Clone, Debug)]
pub(crate) struct Incoming<K, V> {
    pub(crate) session: u64,
    /// Which answer is staged: the latest seen, as parts of two answers show two states.
    pub(crate) answer: u64,
    pub(crate) fragments: BTreeMap<u32, Fragment<K, V>>,
    pub(crate) keys: usize,
    pub(crate) commit: Option<Commit>,
    /// Fragments confirmed so far.
    pub(crate) credited: u32,
    pub(crate) progress_at: Duration,
    /// The own vector when it was asked for.
    pub(crate) asked_at: Vec<u64>,
}

impl<K, V> Incoming<K, V> {
    /// Turns to a later answer, dropping what an earlier one brought. False for an earlier one.
    pub(crate) fn turn_to(&mut self, answer: u64, now: Duration) -> bool {
        if answer > self.answer {
            self.fragments.clear();
            (self.answer, self.keys, self.credited, self.commit) = (answer, 0, 0, None);
        }
        self.progress_at = now;
        answer == self.answer
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.commit.as_ref().is_some_and(|commit| commit.fragments as usize == self.fragments.len())
    }
}

/// A session that we serve: fragments of one state, sent as the puller confirms them.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing<K, V> {
    pub(crate) answer: u64,
    pub(crate) fragments: VecDeque<Fragment<K, V>>,
    pub(crate) commit: Option<Commit>,
    pub(crate) sent: u32,
    pub(crate) confirmed: u32,
    pub(crate) progress_at: Duration,
}
