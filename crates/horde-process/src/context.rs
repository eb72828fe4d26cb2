//! What a process knows of itself while one callback runs.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::AbortHandle;

use crate::cell::Inbox;
use crate::helper;
use crate::method::{Again, Once, Step};
use crate::timer::Timers;
use crate::{
    Claim, CodecError, ExitReason, FencingToken, Info, Method, MethodWith, MonitorRef, Name, Node, Pid,
    Process, Ref, TimerRef,
};

/// What a process knows of itself while one callback runs.
pub struct Context<P: Process> {
    inbox: Arc<dyn Inbox<P>>,
    deps: Arc<P::Deps>,
    pub(crate) deadline: Option<Instant>,
    stop: Option<Box<ExitReason>>,
    extra: Option<Box<Extra<P>>>,
}

/// What most processes never have.
struct Extra<P: Process> {
    next: VecDeque<Box<dyn Once<P>>>,
    timers: Timers<P>,
    helpers: Vec<AbortHandle>,
    info: Option<Info>,
}

impl<P: Process> Context<P> {
    pub(crate) fn new(inbox: Arc<dyn Inbox<P>>, deps: Arc<P::Deps>) -> Self {
        Self { inbox, deps, deadline: None, stop: None, extra: None }
    }

    /// The process's own pid.
    #[must_use]
    pub fn pid(&self) -> &Pid {
        self.inbox.core().pid()
    }

    /// The process's own address, by pid.
    #[must_use]
    pub fn this(&self) -> Ref<P> {
        Ref::here(Arc::clone(&self.inbox))
    }

    /// The node it runs on.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.inbox.core().node
    }

    /// What the node's builder was given for this kind.
    #[must_use]
    pub fn deps(&self) -> &Arc<P::Deps> {
        &self.deps
    }

    /// When the caller of this message gives up; `None` in a cast, a timer, a signal.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What the supervisor that runs it knows of it; `None` outside a supervisor that claims its children.
    #[must_use]
    pub fn claim(&self) -> Option<&Claim> {
        self.inbox.core().claim.as_deref()
    }

    /// What to hand to outside resources, so that they refuse an older copy of this child; `None` without a claim.
    #[must_use]
    pub fn fencing_token(&self) -> Option<FencingToken> {
        self.claim().map(Claim::fencing_token)
    }

    /// Whether it may act on the outside world now: false when the lease under which its supervisor runs it may be over.
    /// Always true without such a supervisor.
    #[must_use]
    pub fn may_act(&self) -> bool {
        self.inbox.core().watch.as_ref().is_none_or(|(watcher, token)| watcher.may_act(*token))
    }

    /// True once somebody asked it to stop: a long callback may look and end early.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        let mut stopping = self.stop.is_some();
        self.inbox.control(&mut |control| {
            stopping |= control.known().is_some_and(|rare| rare.stop.is_some());
        });
        stopping
    }

    /// Ends the process after this callback; an answer returned here is still sent. The first reason counts.
    pub fn stop(&mut self, reason: ExitReason) {
        self.stop.get_or_insert_with(|| Box::new(reason));
    }

    /// Whether exit signals are the callback `exited` instead of the end. A process starts without.
    pub fn trap_exits(&mut self, trap: bool) {
        self.inbox.control(&mut |control| control.trap = trap);
    }

    /// Tells the starter something beside the pid. In `init`; the last counts. OTP's `{:ok, state, info}`.
    ///
    /// # Errors
    /// [`CodecError`]: the value does not encode; nothing is told.
    pub fn inform<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        self.extra().info = Some(Info::encode(value)?);
        Ok(())
    }

    /// Runs `step` before the next message; several run in order. In `init`: the slow part, without making the starter wait.
    pub fn next<F>(&mut self, step: F)
    where
        F: for<'a> Method<'a, P>,
    {
        self.extra().next.push_back(Box::new(Step(step)));
    }

    /// Runs `step` once, `delay` from now, between two messages. Ends with the process.
    pub fn after<F>(&mut self, delay: Duration, step: F) -> TimerRef
    where
        F: for<'a> Method<'a, P>,
    {
        self.extra().timers.add(delay, None, Arc::new(Step(step)))
    }

    /// Runs `step` each `period`, first one period from now, between two messages. A period that is missed because the process was
    /// busy is skipped. Ends with the process. A period below a millisecond counts as one.
    pub fn every<F>(&mut self, period: Duration, step: F) -> TimerRef
    where
        F: for<'a> Method<'a, P>,
    {
        let period = period.max(Duration::from_millis(1));
        self.extra().timers.add(period, Some(period), Arc::new(Step(step)))
    }

    /// A helper task that ends with the process. Its panic is the process's: it ends with [`ExitReason::Panicked`].
    pub fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        let handle = helper::spawn(&self.inbox, task);
        self.help(handle);
    }

    /// A helper task, then `step` with its result, as if a message had come. Ends with the process; its panic is the process's.
    pub fn spawn_then<T, F>(&mut self, task: impl Future<Output = T> + Send + 'static, step: F)
    where
        T: Send + Sync + 'static,
        F: for<'a> MethodWith<'a, P, T>,
    {
        let handle = helper::spawn_then(&self.inbox, task, step);
        self.help(handle);
    }

    /// Links the two: when one ends, the other gets an exit signal, which ends it too unless it traps exits or the reason is
    /// `Normal`. Linking to nobody gives the signal at once, with `NoProcess`; linking twice is linking once.
    pub fn link(&mut self, other: &Pid) {
        self.node().link(&Arc::clone(&self.inbox).shared(), other);
    }

    /// Takes the link away, for both. A signal that is under way is dropped.
    pub fn unlink(&mut self, other: &Pid) {
        self.node().unlink(&Arc::clone(&self.inbox).shared(), other);
    }

    /// Calls `down` once when `other` has ended, or its node is gone; at once with `NoProcess` if nobody is there. A name is looked up
    /// now: the monitor follows the process, not the name.
    pub fn monitor(&mut self, other: impl Into<Name>) -> MonitorRef {
        self.node().monitor(&Arc::clone(&self.inbox).shared(), &other.into())
    }

    /// Ends a monitor: `down` is not called for it any more.
    pub fn demonitor(&mut self, monitor: MonitorRef) {
        self.node().demonitor(&Arc::clone(&self.inbox).shared(), monitor);
    }

    fn extra(&mut self) -> &mut Extra<P> {
        self.extra.get_or_insert_with(|| {
            Box::new(Extra { next: VecDeque::new(), timers: Timers::new(), helpers: Vec::new(), info: None })
        })
    }

    /// Remembers a helper task; forgets those that are done whenever their number has doubled.
    fn help(&mut self, handle: AbortHandle) {
        let helpers = &mut self.extra().helpers;
        if helpers.len() == helpers.capacity() {
            helpers.retain(|helper| !helper.is_finished());
        }
        helpers.push(handle);
    }

    pub(crate) fn take_info(&mut self) -> Option<Info> {
        self.extra.as_mut()?.info.take()
    }

    pub(crate) fn inbox(&self) -> Arc<dyn Inbox<P>> {
        Arc::clone(&self.inbox)
    }

    pub(crate) fn take_stop(&mut self) -> Option<Box<ExitReason>> {
        self.stop.take()
    }

    pub(crate) fn take_next(&mut self) -> Option<Box<dyn Once<P>>> {
        self.extra.as_mut()?.next.pop_front()
    }

    /// The timer that is due, or a wake for the next one.
    pub(crate) fn poll_timers(&mut self, task: &mut std::task::Context<'_>) -> Option<Arc<dyn Again<P>>> {
        self.extra.as_mut()?.timers.poll(task)
    }
}

impl<P: Process> Drop for Context<P> {
    fn drop(&mut self) {
        if let Some(extra) = &self.extra {
            extra.helpers.iter().for_each(AbortHandle::abort);
        }
    }
}

impl<P: Process> fmt::Debug for Context<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("kind", &P::KIND).field("pid", self.pid()).finish_non_exhaustive()
    }
}
