//! The timers of one process: no task of their own, one tokio timer for all of them.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as Task, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::Process;
use crate::method::Again;

/// A timer of a process. Dropped, the timer runs on; it ends with the process.
#[derive(Debug, Clone)]
pub struct TimerRef(Arc<AtomicBool>);

impl TimerRef {
    /// Ends the timer: its step does not run any more.
    pub fn cancel(self) {
        self.0.store(true, Ordering::Release);
    }
}

pub(crate) struct Timers<P: Process> {
    /// By when they are due, then by when they were made.
    due: BTreeMap<(Instant, u64), Timer<P>>,
    made: u64,
    sleep: Option<Pin<Box<Sleep>>>,
}

struct Timer<P: Process> {
    period: Option<Duration>,
    step: Arc<dyn Again<P>>,
    cancelled: Arc<AtomicBool>,
}

impl<P: Process> Timers<P> {
    pub(crate) fn new() -> Self {
        Self { due: BTreeMap::new(), made: 0, sleep: None }
    }

    pub(crate) fn add(
        &mut self,
        delay: Duration,
        period: Option<Duration>,
        step: Arc<dyn Again<P>>,
    ) -> TimerRef {
        let cancelled = Arc::new(AtomicBool::new(false));
        self.insert(later(Instant::now(), delay), Timer { period, step, cancelled: Arc::clone(&cancelled) });
        TimerRef(cancelled)
    }

    fn insert(&mut self, at: Instant, timer: Timer<P>) {
        self.made += 1;
        self.due.insert((at, self.made), timer);
    }

    /// The step that is due; else the task is woken when the next one is.
    pub(crate) fn poll(&mut self, task: &mut Task<'_>) -> Option<Arc<dyn Again<P>>> {
        loop {
            let first = self.due.first_entry()?;
            if first.get().cancelled.load(Ordering::Acquire) {
                first.remove();
                continue;
            }
            let at = first.key().0;
            let sleep = match &mut self.sleep {
                Some(sleep) if sleep.deadline() == at => sleep,
                Some(sleep) => {
                    sleep.as_mut().reset(at);
                    sleep
                }
                none => none.insert(Box::pin(sleep_until(at))),
            };
            if sleep.as_mut().poll(task) == Poll::Pending {
                return None;
            }
            let timer = first.remove();
            let step = Arc::clone(&timer.step);
            if let Some(period) = timer.period {
                let now = Instant::now();
                let on_time = later(at, period);
                self.insert(if on_time > now { on_time } else { later(now, period) }, timer);
            }
            return Some(step);
        }
    }
}

/// `delay` from `at`; 30 years at most, which is for ever.
fn later(at: Instant, delay: Duration) -> Instant {
    at + delay.min(Duration::from_secs(60 * 60 * 24 * 365 * 30))
}
