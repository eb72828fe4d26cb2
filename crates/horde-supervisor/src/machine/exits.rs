//! What an end means: restart, backoff, failure, or the end of the child.

use std::time::Duration;

use horde_process::{ExitReason, Pid, State};

use super::launch::record_of;
use super::run::{Phase, Run, Why};
use super::{ChildState, Children, End, Event, Now, Restart, Timer, Wanted};

/// The longest backoff between two restarts.
const MAX_BACKOFF: Duration = Duration::from_secs(10);

impl Children {
    /// A process has ended. `state` is what it hands over.
    pub fn exited(&mut self, now: Now, token: u64, reason: ExitReason, state: Option<State>) {
        let Some(run) = self.runs.get_mut(&token) else { return };
        match run.phase {
            Phase::Stopping(Why::Ended | Why::Superseded) => self.gone(now, token, reason),
            Phase::Stopping(Why::NoQuorum) => self.ended_without_quorum(now, token),
            Phase::Stopping(Why::Moving) => self.hand_over(now, token, state),
            Phase::Stopping(Why::Restart) => self.restart_run(now, token),
            Phase::Stopping(Why::Reclaim) => self.start_reclaimed(now, token, state),
            Phase::Starting(_) | Phase::Running => self.ended_by_itself(now, token, reason),
            Phase::Backoff | Phase::HandingOver { .. } => {}
        }
    }

    /// A process does not end though its shutdown time is over: its slot, name and record stay taken.
    pub fn stuck(&mut self, token: u64, pid: Pid) {
        if let Some(run) = self.runs.get(&token) {
            let id = run.wish.id.clone();
            tracing::error!(node = %self.me, child = %id, %pid, "stuck: its task does not end");
            self.emit(Event::Stuck { id, pid });
        }
    }

    pub(super) fn ended_by_itself(&mut self, now: Now, token: u64, reason: ExitReason) {
        let Some(run) = self.runs.get(&token) else { return };
        let outranked = self
            .replica
            .get(&run.wish.id)
            .is_some_and(|record| record.ends(run.rank.life) || record.rank() > run.rank);
        // A node on its way out restarts nothing: others take over what its records still name.
        if outranked || self.draining {
            return self.gone(now, token, reason);
        }
        match (&reason, run.wish.spec.restart) {
            (ExitReason::NameConflict { .. }, Restart::Permanent) => self.fail(now, token, reason),
            (ExitReason::NameConflict { .. }, _) | (_, Restart::Temporary) => {
                self.finish_run(now, token, reason)
            }
            (_, Restart::Transient) if reason.is_normal() => self.finish_run(now, token, reason),
            _ => self.restart_later(now, token, reason),
        }
    }

    /// Restarts at once the first time within the window, with a growing pause after that, and not at all past the intensity.
    fn restart_later(&mut self, now: Now, token: u64, reason: ExitReason) {
        let (window, limit, backoff) =
            (self.options.max_seconds, self.options.max_restarts, self.options.backoff);
        let Some(run) = self.runs.get_mut(&token) else { return };
        while run.restarts.front().is_some_and(|at| *at + window < now.monotonic) {
            run.restarts.pop_front();
        }
        run.restarts.push_back(now.monotonic);
        let count = u32::try_from(run.restarts.len()).unwrap_or(u32::MAX);
        let id = run.wish.id.clone();
        if count > limit {
            return self.fail(now, token, reason);
        }
        self.emit(Event::Restarting { id, reason });
        if count == 1 {
            return self.restart_run(now, token);
        }
        if let Some(run) = self.runs.get_mut(&token) {
            run.phase = Phase::Backoff;
            run.pid = None;
        }
        self.write_starting(now, token);
        let pause = backoff.saturating_mul(2_u32.saturating_pow(count - 2)).min(MAX_BACKOFF);
        self.at(now.monotonic + pause, Timer::Restart { token });
    }

    /// Starts the process of a run again, one generation on.
    pub(super) fn restart_run(&mut self, now: Now, token: u64) {
        let Some(mut run) = self.runs.remove(&token) else { return };
        run.rank.generation += 1;
        run.rank.stamp = self.replica.stamp(now).to_bits();
        run.phase = Phase::Starting(None);
        run.pid = None;
        self.begin(run, None);
    }

    fn fail(&mut self, now: Now, token: u64, reason: ExitReason) {
        let Some(run) = self.runs.get(&token) else { return };
        let (id, record) =
            (run.wish.id.clone(), record_of(run, Wanted::Run, ChildState::Failed(reason.clone())));
        let origins =
            self.runs.get_mut(&token).map(|run| std::mem::take(&mut run.origins)).unwrap_or_default();
        self.put(now, id.clone(), record);
        self.gone(now, token, reason.clone());
        self.tell(&id, origins, &Err(crate::error::StartError::AlreadyFailed(reason.clone())));
        tracing::warn!(node = %self.me, child = %id, %reason, "failed for good");
        self.emit(Event::Failed { id, reason });
    }

    fn finish_run(&mut self, now: Now, token: u64, reason: ExitReason) {
        self.write_end(now, token, End::Finished(reason.clone()));
        self.gone(now, token, reason);
    }

    pub(super) fn write_end(&mut self, now: Now, token: u64, end: End) {
        let Some(run) = self.runs.get(&token) else { return };
        // Who asks for this start once more, not having heard the answer, is told which process it was.
        let ran = run.pid.clone().filter(|_| end != End::NotStarted);
        let record =
            record_of(run, Wanted::Ended(end), ran.map_or(ChildState::Starting, ChildState::Running));
        self.put(now, run.wish.id.clone(), record);
    }

    /// A run has ended and its slot is free: who waited for that goes on.
    pub(super) fn gone(&mut self, now: Now, token: u64, reason: ExitReason) {
        if let Some(run) = self.drop_run(now, token) {
            self.emit(Event::Stopped { id: run, reason });
        }
    }

    /// Frees a run's slot.
    pub(super) fn drop_run(&mut self, now: Now, token: u64) -> Option<super::ChildId> {
        let Run { wish, enders, after, .. } = self.runs.remove(&token)?;
        self.unwritten.remove(&token);
        if self.run_of.get(&wish.id) == Some(&token) {
            self.run_of.remove(&wish.id);
        }
        self.tell_idle();
        for caller in enders {
            self.confirm_end(caller, Ok(()));
        }
        if let Some((launch, origins)) = after {
            self.launch(now, launch, origins);
        }
        Some(wish.id)
    }
}
