//! A cast that waits for room.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Task, Poll};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};

use crate::address::{NotSent, Ref, Route};
use crate::call::{Limit, Place, PushFn};
use crate::mailbox::Refused;
use crate::{Message, Process, Reply};

pin_project! {
    /// A cast not yet sent: await it, or give it a deadline first. A full mailbox of this node is waited for.
    ///
    /// # Panics
    /// When it is awaited outside a tokio runtime with its timer enabled, and the mailbox is full.
    #[must_use = "nothing is sent until it is awaited"]
    pub struct Sending<P: Process, M: Message> {
        target: Ref<P>,
        push: PushFn<P, M>,
        limit: Limit,
        message: Option<M>,
        place: Option<Place<P>>,
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl<P: Process, M: Message> Sending<P, M> {
    pub(crate) fn new(target: Ref<P>, message: M, push: PushFn<P, M>) -> Self {
        let limit = Limit::default();
        Self { target, push, limit, message: Some(message), place: None, sleep: None }
    }

    /// Waits for room this long from the moment it is first awaited. Default 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.limit = Limit::For(timeout);
        self
    }

    /// Waits for room until `at`.
    pub fn deadline(mut self, at: Instant) -> Self {
        self.limit = Limit::until(at);
        self
    }
}

impl<P: Process, M: Message> Future for Sending<P, M> {
    type Output = Result<(), NotSent<M>>;

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(mut message) = this.message.take() else { return Poll::Ready(Ok(())) };
        let inbox = match this.target.route() {
            Ok(Route::Here(inbox)) => inbox,
            // In bytes: what waits for room there is not known here.
            Ok(_) => return Poll::Ready(this.target.cast_away(message)),
            Err(error) => return Poll::Ready(Err(NotSent { message, error })),
        };
        loop {
            let (back, refused) = match (this.push)(&*inbox, message, Reply::nobody(), None) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err((back, _, refused)) => (back, refused),
            };
            if refused == Refused::Closed {
                let error = this.target.closed(inbox.core());
                return Poll::Ready(Err(NotSent { message: back, error }));
            }
            message = back;
            let Some(ticket) = inbox.wait_for_room(task.waker()) else { continue };
            // What was there is dropped by this: a place that was given to this cast and not used goes to the next.
            *this.place = Some(Place { inbox, ticket });
            let (at, _) = this.limit.fix();
            if this.sleep.is_none() {
                this.sleep.set(Some(sleep_until(at.into())));
            }
            if let Some(sleep) = this.sleep.as_mut().as_pin_mut()
                && sleep.poll(task).is_pending()
            {
                *this.message = Some(message);
                return Poll::Pending;
            }
            *this.place = None;
            let error = this.target.refused(refused);
            return Poll::Ready(Err(NotSent { message, error }));
        }
    }
}

impl<P: Process, M: Message> fmt::Debug for Sending<P, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending")
            .field("target", &self.target)
            .field("message", &M::NAME)
            .finish_non_exhaustive()
    }
}
