//! Typed addresses.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::call::{Call, Push};
use crate::cell::{Core, Inbox, Shared};
use crate::frame::{self, Head};
use crate::mailbox::Refused;
use crate::node::{NODE, Node};
use crate::send::Sending;
use crate::{CallError, ExitReason, Lists, Message, Name, Pid, Process, Reply};

/// A typed address by pid or by name; a name is looked up at each use. Cheap to clone.
///
/// It travels in messages, arguments and state. Deserialised inside a process, or as part of a message or an answer, it belongs to
/// that node; elsewhere it is unbound, and [`Ref::new`] binds its name.
pub struct Ref<P: Process>(To<P>);

enum To<P: Process> {
    /// A process of this node, by pid: nothing to look up, nothing of its own.
    Here(Arc<dyn Inbox<P>>),
    Named(Arc<Named<P>>),
}

struct Named<P: Process> {
    name: Name,
    node: Option<Node>,
    /// The process of a pid of this node, once found.
    inbox: OnceLock<Arc<dyn Inbox<P>>>,
}

/// Where a message goes.
pub(crate) enum Route<P: Process> {
    /// To a process of this node and this type.
    Here(Arc<dyn Inbox<P>>),
    /// To a process of this node and another type: in bytes.
    Other(Shared),
    /// To another node.
    There(Pid),
}

impl<P: Process> Ref<P> {
    /// The address `name`, used from `node`. Nobody need be there yet.
    pub fn new(node: &Node, name: impl Into<Name>) -> Self {
        Self::of(name.into(), Some(node.clone()))
    }

    fn of(name: Name, node: Option<Node>) -> Self {
        Self(To::Named(Arc::new(Named { name, node, inbox: OnceLock::new() })))
    }

    pub(crate) fn here(inbox: Arc<dyn Inbox<P>>) -> Self {
        Self(To::Here(inbox))
    }

    /// The process of this node behind a pid, once found.
    fn inbox(&self) -> Option<&Arc<dyn Inbox<P>>> {
        match &self.0 {
            To::Here(inbox) => Some(inbox),
            To::Named(named) => named.inbox.get(),
        }
    }

    /// The pid or name that this address holds.
    #[must_use]
    pub fn name(&self) -> &Name {
        match &self.0 {
            To::Here(inbox) => inbox.core().name(),
            To::Named(named) => &named.name,
        }
    }

    /// The process behind this address now: no hop, no wait. `None` for a name that nobody holds, and for an unbound one.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        match self.name() {
            Name::Pid(pid) => Some(pid.clone()),
            name => self.node().ok()?.resolve(name),
        }
    }

    /// Sends `message` and waits for its answer: 5 s unless the call says otherwise. Nothing is sent before the call is awaited.
    pub fn call<M: Message, At>(&self, message: M) -> Call<P, M>
    where
        P::Messages: Lists<P, M, At>,
    {
        Call::new(self.clone(), message, push::<P, M, At>)
    }

    /// Sends and does not wait.
    ///
    /// # Errors
    /// Only what is known here and now: [`CallError::Full`], [`CallError::NoProcess`] and the like. The message was not sent, and is
    /// dropped; [`Ref::try_cast`] gives it back. Without an error it may still be lost on the way to another node.
    pub fn cast<M: Message, At>(&self, message: M) -> Result<(), CallError>
    where
        P::Messages: Lists<P, M, At>,
    {
        self.try_cast(message).map_err(|not_sent| not_sent.error)
    }

    /// As [`Ref::cast`], and gives the message back if it was not sent.
    ///
    /// # Errors
    /// [`NotSent`] with the message and the reason.
    pub fn try_cast<M: Message, At>(&self, message: M) -> Result<(), NotSent<M>>
    where
        P::Messages: Lists<P, M, At>,
    {
        if let Some(inbox) = self.inbox() {
            return self.cast_here(&**inbox, message);
        }
        match self.route() {
            Ok(Route::Here(inbox)) => self.cast_here(&*inbox, message),
            _ => self.cast_away(message),
        }
    }

    /// As [`Ref::cast`], and waits for room in a mailbox of this node: 5 s unless it says otherwise. Nothing is sent before it is
    /// awaited. To another node it is a cast: what finds a full mailbox there is lost.
    ///
    /// Its error is [`NotSent`], with the message and the reason: [`CallError::Full`] if there was no room in time.
    pub fn send<M: Message, At>(&self, message: M) -> Sending<P, M>
    where
        P::Messages: Lists<P, M, At>,
    {
        Sending::new(self.clone(), message, push::<P, M, At>)
    }

    /// A cast in bytes: to another node, or to a process of this node whose type is not `P`.
    pub(crate) fn cast_away<M: Message>(&self, message: M) -> Result<(), NotSent<M>> {
        match self.route() {
            // What it is has changed since it was looked at: whoever holds the name now takes it in bytes.
            Ok(Route::Here(inbox)) => self.cast_other(&inbox.shared(), message),
            Ok(Route::Other(other)) => self.cast_other(&other, message),
            Ok(Route::There(pid)) => self.cast_there(&pid, message),
            Err(error) => Err(NotSent { message, error }),
        }
    }

    fn cast_other<M: Message>(&self, other: &Shared, message: M) -> Result<(), NotSent<M>> {
        let sent = other.core().node.deliver_cast(other, self.name(), &message);
        sent.map_err(|error| NotSent { message, error })
    }

    /// Waits until the process has ended; at once if there is none. Knows processes of this node alone: for one elsewhere, and for a
    /// node's end, use [`crate::Context::monitor`].
    pub fn ended(&self) -> impl Future<Output = ExitReason> + Send + 'static {
        let process = match self.route() {
            Ok(Route::Here(inbox)) => Some(inbox.shared()),
            Ok(Route::Other(other)) => Some(other),
            Ok(Route::There(_)) | Err(_) => None,
        };
        crate::signals::ended(process)
    }

    fn cast_here<M: Message, At>(&self, inbox: &dyn Inbox<P>, message: M) -> Result<(), NotSent<M>>
    where
        P::Messages: Lists<P, M, At>,
    {
        push::<P, M, At>(inbox, message, Reply::nobody(), None).map_err(|(message, _, refused)| {
            let error =
                if refused == Refused::Closed { self.closed(inbox.core()) } else { self.refused(refused) };
            NotSent { message, error }
        })
    }

    fn cast_there<M: Message>(&self, pid: &Pid, message: M) -> Result<(), NotSent<M>> {
        let head = Head::Cast { target: pid.number(), message: M::NAME };
        let sent = match frame::write_value(&head, &message) {
            Ok(frame) => self.node().and_then(|node| node.send_frame(pid.node(), frame)),
            Err(error) => Err(bad_payload::<M>(&error)),
        };
        sent.map_err(|error| NotSent { message, error })
    }

    pub(crate) fn node(&self) -> Result<&Node, CallError> {
        match &self.0 {
            To::Here(inbox) => Ok(&inbox.core().node),
            To::Named(named) => named.node.as_ref().ok_or(CallError::Unbound),
        }
    }

    pub(crate) fn refused(&self, refused: Refused) -> CallError {
        match refused {
            Refused::Full => CallError::Full(self.name().clone()),
            Refused::Closed => self.nobody(),
        }
    }

    /// The process behind it has closed its mailbox.
    pub(crate) fn closed(&self, core: &Core) -> CallError {
        if has_moved(core) { CallError::Moved(self.name().clone()) } else { self.nobody() }
    }

    pub(crate) fn nobody(&self) -> CallError {
        CallError::NoProcess(self.name().clone())
    }

    /// Where a message goes now.
    pub(crate) fn route(&self) -> Result<Route<P>, CallError> {
        let named = match &self.0 {
            To::Here(inbox) => return Ok(Route::Here(Arc::clone(inbox))),
            To::Named(named) => named,
        };
        if let Some(inbox) = named.inbox.get() {
            return Ok(Route::Here(Arc::clone(inbox)));
        }
        let node = self.node()?;
        let found;
        let pid = match &named.name {
            Name::Pid(pid) => pid,
            name => {
                found = node.resolve(name).ok_or_else(|| self.nobody())?;
                &found
            }
        };
        if pid.node() != node.id() {
            return Ok(Route::There(pid.clone()));
        }
        let process = node.find(pid).ok_or_else(|| match node.0.moved.has(pid.number()) {
            true => CallError::Moved(self.name().clone()),
            false => self.nobody(),
        })?;
        match process.clone().typed::<P>() {
            Some(inbox) => {
                if let Name::Pid(_) = &named.name {
                    named.inbox.get_or_init(|| Arc::clone(&inbox));
                }
                Ok(Route::Here(inbox))
            }
            None => Ok(Route::Other(process)),
        }
    }
}

/// Whether a process has ended to move to another node.
pub(crate) fn has_moved(core: &Core) -> bool {
    core.ended() == Some(&ExitReason::Redistribution)
}

/// Puts a message into the mailbox behind `inbox`, which is that of a `P`.
pub(crate) fn push<P: Process, M: Message, At>(
    inbox: &dyn Inbox<P>,
    message: M,
    reply: Reply<M::Reply>,
    deadline: Option<std::time::Instant>,
) -> Push<M>
where
    P::Messages: Lists<P, M, At>,
{
    match inbox.as_any().downcast_ref::<crate::cell::Cell<P>>() {
        Some(cell) => cell.push::<M, At>(message, reply, deadline),
        // The only inbox of a P is its cell.
        None => Err((message, reply, Refused::Closed)),
    }
}

pub(crate) fn bad_payload<M: Message>(error: &crate::CodecError) -> CallError {
    CallError::BadPayload { message: M::NAME.to_owned(), why: error.to_string() }
}

/// A message that was not sent, and why.
#[derive(thiserror::Error)]
#[error("{error}")]
pub struct NotSent<M> {
    /// The message, as it was.
    pub message: M,
    /// Why it was not sent.
    pub error: CallError,
}

impl<M> fmt::Debug for NotSent<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotSent").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<P: Process> Clone for Ref<P> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            To::Here(inbox) => To::Here(Arc::clone(inbox)),
            To::Named(named) => To::Named(Arc::clone(named)),
        })
    }
}

impl<P: Process> PartialEq for Ref<P> {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl<P: Process> Eq for Ref<P> {}

impl<P: Process> fmt::Debug for Ref<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ref({} {})", P::KIND, self.name())
    }
}

impl<P: Process> From<&Ref<P>> for Name {
    fn from(address: &Ref<P>) -> Self {
        address.name().clone()
    }
}

impl<P: Process> From<Ref<P>> for Name {
    fn from(address: Ref<P>) -> Self {
        address.name().clone()
    }
}

impl<P: Process> Serialize for Ref<P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.name().serialize(serializer)
    }
}

impl<'de, P: Process> Deserialize<'de> for Ref<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Name::deserialize(deserializer)?;
        Ok(Self::of(name, NODE.try_with(Node::clone).ok()))
    }
}
