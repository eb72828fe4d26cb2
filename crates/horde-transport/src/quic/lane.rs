//! The sending end of a lane: one stream, and the frames that wait for it.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use quinn::SendStream;

use super::wire::{Encoded, VERSION, lane_byte};
use crate::dispatch::lock;
use crate::{Lane, Limits};

/// Pieces handed to quinn in one write.
const BATCH: usize = 64;

/// Frames on their way into a lane's stream.
///
/// A frame waits in here for [`Sending::poll_flush`], which the link's flusher polls: frames that are sent in one go, as answers to
/// a batch of calls are, leave in one write. Whoever finds [`BATCH`] pieces waiting writes them, so that a burst fills the stream's
/// window before it meets the queue's limit.
#[derive(Debug)]
pub(crate) struct Sending(Mutex<State>);

#[derive(Debug)]
struct State {
    stream: SendStream,
    waiting: VecDeque<Bytes>,
    bytes: usize,
    /// The flusher, while it need not run.
    flusher: Option<Waker>,
    /// The stream takes no more for now; it wakes the flusher.
    blocked: bool,
    closed: bool,
    broken: bool,
}

/// Why a lane took nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No more frames wait than the limit says.
    Full,
    /// The connection is gone or says goodbye.
    Closed,
}

impl Sending {
    /// The lane `lane` on a fresh stream.
    pub(crate) fn new(lane: Lane, stream: SendStream) -> Self {
        let preamble = Bytes::copy_from_slice(&[VERSION, lane_byte(lane)]);
        let bytes = preamble.len();
        Self(Mutex::new(State {
            stream,
            waiting: VecDeque::from([preamble]),
            bytes,
            flusher: None,
            blocked: false,
            closed: false,
            broken: false,
        }))
    }

    /// Writes or queues a frame; does not wait.
    pub(crate) fn push(&self, frame: Encoded, limits: &Limits) -> Result<(), Refused> {
        let mut state = lock(&self.0);
        if state.closed || state.broken {
            return Err(Refused::Closed);
        }
        let size = frame.len();
        if state.waiting.len() >= limits.queued_frames
            || state.bytes.saturating_add(size) > limits.queued_bytes
        {
            return Err(Refused::Full);
        }
        state.bytes += size;
        state.waiting.push_back(frame.head);
        state.waiting.extend(frame.payload);
        if state.blocked {
            return Ok(());
        }
        if state.waiting.len() >= BATCH {
            state.write(&mut Context::from_waker(Waker::noop()));
        }
        let flusher = if state.waiting.is_empty() { None } else { state.flusher.take() };
        drop(state);
        if let Some(flusher) = flusher {
            flusher.wake();
        }
        Ok(())
    }

    /// Writes what waits. Ready once the lane is closed and all is written, or the connection is gone.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.0);
        state.write(cx);
        state.blocked = !state.waiting.is_empty();
        if state.broken {
            return Poll::Ready(());
        }
        if state.closed && state.waiting.is_empty() {
            let _finished_before = state.stream.finish();
            return Poll::Ready(());
        }
        state.flusher = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Takes no more frames; what waits is still written.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.0);
        state.closed = true;
        let flusher = state.flusher.take();
        drop(state);
        if let Some(flusher) = flusher {
            flusher.wake();
        }
    }

    /// Bytes that wait.
    pub(crate) fn queued(&self) -> usize {
        lock(&self.0).bytes
    }
}

impl State {
    fn write(&mut self, cx: &mut Context<'_>) {
        while !self.waiting.is_empty() {
            let (front, _) = self.waiting.as_mut_slices();
            let pieces = front.len().min(BATCH);
            let written = pin!(self.stream.write_chunks(&mut front[..pieces])).poll(cx);
            match written {
                Poll::Pending => return,
                Poll::Ready(Ok(written)) => {
                    self.waiting.drain(..written.chunks);
                    self.bytes -= written.bytes;
                }
                Poll::Ready(Err(_gone)) => {
                    self.broken = true;
                    self.waiting.clear();
                    self.bytes = 0;
                    return;
                }
            }
        }
    }
}
