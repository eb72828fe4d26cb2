//! The right to answer.

use std::fmt;
use std::thread;

use horde_transport::Responder;
use serde::Serialize;

use crate::ExitReason;
use crate::answer::Sender;
use crate::cell::Shared;
use crate::frame::{self, Answer};

/// The right to answer one call, once. Dropping it answers `CallError::NoReply`.
pub struct Reply<R>(To<R>);

enum To<R> {
    /// A cast: nobody waits.
    Nobody,
    /// A call of this node.
    Here(Sender<Result<R, Lost>>),
    /// A call in bytes, mostly of another node.
    Wire(WireReply),
}

/// The answer was lost in a panic: how the process ended is the answer.
#[derive(Debug)]
pub(crate) struct Lost;

impl<R> Reply<R> {
    pub(crate) fn nobody() -> Self {
        Self(To::Nobody)
    }

    pub(crate) fn here(to: Sender<Result<R, Lost>>) -> Self {
        Self(To::Here(to))
    }

    pub(crate) fn wire(reply: Option<WireReply>) -> Self {
        Self(reply.map_or(To::Nobody, To::Wire))
    }

    /// True if a caller was there and has given up.
    pub(crate) fn is_abandoned(&self) -> bool {
        matches!(&self.0, To::Here(to) if to.is_closed())
    }
}

impl<R: Serialize + Send + 'static> Reply<R> {
    /// Answers. Nothing happens when the caller has given up.
    pub fn send(mut self, answer: R) {
        match std::mem::replace(&mut self.0, To::Nobody) {
            To::Nobody => {}
            To::Here(to) => to.send(Ok(answer)),
            To::Wire(reply) => reply.send(&answer),
        }
    }

    /// False for a cast, and once a caller of this node has given up. A caller on another node counts until its deadline.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        match &self.0 {
            To::Nobody => false,
            To::Here(to) => !to.is_closed(),
            To::Wire(_) => true,
        }
    }
}

impl<R> Drop for Reply<R> {
    fn drop(&mut self) {
        if thread::panicking()
            && let To::Here(to) = std::mem::replace(&mut self.0, To::Nobody)
        {
            to.send(Err(Lost));
        }
    }
}

impl<R> fmt::Debug for Reply<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            To::Nobody => "Reply(to nobody)",
            To::Here(_) => "Reply(to this node)",
            To::Wire(_) => "Reply(in bytes)",
        })
    }
}

/// The right to answer a call in bytes. Dropped, it says `NoReply`, or how the process ended.
pub(crate) struct WireReply(Option<Box<(Responder, Shared)>>);

impl WireReply {
    pub(crate) fn new(responder: Responder, process: Shared) -> Self {
        Self(Some(Box::new((responder, process))))
    }

    pub(crate) fn answer(mut self, answer: &Answer) {
        if let Some(pair) = self.0.take() {
            pair.0.send(frame::write(answer, &[]));
        }
    }

    fn send<R: Serialize>(mut self, answer: &R) {
        if let Some(pair) = self.0.take() {
            pair.0.send(match frame::write_value(&Answer::Ok, answer) {
                Ok(frame) => frame,
                Err(error) => frame::write(&Answer::BadReply(error.to_string()), &[]),
            });
        }
    }
}

impl Drop for WireReply {
    fn drop(&mut self) {
        let Some(pair) = self.0.take() else { return };
        let (responder, process) = *pair;
        if thread::panicking() {
            process.orphan(responder);
        } else {
            let answer = match process.core().ended() {
                Some(reason) => Answer::Exited(reason.clone()),
                None => Answer::NoReply,
            };
            responder.send(frame::write(&answer, &[]));
        }
    }
}

/// Answers one call that a process's end left open.
pub(crate) fn answer_exited(responder: Responder, reason: &ExitReason) {
    responder.send(frame::write(&Answer::Exited(reason.clone()), &[]));
}
