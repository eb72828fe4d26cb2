//! The demo's child, and the census in which each run of it notes its own start and end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use horde::{Context, Handle, Message, Process, Stop};
use serde::{Deserialize, Serialize};

use super::protocol::{Entry, unix_us};

/// What really runs and ran in this OS process: written by the processes themselves, never from records.
#[derive(Debug, Clone, Default)]
pub(crate) struct Census(Arc<Mutex<BTreeMap<u64, Entry>>>);

impl Census {
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// How many run now.
    pub(crate) fn running(&self) -> usize {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.values().filter(|entry| entry.ended_us.is_none()).count()
    }

    fn enter(&self, entry: Entry) -> Presence {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = entries.len() as u64;
        entries.insert(number, entry);
        Presence { census: self.clone(), number }
    }
}

/// While it lives, the run lives: dropped with the process however that ends.
#[derive(Debug)]
struct Presence {
    census: Census,
    number: u64,
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut entries = self.census.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get_mut(&self.number) {
            entry.ended_us = Some(unix_us());
        }
    }
}

/// Asks a worker where it runs.
#[derive(Debug, Serialize, Deserialize, Message)]
#[message(reply = String)]
pub(crate) struct Where;

/// A child of the demo.
#[derive(Debug)]
pub(crate) struct Worker {
    _presence: Presence,
}

impl Process for Worker {
    const KIND: &'static str = "demo-worker";
    type Args = String;
    type Deps = Census;
    type Messages = (Where,);

    async fn init(id: String, cx: &mut Context<Self>) -> Result<Self, Stop> {
        let generation = cx.claim().map_or(0, |claim| claim.rank.generation);
        let pid = cx.pid().to_string();
        let entry = Entry { id, pid, generation, started_us: unix_us(), ended_us: None };
        Ok(Self { _presence: cx.deps().enter(entry) })
    }
}

impl Handle<Where> for Worker {
    async fn handle(&mut self, _: Where, cx: &mut Context<Self>) -> String {
        cx.node().id().to_string()
    }
}
