//! What a supervisor says when it starts and stops a process, and what it hears.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Claim, ExitReason, Info, Name, Pid, StartFailure, State};

/// How a process is stopped: it is asked, given time, then ended where it awaits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Shutdown {
    /// Asked; after this time ended where it awaits.
    Timeout(Duration),
    /// Ended where it awaits, at once; `terminate` does not run.
    BrutalKill,
    /// Asked, and given all the time it takes.
    Infinity,
}

impl Default for Shutdown {
    /// Five seconds, as OTP gives a worker.
    fn default() -> Self {
        Self::Timeout(Duration::from_secs(5))
    }
}

/// A process to start from bytes.
#[derive(Debug, Clone)]
pub struct Start {
    /// Its kind, one of those the node was built with.
    pub kind: String,
    /// The version of its arguments.
    pub version: u32,
    /// Its arguments, encoded ([`crate::encode`]).
    pub args: Vec<u8>,
    /// The name it is registered under before `init` runs, with the value that the registry keeps beside it.
    pub name: Option<(Name, Vec<u8>)>,
    /// What its supervisor knows of it.
    pub claim: Option<Claim>,
    /// What the copy before handed over: `resume` instead of `init`.
    pub state: Option<State>,
    /// How it is stopped when its node closes.
    pub shutdown: Shutdown,
}

impl Start {
    /// A process of `kind` with these arguments; nothing else.
    #[must_use]
    pub fn new(kind: impl Into<String>, version: u32, args: Vec<u8>) -> Self {
        let (name, claim, state) = (None, None, None);
        Self { kind: kind.into(), version, args, name, claim, state, shutdown: Shutdown::default() }
    }
}

/// Hears what becomes of the processes it starts. `token` is what it gave to the start.
///
/// Called without any lock of this crate held: from the process's task, or from the node's reaper thread (`stuck`). It must be short.
pub trait Watcher: Send + Sync + 'static {
    /// Once per start: after `init`, with the name held; or why there is no process.
    fn started(&self, token: u64, outcome: Result<Pid, StartFailure>);
    /// Once, after a successful start: it has ended, what it owned is dropped, its names are free. `state` is what it hands over.
    fn exited(&self, token: u64, pid: Pid, reason: ExitReason, state: Option<State>);
    /// Its shutdown is over and its task does not end: it spins, or blocks. Its slot and names stay taken.
    /// Should it end after all, `exited` (or `started` with a failure) follows.
    fn stuck(&self, token: u64, pid: Pid);
    /// What a process told its starter from `init`; comes right before `started`, if it told anything.
    fn informed(&self, token: u64, info: Info) {
        let _ = (token, info);
    }
    /// True if it stops its processes itself when their node closes, in its own order; else the node stops them.
    fn stops_them(&self) -> bool {
        false
    }
    /// Whether it may act on the outside world now: false when the lease under which it runs may be over.
    fn may_act(&self, token: u64) -> bool {
        let _ = token;
        true
    }
}
