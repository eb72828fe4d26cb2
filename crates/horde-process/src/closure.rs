//! A plain future as a process.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;

use crate::cell::lock;
use crate::kind::KindOf;
use crate::{Context, ExitReason, Name, Node, Pid, Process, Shutdown, SpawnError, Stop};

/// A future whose error ends its process.
type Work = Pin<Box<dyn Future<Output = Result<(), Stop>> + Send>>;

/// Makes the future of each life of a task; nothing if there is none left to run.
pub struct Maker(Box<dyn Fn() -> Option<Work> + Send + Sync>);

impl Maker {
    /// Runs `work`, once.
    fn once(work: impl Future<Output = Result<(), Stop>> + Send + 'static) -> Self {
        let work: Mutex<Option<Work>> = Mutex::new(Some(Box::pin(work)));
        Self(Box::new(move || lock(&work).take()))
    }

    /// Runs what `make` makes, as often as it is started.
    pub(crate) fn again<F>(make: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), Stop>> + Send + 'static,
    {
        Self(Box::new(move || Some(Box::pin(make()))))
    }
}

impl fmt::Debug for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Maker")
    }
}

/// A plain future as a process: what [`Node::run`] and [`crate::local::ChildSpec::run`] start. It takes no messages.
#[derive(Debug)]
pub struct Task(());

#[diagnostic::do_not_recommend]
impl Process for Task {
    const KIND: &'static str = "task";
    type Args = ();
    type Deps = Maker;
    type Messages = ();

    async fn init((): (), cx: &mut Context<Self>) -> Result<Self, Stop> {
        let work = (cx.deps().0)();
        cx.spawn_then(work.ok_or_else(Stop::ignore)?, Self::done);
        Ok(Self(()))
    }
}

impl Task {
    async fn done(&mut self, outcome: Result<(), Stop>, cx: &mut Context<Self>) {
        let failed = outcome.err().and_then(Stop::into_reason);
        cx.stop(failed.unwrap_or(ExitReason::Normal));
    }
}

impl Node {
    /// Runs `work` as a process that takes no messages: it has a pid, can be named, linked and monitored, and is stopped where it
    /// awaits. It ends with [`ExitReason::Normal`], or with the error that `?` made of it, or with its panic. It is no kind: no
    /// supervisor starts it on another node.
    ///
    /// # Errors
    /// [`SpawnError`]: nothing runs.
    pub async fn run(
        &self,
        work: impl Future<Output = Result<(), Stop>> + Send + 'static,
    ) -> Result<Pid, SpawnError> {
        self.run_as(None, Maker::once(work)).await
    }

    /// As [`Node::run`], under a name: registered before it runs, free again when it has ended.
    ///
    /// # Errors
    /// [`SpawnError`]: nothing runs; among them that another process holds the name.
    pub async fn run_named(
        &self,
        name: impl Into<Name>,
        work: impl Future<Output = Result<(), Stop>> + Send + 'static,
    ) -> Result<Pid, SpawnError> {
        self.run_as(Some((name.into(), Vec::new())), Maker::once(work)).await
    }

    async fn run_as(&self, name: Option<(Name, Vec<u8>)>, make: Maker) -> Result<Pid, SpawnError> {
        let (cell, _) = KindOf::<Task>::new(make).begin(self, (), name, Shutdown::default()).await?;
        Ok(cell.core().pid().clone())
    }
}
