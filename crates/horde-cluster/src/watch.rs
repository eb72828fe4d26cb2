//! Who is told of changes.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::{MemberEvent, View};

type Watcher = Arc<dyn Fn(&MemberEvent, &Arc<View>) + Send + Sync>;

/// Locks, also after a panic elsewhere: every critical section here leaves its data whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The watchers of one cluster handle.
#[derive(Default)]
pub(crate) struct Watchers(Mutex<List>);

#[derive(Default)]
struct List {
    last: u64,
    watchers: BTreeMap<u64, Watcher>,
}

impl Watchers {
    pub(crate) fn add(self: &Arc<Self>, watcher: Watcher) -> Watch {
        let mut list = lock(&self.0);
        list.last += 1;
        let number = list.last;
        list.watchers.insert(number, watcher);
        Watch { watchers: Arc::downgrade(self), number }
    }

    /// Calls everybody, one event after the other, without a lock. A watcher that panics hears the next event again.
    pub(crate) fn tell(&self, events: &[MemberEvent], view: &Arc<View>) {
        for event in events {
            let numbers: Vec<u64> = lock(&self.0).watchers.keys().copied().collect();
            for number in numbers {
                let watcher = lock(&self.0).watchers.get(&number).cloned();
                let Some(watcher) = watcher else { continue };
                if catch_unwind(AssertUnwindSafe(|| watcher(event, view))).is_err() {
                    tracing::error!(node = %view.local, ?event, "a watcher of the membership panicked; the event is lost to it");
                }
            }
        }
    }
}

impl fmt::Debug for Watchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchers").field("count", &lock(&self.0).watchers.len()).finish()
    }
}

/// Keeps a watcher; dropped, it is called no more (a call that already runs ends by itself).
#[must_use = "dropping it ends the watch"]
#[derive(Debug)]
pub struct Watch {
    watchers: Weak<Watchers>,
    number: u64,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(watchers) = self.watchers.upgrade() else { return };
        let gone = lock(&watchers.0).watchers.remove(&self.number);
        drop(gone);
    }
}
