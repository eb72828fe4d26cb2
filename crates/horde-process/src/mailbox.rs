//! One process's queue: bounded, taken in batches, so that sender and process meet at the lock once per batch.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;

use crate::method::Once;
use crate::process::Down;
use crate::reply::WireReply;
use crate::{Messages, Process};

/// The mailbox slot of a process.
pub(crate) type SlotOf<P> = <<P as Process>::Messages as Messages<P>>::Slot;

/// What a process takes from its queue.
pub(crate) enum Item<P: Process> {
    /// A message of this node.
    Message { slot: SlotOf<P>, deadline: Option<Instant> },
    /// A message in bytes.
    Wire(Box<Wire>),
    /// The result of a helper task.
    Step(Box<dyn Once<P>>),
    /// A notice of a monitor.
    Down(Box<Down>),
}

impl<P: Process> Item<P> {
    /// True if it takes one of the mailbox's counted places.
    pub(crate) fn is_counted(&self) -> bool {
        matches!(self, Self::Message { .. } | Self::Wire(_))
    }
}

/// A message in bytes; decoded by the process itself, since a user's `Deserialize` may be slow or panic.
pub(crate) struct Wire {
    /// Which of the process's messages.
    pub(crate) index: usize,
    pub(crate) payload: Bytes,
    /// `None` for a cast.
    pub(crate) reply: Option<WireReply>,
    pub(crate) deadline: Option<Instant>,
}

/// The shared half of a mailbox.
///
/// Invariant: `free` + counted items in `queue` + counted items the process has taken and not yet given back = capacity.
pub(crate) struct Mail<T> {
    queue: VecDeque<T>,
    free: usize,
    /// Who waits for room is let in once this much is free: not one by one, each with a wake of its own.
    enough: usize,
    open: bool,
    waiting: Option<Box<Waiting>>,
}

/// Who waits for room, in order of arrival within each kind. Calls in bytes are as many as the mailbox's capacity at most.
#[derive(Default)]
struct Waiting {
    next_ticket: u64,
    callers: VecDeque<(u64, Waker)>,
    wires: VecDeque<Box<Wire>>,
}

/// Why nothing was put into a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    Closed,
}

impl<T> Mail<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        let free = capacity.max(1);
        Self { queue: VecDeque::new(), free, enough: free.div_ceil(2), open: true, waiting: None }
    }

    /// Whether a counted item may be put in now. Those who wait come first.
    pub(crate) fn room(&self) -> Result<(), Refused> {
        match (self.open, self.free) {
            (false, _) => Err(Refused::Closed),
            (true, 0) => Err(Refused::Full),
            (true, free) if free < self.enough && self.waiting.is_some() => Err(Refused::Full),
            (true, _) => Ok(()),
        }
    }

    /// Puts in a counted item; the caller has asked for room under the same lock.
    pub(crate) fn put(&mut self, item: T) {
        debug_assert!(self.open && self.free > 0);
        self.free -= 1;
        self.queue.push_back(item);
    }

    /// Puts in an item that is not counted; gives it back when the mailbox is closed.
    pub(crate) fn put_uncounted(&mut self, item: T) -> Option<T> {
        if !self.open {
            return Some(item);
        }
        self.queue.push_back(item);
        None
    }

    /// Takes all that is queued; `batch` is empty.
    pub(crate) fn take(&mut self, batch: &mut VecDeque<T>) {
        debug_assert!(batch.is_empty());
        std::mem::swap(&mut self.queue, batch);
    }

    /// Gives back places of items that were handled. The answer holds whom to wake, once the lock is released.
    pub(crate) fn give_back(&mut self, places: usize, wire: impl Fn(Box<Wire>) -> T) -> Vec<Waker> {
        self.free += places;
        let mut wake = Vec::new();
        let Some(waiting) = self.waiting.as_mut().filter(|_| self.free >= self.enough) else { return wake };
        while self.free > wake.len() {
            if let Some(frame) = waiting.wires.pop_front() {
                self.free -= 1;
                self.queue.push_back(wire(frame));
            } else if let Some((_, waker)) = waiting.callers.pop_front() {
                wake.push(waker);
            } else {
                self.waiting = None;
                break;
            }
        }
        wake
    }

    /// Waits for room; the ticket is for [`Mail::leave`].
    pub(crate) fn wait(&mut self, waker: Waker) -> u64 {
        let waiting = self.waiting.get_or_insert_default();
        waiting.next_ticket += 1;
        waiting.callers.push_back((waiting.next_ticket, waker));
        waiting.next_ticket
    }

    /// Waits for room no more. One that had been woken already wakes the next in its stead.
    pub(crate) fn leave(&mut self, ticket: u64) -> Option<Waker> {
        let free = self.free;
        let waiting = self.waiting.as_mut()?;
        match waiting.callers.iter().position(|(other, _)| *other == ticket) {
            Some(at) => waiting.callers.remove(at).and(None),
            None if free > 0 => waiting.callers.pop_front().map(|(_, waker)| waker),
            None => None,
        }
    }

    /// Lets a call in bytes wait for room; gives it back when as many wait as the mailbox holds.
    pub(crate) fn wait_wire(&mut self, wire: Box<Wire>, limit: usize) -> Option<Box<Wire>> {
        let waiting = self.waiting.get_or_insert_default();
        if waiting.wires.len() >= limit {
            return Some(wire);
        }
        waiting.wires.push_back(wire);
        None
    }

    /// Closes it: what was queued, and who waited, come out.
    pub(crate) fn close(&mut self) -> (VecDeque<T>, Vec<Waker>, VecDeque<Box<Wire>>) {
        self.open = false;
        let waiting = self.waiting.take().map(|waiting| *waiting).unwrap_or_default();
        let wakers = waiting.callers.into_iter().map(|(_, waker)| waker).collect();
        (std::mem::take(&mut self.queue), wakers, waiting.wires)
    }
}
