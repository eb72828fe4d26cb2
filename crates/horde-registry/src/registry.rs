//! The typed handle.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use horde_process::{Name, Node, Pid, Process, Ref};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::RegistryBuilder;
use crate::codec::{self, Scratch};
use crate::events::Events;
use crate::machine::{Key, OwnerError, Part, RegisterError};
use crate::untyped::RegistryCore;

/// Names across the cluster: each key leads to one process, on whichever node it runs. Reads never wait.
///
/// Keys and values travel as MessagePack. A key must serialise alike each time (no hash map in it), and alike in the
/// borrowed form used for lookups (`str` for `String`). Cheap to clone. Mirrors `Horde.Registry` with `keys: :unique`.
pub struct Registry<K, V = ()> {
    core: RegistryCore,
    node: Node,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Clone for Registry<K, V> {
    fn clone(&self) -> Self {
        Self { core: self.core.clone(), node: self.node.clone(), types: PhantomData }
    }
}

impl<K, V> fmt::Debug for Registry<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("name", &self.core.name()).finish_non_exhaustive()
    }
}

impl<K, V> Registry<K, V> {
    pub(crate) fn new(core: RegistryCore, node: Node) -> Self {
        Self { core, node, types: PhantomData }
    }
}

impl<K: Serialize + DeserializeOwned, V: Serialize + DeserializeOwned> Registry<K, V> {
    /// A registry of this name, not yet started: 1 to 119 bytes.
    pub fn builder(name: impl Into<String>) -> RegistryBuilder<K, V> {
        RegistryBuilder::new(name.into())
    }

    /// The registry without types.
    #[must_use]
    pub fn core(&self) -> &RegistryCore {
        &self.core
    }

    /// The address of whichever process holds `key` when it is used.
    ///
    /// A key that cannot be serialised leads to nobody.
    pub fn via<P: Process>(&self, key: &(impl Serialize + ?Sized)) -> Ref<P> {
        let key = Scratch::of(key).map(|key| key.as_bytes().to_vec()).unwrap_or_default();
        Ref::new(&self.node, Name::Registry { registry: self.core.shared_name(), key })
    }

    /// Registers `key` for `pid`, a process of this node. Lookups here see it when this returns, other nodes soon after.
    ///
    /// The name goes when the process ends. Of several that register one key on one node exactly one succeeds; when two
    /// nodes do before they hear of each other, the registry's [`Order`](crate::Order) decides, and the loser ends with
    /// `ExitReason::NameConflict` (or traps it).
    ///
    /// # Errors
    /// [`RegisterError`]; nothing was changed.
    pub fn register(&self, pid: &Pid, key: K, value: V) -> Result<(), RegisterError> {
        let unencodable = |what| move |why| RegisterError::Unencodable { what, why };
        let key = Scratch::of(&key).map_err(unencodable(Part::Key))?;
        let value = codec::encode(&value).map_err(unencodable(Part::Value))?;
        self.core.register(pid, key.as_bytes(), &value)
    }

    /// Gives up `key`, which `pid` holds.
    ///
    /// # Errors
    /// [`OwnerError`] when it does not; nothing was changed.
    pub fn unregister<Q: Serialize + ?Sized>(&self, pid: &Pid, key: &Q) -> Result<(), OwnerError>
    where
        K: Borrow<Q>,
    {
        let key = Scratch::of(key).map_err(|why| OwnerError::Unencodable { what: Part::Key, why })?;
        self.core.unregister(pid, key.as_bytes())
    }

    /// Replaces the value of `key`, which `pid` holds.
    ///
    /// # Errors
    /// [`OwnerError`] when it does not, or the value is too big; nothing was changed.
    pub fn update_value<Q: Serialize + ?Sized>(&self, pid: &Pid, key: &Q, value: V) -> Result<(), OwnerError>
    where
        K: Borrow<Q>,
    {
        let unencodable = |what| move |why| OwnerError::Unencodable { what, why };
        let key = Scratch::of(key).map_err(unencodable(Part::Key))?;
        let value = codec::encode(&value).map_err(unencodable(Part::Value))?;
        self.core.update_value(pid, key.as_bytes(), &value)
    }

    /// Who holds `key`; nobody when its node is down. Never waits and asks no other node.
    pub fn whereis<Q: Serialize + ?Sized>(&self, key: &Q) -> Option<Pid>
    where
        K: Borrow<Q>,
    {
        self.core.whereis(Scratch::of(key).ok()?.as_bytes())
    }

    /// Who holds `key`, and its value. None also when the value is no `V` (some other type registered it):
    /// [`Registry::whereis`] finds the holder, and [`RegistryCore::entry`] the bytes.
    pub fn lookup<Q: Serialize + ?Sized>(&self, key: &Q) -> Option<(Pid, V)>
    where
        K: Borrow<Q>,
    {
        let entry = self.core.entry(Scratch::of(key).ok()?.as_bytes())?;
        Some((entry.pid.clone(), codec::decode(&entry.value).ok()?))
    }

    /// The keys that `pid` holds, on whichever node it runs. Those that are no `K` are left out.
    pub fn keys(&self, pid: &Pid) -> Vec<K> {
        self.core.keys(pid).iter().filter_map(|key| codec::decode(key.as_bytes()).ok()).collect()
    }

    /// How many names there are whose nodes live.
    #[must_use]
    pub fn count(&self) -> usize {
        self.core.count()
    }

    /// What `pick` makes of each entry, in no order. Entries that are not of this registry's types are left out.
    pub fn select<T>(&self, mut pick: impl FnMut(K, &Pid, V) -> Option<T>) -> Vec<T> {
        let mut picked = Vec::new();
        self.core.each(|key: &Key, entry| {
            if let (Ok(key), Ok(value)) = (codec::decode(key.as_bytes()), codec::decode(&entry.value)) {
                picked.extend(pick(key, &entry.pid, value));
            }
        });
        picked
    }

    /// The changes from now on, as this node sees them.
    #[must_use]
    pub fn subscribe(&self) -> Events<K, V> {
        Events::new(self.core.subscribe())
    }

    /// Whether this node's copy has synced: before, it may lack names that others hold.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.core.is_ready()
    }

    /// Waits until this node's copy has synced, however long that takes.
    pub async fn ready(&self) {
        self.core.ready().await;
    }

    /// The registry's name.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        self.core.shared_name()
    }
}
