//! The shared heart of a supervisor on one node: the machine behind its lock, and what its effects touch.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use delta_crdt::{Change, Message, Now};
use horde_cluster::{Cluster, LeaseTenant, MemberStatus, Standing, View, Watch};
use horde_process::{ExitReason, NameTaken, Node, Pid, Resolve, Start, StartFailure, State, Watcher};
use horde_transport::{
    Event as NetworkEvent, Lane, NodeId, Responder, Role, Subscriber, Subscription, Topic,
};
use tokio::sync::{Notify, broadcast, oneshot, watch};

use crate::config::{Options, Quorum};
use crate::error::StartError;
use crate::frame::{self, Request, Response};
use crate::machine::{Answer, Children, Effect, Event, Host, Presence};
use crate::record::{ChildId, Record};

/// How many events a slow subscriber may lag behind before it is told that it missed some.
const MAX_EVENTS: usize = 4_096;

pub(crate) struct Core {
    pub(crate) name: Arc<str>,
    pub(crate) horde: String,
    pub(crate) options: Options,
    pub(crate) node: Node,
    pub(crate) cluster: Cluster,
    pub(crate) view: papaya::HashMap<ChildId, Arc<Record>>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) ready: watch::Sender<bool>,
    topic: Topic,
    locked: Mutex<Locked>,
    wake: Notify,
    started_at: Instant,
    this: Weak<Core>,
    kept: Mutex<Vec<Kept>>,
}

struct Locked {
    machine: Children,
    answers: BTreeMap<u64, oneshot::Sender<Answer>>,
    responders: BTreeMap<u64, Responder>,
    next_responder: u64,
}

/// What ends with the supervisor.
#[expect(dead_code, reason = "held for its Drop")]
enum Kept {
    Subscription(Subscription),
    Watch(Watch),
    Tenant(Arc<LeaseTenant>),
}

impl Core {
    pub(crate) fn new(name: &str, options: Options, node: Node, cluster: Cluster, topic: Topic) -> Arc<Self> {
        let machine = Children::new(node.id().clone(), name, options.clone());
        Arc::new_cyclic(|this| Self {
            name: name.into(),
            horde: topic.as_str().to_owned(),
            options,
            node,
            cluster,
            view: papaya::HashMap::new(),
            events: broadcast::Sender::new(MAX_EVENTS),
            ready: watch::Sender::new(false),
            topic,
            locked: Mutex::new(Locked {
                machine,
                answers: BTreeMap::new(),
                responders: BTreeMap::new(),
                next_responder: 0,
            }),
            wake: Notify::new(),
            started_at: Instant::now(),
            this: this.clone(),
            kept: Mutex::new(Vec::new()),
        })
    }

    /// Joins the network and the membership. From here on the machine is fed.
    pub(crate) fn connect(self: &Arc<Self>) -> Result<(), horde_transport::TopicTaken> {
        let subscriber: Arc<dyn Subscriber> = Arc::new(Incoming(Arc::downgrade(self)));
        let subscription = self.cluster.network().subscribe(&self.topic, subscriber)?;
        let core = Arc::downgrade(self);
        let watch = self.cluster.watch(move |_, _| {
            if let Some(core) = core.upgrade() {
                core.members();
            }
        });
        let tenant = (self.options.quorum != Quorum::None).then(|| {
            let core = self.this.clone();
            let changed = move || {
                if let Some(core) = core.upgrade() {
                    core.members();
                }
            };
            Arc::new(self.cluster.rest_on_lease(changed))
        });
        let mut kept = lock(&self.kept);
        kept.extend(tenant.map(Kept::Tenant));
        kept.push(Kept::Subscription(subscription));
        kept.push(Kept::Watch(watch));
        drop(kept);
        self.members();
        Ok(())
    }

    /// Leaves the network and the membership.
    pub(crate) fn disconnect(&self) {
        lock(&self.kept).clear();
        self.wake.notify_one();
    }

    /// Waits until every member that is up hosts this supervisor and is ready, or the time is over.
    pub(crate) async fn joined(&self, patience: Duration) {
        let changed = Arc::new(Notify::new());
        let notify = changed.clone();
        let _watch = self.cluster.watch(move |_, _| notify.notify_one());
        let all = async {
            loop {
                let view = self.cluster.view();
                let ready = |meta: &horde_cluster::Meta| {
                    meta.hordes.get(&self.horde).is_some_and(|horde| horde.ready)
                };
                let stays = |member: &&horde_cluster::Member| member.status != MemberStatus::Leaving;
                if view.alive().filter(stays).all(|member| ready(&member.meta)) {
                    return;
                }
                changed.notified().await;
            }
        };
        // A member that takes longer joins later.
        drop(tokio::time::timeout(patience, all).await);
    }

    /// The membership, or this node's standing under the quorum, is not what it was.
    fn members(&self) {
        let now = self.now();
        let mut locked = lock(&self.locked);
        // Read under the lock: what a machine was told is never overtaken by what was before.
        let (view, standing) = (self.cluster.view(), self.cluster.standing());
        let hosts = self.hosts(&view, &standing);
        let epoch = standing.epoch.unwrap_or(0);
        locked.machine.set_standing(now, standing.held, epoch, standing.given_up.clone());
        locked.machine.set_members(now, hosts);
        self.settle(locked);
    }

    fn hosts(&self, view: &View, standing: &Standing) -> BTreeMap<NodeId, Host> {
        let quorum = self.options.quorum != Quorum::None;
        let hosts = view.members.iter().map(|(id, member)| {
            let horde = member.meta.hordes.get(&self.horde);
            let presence = match member.status {
                _ if quorum && standing.given_up.contains(id) => Presence::Gone,
                MemberStatus::Down | MemberStatus::Left if quorum => Presence::Doubtful,
                MemberStatus::Down | MemberStatus::Left => Presence::Gone,
                MemberStatus::Leaving => Presence::Leaving,
                MemberStatus::Joining if id == self.cluster.local() => Presence::Joining,
                _ => Presence::Alive,
            };
            let kinds = member.meta.kinds.clone();
            let (hosting, ready) = (horde.is_some(), horde.is_some_and(|horde| horde.ready));
            let heard = member.status != MemberStatus::Unreachable;
            let (weight, degraded) = (member.meta.weight, member.is_degraded());
            (id.clone(), Host { presence, hosting, ready, heard, kinds, weight, degraded })
        });
        hosts.collect()
    }

    /// The process of a child, while one runs on a member that is not down.
    pub(crate) fn pid_of(&self, id: &ChildId) -> Option<Pid> {
        let view = self.view.pin();
        let pid = view.get(id)?.pid()?;
        (!self.cluster.view().is_down(pid.node())).then(|| pid.clone())
    }

    pub(crate) fn resolver(&self) -> Arc<dyn Resolve> {
        Arc::new(ById(self.this.clone()))
    }

    pub(crate) fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            monotonic: self.started_at.elapsed(),
            unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Feeds the machine one input, publishes what changed, and does what it asks for.
    pub(crate) fn feed<R>(&self, input: impl FnOnce(&mut Children, Now) -> R) -> R {
        let now = self.now();
        let mut locked = lock(&self.locked);
        let result = input(&mut locked.machine, now);
        self.settle(locked);
        result
    }

    /// Like [`Core::feed`] for an input that gives a ticket: the answer comes through the receiver.
    pub(crate) fn ask(&self, input: impl FnOnce(&mut Children, Now) -> u64) -> oneshot::Receiver<Answer> {
        let (sender, receiver) = oneshot::channel();
        let now = self.now();
        let mut locked = lock(&self.locked);
        let ticket = input(&mut locked.machine, now);
        locked.answers.insert(ticket, sender);
        self.settle(locked);
        receiver
    }

    /// Publishes under the lock, so that readers see changes in order, and acts after it.
    fn settle(&self, mut locked: MutexGuard<'_, Locked>) {
        let changes = locked.machine.take_changes();
        if !changes.is_empty() {
            let view = self.view.pin();
            for change in changes {
                match change {
                    Change::Put { key, new, .. } => drop(view.insert(key, new)),
                    Change::Removed { key, .. } => drop(view.remove(&key)),
                }
            }
        }
        let mut todo = Vec::new();
        while let Some(effect) = locked.machine.poll_effect() {
            match effect {
                Effect::Answer { ticket, answer } => {
                    if let Some(sender) = locked.answers.remove(&ticket) {
                        todo.push(Todo::Answer(sender, answer));
                    }
                }
                Effect::Respond { responder, response } => {
                    if let Some(responder) = locked.responders.remove(&responder) {
                        todo.push(Todo::Respond(responder, response));
                    }
                }
                other => todo.push(Todo::Effect(other)),
            }
        }
        let wake = locked.machine.needs_drive();
        drop(locked);
        if wake {
            self.wake.notify_one();
        }
        for todo in todo {
            self.perform(todo);
        }
    }

    fn perform(&self, todo: Todo) {
        match todo {
            // A user who stopped waiting dropped the receiver: nobody is left to tell.
            Todo::Answer(sender, answer) => drop(sender.send(answer)),
            Todo::Respond(responder, response) => responder.send(frame::encode(&response)),
            Todo::Effect(Effect::Spawn { token, spec, claim, state }) => {
                let start = Start {
                    kind: spec.kind.clone(),
                    version: spec.version,
                    args: spec.args.clone(),
                    name: spec.name.clone(),
                    claim: Some(claim),
                    state,
                    shutdown: spec.shutdown,
                };
                self.spawn(start, token);
            }
            Todo::Effect(Effect::Stop { pid, reason, shutdown }) => self.node.stop(&pid, reason, shutdown),
            Todo::Effect(Effect::Request { number, to, request, timeout }) => {
                let core = self.this.clone();
                let on_reply = move |outcome: Result<bytes::Bytes, _>| {
                    let outcome = outcome.map(|frame| frame::decode(&frame).unwrap_or(Response::NotNow));
                    if let Some(core) = core.upgrade() {
                        core.feed(|machine, now| machine.reply(now, number, outcome));
                    }
                };
                let request = frame::encode(&request);
                self.cluster.network().request(&to, &self.topic, request, timeout, Box::new(on_reply));
            }
            Todo::Effect(Effect::Ready) => {
                self.announce_ready(true);
                self.ready.send_replace(true);
            }
            Todo::Effect(Effect::Unready) => {
                self.announce_ready(false);
                self.ready.send_replace(false);
            }
            Todo::Effect(Effect::Idle) => {
                if let Some(tenant) = self.tenant() {
                    tenant.stopped();
                }
            }
            Todo::Effect(Effect::Doubt(node)) => {
                if let Some(tenant) = self.tenant() {
                    tenant.doubt(&node);
                }
            }
            // No subscriber is no loss.
            Todo::Effect(Effect::Event(event)) => drop(self.events.send(event)),
            Todo::Effect(Effect::Answer { .. } | Effect::Respond { .. }) => {}
        }
    }

    fn announce_ready(&self, ready: bool) {
        self.cluster.update_meta(|meta| {
            if let Some(horde) = meta.hordes.get_mut(&self.horde) {
                horde.ready = ready;
            }
        });
    }

    fn tenant(&self) -> Option<Arc<LeaseTenant>> {
        lock(&self.kept).iter().find_map(|kept| match kept {
            Kept::Tenant(tenant) => Some(tenant.clone()),
            _ => None,
        })
    }

    fn spawn(&self, start: Start, token: u64) {
        let Some(this) = self.this.upgrade() else { return };
        match self.node.start(start, this, token) {
            Ok(pid) => self.feed(|machine, _| machine.spawned(token, pid)),
            Err(error) => {
                let error = StartError::BadArgs(error.to_string());
                self.feed(|machine, now| machine.started(now, token, Err(error)));
            }
        }
    }

    /// The driver: flushes, sends, and keeps time, until the supervisor is stopped.
    pub(crate) async fn drive(self: Arc<Self>) {
        loop {
            let (timeout, outbox) = {
                let now = self.now();
                let mut locked = lock(&self.locked);
                if locked.machine.poll_timeout().is_some_and(|at| at <= now.monotonic) {
                    locked.machine.handle_timeout(now);
                }
                locked.machine.flush(now);
                let mut outbox = Vec::new();
                while let Some(message) = locked.machine.poll_sync() {
                    outbox.push(message);
                }
                let timeout = locked.machine.poll_timeout();
                self.settle(locked);
                (timeout, outbox)
            };
            for (to, message) in outbox {
                self.send(&to, &message);
            }
            if lock(&self.kept).is_empty() {
                return;
            }
            let pause =
                timeout.map_or(Duration::from_secs(1), |at| at.saturating_sub(self.started_at.elapsed()));
            tokio::select! {
                biased;
                () = self.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn send(&self, to: &horde_transport::NodeId, message: &Message<ChildId, Arc<Record>>) {
        let frame = bytes::Bytes::from(message.encode());
        if let Err(error) = self.cluster.network().send(to, &self.topic, Lane::Sync, frame) {
            // The replica pulls what is missing once the peer is reached again.
            tracing::trace!(node = %self.node.id(), topic = %self.topic, peer = %to, %error, "not sent");
        }
    }

    fn is_member(&self, peer: &horde_transport::NodeId) -> bool {
        peer == self.node.id() || self.cluster.view().get(peer).is_some()
    }

    fn incoming(&self, event: NetworkEvent) {
        match event {
            // Who is connected but no member, such as a command-line client, has no say in what runs.
            NetworkEvent::Frame { from, .. } | NetworkEvent::Request { from, .. }
                if !self.is_member(&from) =>
            {
                tracing::debug!(node = %self.node.id(), topic = %self.topic, peer = %from, "not a member; dropped");
            }
            NetworkEvent::Frame { from, frame, .. } => match Message::decode(&frame) {
                Ok(message) => self.feed(|machine, now| machine.receive(now, &from, message)),
                Err(error) => {
                    tracing::warn!(node = %self.node.id(), topic = %self.topic, peer = %from, %error, "bad frame dropped");
                }
            },
            NetworkEvent::Request { from, frame, responder, .. } => match frame::decode::<Request>(&frame) {
                Ok(request) => {
                    let now = self.now();
                    let mut locked = lock(&self.locked);
                    locked.next_responder += 1;
                    let number = locked.next_responder;
                    locked.responders.insert(number, responder);
                    locked.machine.request(now, number, request);
                    self.settle(locked);
                }
                Err(error) => {
                    tracing::warn!(node = %self.node.id(), topic = %self.topic, peer = %from, %error, "bad request dropped");
                }
            },
            NetworkEvent::Up(peer) if peer.role == Role::Node => {
                self.feed(|machine, now| machine.reconnected(now, &peer.id))
            }
            _ => {}
        }
    }
}

enum Todo {
    Answer(oneshot::Sender<Answer>, Answer),
    Respond(Responder, Response),
    Effect(Effect),
}

struct Incoming(Weak<Core>);

impl Subscriber for Incoming {
    fn event(&self, event: NetworkEvent) {
        if let Some(core) = self.0.upgrade() {
            core.incoming(event);
        }
    }
}

impl Watcher for Core {
    fn started(&self, token: u64, outcome: Result<Pid, StartFailure>) {
        let outcome = outcome.map_err(|failure| match failure {
            StartFailure::Init(reason) => StartError::Init(reason),
            StartFailure::Ignored => StartError::Ignored,
            StartFailure::NameTaken(pid) => StartError::NameTaken(pid),
            other => StartError::BadArgs(other.to_string()),
        });
        self.feed(|machine, now| machine.started(now, token, outcome));
    }

    fn exited(&self, token: u64, _: Pid, reason: ExitReason, state: Option<State>) {
        self.feed(|machine, now| machine.exited(now, token, reason, state));
    }

    fn may_act(&self, _: u64) -> bool {
        self.options.quorum == Quorum::None || self.cluster.may_act()
    }

    fn stuck(&self, token: u64, pid: Pid) {
        self.feed(|machine, _| machine.stuck(token, pid));
    }
}

/// Finds children by id, for as long as their supervisor runs here.
struct ById(Weak<Core>);

impl Resolve for ById {
    fn resolve(&self, key: &[u8]) -> Option<Pid> {
        let id = ChildId::from(std::str::from_utf8(key).ok()?);
        self.0.upgrade()?.pid_of(&id)
    }

    fn register(
        &self,
        _: &[u8],
        _: &[u8],
        _: &Pid,
        _: Option<&horde_process::Claim>,
    ) -> Result<(), NameTaken> {
        Err(NameTaken::Refused("a supervisor names its children itself".to_owned()))
    }

    fn unregister_all(&self, _: &Pid) {}
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor")
            .field("name", &self.name)
            .field("node", self.node.id())
            .finish_non_exhaustive()
    }
}

/// A panic while the lock was held leaves the machine as it was after its last whole input.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
