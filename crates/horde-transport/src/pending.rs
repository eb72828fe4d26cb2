//! Requests that wait for their answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Mutex;

use tokio::time::Instant;

use crate::OnReply;
use crate::dispatch::lock;

/// The requests of one node, each bound to the link (the connection) it went out on.
#[derive(Default)]
pub(crate) struct Pending(Mutex<Table>);

#[derive(Default)]
struct Table {
    last: u64,
    waiting: BTreeMap<u64, Waiting>,
    deadlines: BTreeSet<(Instant, u64)>,
}

struct Waiting {
    link: u64,
    deadline: Instant,
    on_reply: OnReply,
}

/// What became of an insertion.
pub(crate) struct Inserted {
    pub(crate) id: u64,
    /// It is now the first to expire: whoever sleeps until a deadline must look again.
    pub(crate) first: bool,
}

impl Pending {
    /// Keeps `on_reply` until it is taken; gives it back when `limit` requests wait already.
    pub(crate) fn insert(
        &self,
        link: u64,
        deadline: Instant,
        limit: usize,
        on_reply: OnReply,
    ) -> Result<Inserted, OnReply> {
        let mut table = lock(&self.0);
        if table.waiting.len() >= limit {
            return Err(on_reply);
        }
        table.last += 1;
        let id = table.last;
        let first = table.deadlines.first().is_none_or(|&(earliest, _)| deadline < earliest);
        table.deadlines.insert((deadline, id));
        table.waiting.insert(id, Waiting { link, deadline, on_reply });
        Ok(Inserted { id, first })
    }

    /// Takes the request `id` if it went out on `link` and still waits.
    pub(crate) fn take(&self, id: u64, link: u64) -> Option<OnReply> {
        let mut table = lock(&self.0);
        if table.waiting.get(&id)?.link != link {
            return None;
        }
        let waiting = table.waiting.remove(&id)?;
        table.deadlines.remove(&(waiting.deadline, id));
        Some(waiting.on_reply)
    }

    /// Takes all requests of `link`, or of every link.
    pub(crate) fn drain(&self, link: Option<u64>) -> Vec<OnReply> {
        let mut table = lock(&self.0);
        let matches = |entry: &Waiting| link.is_none_or(|link| entry.link == link);
        let ids: Vec<u64> = table.waiting.iter().filter(|(_, e)| matches(e)).map(|(&id, _)| id).collect();
        let mut gone = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(entry) = table.waiting.remove(&id) {
                table.deadlines.remove(&(entry.deadline, id));
                gone.push(entry.on_reply);
            }
        }
        gone
    }

    /// Takes the requests whose time is over.
    pub(crate) fn expire(&self, now: Instant) -> Vec<OnReply> {
        let mut table = lock(&self.0);
        let mut gone = Vec::new();
        while let Some(&(deadline, id)) = table.deadlines.first() {
            if deadline > now {
                break;
            }
            table.deadlines.pop_first();
            gone.extend(table.waiting.remove(&id).map(|entry| entry.on_reply));
        }
        gone
    }

    /// When the next request expires.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        lock(&self.0).deadlines.first().map(|&(deadline, _)| deadline)
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pending")
    }
}
