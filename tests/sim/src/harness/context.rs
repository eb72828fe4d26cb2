//! What a process knows and may ask for while one of its functions runs.

use std::fmt;
use std::time::Duration;

use horde_process::{ExitReason, FencingToken, Message, Name, Pid, encode};

use super::Process;
use crate::cluster::{Effects, Payload, Setting};

/// A function of a process by its path, such as `Self::flush`.
pub(super) type Step<P> = fn(&mut P, &mut Context<P>);

/// A timer that a callback set: its number, the first delay, the period if it repeats, and what it runs.
pub(super) type NewTimer<P> = (u64, Duration, Option<Duration>, Step<P>);

/// What a process knows of itself while one callback runs.
pub struct Context<P> {
    pub(super) setting: Setting,
    pub(super) effects: Effects,
    pub(super) steps: Vec<Step<P>>,
    pub(super) timers: Vec<NewTimer<P>>,
    pub(super) cancelled: Vec<u64>,
    pub(super) next_timer: u64,
}

/// Names a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerRef(u64);

impl<P> fmt::Debug for Context<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("pid", &self.setting.pid).finish_non_exhaustive()
    }
}

impl<P: Process> Context<P> {
    pub(super) fn new(setting: Setting, next_timer: u64) -> Self {
        Self {
            setting,
            effects: Effects::default(),
            steps: Vec::new(),
            timers: Vec::new(),
            cancelled: Vec::new(),
            next_timer,
        }
    }

    /// Who it is.
    #[must_use]
    pub fn pid(&self) -> &Pid {
        &self.setting.pid
    }

    /// The time on its node's monotonic clock, which starts with the node and may be too fast or too slow.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.setting.now
    }

    /// Its node's wall clock, in milliseconds since 1970; clocks of nodes may be hours apart.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        self.setting.unix_ms
    }

    /// A number from the run's seed: the only chance that a process may use.
    pub fn random(&mut self) -> u64 {
        self.setting.rng.below(u64::MAX)
    }

    /// What tells a store outside which copy of a child is the later one; none for a process that is no child.
    #[must_use]
    pub fn fencing_token(&self) -> Option<FencingToken> {
        self.setting.claim.as_ref().map(horde_process::Claim::fencing_token)
    }

    /// Ends the process after this callback; an answer returned here is still sent. The first reason wins.
    pub fn stop(&mut self, reason: ExitReason) {
        self.effects.stop.get_or_insert(reason);
    }

    /// Runs `step` before the next message.
    pub fn next(&mut self, step: fn(&mut P, &mut Self)) {
        self.steps.push(step);
    }

    /// Runs `step` once, after `delay` on the node's clock.
    pub fn after(&mut self, delay: Duration, step: fn(&mut P, &mut Self)) -> TimerRef {
        self.timer(delay, None, step)
    }

    /// Runs `step` each `period`, of a millisecond at least.
    pub fn every(&mut self, period: Duration, step: fn(&mut P, &mut Self)) -> TimerRef {
        let period = period.max(Duration::from_millis(1));
        self.timer(period, Some(period), step)
    }

    fn timer(&mut self, delay: Duration, period: Option<Duration>, step: Step<P>) -> TimerRef {
        self.next_timer += 1;
        self.timers.push((self.next_timer, delay, period, step));
        TimerRef(self.next_timer)
    }

    /// The timer runs no more.
    pub fn cancel(&mut self, timer: TimerRef) {
        self.cancelled.push(timer.0);
    }

    /// Sends a message to a name, as this node knows it, and does not wait: what does not arrive is lost. One that does not
    /// encode is not sent, and noted.
    pub fn cast<M: Message>(&mut self, to: impl Into<Name>, message: &M) {
        match encode(message) {
            Ok(bytes) => self.effects.casts.push((to.into(), Payload { name: M::NAME, bytes })),
            Err(error) => self.note(format!("{} does not encode: {error}", M::NAME)),
        }
    }

    /// Sends a message to a child by its id, as [`Context::cast`] does.
    pub fn cast_child<M: Message>(&mut self, id: &str, message: &M) {
        self.cast(super::child::child_name(id), message);
    }

    /// In `init` and `resume`: how long it takes until the process runs. By default the run's plan says.
    pub fn takes(&mut self, time: Duration) {
        self.effects.takes = Some(time);
    }

    /// Writes a line into its node's column of the history.
    pub fn note(&mut self, text: impl Into<String>) {
        self.effects.notes.push(text.into());
    }
}
