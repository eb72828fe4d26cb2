//! The sending end of the bulk lane: a stream for each frame.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use quinn::{Connection, WriteError};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::lane::Refused;
use super::wire::{Encoded, VERSION, lane_byte};
use crate::dispatch::lock;
use crate::{Lane, Limits};

/// Bulk streams of one side of a connection at once: one is written, the next fills the pause in which the first waits
/// for its window. More bought no throughput, and each puts a window of bytes in front of a heartbeat.
pub(crate) const PARALLEL: u32 = 2;

/// Bulk frames on their way out.
#[derive(Debug, Default)]
pub(crate) struct Bulk {
    state: Mutex<State>,
    wake: Notify,
    opened: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Encoded>,
    /// Bytes that wait or are being written.
    bytes: usize,
    closed: bool,
}

impl Bulk {
    /// Queues a frame; does not wait.
    pub(crate) fn push(&self, frame: Encoded, limits: &Limits) -> Result<(), Refused> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(Refused::Closed);
        }
        let size = frame.len();
        if state.waiting.len() >= limits.queued_frames
            || state.bytes.saturating_add(size) > limits.queued_bytes
        {
            return Err(Refused::Full);
        }
        state.bytes += size;
        state.waiting.push_back(frame);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// Takes no more frames; what waits is still written.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.wake.notify_one();
    }

    /// Streams opened so far.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Bytes that wait or are being written.
    pub(crate) fn queued(&self) -> usize {
        lock(&self.state).bytes
    }

    /// Writes frames until the lane is closed and all are written, or the connection is gone.
    pub(crate) async fn run(&self, connection: &Connection) {
        let mut writing = JoinSet::new();
        loop {
            while let Some(done) = writing.try_join_next() {
                self.written(done);
            }
            let (next, closed) = {
                let mut state = lock(&self.state);
                let room = writing.len() < PARALLEL as usize;
                (if room { state.waiting.pop_front() } else { None }, state.closed)
            };
            if let Some(frame) = next {
                self.opened.fetch_add(1, Ordering::Relaxed);
                writing.spawn(write(connection.clone(), frame));
                continue;
            }
            if closed && writing.is_empty() {
                return;
            }
            tokio::select! {
                biased;
                () = self.wake.notified() => {}
                Some(done) = writing.join_next() => self.written(done),
            }
        }
    }

    fn written(&self, done: Result<usize, tokio::task::JoinError>) {
        if let Ok(size) = done {
            let mut state = lock(&self.state);
            state.bytes = state.bytes.saturating_sub(size);
        }
    }
}

/// Writes one frame on a stream of its own; returns its size. A connection that breaks is noticed by its link.
async fn write(connection: Connection, frame: Encoded) -> usize {
    let size = frame.len();
    let written: Result<(), WriteError> = async {
        let mut stream = connection.open_uni().await?;
        let _closed_meanwhile = stream.set_priority(super::link::priority(Lane::Bulk));
        let preamble = Bytes::copy_from_slice(&[VERSION, lane_byte(Lane::Bulk)]);
        let mut pieces = vec![preamble, frame.head];
        pieces.extend(frame.payload);
        stream.write_all_chunks(&mut pieces).await?;
        let _closed_meanwhile = stream.finish();
        Ok(())
    }
    .await;
    if let Err(error) = written {
        tracing::debug!(%error, "a bulk frame was not sent whole");
    }
    size
}

impl std::fmt::Debug for Encoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoded").field("bytes", &self.len()).finish_non_exhaustive()
    }
}
