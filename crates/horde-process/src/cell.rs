//! What the world shares with one process: its identity, its mailbox, its signals.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::Instant;

use horde_transport::Responder;

use crate::control::Control;
use crate::mailbox::{Item, Mail, Refused, Wire};
use crate::method::Once;
use crate::process::Down;
use crate::reply::answer_exited;
use crate::start::{Shutdown, Watcher};
use crate::{Claim, ExitReason, Lists, Message, Messages, Name, Node, Pid, Process, Reply};

/// Locks, also after a panic: nothing here is left half done by one.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    #[cfg(test)]
    if let Some(guard) = crate::schedule::lock(mutex) {
        return guard;
    }
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What may be said of a process at its start.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) claim: Option<Claim>,
    pub(crate) shutdown: Shutdown,
    pub(crate) watch: Option<(Arc<dyn Watcher>, u64)>,
}

/// What is known of a process whatever its type.
pub(crate) struct Core {
    /// Its pid, as the name that a `Ref` shows.
    name: Name,
    pub(crate) node: Node,
    pub(crate) claim: Option<Arc<Claim>>,
    pub(crate) shutdown: Shutdown,
    /// Who started it, and as what.
    pub(crate) watch: Option<(Arc<dyn Watcher>, u64)>,
    /// Wakes the process's task; set when it first runs.
    waker: OnceLock<Waker>,
    /// Set once, before anything that the process owned is dropped.
    ended: OnceLock<Box<ExitReason>>,
    /// There is a signal in `Control`: look before the next message.
    urgent: AtomicBool,
    /// The task ends where it next runs.
    killed: AtomicBool,
}

impl Core {
    pub(crate) fn new(pid: Pid, node: Node, options: Options) -> Self {
        Self {
            name: Name::Pid(pid),
            node,
            claim: options.claim.map(Arc::new),
            shutdown: options.shutdown,
            watch: options.watch,
            waker: OnceLock::new(),
            ended: OnceLock::new(),
            urgent: AtomicBool::new(false),
            killed: AtomicBool::new(false),
        }
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) fn pid(&self) -> &Pid {
        match &self.name {
            Name::Pid(pid) => pid,
            other => unreachable!("{other} is no pid"),
        }
    }

    pub(crate) fn ended(&self) -> Option<&ExitReason> {
        self.ended.get().map(|reason| &**reason)
    }

    /// Publishes why it ended; the first reason stays.
    pub(crate) fn publish(&self, reason: impl Into<Box<ExitReason>>) -> &ExitReason {
        self.ended.get_or_init(|| reason.into())
    }

    pub(crate) fn awake(&self, waker: &Waker) {
        self.waker.get_or_init(|| waker.clone());
    }

    pub(crate) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }

    /// Takes the note that there are signals.
    pub(crate) fn take_urgent(&self) -> bool {
        self.urgent.load(Ordering::Acquire) && self.urgent.swap(false, Ordering::AcqRel)
    }

    /// Ends the task where it next runs.
    pub(crate) fn kill(&self) {
        self.killed.store(true, Ordering::Release);
        self.urgent.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }
}

/// A process, as those see it who know its type.
pub(crate) struct Cell<P: Process> {
    core: Core,
    inner: Mutex<Inner<Item<P>>>,
}

struct Inner<T> {
    mail: Mail<T>,
    control: Control,
}

/// What the process's own task finds when it looks.
pub(crate) enum Look {
    /// There is something in the batch.
    Batch,
    /// There is nothing; the next item wakes the task.
    Parked,
}

impl<P: Process> Cell<P> {
    pub(crate) fn new(core: Core) -> Self {
        let inner = Inner { mail: Mail::new(P::MAILBOX), control: Control::default() };
        Self { core, inner: Mutex::new(inner) }
    }

    /// Puts a message into the mailbox, or gives it back.
    pub(crate) fn push<M: Message, At>(
        &self,
        message: M,
        reply: Reply<M::Reply>,
        deadline: Option<Instant>,
    ) -> Result<(), (M, Reply<M::Reply>, Refused)>
    where
        P::Messages: Lists<P, M, At>,
    {
        let mut inner = lock(&self.inner);
        if let Err(refused) = inner.mail.room() {
            drop(inner);
            return Err((message, reply, refused));
        }
        inner.mail.put(Item::Message { slot: P::Messages::slot(message, reply), deadline });
        self.unpark(inner);
        Ok(())
    }

    /// Releases the lock, and wakes the process if it sleeps.
    fn unpark(&self, mut inner: MutexGuard<'_, Inner<Item<P>>>) {
        let parked = std::mem::take(&mut inner.control.parked);
        drop(inner);
        if parked {
            self.core.wake();
        }
    }

    /// The process's own task: gives back `handled` places and takes the next batch. Signals keep it from parking.
    pub(crate) fn look(&self, handled: usize, batch: &mut VecDeque<Item<P>>) -> Look {
        let mut inner = lock(&self.inner);
        let wake = inner.mail.give_back(handled, Item::Wire);
        if batch.is_empty() {
            inner.mail.take(batch);
        }
        let urgent = self.core.urgent.load(Ordering::Acquire);
        let look = if batch.is_empty() && !urgent {
            inner.control.parked = true;
            Look::Parked
        } else {
            Look::Batch
        };
        drop(inner);
        wake.into_iter().for_each(Waker::wake);
        look
    }

    /// Closes the mailbox: what is in it is dropped, which answers its callers. Gives the signals and relations out.
    pub(crate) fn close(&self) -> Control {
        let mut inner = lock(&self.inner);
        let (queue, wakers, wires) = inner.mail.close();
        let control = std::mem::take(&mut inner.control);
        drop(inner);
        // Dropped without the lock: a reply in there answers its caller, a user's message may do anything.
        drop((queue, wires));
        wakers.into_iter().for_each(Waker::wake);
        control
    }
}

/// A process, as those see it who know its type but not its messages: `Context` and `Ref` are `Send` whatever its list says.
pub(crate) trait Inbox<P: Process>: Send + Sync + 'static {
    fn core(&self) -> &Core;
    fn shared(self: Arc<Self>) -> Shared;
    fn as_any(&self) -> &dyn Any;
    /// Queues a step; dropped when the process has ended.
    fn step(&self, step: Box<dyn Once<P>>);
    fn control(&self, change: &mut dyn FnMut(&mut Control));
    /// Waits for room; `None` when there is room or the mailbox is closed.
    fn wait_for_room(&self, waker: &Waker) -> Option<u64>;
    fn leave(&self, ticket: u64);
}

impl<P: Process> Inbox<P> for Cell<P> {
    fn core(&self) -> &Core {
        &self.core
    }

    fn shared(self: Arc<Self>) -> Shared {
        Shared(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn step(&self, step: Box<dyn Once<P>>) {
        let mut inner = lock(&self.inner);
        match inner.mail.put_uncounted(Item::Step(step)) {
            None => self.unpark(inner),
            Some(late) => {
                drop(inner);
                drop(late);
            }
        }
    }

    fn control(&self, change: &mut dyn FnMut(&mut Control)) {
        change(&mut lock(&self.inner).control);
    }

    fn wait_for_room(&self, waker: &Waker) -> Option<u64> {
        let mut inner = lock(&self.inner);
        match inner.mail.room() {
            Err(Refused::Full) => Some(inner.mail.wait(waker.clone())),
            _ => None,
        }
    }

    fn leave(&self, ticket: u64) {
        let next = lock(&self.inner).mail.leave(ticket);
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

/// A process, as those see it who do not know its type.
pub(crate) trait AnyCell: Send + Sync + 'static {
    fn core(&self) -> &Core;
    /// Changes what is known of links, monitors and waiting ends; `None` once it has ended.
    fn control(&self, change: &mut dyn FnMut(&mut Control)) -> bool;
    /// As `control`, for a signal: the process looks at it before its next message.
    fn signal(&self, change: &mut dyn FnMut(&mut Control)) -> bool;
    fn down(&self, down: Down);
    /// The place of a message among those that the process takes.
    fn index(&self, message: &str) -> Option<usize>;
    /// Queues a message in bytes, or lets it wait for room; gives it back with the reason.
    fn deliver(&self, wire: Box<Wire>) -> Result<(), (Box<Wire>, Refused)>;
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

impl<P: Process> AnyCell for Cell<P> {
    fn core(&self) -> &Core {
        &self.core
    }

    fn control(&self, change: &mut dyn FnMut(&mut Control)) -> bool {
        let mut inner = lock(&self.inner);
        let open = inner.mail.room() != Err(Refused::Closed);
        if open {
            change(&mut inner.control);
        }
        open
    }

    fn signal(&self, change: &mut dyn FnMut(&mut Control)) -> bool {
        let mut inner = lock(&self.inner);
        if inner.mail.room() == Err(Refused::Closed) {
            return false;
        }
        change(&mut inner.control);
        self.core.urgent.store(true, Ordering::Release);
        self.unpark(inner);
        true
    }

    fn down(&self, down: Down) {
        let mut inner = lock(&self.inner);
        if inner.mail.put_uncounted(Item::Down(Box::new(down))).is_none() {
            self.unpark(inner);
        }
    }

    fn index(&self, message: &str) -> Option<usize> {
        <P::Messages as Messages<P>>::NAMES.iter().position(|name| *name == message)
    }

    fn deliver(&self, wire: Box<Wire>) -> Result<(), (Box<Wire>, Refused)> {
        let mut inner = lock(&self.inner);
        match inner.mail.room() {
            Ok(()) => {
                inner.mail.put(Item::Wire(wire));
                self.unpark(inner);
                Ok(())
            }
            Err(Refused::Full) if wire.reply.is_some() => match inner.mail.wait_wire(wire, P::MAILBOX.max(1))
            {
                None => Ok(()),
                Some(wire) => Err((wire, Refused::Full)),
            },
            Err(refused) => Err((wire, refused)),
        }
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

/// A process of any type.
#[derive(Clone)]
pub(crate) struct Shared(pub(crate) Arc<dyn AnyCell>);

impl Shared {
    pub(crate) fn core(&self) -> &Core {
        self.0.core()
    }

    /// The process as one that takes the messages of `P`, if it is one.
    pub(crate) fn typed<P: Process>(self) -> Option<Arc<dyn Inbox<P>>> {
        let cell: Arc<Cell<P>> = self.0.into_any().downcast().ok()?;
        Some(cell)
    }

    /// Answers a call when the end of the process is known.
    pub(crate) fn orphan(&self, responder: Responder) {
        let mut responder = Some(responder);
        self.0.control(&mut |control| control.rare().orphans.extend(responder.take()));
        if let (Some(responder), Some(reason)) = (responder, self.core().ended()) {
            answer_exited(responder, reason);
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.core().pid(), f)
    }
}
