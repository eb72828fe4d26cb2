//! Helper tasks of a process.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::task::AbortHandle;

use crate::cell::Inbox;
use crate::method::StepWith;
use crate::node::NODE;
use crate::{ExitReason, MethodWith, Process};

/// Runs `task` beside the process; a panic ends the process.
pub(crate) fn spawn<P: Process>(
    inbox: &Arc<dyn Inbox<P>>,
    task: impl Future<Output = ()> + Send + 'static,
) -> AbortHandle {
    run(inbox, task, |_, ()| {})
}

/// Runs `task` beside the process, then queues `step` with its result.
pub(crate) fn spawn_then<P: Process, T, F>(
    inbox: &Arc<dyn Inbox<P>>,
    task: impl Future<Output = T> + Send + 'static,
    step: F,
) -> AbortHandle
where
    T: Send + 'static,
    F: for<'a> MethodWith<'a, P, T>,
{
    run(inbox, task, move |inbox, value| inbox.step(Box::new(StepWith(step, value))))
}

fn run<P: Process, T: Send + 'static>(
    inbox: &Arc<dyn Inbox<P>>,
    task: impl Future<Output = T> + Send + 'static,
    then: impl FnOnce(&dyn Inbox<P>, T) + Send + 'static,
) -> AbortHandle {
    let inbox = Arc::clone(inbox);
    let node = inbox.core().node.clone();
    let runtime = node.runtime().clone();
    let helper = NODE.scope(node, async move {
        match caught(task).await {
            Ok(value) => then(&*inbox, value),
            Err(reason) => {
                inbox.shared().0.signal(&mut |control| control.stop(reason.clone()));
            }
        }
    });
    runtime.spawn(helper).abort_handle()
}

/// `task`, whose panic is an exit reason.
async fn caught<T>(task: impl Future<Output = T>) -> Result<T, ExitReason> {
    let mut task = pin!(task);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(ExitReason::Panicked(text(&*panic)))),
    })
    .await
}

/// The message of a panic.
pub(crate) fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("(no message)").to_owned()
}
