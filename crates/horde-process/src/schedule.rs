//! Random schedules for tests: threads of which one runs at a time, and which change places where they take a lock.
//!
//! Everything that processes share lies behind [`crate::cell::lock`], so that these are all the places where an order can matter.
//! The seed decides who runs next: a failure is replayed by its seed.

use std::cell::RefCell;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};

thread_local! {
    /// The schedule that this thread takes part in, and as which.
    static TURN: RefCell<Option<(Arc<Schedule>, usize)>> = const { RefCell::new(None) };
}

struct Schedule {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    turn: usize,
    runs: Vec<bool>,
    seed: u64,
}

impl Schedule {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets whoever is next go on, and waits for the own turn unless this thread has ended.
    fn pass(&self, me: usize, ended: bool) {
        let mut state = self.state();
        state.runs[me] = !ended;
        let ready: Vec<usize> = (0..state.runs.len()).filter(|at| state.runs[*at]).collect();
        state.seed =
            state.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if let Some(next) = ready.get((state.seed >> 33) as usize % ready.len().max(1)) {
            state.turn = *next;
        }
        self.changed.notify_all();
        while !ended && state.turn != me {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn mine() -> Option<(Arc<Schedule>, usize)> {
    TURN.with(|turn| turn.borrow().clone())
}

/// Takes the lock at a place where the schedule may change; `None` outside any schedule.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    let (schedule, me) = mine()?;
    loop {
        schedule.pass(me, false);
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            // Another thread of the schedule holds it: somebody else's turn.
            Err(TryLockError::WouldBlock) => {}
        }
    }
}

/// Runs all threads to their end under the schedule of `seed`.
pub(crate) fn run(seed: u64, threads: Vec<Box<dyn FnOnce() + Send + '_>>) {
    let state = State { turn: seed as usize % threads.len(), runs: vec![true; threads.len()], seed };
    let schedule = &Arc::new(Schedule { state: Mutex::new(state), changed: Condvar::new() });
    std::thread::scope(|scope| {
        for (me, thread) in threads.into_iter().enumerate() {
            scope.spawn(move || {
                TURN.with(|turn| *turn.borrow_mut() = Some((Arc::clone(schedule), me)));
                {
                    let mut state = schedule.state();
                    while state.turn != me {
                        state = schedule.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    }
                }
                // Also after a panic the others go on: the test fails when all have ended.
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(thread));
                TURN.with(|turn| turn.borrow_mut().take());
                schedule.pass(me, true);
                if let Err(panic) = outcome {
                    std::panic::resume_unwind(panic);
                }
            });
        }
    });
}
