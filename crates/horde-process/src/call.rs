//! A call: a future that sends when it is first awaited.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use horde_transport::{RequestError, Responder, SendError};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};

use crate::address::{Ref, Route, bad_payload};
use crate::answer::{self, Receiver};
use crate::cell::{Inbox, Shared};
use crate::frame::{self, Answer, Head};
use crate::mailbox::Refused;
use crate::node::NODE;
use crate::reply::Lost;
use crate::signals::Ended;
use crate::waits::NEAR;
use crate::{CallError, Message, Name, Node, Pid, Process, Reply, codec, remote};

/// How long a call waits unless it says otherwise.
const PATIENCE: Duration = Duration::from_secs(5);

/// What putting a message into a mailbox gives: nothing, or the message and its reply back.
pub(crate) type Push<M> = Result<(), (M, Reply<<M as Message>::Reply>, Refused)>;

pub(crate) type PushFn<P, M> = fn(&dyn Inbox<P>, M, Reply<<M as Message>::Reply>, Option<Instant>) -> Push<M>;

pin_project! {
    /// A call not yet sent: await it, or give it a deadline first. Nothing is boxed on the way to a process of this node.
    ///
    /// Dropped before its answer, the message is dropped unhandled if the process has not taken it yet.
    ///
    /// # Panics
    /// When it is awaited outside a tokio runtime with its timer enabled.
    #[must_use = "a call does nothing until it is awaited"]
    pub struct Call<P: Process, M: Message> {
        target: Ref<P>,
        push: PushFn<P, M>,
        limit: Limit,
        stage: Stage<P, M>,
        #[pin]
        sleep: Option<Sleep>,
    }
}

/// How long the caller waits.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    For(Duration),
    /// Set when it is sent.
    Until {
        at: Instant,
        patience: Duration,
    },
}

enum Stage<P: Process, M: Message> {
    /// Not sent.
    New(Option<M>),
    /// The mailbox is full.
    Room {
        message: Option<M>,
        #[expect(dead_code, reason = "dropped with the stage: then the next in line has its turn")]
        place: Place<P>,
    },
    /// In the mailbox, or in the handler.
    Here { answer: Receiver<Result<M::Reply, Lost>>, inbox: Arc<dyn Inbox<P>> },
    /// The handler panicked: the end of the process is the answer.
    Ending(Ended),
    /// On its way in bytes.
    There { answer: Receiver<Result<Bytes, RequestError>>, pid: Pid, node: Node },
}

/// A place among those who wait for room; left when dropped.
pub(crate) struct Place<P: Process> {
    pub(crate) inbox: Arc<dyn Inbox<P>>,
    pub(crate) ticket: u64,
}

impl<P: Process> Drop for Place<P> {
    fn drop(&mut self) {
        self.inbox.leave(self.ticket);
    }
}

impl<P: Process, M: Message> Call<P, M> {
    pub(crate) fn new(target: Ref<P>, message: M, push: PushFn<P, M>) -> Self {
        Self { target, push, limit: Limit::default(), stage: Stage::New(Some(message)), sleep: None }
    }

    /// Waits for `timeout` from the moment it is sent. It travels: a process that finds the message later drops it.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.limit = Limit::For(timeout);
        self
    }

    /// Waits until `at`, for instance [`crate::Context::deadline`] of the call that is being handled.
    pub fn deadline(mut self, at: Instant) -> Self {
        self.limit = Limit::until(at);
        self
    }
}

impl<P: Process, M: Message> Future for Call<P, M> {
    type Output = Result<M::Reply, CallError>;

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let unsent = match this.stage {
            Stage::New(message) | Stage::Room { message, .. } => message.take(),
            _ => None,
        };
        let mut fixed = None;
        if let Some(message) = unsent {
            if this.limit.is_none() {
                return Poll::Ready(Err(this.limit.over()));
            }
            let (at, left) = this.limit.fix();
            fixed = Some((at, left));
            // What was there is dropped by this: a place among those who wait for room goes to the next.
            *this.stage = send(this.target, *this.push, message, at, task)?;
        } else if let Poll::Ready(outcome) = this.stage.poll(this.target, this.limit, task) {
            return Poll::Ready(outcome);
        }
        if this.sleep.is_none() {
            if this.stage.is_watched() {
                return Poll::Pending;
            }
            let (at, left) = fixed.unwrap_or_else(|| this.limit.fix());
            if left > NEAR && this.stage.watch(at) {
                return Poll::Pending;
            }
            this.sleep.set(Some(sleep_until(at.into())));
        }
        if let Some(sleep) = this.sleep.as_pin_mut() {
            ready!(sleep.poll(task));
        }
        Poll::Ready(Err(match this.stage {
            Stage::Room { .. } => this.target.refused(Refused::Full),
            _ => this.limit.over(),
        }))
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self::For(PATIENCE)
    }
}

impl Limit {
    pub(crate) fn until(at: Instant) -> Self {
        Self::Until { at, patience: at.saturating_duration_since(now()) }
    }

    /// When the caller gives up, fixed when it is first asked for, and how long that is from now.
    pub(crate) fn fix(&mut self) -> (Instant, Duration) {
        match *self {
            Self::Until { at, .. } => (at, at.saturating_duration_since(now())),
            Self::For(patience) => {
                // As far away as a clock can say is for ever.
                let left = patience.min(Duration::from_secs(60 * 60 * 24 * 365 * 30));
                let at = now() + left;
                *self = Self::Until { at, patience };
                (at, left)
            }
        }
    }

    /// True if there is no time at all.
    fn is_none(self) -> bool {
        match self {
            Self::For(patience) | Self::Until { patience, .. } => patience.is_zero(),
        }
    }

    fn over(self) -> CallError {
        match self {
            Self::For(patience) | Self::Until { patience, .. } => CallError::Timeout(patience),
        }
    }
}

impl<P: Process, M: Message> Stage<P, M> {
    fn poll(
        &mut self,
        target: &Ref<P>,
        limit: &Limit,
        task: &mut Task<'_>,
    ) -> Poll<Result<M::Reply, CallError>> {
        if let Self::Here { answer, inbox } = self {
            match ready!(answer.poll(task)) {
                Some(Ok(answer)) => return Poll::Ready(Ok(answer)),
                Some(Err(Lost)) => *self = Self::Ending(Ended::of(Arc::clone(inbox).shared())),
                None => {
                    let ended = inbox.core().ended();
                    return Poll::Ready(Err(
                        ended.map_or(CallError::NoReply, |reason| CallError::Exited(reason.clone()))
                    ));
                }
            }
        }
        match self {
            Self::Ending(ended) => Pin::new(ended).poll(task).map(|reason| Err(CallError::Exited(reason))),
            Self::There { answer, pid, .. } => {
                let outcome = ready!(answer.poll(task)).unwrap_or(Err(RequestError::Interrupted));
                Poll::Ready(
                    outcome
                        .map_err(|error| lost(error, pid, *limit))
                        .and_then(|frame| read::<P, M>(&frame, target, *limit)),
                )
            }
            _ => Poll::Pending,
        }
    }

    /// Whether the caller is on its node's list of those who wait, and will be reminded in time.
    fn is_watched(&self) -> bool {
        match self {
            Self::Here { answer, .. } => answer.is_watched(),
            Self::There { answer, .. } => answer.is_watched(),
            Self::New(_) | Self::Room { .. } | Self::Ending(_) => false,
        }
    }

    /// Puts the caller on that list; false if it has to have a timer of its own.
    fn watch(&self, at: Instant) -> bool {
        let (node, number, who) = match self {
            Self::Here { answer, inbox } => {
                let core = inbox.core();
                (&core.node, core.pid().number(), answer.to_watch())
            }
            Self::There { answer, pid, node } => (node, pid.number(), answer.to_watch()),
            Self::New(_) | Self::Room { .. } | Self::Ending(_) => return false,
        };
        node.note_wait(number, at, who);
        true
    }
}

/// Sends the message, or waits for room.
fn send<P: Process, M: Message>(
    target: &Ref<P>,
    push: PushFn<P, M>,
    message: M,
    at: Instant,
    task: &Task<'_>,
) -> Result<Stage<P, M>, CallError> {
    match target.route()? {
        Route::Here(inbox) => here(target, push, inbox, message, at, task),
        Route::Other(other) => there(target, other.core().pid().clone(), &message, at, Some(other), task),
        Route::There(pid) => there(target, pid, &message, at, None, task),
    }
}

fn here<P: Process, M: Message>(
    target: &Ref<P>,
    push: PushFn<P, M>,
    inbox: Arc<dyn Inbox<P>>,
    message: M,
    at: Instant,
    task: &Task<'_>,
) -> Result<Stage<P, M>, CallError> {
    let (to, answer) = answer::channel(task.waker().clone());
    let (mut message, mut reply) = (message, Reply::here(to));
    loop {
        match push(&*inbox, message, reply, Some(at)) {
            Ok(()) => return Ok(Stage::Here { answer, inbox }),
            Err((_, _, Refused::Closed)) => return Err(target.closed(inbox.core())),
            Err((back, unused, Refused::Full)) => {
                if let Some(ticket) = inbox.wait_for_room(task.waker()) {
                    return Ok(Stage::Room { message: Some(back), place: Place { inbox, ticket } });
                }
                (message, reply) = (back, unused);
            }
        }
    }
}

/// Sends in bytes: to another node, or to a process of this node whose type is not `P`.
fn there<P: Process, M: Message>(
    target: &Ref<P>,
    pid: Pid,
    message: &M,
    at: Instant,
    other: Option<Shared>,
    task: &Task<'_>,
) -> Result<Stage<P, M>, CallError> {
    let node = target.node()?.clone();
    let (to, answer) = answer::channel(task.waker().clone());
    let on_reply = move |outcome| {
        to.send(outcome);
    };
    let left = at.saturating_duration_since(now());
    match other {
        Some(other) => {
            let payload = codec::encode(message).map_err(|error| bad_payload::<M>(&error))?;
            let responder = Responder::new(move |frame| on_reply(frame.ok_or(RequestError::Unanswered)));
            remote::deliver_call(&other, M::NAME, payload.into(), left, responder);
        }
        None => {
            let head = Head::Call { target: pid.number(), message: M::NAME };
            let frame = frame::write_value(&head, message).map_err(|error| bad_payload::<M>(&error))?;
            node.request(pid.node(), frame, left, Box::new(on_reply))?;
        }
    }
    Ok(Stage::There { answer, pid, node })
}

/// What an answer in bytes says.
fn read<P: Process, M: Message>(frame: &Bytes, target: &Ref<P>, limit: Limit) -> Result<M::Reply, CallError> {
    let (answer, at) =
        frame::read::<Answer>(frame).map_err(|error| CallError::BadReply(error.to_string()))?;
    let message = || M::NAME.to_owned();
    match answer {
        Answer::Ok => {
            let decode =
                || codec::decode(&frame[at..]).map_err(|error| CallError::BadReply(error.to_string()));
            NODE.sync_scope(target.node()?.clone(), decode)
        }
        Answer::NoProcess => Err(target.nobody()),
        Answer::Moved => Err(CallError::Moved(target.name().clone())),
        Answer::Full => Err(target.refused(Refused::Full)),
        Answer::UnknownMessage => Err(CallError::UnknownMessage { message: message() }),
        Answer::BadPayload(why) => Err(CallError::BadPayload { message: message(), why }),
        Answer::Exited(reason) => Err(CallError::Exited(reason)),
        Answer::NoReply => Err(CallError::NoReply),
        Answer::BadReply(why) => Err(CallError::BadReply(why)),
        Answer::Expired => Err(limit.over()),
    }
}

/// What a request without an answer means to the caller.
fn lost(error: RequestError, pid: &Pid, limit: Limit) -> CallError {
    match error {
        RequestError::NotSent(error) => not_sent(error),
        RequestError::NoSuchTopic => CallError::NoProcess(Name::Pid(pid.clone())),
        RequestError::Interrupted => CallError::NodeDown(pid.node().clone()),
        RequestError::Timeout => limit.over(),
        RequestError::Unanswered => CallError::NoReply,
        // Whatever else cuts a request off: it may have run.
        _ => CallError::NodeDown(pid.node().clone()),
    }
}

/// What a frame that did not leave means to its sender.
pub(crate) fn not_sent(error: SendError) -> CallError {
    match error {
        SendError::NotConnected(node) => CallError::NotConnected(node),
        SendError::Full(node) => CallError::Congested(node),
        SendError::TooBig { size, limit } => CallError::TooBig { size, limit },
        _ => CallError::Unsendable(error.to_string()),
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl<P: Process, M: Message> fmt::Debug for Call<P, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("target", &self.target)
            .field("message", &M::NAME)
            .finish_non_exhaustive()
    }
}
