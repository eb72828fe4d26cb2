//! What subscribers hear.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::sync::Arc;

use horde_process::Pid;
use horde_transport::NodeId;
use serde::de::DeserializeOwned;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::codec;
use crate::machine::{Change, Entry, Key};

/// What happened, untyped.
#[derive(Debug, Clone)]
pub(crate) enum CoreEvent {
    Changed(Change),
    Conflict { key: Key, loser: Pid, winner: Pid },
    Hidden(Arc<BTreeSet<NodeId>>),
}

/// One change of a registry as this node sees it, its own included.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<K, V> {
    /// `pid` holds `key` from now on; another process may have held it before.
    Registered {
        /// The name.
        key: K,
        /// Who holds it.
        pid: Pid,
        /// Its value.
        value: V,
    },
    /// The holder of `key` has given it another value.
    Updated {
        /// The name.
        key: K,
        /// Who holds it.
        pid: Pid,
        /// Its new value.
        value: V,
    },
    /// Nobody holds `key` any more.
    Unregistered {
        /// The name.
        key: K,
        /// Who held it.
        pid: Pid,
    },
    /// `loser`, a process of this node, lost `key` to `winner` and is told so.
    Conflict {
        /// The name.
        key: K,
        /// Who lost it.
        loser: Pid,
        /// Who holds it.
        winner: Pid,
    },
    /// The names of these nodes, and of no others, are hidden from now on: they are down, or gone.
    Hidden(Arc<BTreeSet<NodeId>>),
}

/// Why [`Events::next`] has no event. The subscription goes on after [`Lagged`](EventsError::Lagged).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventsError {
    /// The reader was too slow and this many events are lost to it: read the registry anew, and go on.
    #[error("{0} events were lost to a slow reader; read the registry anew and go on")]
    Lagged(u64),
    /// A key or a value is not of the subscriber's types; the event is lost to it.
    #[error("a key or a value is not of the subscriber's type: {0}")]
    OtherType(String),
    /// The node has stopped.
    #[error("the node has stopped")]
    Closed,
}

/// The changes of a registry from the moment of subscribing. Up to 4,096 wait for a slow reader.
#[derive(Debug)]
pub struct Events<K, V> {
    receiver: broadcast::Receiver<CoreEvent>,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: DeserializeOwned, V: DeserializeOwned> Events<K, V> {
    pub(crate) fn new(receiver: broadcast::Receiver<CoreEvent>) -> Self {
        Self { receiver, types: PhantomData }
    }

    /// Waits for the next change. May be dropped while it waits: no event is lost.
    ///
    /// # Errors
    /// [`EventsError`].
    pub async fn next(&mut self) -> Result<Event<K, V>, EventsError> {
        match self.receiver.recv().await {
            Ok(event) => typed(event).map_err(EventsError::OtherType),
            Err(RecvError::Lagged(lost)) => Err(EventsError::Lagged(lost)),
            Err(RecvError::Closed) => Err(EventsError::Closed),
        }
    }
}

fn typed<K: DeserializeOwned, V: DeserializeOwned>(event: CoreEvent) -> Result<Event<K, V>, String> {
    let key = |key: &Key| codec::decode::<K>(key.as_bytes());
    let value = |entry: &Entry| codec::decode::<V>(&entry.value);
    Ok(match event {
        CoreEvent::Changed(Change::Put { key: name, old, new }) => {
            let (key, pid, value) = (key(&name)?, new.pid.clone(), value(&new)?);
            match old {
                Some(old) if old.pid == pid => Event::Updated { key, pid, value },
                _ => Event::Registered { key, pid, value },
            }
        }
        CoreEvent::Changed(Change::Removed { key: name, old }) => {
            Event::Unregistered { key: key(&name)?, pid: old.pid.clone() }
        }
        CoreEvent::Conflict { key: name, loser, winner } => {
            Event::Conflict { key: key(&name)?, loser, winner }
        }
        CoreEvent::Hidden(nodes) => Event::Hidden(nodes),
    })
}
