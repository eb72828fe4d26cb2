//! What connects a machine to its node: one lock, one task, and the callbacks of network, membership and processes.
//!
//! Whoever has an input (a caller, the network's thread, the membership's) takes the lock, feeds the machine and publishes
//! what it changed. The task sends what local writes left, in batches, and wakes for the machine's timers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use delta_crdt::Now;
use horde_cluster::{Cluster, HordeMeta, View, Watch};
use horde_process::{Claim, ExitReason, NameTaken, Node, Pid, Resolve, Scheme};
use horde_transport::{Event, Lane, NodeId, Role, Subscriber, Subscription, Topic};
use tokio::sync::{Notify, broadcast, watch};

use crate::codec::{self, NIL};
use crate::error::StartError;
use crate::events::CoreEvent;
use crate::machine::{Change, Key, Message, Names, Output, RegisterError};
use crate::members::{announce, members_of};
use crate::readers::Readers;
use crate::rules::Rules;

/// The least time between two pushes of local writes: the first goes at once, those of a burst together. The timer
/// makes it one to two milliseconds.
const FLUSH_GAP: Duration = Duration::from_micros(500);

/// Changes that wait for a subscriber before it is told that it lags.
const EVENT_BUFFER: usize = 4096;

/// What a registry's topic, and its name among a member's hordes, begins with.
pub(crate) const TOPIC_PREFIX: &str = "registry/";

pub(crate) fn topic_of(registry: &str) -> String {
    format!("{TOPIC_PREFIX}{registry}")
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) name: Arc<str>,
    pub(crate) rules: Rules,
    pub(crate) readers: Readers,
    pub(crate) events: broadcast::Sender<CoreEvent>,
    pub(crate) ready: watch::Sender<bool>,
    topic: Topic,
    state: Mutex<State>,
    wake: Arc<Notify>,
    started: Instant,
    cluster: Cluster,
    node: Node,
    /// What calls back into this, each through a weak reference; none once closed.
    kept: Mutex<Option<(Subscription, Watch)>>,
}

#[derive(Debug)]
struct State {
    names: Names,
    /// When the driver looks next by itself; `None`: when it is woken.
    sleeps_until: Option<Duration>,
    /// The driver was woken and has not looked yet, or will look at the end of the gap.
    woken: bool,
    /// Local writes are pushed from here on.
    flush_from: Duration,
    /// The view that the machine knows.
    view: u64,
    closed: bool,
}

/// What is done once the lock is free, since it calls into other layers.
#[derive(Debug, Default)]
struct Effects {
    signals: Vec<(Pid, Key, Pid)>,
    ready: bool,
}

impl Shared {
    /// Hosts the registry: joins its topic, its scheme of names, and the membership.
    pub(crate) fn start(
        name: &str,
        rules: Rules,
        node: &Node,
        cluster: &Cluster,
    ) -> Result<Arc<Self>, StartError> {
        let bad_name = |_| StartError::BadName(name.to_owned());
        let topic =
            Topic::new(if name.is_empty() { String::new() } else { topic_of(name) }).map_err(bad_name)?;
        let names = Names::new(cluster.local().clone(), rules.config());
        let shared = Arc::new(Self {
            name: name.into(),
            rules,
            readers: Readers::new(),
            events: broadcast::Sender::new(EVENT_BUFFER),
            ready: watch::Sender::new(false),
            topic,
            state: Mutex::new(State {
                names,
                sleeps_until: None,
                woken: false,
                flush_from: Duration::ZERO,
                view: 0,
                closed: false,
            }),
            wake: Arc::new(Notify::new()),
            started: Instant::now(),
            cluster: cluster.clone(),
            node: node.clone(),
            kept: Mutex::default(),
        });
        let weak = Arc::downgrade(&shared);
        let subscription = cluster.network().subscribe(&shared.topic, Arc::new(Ear(weak.clone())))?;
        let watch = cluster.watch(move |_, view| {
            if let Some(shared) = weak.upgrade() {
                shared.see(view);
            }
        });
        *shared.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some((subscription, watch));
        node.resolver(Scheme::Registry(Arc::clone(&shared.name)), Arc::clone(&shared) as _);
        shared.see(&cluster.view());
        shared.announce(false);
        cluster.control().handle().spawn(run(Arc::downgrade(&shared), Arc::clone(&shared.wake)));
        Ok(shared)
    }

    /// Takes a view of the members, unless it knows a later one.
    fn see(&self, view: &View) {
        let members = members_of(view, self.topic.as_str());
        self.with(|state, now| {
            if view.version >= state.view {
                state.view = view.version;
                state.names.set_view(now, members);
            }
        });
    }

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
        self.with(|state, now| input(&mut state.names, now))
    }

    fn with<T>(&self, input: impl FnOnce(&mut State, Now) -> T) -> T {
        let mut state = self.lock();
        let result = input(&mut state, self.now());
        let effects = self.drain(&mut state);
        let due = state.names.poll_timeout();
        let earlier = due.is_some_and(|at| state.sleeps_until.is_none_or(|until| at < until));
        if earlier {
            state.sleeps_until = due;
        }
        let flush = state.names.needs_flush() && !state.woken;
        state.woken |= flush;
        if earlier || flush {
            self.wake.notify_one();
        }
        drop(state);
        self.perform(effects);
        result
    }

    /// The driver's look: sends what is due, and says when to look again; `None` when it is closed.
    fn turn(&self) -> Option<Option<Instant>> {
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        let now = self.now();
        if state.names.needs_flush() && state.flush_from <= now.monotonic {
            state.names.flush(now);
            state.flush_from = now.monotonic + FLUSH_GAP;
        }
        if state.names.poll_timeout().is_some_and(|at| at <= now.monotonic) {
            state.names.handle_timeout(now);
        }
        let effects = self.drain(&mut state);
        // What still waits goes at the end of the gap, and nobody need wake this for more of it.
        state.woken = state.names.needs_flush();
        let flush = state.woken.then_some(state.flush_from);
        state.sleeps_until = [state.names.poll_timeout(), flush].into_iter().flatten().min();
        let until = state.sleeps_until;
        drop(state);
        self.perform(effects);
        Some(until.map(|at| self.started + at))
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
            let reason = ExitReason::NameConflict { registry: self.name.to_string(), key: text, winner };
            self.node.signal(&pid, &reason);
        }
        if effects.ready {
            self.announce(true);
            self.ready.send_replace(true);
        }
    }

    /// Tells all members that this node hosts the registry, and whether its copy can be synced from.
    fn announce(&self, ready: bool) {
        let horde = HordeMeta { ready, config: self.rules.encode() };
        announce(&self.cluster, self.topic.as_str(), horde);
    }

    /// Registers for a process that may have ended meanwhile: then it has no names afterwards.
    pub(crate) fn register(&self, pid: &Pid, key: &[u8], value: &[u8]) -> Result<(), RegisterError> {
        let claim = self.node.claim(pid);
        self.give(pid, key, value, claim.as_ref())?;
        // A process is off the node's table before its names are taken: one of the two looks second.
        if self.node.is_alive(pid) {
            return Ok(());
        }
        self.act(|names, now| names.process_ended(now, pid));
        Err(RegisterError::NoProcess(pid.clone()))
    }

    fn give(&self, pid: &Pid, key: &[u8], value: &[u8], claim: Option<&Claim>) -> Result<(), RegisterError> {
        let key = Key::new(key);
        let value = if value.is_empty() { NIL.into() } else { value.into() };
        self.act(|names, now| names.register(now, pid, &key, value, claim))
    }

    /// Sends what is left, ends the task, and hears nothing any more. What is published stays.
    pub(crate) fn close(&self) {
        self.with(|state, now| {
            state.names.flush(now);
            state.closed = true;
        });
        self.wake.notify_one();
        drop(self.kept.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn event(&self, event: Event) {
        match event {
            // Who is no node, such as a command-line client, has no part in the names: it is never linked.
            Event::Up(peer) if peer.role == Role::Node => {
                self.act(|names, now| names.link_up(now, &peer.id));
            }
            Event::Down { peer, .. } => self.act(|names, now| names.link_down(now, &peer)),
            Event::Frame { from, frame, .. } => match Message::decode(&frame) {
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
        self.give(pid, key, value, claim).map_err(|error| match error {
            RegisterError::AlreadyRegistered(pid) => NameTaken::AlreadyRegistered(pid),
            refused => NameTaken::Refused(refused.to_string()),
        })
    }

    fn unregister_all(&self, pid: &Pid) {
        self.act(|names, now| names.process_ended(now, pid));
    }

    fn moves(&self, pid: &Pid) {
        self.act(|names, now| names.process_moves(now, pid));
    }
}

/// Hears the network for a registry that may be gone.
struct Ear(Weak<Shared>);

impl Subscriber for Ear {
    fn event(&self, event: Event) {
        if let Some(shared) = self.0.upgrade() {
            shared.event(event);
        }
    }
}

/// The task: sends and wakes, until the registry is gone.
async fn run(shared: Weak<Shared>, wake: Arc<Notify>) {
    loop {
        let Some(until) = shared.upgrade().and_then(|shared| shared.turn()) else { return };
        match until {
            // Woken or time over: the turn finds out which.
            Some(at) => drop(tokio::time::timeout_at(at.into(), wake.notified()).await),
            None => wake.notified().await,
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}
