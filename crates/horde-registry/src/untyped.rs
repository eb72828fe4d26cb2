//! One registry on one node, without types: what everything typed stands on.

use std::sync::Arc;

use horde_cluster::Cluster;
use horde_process::{Node, Pid};
use tokio::sync::broadcast;

use crate::codec;
use crate::driver::Shared;
use crate::error::StartError;
use crate::events::CoreEvent;
use crate::machine::{Entry, Key, OwnerError, RegisterError};
use crate::rules::Rules;

/// A registry as a node hosts it: keys and values are bytes. Clone is cheap.
///
/// Every member of the cluster hosts each registry so, typed handles or not; a [`Registry`](crate::Registry) is this with types.
#[derive(Debug, Clone)]
pub struct RegistryCore(Arc<Shared>);

impl RegistryCore {
    pub(crate) fn start(
        name: &str,
        rules: Rules,
        node: &Node,
        cluster: &Cluster,
    ) -> Result<Self, StartError> {
        Shared::start(name, rules, node, cluster).map(Self)
    }

    pub(crate) fn close(&self) {
        self.0.close();
    }

    /// Waits until the new copies of all children that have moved from this node have taken their names, at most for `patience`:
    /// before a node that drains closes, so that whoever calls one of them by name is told that it moves, or finds it.
    pub async fn names_moved(&self, patience: std::time::Duration) {
        let mut events = self.0.events.subscribe();
        let taken = async {
            while self.0.act(|names, _| names.awaits_new_copies()) {
                // One that lags looks again.
                if let Err(broadcast::error::RecvError::Closed) = events.recv().await {
                    return;
                }
            }
        };
        // Time over is an outcome: the names go with the node.
        drop(tokio::time::timeout(patience, taken).await);
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.0.rules
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.0.name)
    }

    /// The registry's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// An encoded key for people: text and whole numbers as they are, anything else in hexadecimal.
    #[must_use]
    pub fn key_text(key: &Key) -> String {
        codec::key_text(key.as_bytes())
    }

    /// The entry of an encoded key, if it is held and its node lives. Never waits.
    #[must_use]
    pub fn entry(&self, key: &[u8]) -> Option<Arc<Entry>> {
        self.0.readers.get(key, Arc::clone)
    }

    /// Who holds an encoded key. Never waits.
    #[must_use]
    pub fn whereis(&self, key: &[u8]) -> Option<Pid> {
        self.0.readers.get(key, |entry| entry.pid.clone())
    }

    /// Calls `each` with every entry whose node lives, in no order. Never waits.
    pub fn each(&self, each: impl FnMut(&Key, &Arc<Entry>)) {
        self.0.readers.each(each);
    }

    /// How many names there are whose nodes live. Takes time by their number only while some node is down.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.readers.len()
    }

    /// The encoded keys that `pid` holds. Takes the registry's lock for as long as it takes to copy them.
    #[must_use]
    pub fn keys(&self, pid: &Pid) -> Vec<Key> {
        self.0.act(|names, _| names.keys(pid).cloned().collect())
    }

    /// Registers an encoded key for the local process `pid`; readers see it when this returns. An empty value is nil.
    ///
    /// # Errors
    /// [`RegisterError`]; nothing was changed.
    pub fn register(&self, pid: &Pid, key: &[u8], value: &[u8]) -> Result<(), RegisterError> {
        self.0.register(pid, key, value)
    }

    /// Gives up an encoded key, which `pid` holds.
    ///
    /// # Errors
    /// [`OwnerError`]; nothing was changed.
    pub fn unregister(&self, pid: &Pid, key: &[u8]) -> Result<(), OwnerError> {
        let key = Key::new(key);
        self.0.act(|names, now| names.unregister(now, pid, &key))
    }

    /// Replaces the encoded value of a key, which `pid` holds.
    ///
    /// # Errors
    /// [`OwnerError`]; nothing was changed.
    pub fn update_value(&self, pid: &Pid, key: &[u8], value: &[u8]) -> Result<(), OwnerError> {
        let key = Key::new(key);
        self.0.act(|names, now| names.update_value(now, pid, &key, value.into()))
    }

    /// Whether this node's copy has synced: before, it may lack names that others hold.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self.0.ready.borrow()
    }

    /// Waits until this node's copy has synced, however long that takes.
    pub async fn ready(&self) {
        let mut ready = self.0.ready.subscribe();
        // It fails when the sender is gone, and `self` holds the sender.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<CoreEvent> {
        self.0.events.subscribe()
    }
}
