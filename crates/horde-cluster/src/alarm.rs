//! A timer finer than tokio's, which counts whole milliseconds.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use crate::watch::lock;

/// Rings at a moment to within some tens of microseconds, from a thread of its own that sleeps otherwise.
///
/// A probe window is a few milliseconds long: tokio's timer would add one or two to each.
pub(crate) struct Alarm(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    due: Option<Instant>,
    last: Option<Instant>,
    stopped: bool,
}

impl Alarm {
    /// Starts the thread; none where the system gives none, which costs only the precision.
    pub(crate) fn start(ring: impl Fn() + Send + 'static) -> Option<Self> {
        let shared = Arc::<Shared>::default();
        let thread = shared.clone();
        let started =
            std::thread::Builder::new().name("horde-alarm".to_owned()).spawn(move || thread.run(ring));
        started.map_err(|error| tracing::warn!(%error, "no fine timer: crashes are noticed later")).ok()?;
        Some(Self(shared))
    }

    /// Rings at `due` instead of at what was set before; once for each moment.
    pub(crate) fn set(&self, due: Instant) {
        let mut state = lock(&self.0.state);
        if state.last != Some(due) {
            (state.due, state.last) = (Some(due), Some(due));
            self.0.changed.notify_one();
        }
    }
}

impl Shared {
    fn run(&self, ring: impl Fn()) {
        let mut state = lock(&self.state);
        while !state.stopped {
            let now = Instant::now();
            state = match state.due {
                Some(due) if due <= now => {
                    state.due = None;
                    drop(state);
                    ring();
                    lock(&self.state)
                }
                Some(due) => {
                    let woken = self.changed.wait_timeout(state, due - now);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        lock(&self.0.state).stopped = true;
        self.0.changed.notify_one();
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Alarm")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(10);

    #[test]
    fn it_rings_once_for_each_moment_never_before_it_and_ends_when_dropped() {
        let (sender, rings) = mpsc::channel();
        let alarm = Alarm::start(move || sender.send(Instant::now()).unwrap()).unwrap();
        for wait in [3, 0] {
            let due = Instant::now() + Duration::from_millis(wait);
            alarm.set(due);
            alarm.set(due);
            assert!(rings.recv_timeout(DEADLINE).unwrap() >= due);
            alarm.set(due);
        }
        alarm.set(Instant::now() + DEADLINE * 100);
        drop(alarm);
        assert_eq!(rings.recv_timeout(DEADLINE), Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
