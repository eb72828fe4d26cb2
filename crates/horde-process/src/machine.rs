//! The machine of a local supervisor: which of its children run, start, stop and start again.
//!
//! ```text
//!   asked: start, terminate, restart, delete ---+                +--> Start, Stop, Forget     the driver does it
//!   heard: started, ended, stuck ---------------+--> Children ---+--> Answer                  who asked hears it
//!   told:  stop all; time ----------------------+                +--> End, Done               the supervisor's own end
//!                                                                +--> Report                  what operators read
//! ```
//!
//! It mirrors OTP's `supervisor` (static: children in an order, restarted alone, all, or with those after) and Elixir's
//! `DynamicSupervisor` (dynamic: no order, each alone, none kept that has ended), with two differences: nothing in it waits, so that
//! questions are answered while a child takes its time; and a child that does not end keeps its place.
//!
//! Invariant: a child has one process at most; its next one is started only when the one before was heard to have ended.
//! Invariant: in a group (one for all, rest for one) nothing starts while anything of it has yet to stop.
//! Invariant: static children stop in the reverse of their order, one after the other.

mod ask;
mod child;
mod config;
mod intensity;
mod settle;
mod talk;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::{ExitReason, Pid, Restart, Shutdown, SpawnError, StartError, StartFailure};
use child::{Child, Life, Want};
pub use child::{ChildInfo, ChildState, Counts, Role, Traits};
pub use config::{AutoShutdown, Config, Strategy};
use intensity::Intensity;
pub use talk::{Answer, Input, Output, Refusal, Report, Which};

/// A child: its place in the order of starts. Never reused.
pub type Key = u64;

/// The children of one supervisor. Time is what has passed since any fixed moment.
#[derive(Debug)]
pub struct Children {
    config: Config,
    children: BTreeMap<Key, Child>,
    /// Static: by id.
    ids: BTreeMap<String, Key>,
    /// Those that run, by process.
    pids: BTreeMap<Pid, Key>,
    /// Those that wait for their next start, by when.
    due: BTreeSet<(Duration, Key)>,
    intensity: Intensity,
    outputs: VecDeque<Output>,
    last: Key,
    stopping: bool,
    done: bool,
}

impl Children {
    /// No children yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let intensity = Intensity::new(config.max_restarts, config.max_seconds);
        Self {
            config,
            children: BTreeMap::new(),
            ids: BTreeMap::new(),
            pids: BTreeMap::new(),
            due: BTreeSet::new(),
            intensity,
            outputs: VecDeque::new(),
            last: 0,
            stopping: false,
            done: false,
        }
    }

    /// Takes one input at `now`.
    pub fn handle(&mut self, now: Duration, input: Input) {
        match input {
            Input::Start { request, child } => self.ask_start(now, request, child),
            Input::Terminate { request, which } => self.ask_terminate(now, request, &which),
            Input::Restart { request, which } => self.ask_restart(now, request, &which),
            Input::Delete { request, which } => self.ask_delete(now, request, &which),
            Input::Started { key, outcome } => match outcome {
                Ok(pid) => self.started(now, key, pid),
                Err(why) => self.not_started(now, key, why),
            },
            Input::Exited { key, reason } => self.exited(now, key, reason),
            Input::Stuck { key } => self.stuck(now, key),
            Input::Stop => self.stop_all(now),
        }
    }

    /// What to do next; in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Children::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Starts what is due.
    pub fn handle_timeout(&mut self, now: Duration) {
        while let Some((at, key)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.due.remove(&(at, key));
            if let Some(child) = self.children.get_mut(&key) {
                child.due = None;
            }
            self.settle(now, key);
        }
    }

    /// The child that the next accepted start will be.
    #[must_use]
    pub fn next_key(&self) -> Key {
        self.last + 1
    }

    /// The child that runs as this process.
    #[must_use]
    pub fn key_of(&self, pid: &Pid) -> Option<Key> {
        self.pids.get(pid).copied()
    }

    /// True once this child is no more.
    #[must_use]
    pub fn forgets(&self, key: Key) -> bool {
        !self.children.contains_key(&key)
    }

    /// The children in the order of their start.
    pub fn iter(&self) -> impl Iterator<Item = ChildInfo> + '_ {
        self.children.values().map(Child::info)
    }

    /// How many there are of what.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let of = |role| self.children.values().filter(|child| child.traits.role == role).count();
        let active = self.children.values().filter(|child| child.life.pid().is_some()).count();
        Counts {
            specs: self.children.len(),
            active,
            supervisors: of(Role::Supervisor),
            workers: of(Role::Worker),
        }
    }

    /// The processes that run now, with how each is stopped: what a supervisor that was killed leaves behind.
    pub fn processes(&self) -> impl Iterator<Item = (Key, &Pid, Role)> + '_ {
        self.children.iter().filter_map(|(key, child)| Some((*key, child.life.pid()?, child.traits.role)))
    }

    /// A process runs: `init` has returned.
    fn started(&mut self, now: Duration, key: Key, pid: Pid) {
        let Some(child) = self.children.get_mut(&key) else { return };
        match &mut child.life {
            Life::Starting => child.life = Life::Up(pid.clone()),
            Life::Stopping { pid: known, .. } => *known = Some(pid.clone()),
            Life::Up(_) | Life::None => return,
        }
        child.begun = true;
        let starter = child.starter.take();
        if child.traits.restart == Restart::Temporary {
            self.outputs.push_back(Output::Forget { key });
        }
        self.pids.insert(pid.clone(), key);
        self.answer(starter, Ok(Some(pid)));
        self.settle(now, key);
    }

    fn not_started(&mut self, now: Duration, key: Key, why: SpawnError) {
        let Some(child) = self.children.get_mut(&key) else { return };
        let stopped = matches!(child.life, Life::Stopping { .. });
        child.life = Life::None;
        let starter = child.starter.take();
        let begun = child.begun;
        let ignored = why == SpawnError::Failed(StartFailure::Ignored);
        if stopped || child.want == Want::Gone {
            self.answer_waiters(key, &Ok(None));
        } else if ignored {
            let keep = !self.config.dynamic && child.traits.restart != Restart::Temporary;
            child.want = if keep { Want::Rest } else { Want::Gone };
        } else if starter.is_some() {
            child.want = if begun && !self.config.dynamic { Want::Down } else { Want::Gone };
        } else {
            let id = child.traits.id.clone();
            self.outputs.push_back(Output::Report(Report::StartError { id, why: why.clone() }));
            if why == SpawnError::NotStarted(StartError::Closing) {
                self.give_up(now, key, "the node is closing");
            } else {
                self.restart(now, key);
            }
        }
        self.answer(starter, Err(Refusal::NotStarted(why)));
        self.settle(now, key);
    }

    fn exited(&mut self, now: Duration, key: Key, reason: ExitReason) {
        let Some(child) = self.children.get_mut(&key) else { return };
        let life = std::mem::replace(&mut child.life, Life::None);
        if let Some(pid) = life.pid() {
            self.pids.remove(pid);
        }
        match life {
            Life::Stopping { .. } => {
                if reason != ExitReason::Shutdown && !matches!(child.traits.shutdown, Shutdown::BrutalKill) {
                    let id = child.traits.id.clone();
                    self.outputs
                        .push_back(Output::Report(Report::ShutdownError { id, reason: Some(reason) }));
                }
                self.answer_waiters(key, &Ok(None));
            }
            // Its turn to be stopped had not come yet.
            Life::Up(_) if child.bounce || child.want != Want::Up => self.answer_waiters(key, &Ok(None)),
            Life::Up(pid) => {
                let id = child.traits.id.clone();
                let restarts = child.traits.restart.restarts(&reason);
                self.outputs.push_back(Output::Report(Report::ChildTerminated { id, pid, reason }));
                if restarts { self.restart(now, key) } else { self.rest(now, key) }
            }
            Life::Starting | Life::None => {}
        }
        self.settle(now, key);
    }

    /// A child has ended by itself and is not started again.
    fn rest(&mut self, now: Duration, key: Key) {
        let Some(child) = self.children.get_mut(&key) else { return };
        let keep = !self.config.dynamic && child.traits.restart != Restart::Temporary;
        child.want = if keep { Want::Rest } else { Want::Gone };
        if !child.traits.significant {
            return;
        }
        let more = self.children.values().any(|child| child.traits.significant && child.want == Want::Up);
        match self.config.auto_shutdown {
            AutoShutdown::AnySignificant => self.give_up(now, key, "a significant child has ended"),
            AutoShutdown::AllSignificant if !more => {
                self.give_up(now, key, "the last significant child has ended");
            }
            _ => {}
        }
    }

    fn stuck(&mut self, now: Duration, key: Key) {
        let Some(child) = self.children.get_mut(&key) else { return };
        let Life::Stopping { pid, stuck } = &mut child.life else { return };
        *stuck = true;
        let pid = pid.clone();
        let id = child.traits.id.clone();
        self.outputs.push_back(Output::Report(Report::ShutdownError { id, reason: None }));
        self.answer_waiters(key, &pid.map_or(Err(Refusal::Restarting), |pid| Err(Refusal::Stuck(pid))));
        self.settle(now, key);
    }

    /// The supervisor ends by itself.
    fn give_up(&mut self, now: Duration, key: Key, why: &'static str) {
        if !self.stopping {
            let id = self.children.get(&key).map(|child| child.traits.id.clone()).unwrap_or_default();
            self.outputs.push_back(Output::Report(Report::Shutdown { id, why }));
            self.outputs.push_back(Output::End(ExitReason::Shutdown));
        }
        self.stop_all(now);
    }

    fn answer(&mut self, request: Option<u64>, answer: Answer) {
        if let Some(request) = request {
            self.outputs.push_back(Output::Answer { request, answer });
        }
    }

    fn answer_waiters(&mut self, key: Key, answer: &Answer) {
        let waiters = self.children.get_mut(&key).map(|child| std::mem::take(&mut child.waiters));
        for request in waiters.unwrap_or_default() {
            self.answer(Some(request), answer.clone());
        }
    }

    /// Panics when a law of this machine does not hold. For tests and the simulator.
    ///
    /// # Panics
    /// When it has a mistake.
    pub fn check_invariants(&self) {
        for (pid, key) in &self.pids {
            assert_eq!(self.children[key].life.pid(), Some(pid), "a process of no child");
        }
        let alive = self.children.values().filter(|child| child.life.pid().is_some()).count();
        assert_eq!(alive, self.pids.len(), "a child's process is not found by its pid");
        for (at, key) in &self.due {
            let child = &self.children[key];
            assert_eq!(child.due, Some(*at));
            assert!(matches!(child.life, Life::None), "a child waits for its start and runs");
        }
        if !self.config.dynamic {
            for (id, key) in &self.ids {
                assert_eq!(&self.children[key].traits.id, id);
            }
            assert_eq!(self.ids.len(), self.children.len(), "two children of one id");
        }
        let grouped = self.config.strategy != Strategy::OneForOne && !self.config.dynamic;
        let bounces = self.children.values().any(|child| child.bounce);
        let starting = self.children.values().filter(|child| child.life == Life::Starting).count();
        assert!(!grouped || starting <= 1, "a group starts one after the other");
        assert!(grouped || !bounces, "only a group restarts together");
        assert!(!self.done || self.stopping);
    }
}
