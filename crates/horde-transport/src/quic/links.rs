//! The connections that are up: at most one to each life of a node, and to at most two lives of one name.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;

use super::link::Link;
use crate::dispatch::lock;
use crate::{DownReason, NodeId, Peer, Role};

/// A connection younger than this is not given up because the peer has not heard of it: word may be on its way.
const YOUNG: Duration = Duration::from_secs(1);
/// Lives of one name that are connected at once: the one that has the name, and a newcomer. Who stays is for
/// membership to say, which can ask the elder only while it is connected.
const LIVES: usize = 2;

/// The table of links.
#[derive(Debug)]
pub(crate) struct Links {
    up: RwLock<BTreeMap<NodeId, Arc<Link>>>,
    limit: usize,
    leaving: AtomicBool,
    changed: watch::Sender<u64>,
    last: Mutex<u64>,
}

/// What to do when there is a link to the same node already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Keep it; refuse the new one.
    Keep,
    /// Keep it if it is young; the peer says that it has none.
    KeepYoung,
    /// The new one takes its place: the peer that decides said so.
    Replace,
}

/// Why a link was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// One to the same node stands.
    Duplicate,
    /// As many lives of the name are connected as may be.
    Lives,
    /// The table is full.
    Full,
    /// This node takes no more links.
    Leaving,
}

impl Links {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            up: RwLock::default(),
            limit,
            leaving: AtomicBool::new(false),
            changed: watch::channel(0).0,
            last: Mutex::new(0),
        }
    }

    /// A fresh number for a link; 0 is never one.
    pub(crate) fn number(&self) -> u64 {
        let mut last = lock(&self.last);
        *last += 1;
        *last
    }

    pub(crate) fn get(&self, id: &NodeId) -> Option<Arc<Link>> {
        self.up.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Link>> {
        self.up.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The link whose peer listens at `address`, and is not doubted.
    pub(crate) fn at(&self, address: SocketAddr) -> Option<Arc<Link>> {
        self.all()
            .into_iter()
            .find(|link| link.peer.address == Some(address) && link.is_live() && !link.is_doubted())
    }

    /// Takes no more links, and answers those that are up.
    pub(crate) fn leave(&self) -> Vec<Arc<Link>> {
        let up = self.up.write().unwrap_or_else(PoisonError::into_inner);
        self.leaving.store(true, Ordering::Release);
        up.values().cloned().collect()
    }

    /// Whether it takes no more links.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Puts a link in its place. The link that it ends comes back: its `Up` waits until that one is finished.
    pub(crate) fn install(&self, link: &Arc<Link>, rule: Rule) -> Result<Option<Arc<Link>>, NotTaken> {
        let mut up = self.up.write().unwrap_or_else(PoisonError::into_inner);
        if self.is_leaving() {
            return Err(NotTaken::Leaving);
        }
        let id = &link.peer.id;
        if let Some(standing) = up.get(id).filter(|standing| standing.is_live()) {
            let keep = match rule {
                Rule::Keep => true,
                Rule::KeepYoung => standing.since.elapsed() < YOUNG,
                Rule::Replace => false,
            };
            // Who bears the name of a node without being one does not take its place.
            if keep || standing.peer.role != link.peer.role {
                return Err(NotTaken::Duplicate);
            }
        }
        let node = |peer: &Peer| peer.role == Role::Node && peer.id.name() == id.name() && peer.id != *id;
        let lives = up.values().filter(|other| node(&other.peer) && other.is_live()).count();
        if link.peer.role == Role::Node && lives >= LIVES {
            return Err(NotTaken::Lives);
        }
        if !up.contains_key(id) && up.len() >= self.limit {
            return Err(NotTaken::Full);
        }
        let ended = up.insert(id.clone(), link.clone());
        drop(up);
        if let Some(old) = &ended {
            old.end(DownReason::Lost("a new connection took its place".into()));
        }
        self.bump();
        Ok(ended)
    }

    /// Takes a link out, unless another has its place already.
    pub(crate) fn remove(&self, link: &Arc<Link>) {
        let mut up = self.up.write().unwrap_or_else(PoisonError::into_inner);
        if up.get(&link.peer.id).is_some_and(|current| Arc::ptr_eq(current, link)) {
            up.remove(&link.peer.id);
        }
        drop(up);
        self.bump();
    }

    /// Ticks whenever the table changes.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn bump(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}
