//! What a process is, to who writes one.

use std::future::{self, Future};
use std::pin::Pin;
use std::task::{Context as Task, Poll, ready};

use pin_project_lite::pin_project;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Context, ExitReason, Message, Messages, MonitorRef, Pid, Reply, State, Stop, Versions};

/// One tokio task, one bounded mailbox, one exit reason.
///
/// Callbacks run one at a time. A panic in one ends the process with [`ExitReason::Panicked`]; nothing else notices.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a process",
    label = "not a process",
    note = "write `impl Process for {Self}`: KIND, Args, Deps, Messages and `init`"
)]
pub trait Process: Sized + Send + 'static {
    /// Stable, chosen by you, unique on a node, 1 to 64 bytes; travels in child specs.
    const KIND: &'static str;
    /// The version of its arguments that this build writes, and those it reads.
    const ARGS: Versions = Versions::only(1);
    /// How many messages may wait: at least 1. Full, a call waits for room until its deadline and a cast fails.
    /// Timers, results of helper tasks and notices of monitors are not counted.
    const MAILBOX: usize = 1024;
    /// What a start ships (at most 64 KiB encoded).
    type Args: Serialize + DeserializeOwned + Send + 'static;
    /// Node-local: pools, clients, config. Never serialised; given to `NodeBuilder::runs`. `()` if none.
    type Deps: Send + Sync + 'static;
    /// The messages it takes: a tuple, with the comma even when it holds one.
    type Messages: Messages<Self>;

    /// Makes the process. Its starter waits for this: leave what is slow to [`Context::next`].
    fn init(args: Self::Args, cx: &mut Context<Self>) -> impl Future<Output = Result<Self, Stop>> + Send;

    /// Runs on every orderly end (trapping exits is not needed for it); not after a panic or a kill.
    fn terminate(&mut self, reason: &ExitReason, cx: &mut Context<Self>) -> impl Future<Output = ()> + Send {
        let _ = (reason, cx);
        future::ready(())
    }

    /// An exit signal, when `cx.trap_exits(true)`: a linked process ended, or a name was lost (`NameConflict`).
    fn exited(&mut self, exit: Exit, cx: &mut Context<Self>) -> impl Future<Output = ()> + Send {
        let _ = (exit, cx);
        future::ready(())
    }

    /// A monitored process or its node is gone. Comes after the messages that the process had sent before.
    fn down(&mut self, down: Down, cx: &mut Context<Self>) -> impl Future<Output = ()> + Send {
        let _ = (down, cx);
        future::ready(())
    }

    /// State for the copy that takes over, asked for when the process stops for [`ExitReason::Redistribution`], before `terminate`.
    /// `None` (the default) hands over nothing.
    fn handoff(&mut self, cx: &mut Context<Self>) -> impl Future<Output = Option<State>> + Send {
        let _ = cx;
        future::ready(None)
    }

    /// Starts with the state of the copy before. An error means a fresh `init`, said in an event.
    fn resume(
        args: Self::Args,
        state: State,
        cx: &mut Context<Self>,
    ) -> impl Future<Output = Result<Self, Stop>> + Send {
        let _ = state;
        Self::init(args, cx)
    }

    /// Reads arguments of another version in `ARGS`.
    ///
    /// # Errors
    /// A [`Stop`]: the process is not started.
    fn upgrade(version: u32, args: State) -> Result<Self::Args, Stop> {
        args.decode(version)
    }
}

/// Answers a message by returning. What nearly every process implements.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle `{M}`",
    label = "`{M}` is listed in its `Messages`",
    note = "write `impl Handle<{M}> for {Self}`, or take it off the list"
)]
pub trait Handle<M: Message>: Process {
    /// Handles the message; what it returns is the answer.
    fn handle(&mut self, message: M, cx: &mut Context<Self>) -> impl Future<Output = M::Reply> + Send;
}

/// Answers a message when it likes: now, later, from another task, never. Every `Handle<M>` is a `Serve<M>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle `{M}`",
    label = "`{M}` is listed in its `Messages`",
    note = "write `impl Handle<{M}> for {Self}`, or take it off the list"
)]
pub trait Serve<M: Message>: Process {
    /// Takes the message and the right to answer it.
    fn serve(
        &mut self,
        message: M,
        reply: Reply<M::Reply>,
        cx: &mut Context<Self>,
    ) -> impl Future<Output = ()> + Send;
}

#[diagnostic::do_not_recommend]
impl<P: Handle<M>, M: Message> Serve<M> for P {
    fn serve(
        &mut self,
        message: M,
        reply: Reply<M::Reply>,
        cx: &mut Context<Self>,
    ) -> impl Future<Output = ()> + Send {
        Answering { handling: self.handle(message, cx), reply: Some(reply) }
    }
}

pin_project! {
    /// A handler, then its answer. By hand: an async block would hold the message and the reply twice, in each process's task.
    struct Answering<F: Future> {
        #[pin]
        handling: F,
        reply: Option<Reply<F::Output>>,
    }
}

impl<F: Future> Future for Answering<F>
where
    F::Output: Serialize + Send + 'static,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<()> {
        let this = self.project();
        let answer = ready!(this.handling.poll(task));
        if let Some(reply) = this.reply.take() {
            reply.send(answer);
        }
        Poll::Ready(())
    }
}

/// An exit signal that a process trapped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exit {
    /// Who ended; the process itself for a lost name.
    pub from: Pid,
    /// Why.
    pub reason: ExitReason,
}

/// What a process monitored is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Down {
    /// Who is gone; number 0 of this node for a name that led to nobody.
    pub pid: Pid,
    /// Why.
    pub reason: ExitReason,
    /// Which monitor says so.
    pub monitor: MonitorRef,
}
