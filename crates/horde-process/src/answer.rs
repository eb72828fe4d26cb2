//! One answer, on its way from whoever handles a call to the caller who waits for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as Task, Poll, Waker};

use crate::cell::lock;
use crate::waits::Waiting;

/// Makes the two ends of one answer. `waker` is woken when it is there, and when it will never be.
pub(crate) fn channel<T>(waker: Waker) -> (Sender<T>, Receiver<T>) {
    let slot = Slot {
        left: AtomicBool::new(false),
        watched: AtomicBool::new(false),
        state: Mutex::new(State::Waits(waker)),
    };
    let slot = Arc::new(slot);
    (Sender(Some(Arc::clone(&slot))), Receiver(slot))
}

struct Slot<T> {
    /// The caller has its answer, or has given up.
    left: AtomicBool,
    /// Noted among the node's waits.
    watched: AtomicBool,
    state: Mutex<State<T>>,
}

enum State<T> {
    Waits(Waker),
    Answered(T),
    /// The sender was dropped.
    Unanswered,
    /// The caller has left.
    Left,
}

/// The end that answers.
pub(crate) struct Sender<T>(Option<Arc<Slot<T>>>);

/// The end that waits.
pub(crate) struct Receiver<T>(Arc<Slot<T>>);

impl<T> Slot<T> {
    /// Puts `state` there for a caller that still waits, and wakes it.
    fn settle(&self, state: State<T>) {
        let mut now = lock(&self.state);
        if let State::Waits(_) = &*now {
            let before = std::mem::replace(&mut *now, state);
            drop(now);
            if let State::Waits(waker) = before {
                waker.wake();
            }
        } else {
            // Released first: dropping an answer that nobody wants may run any code.
            drop(now);
            drop(state);
        }
    }
}

impl<T> Sender<T> {
    /// Answers; dropped if the caller has left.
    pub(crate) fn send(mut self, answer: T) {
        if let Some(slot) = self.0.take() {
            slot.settle(State::Answered(answer));
        }
    }

    /// True once the caller has given up.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.as_ref().is_none_or(|slot| slot.left.load(Ordering::Acquire))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            slot.settle(State::Unanswered);
        }
    }
}

impl<T: Send + 'static> Receiver<T> {
    /// The answer; `None` if there will be none.
    pub(crate) fn poll(&self, task: &Task<'_>) -> Poll<Option<T>> {
        let mut state = lock(&self.0.state);
        if let State::Waits(waker) = &mut *state {
            if !waker.will_wake(task.waker()) {
                waker.clone_from(task.waker());
            }
            return Poll::Pending;
        }
        self.0.left.store(true, Ordering::Release);
        match std::mem::replace(&mut *state, State::Left) {
            State::Answered(answer) => Poll::Ready(Some(answer)),
            _ => Poll::Ready(None),
        }
    }

    /// This caller, as those see it who remind it of its time.
    pub(crate) fn to_watch(&self) -> Arc<dyn Waiting> {
        self.0.watched.store(true, Ordering::Release);
        Arc::clone(&self.0) as Arc<_>
    }

    /// Whether somebody will remind it.
    pub(crate) fn is_watched(&self) -> bool {
        self.0.watched.load(Ordering::Acquire)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if !self.0.left.swap(true, Ordering::AcqRel) {
            let state = std::mem::replace(&mut *lock(&self.0.state), State::Left);
            drop(state);
        }
    }
}

impl<T: Send + 'static> Waiting for Slot<T> {
    fn has_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    fn remind(&self) {
        self.watched.store(false, Ordering::Release);
        let waker = match &*lock(&self.state) {
            State::Waits(waker) => waker.clone(),
            _ => return,
        };
        waker.wake();
    }
}
