//! What happens inside one node: subscribers, the events they hear, and the node's own task that calls them.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::pending::Pending;
use crate::{
    DownReason, Event, Lane, Limits, NodeId, OnReply, Peer, RequestError, Responder, Role, SendError,
    Subscriber, Subscription, Topic, TopicTaken,
};

/// Items the task takes before it lets others run.
const BATCH: usize = 256;

/// Locks, also after a panic elsewhere: every critical section here leaves its data whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The subscribers of one node, and the queue of what its task tells them.
///
/// ```text
///   subscribe, links up and down, frames to itself ---> queue ---> task ---> subscribers
///   frames of peers (QUIC readers) ------------------------------------------^
/// ```
///
/// `Up`, `Down` and `CrashHint` come from the task alone, so that each subscriber hears them in one order. A reader
/// that delivers by itself starts after its peer's `Up` was told, and has ended before its `Down` is queued.
pub(crate) struct Dispatch {
    local: NodeId,
    limits: Limits,
    runtime: Handle,
    pub(crate) pending: Pending,
    topics: RwLock<BTreeMap<Topic, Arc<Entry>>>,
    queue: Mutex<Queue>,
    wake: Notify,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    waiting: BTreeMap<(NodeId, Lane), usize>,
    closed: bool,
}

/// One subscriber, and whether it has heard of the peers present.
pub(crate) struct Entry {
    subscriber: Arc<dyn Subscriber>,
    ready: AtomicBool,
    announced: Notify,
}

/// One thing for the task to do.
pub(crate) enum Item {
    /// Tell a new subscriber of the peers present.
    Announce(Arc<Entry>),
    /// Tell everybody of a peer, then let its reader start.
    Up(Peer, Option<oneshot::Sender<()>>),
    /// Tell everybody that a peer is gone.
    Down(NodeId, DownReason),
    /// Tell everybody that a peer's OS process is likely gone.
    Hint(NodeId),
    /// Deliver a frame.
    Frame { from: NodeId, topic: Topic, lane: Lane, frame: Bytes },
    /// Deliver a request.
    Request { from: NodeId, topic: Topic, frame: Bytes, timeout: Duration, answer: OnReply },
    /// Hand over the outcome of a request of this node.
    Reply(OnReply, Result<Bytes, RequestError>),
}

impl Dispatch {
    /// A dispatch whose task runs on `runtime`.
    pub(crate) fn start(local: NodeId, limits: Limits, runtime: Handle) -> Arc<Self> {
        let dispatch = Arc::new(Self {
            local,
            limits,
            runtime,
            pending: Pending::default(),
            topics: RwLock::default(),
            queue: Mutex::default(),
            wake: Notify::new(),
        });
        let last = Finish(dispatch.clone());
        dispatch.runtime.spawn(async move { last.0.run().await });
        dispatch
    }

    pub(crate) fn local(&self) -> &NodeId {
        &self.local
    }

    #[cfg(feature = "quic")]
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Queues an item. After [`Dispatch::close`] only outcomes of requests are still handed over.
    pub(crate) fn push(&self, item: Item) {
        let mut queue = lock(&self.queue);
        if !queue.closed {
            queue.items.push_back(item);
            drop(queue);
            self.wake.notify_one();
            return;
        }
        drop(queue);
        if let Item::Reply(on_reply, outcome) = item {
            self.runtime.spawn(async move { guarded(|| on_reply(outcome)) });
        }
    }

    /// Queues a frame or a request, unless the limit of its sender and lane is reached: then it comes back.
    pub(crate) fn push_bounded(&self, item: Item) -> Result<(), Item> {
        let Some(key) = item.key() else {
            self.push(item);
            return Ok(());
        };
        let mut queue = lock(&self.queue);
        let waiting = queue.waiting.entry(key).or_default();
        if *waiting >= self.limits.queued_frames {
            return Err(item);
        }
        *waiting += 1;
        drop(queue);
        self.push(item);
        Ok(())
    }

    /// Checks `frame` against the limit of `lane`.
    pub(crate) fn check_size(&self, lane: Lane, frame: &Bytes) -> Result<(), SendError> {
        let (size, limit) = (frame.len(), self.limits.frame(lane));
        if size > limit { Err(SendError::TooBig { size, limit }) } else { Ok(()) }
    }

    /// Hands `error` to `on_reply` on the task.
    pub(crate) fn refuse(&self, on_reply: OnReply, error: impl Into<RequestError>) {
        self.push(Item::Reply(on_reply, Err(error.into())));
    }

    /// Keeps `on_reply` for the answer that comes over `link`; `None` when it was refused for good.
    pub(crate) fn expect(&self, to: &NodeId, link: u64, timeout: Duration, on_reply: OnReply) -> Option<u64> {
        let deadline = Instant::now() + timeout;
        match self.pending.insert(link, deadline, self.limits.requests, on_reply) {
            Ok(inserted) => {
                if inserted.first {
                    self.wake.notify_one();
                }
                Some(inserted.id)
            }
            Err(on_reply) => {
                self.refuse(on_reply, SendError::Full(to.clone()));
                None
            }
        }
    }

    /// Answers every request that went out on `link` with `Interrupted`.
    pub(crate) fn interrupt(&self, link: u64) {
        for on_reply in self.pending.drain(Some(link)) {
            self.refuse(on_reply, RequestError::Interrupted);
        }
    }

    pub(crate) fn subscribe(
        self: &Arc<Self>,
        topic: &Topic,
        subscriber: Arc<dyn Subscriber>,
    ) -> Result<Subscription, TopicTaken> {
        let entry = Arc::new(Entry { subscriber, ready: AtomicBool::new(false), announced: Notify::new() });
        let taken = {
            let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
            let taken = topics.contains_key(topic);
            if !taken {
                topics.insert(topic.clone(), entry.clone());
            }
            taken
        };
        if taken {
            return Err(TopicTaken(topic.clone()));
        }
        self.push(Item::Announce(entry.clone()));
        let (dispatch, topic) = (Arc::downgrade(self), topic.clone());
        Ok(Subscription::new(move || {
            let Some(dispatch) = dispatch.upgrade() else { return };
            let mut topics = dispatch.topics.write().unwrap_or_else(PoisonError::into_inner);
            let gone = match topics.get(&topic) {
                Some(current) if Arc::ptr_eq(current, &entry) => topics.remove(&topic),
                _ => None,
            };
            drop(topics);
            drop(gone);
        }))
    }

    /// The subscriber of `topic`, if it admits a peer of this role; nobody admits one that is not present.
    pub(crate) fn admitting(&self, topic: &str, role: Option<Role>) -> Option<Arc<Entry>> {
        let entry = self.topics.read().unwrap_or_else(PoisonError::into_inner).get(topic).cloned()?;
        role.is_some_and(|role| entry.admits(role)).then_some(entry)
    }

    /// Ends the task. What is queued for subscribers is dropped, requests that wait get `Interrupted`.
    pub(crate) fn close(&self) {
        lock(&self.queue).closed = true;
        self.wake.notify_one();
    }

    async fn run(&self) {
        let mut peers = BTreeMap::new();
        loop {
            for _ in 0..BATCH {
                let Some(item) = self.next() else { break };
                self.perform(item, &mut peers);
            }
            for on_reply in self.pending.expire(Instant::now()) {
                guarded(|| on_reply(Err(RequestError::Timeout)));
            }
            let (closed, idle) = {
                let queue = lock(&self.queue);
                (queue.closed, queue.items.is_empty())
            };
            if closed {
                return;
            }
            if !idle {
                tokio::task::yield_now().await;
                continue;
            }
            match self.pending.deadline() {
                Some(deadline) => {
                    let _woken_or_due = tokio::time::timeout_at(deadline, self.wake.notified()).await;
                }
                None => self.wake.notified().await,
            }
        }
    }

    fn next(&self) -> Option<Item> {
        let mut queue = lock(&self.queue);
        if queue.closed {
            return None;
        }
        let item = queue.items.pop_front()?;
        if let Some(key) = item.key()
            && let Some(waiting) = queue.waiting.get_mut(&key)
        {
            *waiting = waiting.saturating_sub(1);
            if *waiting == 0 {
                queue.waiting.remove(&key);
            }
        }
        Some(item)
    }

    fn perform(&self, item: Item, peers: &mut BTreeMap<NodeId, Peer>) {
        match item {
            Item::Announce(entry) => {
                for peer in peers.values().filter(|peer| entry.admits(peer.role)) {
                    entry.tell(Event::Up(peer.clone()));
                }
                entry.ready.store(true, Ordering::Release);
                entry.announced.notify_waiters();
            }
            Item::Up(peer, told) => {
                peers.insert(peer.id.clone(), peer.clone());
                self.tell_all(peer.role, || Event::Up(peer.clone()));
                if let Some(told) = told {
                    let _reader_gone = told.send(());
                }
            }
            Item::Down(peer, reason) => {
                if let Some(gone) = peers.remove(&peer) {
                    self.tell_all(gone.role, || Event::Down { peer: peer.clone(), reason: reason.clone() });
                }
            }
            Item::Hint(peer) => {
                if let Some(known) = peers.get(&peer) {
                    self.tell_all(known.role, || Event::CrashHint { peer: peer.clone() });
                }
            }
            Item::Frame { from, topic, lane, frame } => {
                if let Some(entry) = self.admitting(topic.as_str(), self.role(&from, peers)) {
                    entry.tell(Event::Frame { from, lane, frame });
                }
            }
            Item::Request { from, topic, frame, timeout, answer } => {
                let entry = self.admitting(topic.as_str(), self.role(&from, peers));
                deliver_request(entry, from, frame, timeout, answer);
            }
            Item::Reply(on_reply, outcome) => guarded(|| on_reply(outcome)),
        }
    }

    /// The role of a peer that is present; this node is one to itself.
    fn role(&self, from: &NodeId, peers: &BTreeMap<NodeId, Peer>) -> Option<Role> {
        if *from == self.local { Some(Role::Node) } else { peers.get(from).map(|peer| peer.role) }
    }

    /// Tells every subscriber that admits `role` and has heard of the peers present; the others hear it in their turn.
    fn tell_all(&self, role: Role, event: impl Fn() -> Event) {
        let entries: Vec<_> = {
            let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
            let heard = |entry: &&Arc<Entry>| entry.ready.load(Ordering::Acquire) && entry.admits(role);
            topics.values().filter(heard).cloned().collect()
        };
        for entry in entries {
            entry.tell(event());
        }
    }
}

impl fmt::Debug for Dispatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatch").field("local", &self.local).finish_non_exhaustive()
    }
}

impl Entry {
    /// Waits until the subscriber has heard of the peers present: no frame comes before.
    #[cfg(feature = "quic")]
    pub(crate) async fn ready(&self) {
        loop {
            let announced = self.announced.notified();
            if self.ready.load(Ordering::Acquire) {
                return;
            }
            announced.await;
        }
    }

    fn admits(&self, role: Role) -> bool {
        self.subscriber.admits(role)
    }

    /// Calls the subscriber.
    pub(crate) fn tell(&self, event: Event) {
        guarded(|| self.subscriber.event(event));
    }
}

impl Item {
    /// What its bound counts.
    fn key(&self) -> Option<(NodeId, Lane)> {
        match self {
            Self::Frame { from, lane, .. } => Some((from.clone(), *lane)),
            Self::Request { from, .. } => Some((from.clone(), Lane::Calls)),
            _ => None,
        }
    }
}

/// Gives a request to the subscriber, or answers it when there is none.
pub(crate) fn deliver_request(
    entry: Option<Arc<Entry>>,
    from: NodeId,
    frame: Bytes,
    timeout: Duration,
    answer: OnReply,
) {
    let Some(entry) = entry else {
        answer(Err(RequestError::NoSuchTopic));
        return;
    };
    let responder = Responder::new(move |reply| answer(reply.ok_or(RequestError::Unanswered)));
    entry.tell(Event::Request { from, frame, timeout, responder });
}

/// Runs foreign code: its panic ends neither the task nor the other subscribers.
pub(crate) fn guarded(call: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(call)).is_err() {
        tracing::error!("a subscriber panicked in the network's task; the event is lost to it");
    }
}

/// The end of the task, also when its runtime is shut down: no request waits for ever.
struct Finish(Arc<Dispatch>);

impl Drop for Finish {
    fn drop(&mut self) {
        let items = {
            let mut queue = lock(&self.0.queue);
            queue.closed = true;
            queue.waiting.clear();
            std::mem::take(&mut queue.items)
        };
        for item in items {
            match item {
                Item::Reply(on_reply, outcome) => guarded(|| on_reply(outcome)),
                other => guarded(|| drop(other)),
            }
        }
        for on_reply in self.0.pending.drain(None) {
            guarded(|| on_reply(Err(RequestError::Interrupted)));
        }
    }
}
