//! One registry on one node, without types: the machine, its readers' view, and what connects them to the node.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use delta_crdt::Now;
use horde_cluster::{Cluster, HordeMeta};
use horde_process::{Claim, NameTaken, Node, Pid, Resolve, Scheme};
use horde_transport::{Event as NetworkEvent, Lane, Network, NodeId, Topic};
use tokio::sync::{Notify, broadcast, watch};

use crate::codec::{self, NIL};
use crate::events::CoreEvent;
use crate::machine::{Change, Entry, Key, Message, Names, Output, OwnerError, RegisterError};
use crate::members;
use crate::readers::Readers;
use crate::rules::Rules;

/// Changes that wait for a subscriber before it is told that it lags.
pub(crate) const EVENT_BUFFER: usize = 4096;

/// The topic of a registry, and its name among a member's hordes.
pub(crate) fn topic_of(registry: &str) -> String {
    format!("registry/{registry}")
}

/// A registry as a node hosts it: keys and values are bytes. Clone is cheap.
///
/// Every member of the cluster hosts each registry so, typed handles or not; a [`Registry`](crate::Registry) is this with types.
#[derive(Debug, Clone)]
pub struct RegistryCore(pub(crate) Arc<Shared>);

impl RegistryCore {
    /// The registry's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
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
        self.0.lock().names.keys(pid).cloned().collect()
    }

    /// Registers an encoded key for the local process `pid`; readers see it when this returns.
    ///
    /// # Errors
    /// [`RegisterError`]; nothing was changed.
    pub fn register(&self, pid: &Pid, key: &[u8], value: &[u8], claim: Option<&Claim>) -> Result<(), RegisterError> {
        self.0.register(pid, key, value, claim)
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

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) name: Arc<str>,
    pub(crate) rules: Rules,
    topic: Topic,
    state: Mutex<State>,
    readers: Readers,
    events: broadcast::Sender<CoreEvent>,
    ready: watch::Sender<bool>,
    wake: Arc<Notify>,
    started: Instant,
    cluster: Cluster,
    node: Node,
}

#[derive(Debug)]
struct State {
    names: Names,
    /// When the driver looks next by itself; `None`: when it is woken.
    sleeps_until: Option<Duration>,
    /// The driver was woken and has not looked yet.
    woken: bool,
}

/// What is done once the lock is free, since it calls into other layers.
#[derive(Debug, Default)]
struct Effects {
    signals: Vec<(Pid, Key, Pid)>,
    ready: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock would be a bug of the machine; its state is consistent between inputs.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_ms = u64::try_from(unix.as_millis()).unwrap_or(u64::MAX);
        Now { monotonic: self.started.elapsed(), unix_ms }
    }

    /// Feeds the machine one input and performs what it asks for. Makes no task hop.
    pub(crate) fn act<T>(&self, input: impl FnOnce(&mut Names, Now) -> T) -> T {
        let mut state = self.lock();
        let result = input(&mut state.names, self.now());
        let effects = self.drain(&mut state);
        let earlier = match (state.names.poll_timeout(), state.sleeps_until) {
            (Some(at), Some(until)) => at < until,
            (at, None) => at.is_some(),
            (None, _) => false,
        };
        if !state.woken && (earlier || state.names.needs_flush()) {
            state.woken = true;
            self.wake.notify_one();
        }
        drop(state);
        self.perform(effects);
        result
    }

    /// The driver's look: sends what is due, and says when to look again.
    fn turn(&self) -> Option<Instant> {
        let mut state = self.lock();
        state.woken = false;
        let now = self.now();
        if state.names.needs_flush() {
            state.names.flush(now);
        }
        if state.names.poll_timeout().is_some_and(|at| at <= now.monotonic) {
            state.names.handle_timeout(now);
        }
        let effects = self.drain(&mut state);
        state.sleeps_until = state.names.poll_timeout();
        let again = if state.names.needs_flush() { Some(now.monotonic) } else { state.sleeps_until };
        drop(state);
        self.perform(effects);
        again.map(|at| self.started + at)
    }

    /// Performs the machine's outputs while it is locked, so that readers and peers see them in its order.
    fn drain(&self, state: &mut State) -> Effects {
        let mut effects = Effects::default();
        while let Some(output) = state.names.poll_output() {
            match output {
                Output::Changed(changes) => {
                    self.readers.apply(&changes);
                    self.tell(changes);
                }
                Output::Hidden(nodes) => {
                    self.readers.hide(nodes.clone());
                    self.publish(CoreEvent::Hidden(Arc::new(nodes)));
                }
                Output::Send { to, message } => self.send(&to, &message),
                Output::Signal { pid, key, winner } => effects.signals.push((pid, key, winner)),
                Output::Ready => effects.ready = true,
                Output::Warning(warning) => {
                    tracing::warn!(node = %self.cluster.local(), topic = %self.topic, ?warning, "the replica warns");
                }
            }
        }
        effects
    }

    fn tell(&self, changes: Vec<Change>) {
        if self.events.receiver_count() > 0 {
            changes.into_iter().for_each(|change| self.publish(CoreEvent::Changed(change)));
        }
    }

    fn publish(&self, event: CoreEvent) {
        // An error says that nobody listens.
        let _ = self.events.send(event);
    }

    fn send(&self, to: &NodeId, message: &Message) {
        let frame = Bytes::from(message.encode());
        if let Err(error) = self.cluster.network().send(to, &self.topic, Lane::Sync, frame) {
            // The peers' next Status repairs it.
            tracing::debug!(node = %self.cluster.local(), topic = %self.topic, %error, "a sync message was not sent");
        }
    }

    fn perform(&self, effects: Effects) {
        for (pid, key, winner) in effects.signals {
            let text = codec::key_text(key.as_bytes());
            tracing::warn!(node = %self.cluster.local(), registry = %self.name, key = text, loser = %pid, %winner, "name conflict");
            self.publish(CoreEvent::Conflict { key, loser: pid.clone(), winner: winner.clone() });
            members::signal(&self.node, &pid, &self.name, text, winner);
        }
        if effects.ready {
            self.announce(true);
            self.ready.send_replace(true);
        }
    }

    /// Tells all members that this node hosts the registry, and whether its copy can be synced from.
    fn announce(&self, ready: bool) {
        let horde = HordeMeta { ready, config: self.rules.encode() };
        let topic = self.topic.as_str().to_owned();
        members::announce(&self.cluster, topic, horde);
    }

    fn register(&self, pid: &Pid, key: &[u8], value: &[u8], claim: Option<&Claim>) -> Result<(), RegisterError> {
        let key = Key::new(key);
        let value = if value.is_empty() { NIL.into() } else { value.into() };
        self.act(|names, now| names.register(now, pid, &key, value, claim))
    }

    fn event(&self, event: NetworkEvent) {
        match event {
            NetworkEvent::Up(peer) => self.act(|names, now| names.link_up(now, &peer.id)),
            NetworkEvent::Down { peer, .. } => self.act(|names, now| names.link_down(now, &peer)),
            NetworkEvent::Frame { from, frame, .. } => match Message::decode(&frame) {
                Ok(message) => self.act(|names, now| names.receive(now, &from, message)),
                Err(error) => {
                    tracing::warn!(node = %self.cluster.local(), topic = %self.topic, %from, %error, "a bad frame was dropped");
                }
            },
            _ => {}
        }
    }
}

impl Resolve for Shared {
    fn resolve(&self, key: &[u8]) -> Option<Pid> {
        self.readers.get(key, |entry| entry.pid.clone())
    }

    fn register(&self, key: &[u8], value: &[u8], pid: &Pid, claim: Option<&Claim>) -> Result<(), NameTaken> {
        self.register(pid, key, value, claim).map_err(|error| match error {
            RegisterError::AlreadyRegistered(pid) => NameTaken::AlreadyRegistered(pid),
            refused => NameTaken::Refused(refused.to_string()),
        })
    }

    fn unregister_all(&self, pid: &Pid) {
        self.act(|names, now| names.process_ended(now, pid));
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}
