//! What really runs and ran in an OS process, as the children themselves noted it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// What really runs and ran in this OS process. Never written from replicated records.
#[derive(Debug, Clone, Default)]
pub struct Census(Arc<Mutex<Vec<Entry>>>);

/// One run of a child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The child.
    pub id: String,
    /// The process.
    pub pid: String,
    /// The node, as `name@incarnation`.
    pub node: String,
    /// Which copy of the child it is.
    pub generation: u64,
    /// Whether it began with the state of the copy before.
    pub resumed: bool,
    /// When it began, in Unix microseconds.
    pub started_us: u64,
    /// When it ended, in Unix microseconds; none while it runs.
    pub ended_us: Option<u64>,
}

impl Entry {
    /// Whether it runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.ended_us.is_none()
    }
}

impl Census {
    /// All runs, in the order in which they began.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().clone()
    }

    /// Notes that a run begins; it ends when what is returned is dropped, however that comes.
    pub fn enter(&self, entry: Entry) -> Presence {
        let mut entries = self.lock();
        entries.push(entry);
        Presence { census: self.clone(), index: entries.len() - 1 }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run that lasts as long as this lives.
#[derive(Debug)]
pub struct Presence {
    census: Census,
    index: usize,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.census.lock()[self.index].ended_us = Some(unix_us());
    }
}

/// Now, in Unix microseconds: all members of a test share one clock.
pub(crate) fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
