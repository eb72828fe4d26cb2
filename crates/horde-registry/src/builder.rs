//! How a registry is started.

use std::marker::PhantomData;
use std::time::Duration;

use horde_process::Node;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::StartError;
use crate::hosting::Registries;
use crate::machine::Order;
use crate::registry::Registry;
use crate::rules::Rules;

/// A registry not yet started.
///
/// Its rules (order, limits, purge time) are the same on all nodes: the first to start it decides. Where none is set here,
/// the registry is taken as it is; where one is, all must agree.
#[derive(Debug, Clone)]
#[must_use = "a registry is not started before `start`"]
pub struct RegistryBuilder<K, V = ()> {
    name: String,
    rules: Option<Rules>,
    ready_within: Duration,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> RegistryBuilder<K, V> {
    pub(crate) fn new(name: String) -> Self {
        Self { name, rules: None, ready_within: Duration::from_secs(10), types: PhantomData }
    }

    fn rule(mut self, set: impl FnOnce(&mut Rules)) -> Self {
        set(self.rules.get_or_insert_default());
        self
    }

    /// Who keeps a name that two nodes registered before they heard of each other. Default [`Order::KeepOldest`].
    pub fn order(self, order: Order) -> Self {
        self.rule(|rules| rules.order = order)
    }

    /// The longest encoded key, in bytes. Default 1 KiB; a longer one is refused.
    pub fn max_key(self, bytes: u32) -> Self {
        self.rule(|rules| rules.max_key = bytes)
    }

    /// The longest encoded value, in bytes. Default 16 KiB; a longer one is refused.
    pub fn max_value(self, bytes: u32) -> Self {
        self.rule(|rules| rules.max_value = bytes)
    }

    /// Names that one process may hold. Default 10,000; a further one is refused.
    pub fn max_names_per_process(self, names: u32) -> Self {
        self.rule(|rules| rules.max_names_per_process = names)
    }

    /// How long the names of a node that is down are kept, hidden, for its return. Default 60 s.
    pub fn purge_after(self, time: Duration) -> Self {
        self.rule(|rules| rules.purge_after = time)
    }

    /// How long [`RegistryBuilder::start`] waits for the first sync with another host. Default 10 s.
    pub fn ready_within(mut self, time: Duration) -> Self {
        self.ready_within = time;
        self
    }
}

impl<K: Serialize + DeserializeOwned, V: Serialize + DeserializeOwned> RegistryBuilder<K, V> {
    /// Hosts the registry on `node` (or attaches to what it hosts already), and waits until its copy has synced.
    ///
    /// The first host of a registry does not wait. Needs a tokio runtime with time enabled.
    ///
    /// # Errors
    /// [`StartError`], which says whether the registry is hosted.
    pub async fn start(self, node: &Node) -> Result<Registry<K, V>, StartError> {
        let core = Registries::of(node)?.open(&self.name, self.rules.as_ref())?;
        match tokio::time::timeout(self.ready_within, core.ready()).await {
            Ok(()) => Ok(Registry::new(core, node.clone())),
            Err(_) => Err(StartError::NotReady { waited: self.ready_within }),
        }
    }
}
