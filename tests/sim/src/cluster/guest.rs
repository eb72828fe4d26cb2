//! Processes that users bring: what runs in them is theirs, what happens to them is this world's.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use horde_process::{CallError, Claim, ExitReason, Name, Pid, State, Stop};
use horde_supervisor::{StartError, TerminateError};

use super::{Arrival, World};
use crate::Rng;

/// What a process may know while one of its callbacks runs.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) pid: Pid,
    pub(crate) claim: Option<Claim>,
    /// The node's own clocks.
    pub(crate) now: Duration,
    pub(crate) unix_ms: u64,
    pub(crate) rng: Rng,
}

/// What a callback asks for.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) casts: Vec<(Name, Payload)>,
    /// By number, and how soon.
    pub(crate) timers: Vec<(u64, Duration)>,
    pub(crate) stop: Option<ExitReason>,
    pub(crate) notes: Vec<String>,
    /// How long an `init` takes.
    pub(crate) takes: Option<Duration>,
}

/// A message with its name.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// A process of a user that runs.
pub(crate) trait Guest {
    fn message(&mut self, at: Setting, payload: &Payload) -> (Result<Vec<u8>, CallError>, Effects);
    fn timer(&mut self, at: Setting, number: u64) -> Effects;
    /// An orderly end: what it hands over, if it moves.
    fn leave(&mut self, at: Setting, reason: &ExitReason) -> (Option<State>, Effects);
    fn as_any(&self) -> &dyn Any;
}

/// What starting a process of a user came to.
pub(crate) type Started = (Result<Box<dyn Guest>, Stop>, Effects);

/// Kinds of processes by name, with what starts one.
pub(crate) type Kinds = BTreeMap<&'static str, fn(Setting, &[u8], Option<State>) -> Started>;

/// How far a process of a user has come.
pub(crate) enum Hosted {
    /// Its `init` has not begun. What the copy before handed over.
    Waits(Option<State>),
    /// Its `init` has said no; none: there is nothing to do.
    Refused(Option<ExitReason>),
    Runs(Box<dyn Guest>),
    /// One of its callbacks runs.
    Busy,
}

impl fmt::Debug for Hosted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waits(_) => "Waits",
            Self::Refused(_) => "Refused",
            Self::Runs(_) => "Runs",
            Self::Busy => "Busy",
        })
    }
}

/// A message on its way into a process, and who waits for the answer.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) payload: Payload,
    pub(crate) asker: Asker,
}

/// Who waits for an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asker {
    Nobody,
    /// A user on this node, by the promise.
    Here(u64),
    /// Another node: over which connection, which node, and its request.
    There(u64, usize, u64),
}

/// What users that are told what to do have heard, and what there is to check of them.
#[derive(Debug, Default)]
pub(crate) struct Guests {
    pub(crate) answers: BTreeMap<u64, Answered>,
    /// Whom the answer to a ticket is for.
    pub(crate) watched: BTreeMap<(usize, u64, u64), u64>,
    /// Names beside those of the seeds' users.
    pub(crate) keys: BTreeSet<String>,
    pub(crate) promised: u64,
}

/// What a user heard.
#[derive(Debug, Clone)]
pub(crate) enum Answered {
    Started(Result<Pid, StartError>),
    Terminated(Result<(), TerminateError>),
    Called(Result<Vec<u8>, CallError>),
}

impl World {
    pub(super) fn is_guest(&self, node: usize, number: u64) -> bool {
        self.nodes[node].processes.get(&number).is_some_and(|process| process.guest.is_some())
    }

    fn setting(&mut self, node: usize, number: u64) -> Setting {
        let (now, rng) = (self.time(node), Rng::new(self.rng.below(u64::MAX), 6));
        let sim = &self.nodes[node];
        let child = sim.processes.get(&number).and_then(|process| process.child.as_ref());
        let claim = child.map(|child| child.claim.clone());
        Setting {
            pid: Pid::new(sim.id.clone(), number),
            claim,
            now: now.monotonic,
            unix_ms: now.unix_ms,
            rng,
        }
    }

    /// Begins the `init` of a user's process, or its `resume`. Answers how long that takes, if it says so.
    pub(super) fn guest_init(&mut self, node: usize, number: u64) -> Option<Duration> {
        if !self.is_guest(node, number) {
            return None;
        }
        let at = self.setting(node, number);
        let process = self.nodes[node].processes.get_mut(&number)?;
        let spec = process.child.as_ref().map(|child| child.spec.clone())?;
        let start = *self.plan.kinds.get(spec.kind.as_str())?;
        let Some(Hosted::Waits(state)) = process.guest.replace(Hosted::Busy) else { return None };
        let started = catch_unwind(AssertUnwindSafe(|| start(at, &spec.args, state)));
        let (hosted, effects) = match started {
            Ok((Ok(guest), effects)) => (Hosted::Runs(guest), effects),
            Ok((Err(stop), effects)) => (Hosted::Refused(stop.into_reason()), effects),
            Err(panic) => {
                (Hosted::Refused(Some(ExitReason::Panicked(crate::text(&*panic)))), Effects::default())
            }
        };
        let takes = effects.takes;
        if let Some(process) = self.nodes[node].processes.get_mut(&number) {
            process.guest = Some(hosted);
        }
        self.perform(node, number, effects);
        takes
    }

    /// Runs a callback of a user's process; none if it does not run, or panics, which ends it.
    fn with_guest<R>(
        &mut self,
        node: usize,
        number: u64,
        call: impl FnOnce(&mut dyn Guest, Setting) -> (R, Effects),
    ) -> Option<R> {
        let at = self.setting(node, number);
        let process = self.nodes[node].processes.get_mut(&number)?;
        let Some(Hosted::Runs(mut guest)) = process.guest.replace(Hosted::Busy) else { return None };
        match catch_unwind(AssertUnwindSafe(|| call(&mut *guest, at))) {
            Ok((result, effects)) => {
                process.guest = Some(Hosted::Runs(guest));
                self.perform(node, number, effects);
                Some(result)
            }
            Err(panic) => {
                self.ended(node, number, ExitReason::Panicked(crate::text(&*panic)));
                None
            }
        }
    }

    fn perform(&mut self, node: usize, number: u64, effects: Effects) {
        for note in effects.notes {
            self.history.note(self.queue.now, node, || note);
        }
        for (name, payload) in effects.casts {
            self.cast(node, &name, payload);
        }
        for (timer, after) in effects.timers {
            self.tell_process(node, after, Arrival::Timer(number, timer));
        }
        let Some(reason) = effects.stop else { return };
        match self.nodes[node].processes.get_mut(&number) {
            Some(process) if !process.up => process.ends = Some(reason),
            _ => self.tell_process(node, Duration::ZERO, Arrival::Ended(number, reason)),
        }
    }

    pub(super) fn guest_timer(&mut self, node: usize, number: u64, timer: u64) {
        if self.nodes[node].processes.get(&number).is_some_and(|process| !process.up) {
            return self.tell_process(node, Duration::from_millis(1), Arrival::Timer(number, timer));
        }
        self.with_guest(node, number, |guest, at| ((), guest.timer(at, timer)));
    }

    /// A message comes to a process: it waits until its `init` has answered.
    pub(super) fn letter(&mut self, node: usize, number: u64, letter: Letter) {
        let name = self.name_of(node, number);
        match self.nodes[node].processes.get_mut(&number) {
            Some(process) if process.guest.is_some() && !process.up => process.mail.push_back(letter),
            Some(process) if process.guest.is_some() => {
                let payload = &letter.payload;
                let answer = self.with_guest(node, number, |guest, at| guest.message(at, payload));
                let broken = || ExitReason::Panicked("while it handled the message".to_owned());
                self.reply(node, letter.asker, answer.unwrap_or_else(|| Err(CallError::Exited(broken()))));
            }
            _ => self.reply(node, letter.asker, Err(CallError::NoProcess(name))),
        }
    }

    fn name_of(&self, node: usize, number: u64) -> Name {
        Name::Pid(Pid::new(self.nodes[node].id.clone(), number))
    }

    /// The `init` of a process has answered: it reads what has come meanwhile.
    pub(super) fn read_mail(&mut self, node: usize, number: u64) {
        let mail =
            self.nodes[node].processes.get_mut(&number).map(|process| std::mem::take(&mut process.mail));
        for letter in mail.unwrap_or_default() {
            self.letter(node, number, letter);
        }
    }

    /// A user's process ends in good order, or not. What it hands over.
    pub(super) fn guest_leaves(&mut self, node: usize, number: u64, reason: &ExitReason) -> Option<State> {
        let orderly = !matches!(reason, ExitReason::Panicked(_) | ExitReason::Killed);
        let up = self.nodes[node].processes.get(&number).is_some_and(|process| process.up);
        if !orderly || !up {
            return None;
        }
        self.with_guest(node, number, |guest, at| guest.leave(at, reason)).flatten()
    }

    /// Who waits for a process that has ended hears of it.
    pub(super) fn return_mail(&mut self, node: usize, mail: VecDeque<Letter>, reason: &ExitReason) {
        for letter in mail {
            self.reply(node, letter.asker, Err(CallError::Exited(reason.clone())));
        }
    }
}
