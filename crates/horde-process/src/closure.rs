//! A plain future as a process.

use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;

use crate::cell::lock;
use crate::kind::KindOf;
use crate::{Context, ExitReason, Node, Pid, Process, SpawnError, Stop};

type Work = Pin<Box<dyn Future<Output = Result<(), Stop>> + Send>>;

/// Runs a future as its helper, and ends with it.
struct Closure;

impl Process for Closure {
    const KIND: &'static str = "closure";
    type Args = ();
    type Deps = Mutex<Option<Work>>;
    type Messages = ();

    async fn init((): (), cx: &mut Context<Self>) -> Result<Self, Stop> {
        let work = lock(cx.deps()).take();
        match work {
            Some(work) => cx.spawn_then(work, Self::done),
            // Each has its own future, and starts once.
            None => return Err(Stop::ignore()),
        }
        Ok(Self)
    }
}

impl Closure {
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
        let kind = KindOf::<Closure>::new(Mutex::new(Some(Box::pin(work))));
        let cell = kind.begin(self, (), None).await?;
        Ok(cell.core().pid.clone())
    }
}
