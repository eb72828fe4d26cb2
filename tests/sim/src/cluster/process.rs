//! The processes that run on a node: they start, crash, hang, end, and do not always end when they should.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use horde_process::{Claim, ExitReason, Name, Pid, Shutdown, State};
use horde_registry::machine::{Key, RegisterError};
use horde_supervisor::{Spec, StartError};

use super::guest::{Hosted, Letter};
use super::{Arrival, Happening, World};

/// A process that runs.
#[derive(Debug, Default)]
pub(crate) struct Process {
    /// What it is a copy of, if it is a child.
    pub(crate) child: Option<Child>,
    /// Its `init` has answered.
    pub(crate) up: bool,
    /// It was told to stop.
    pub(crate) stop: Option<ExitReason>,
    /// The names it was promised and did not lose, as far as it was told.
    pub(crate) names: BTreeSet<Key>,
    /// What a user has written runs in it.
    pub(crate) guest: Option<Hosted>,
    /// What came for it while its `init` ran.
    pub(crate) mail: VecDeque<Letter>,
    /// Its `init` asked for its end, which comes once that has answered.
    pub(crate) ends: Option<ExitReason>,
}

impl Process {
    /// One that no supervisor knows.
    pub(crate) fn plain() -> Self {
        Self { child: None, up: true, ..Self::default() }
    }
}

/// A process that a supervisor started.
#[derive(Debug, Clone)]
pub(crate) struct Child {
    pub(crate) id: String,
    pub(crate) token: u64,
    pub(crate) claim: Claim,
    pub(crate) spec: Arc<Spec>,
}

impl World {
    /// A supervisor starts a process.
    pub(crate) fn spawn(
        &mut self,
        node: usize,
        token: u64,
        spec: Arc<Spec>,
        claim: Claim,
        state: Option<State>,
    ) {
        let now = self.time(node);
        let guest = self.plan.kinds.contains_key(spec.kind.as_str()).then(|| Hosted::Waits(state));
        if spec.version > self.nodes[node].version {
            let error = StartError::BadArgs("no such version here".to_owned());
            self.nodes[node].children.started(now, token, Err(error));
            return;
        }
        let number = self.nodes[node].number();
        let id = claim.child.to_string();
        let child = Child { id: id.clone(), token, claim, spec };
        self.check_intensity(node, &child);
        let process = Process { child: Some(child), guest, ..Process::default() };
        self.nodes[node].processes.insert(number, process);
        let pid = Pid::new(self.nodes[node].id.clone(), number);
        self.promises.spawned(&id, &pid);
        self.check_overlap(node, number);
        self.nodes[node].children.spawned(token, pid);
        let after = Duration::from_micros(self.rng.below(200));
        self.tell_process(node, after, Arrival::Born(number));
    }

    pub(super) fn tell_process(&mut self, node: usize, after: Duration, arrival: Arrival) {
        let life = self.nodes[node].life;
        let after = self.nodes[node].clock.takes(after);
        self.queue.after(after, Happening::Arrive { node, life, arrival });
    }

    /// A process takes its name, and begins its `init`.
    pub(crate) fn born(&mut self, node: usize, number: u64) {
        let now = self.time(node);
        let sim = &mut self.nodes[node];
        let Some(process) = sim.processes.get_mut(&number) else { return };
        let Some(child) = process.child.clone() else { return };
        if let Some((Name::Registry { key, .. }, value)) = &child.spec.name {
            let (pid, key) = (Pid::new(sim.id.clone(), number), Key::new(key));
            match sim.names.register(now, &pid, &key, value.as_slice().into(), Some(&child.claim)) {
                Ok(()) => drop(process.names.insert(key)),
                Err(RegisterError::AlreadyRegistered(holder)) => {
                    sim.processes.remove(&number);
                    self.promises.crashed_by_itself(&child.id);
                    sim.children.started(now, child.token, Err(StartError::NameTaken(holder)));
                    return;
                }
                Err(error) => self.fail(format!("a name was refused: {error}")),
            }
        }
        let calm = self.calm;
        let hangs = !calm && self.rng.chance(self.plan.processes.hang_init);
        let slow = !calm && self.rng.chance(self.plan.processes.slow_init);
        let takes = Duration::from_millis(match (hangs, slow) {
            (true, _) => self.rng.between(5_000, 15_000),
            (_, true) => self.rng.between(50, 2_000),
            _ => self.rng.below(3),
        });
        let takes = self.guest_init(node, number).unwrap_or(takes);
        self.tell_process(node, takes, Arrival::Inited(number));
    }

    /// The `init` of a process has answered.
    pub(crate) fn inited(&mut self, node: usize, number: u64) {
        let now = self.time(node);
        let fails = !self.calm && self.rng.chance(self.plan.processes.fail_init);
        let sim = &mut self.nodes[node];
        let Some(process) = sim.processes.get_mut(&number) else { return };
        let Some(child) = process.child.clone() else { return };
        if fails {
            return self.init_failed(node, number, ExitReason::Error("init fails".to_owned()));
        }
        if let Some(Hosted::Refused(reason)) = &process.guest {
            return match reason.clone() {
                Some(reason) => self.init_failed(node, number, reason),
                None => self.not_started(node, number, StartError::Ignored),
            };
        }
        process.up = true;
        let stopping = process.stop.clone().or_else(|| process.ends.take());
        let pid = Pid::new(sim.id.clone(), number);
        sim.children.started(now, child.token, Ok(pid));
        self.read_mail(node, number);
        if let Some(reason) = stopping {
            self.tell_process(node, Duration::from_micros(10), Arrival::Ended(number, reason));
        } else if !self.calm {
            let faults = self.plan.processes;
            let reason = if self.rng.chance(faults.panic) {
                ExitReason::Panicked("a bug".to_owned())
            } else if self.rng.chance(faults.exit) {
                ExitReason::Normal
            } else {
                return;
            };
            let after = Duration::from_millis(self.rng.below(8_000));
            self.tell_process(node, after, Arrival::Ended(number, reason));
        }
    }

    fn init_failed(&mut self, node: usize, number: u64, reason: ExitReason) {
        self.not_started(node, number, StartError::Init(reason));
    }

    fn not_started(&mut self, node: usize, number: u64, error: StartError) {
        let now = self.time(node);
        let Some(process) = self.nodes[node].processes.remove(&number) else { return };
        self.return_mail(node, process.mail, &ExitReason::NoProcess);
        let (sim, Some(child)) = (&mut self.nodes[node], process.child) else { return };
        sim.names.process_ended(now, &Pid::new(sim.id.clone(), number));
        self.promises.crashed_by_itself(&child.id);
        self.note_end(node, &child);
        self.nodes[node].children.started(now, child.token, Err(error));
    }

    /// Somebody tells a process to stop.
    pub(crate) fn stop(&mut self, node: usize, pid: &Pid, reason: ExitReason, shutdown: Shutdown) {
        let number = pid.number();
        let (deaf, takes) = (self.rng.chance(self.plan.processes.deaf), self.rng.below(50));
        let Some(process) = self.nodes[node].processes.get_mut(&number) else { return };
        let again = process.stop.replace(reason.clone()).is_some();
        let up = process.up;
        if reason == ExitReason::Redistribution
            && let Some(id) = process.child.as_ref().map(|child| child.id.clone())
        {
            self.check_move(node, &id);
        }
        match shutdown {
            Shutdown::BrutalKill => {
                return self.tell_process(node, Duration::ZERO, Arrival::Overdue(number));
            }
            Shutdown::Timeout(time) => self.tell_process(node, time, Arrival::Overdue(number)),
            _ => {}
        }
        // One whose init still runs looks when it has ended; one that does not listen, when its time is over.
        if up && !again {
            let late = if deaf { 3_000 } else { 0 };
            let takes = Duration::from_millis(takes + late);
            self.tell_process(node, takes, Arrival::Ended(number, reason));
        }
    }

    /// The shutdown time of a process is over: it is ended where it waits, unless it spins.
    pub(crate) fn overdue(&mut self, node: usize, number: u64) {
        let stuck = !self.calm && self.rng.chance(self.plan.processes.stuck);
        let sim = &mut self.nodes[node];
        let Some(process) = sim.processes.get_mut(&number) else { return };
        let Some(child) = process.child.as_ref() else { return };
        if stuck {
            let pid = Pid::new(sim.id.clone(), number);
            sim.children.stuck(child.token, pid);
            let takes = Duration::from_millis(self.rng.between(1_000, 8_000));
            self.tell_process(node, takes, Arrival::Overdue(number));
        } else if process.up {
            self.ended(node, number, ExitReason::Killed);
        } else {
            self.init_failed(node, number, ExitReason::Killed);
        }
    }

    /// A process ends; its names go first.
    pub(crate) fn ended(&mut self, node: usize, number: u64, reason: ExitReason) {
        let now = self.time(node);
        let moves = self.rng.chance(50);
        let is_guest = self.is_guest(node, number);
        let handed = if is_guest { self.guest_leaves(node, number, &reason) } else { None };
        let sim = &mut self.nodes[node];
        let Some(process) = sim.processes.remove(&number) else { return };
        let pid = Pid::new(sim.id.clone(), number);
        if reason == ExitReason::Redistribution {
            sim.names.process_moves(now, &pid);
        } else {
            sim.names.process_ended(now, &pid);
        }
        self.return_mail(node, process.mail, &reason);
        let Some(child) = process.child else { return };
        let asked = process.stop.is_some();
        if asked {
            self.nodes[node].ends_of.remove(&child.id);
        } else {
            self.note_end(node, &child);
            self.promises.ended_by_itself(&child.id, &child.spec, child.claim.rank.life, &reason);
        }
        let state = (reason == ExitReason::Redistribution && moves && !is_guest)
            .then(|| State::from_bytes(1, number.to_le_bytes().to_vec()));
        let state = state.or(handed);
        self.history.note(self.queue.now, node, || format!("{} ends: {reason}", child.id));
        self.nodes[node].children.exited(now, child.token, reason, state);
    }

    /// A process that lost a name is told, and ends; its other names stay until it has.
    pub(crate) fn signal(&mut self, node: usize, pid: &Pid, key: &Key, winner: Pid) {
        let takes = Duration::from_millis(self.rng.below(100));
        self.history.note(self.queue.now, node, || format!("{key:?}: {pid} loses to {winner:?}"));
        let Some(process) = self.nodes[node].processes.get_mut(&pid.number()) else { return };
        process.names.remove(key);
        let child = process.child.as_ref().map(|child| child.id.clone());
        if child.is_some() && self.promises.child_of(&winner) == child.as_deref() {
            return self
                .fail(format!("{pid} is told that it lost {key:?} to {winner}, a copy of the same child"));
        }
        let reason =
            ExitReason::NameConflict { registry: "names".to_owned(), key: format!("{key:?}"), winner };
        self.tell_process(node, takes, Arrival::Ended(pid.number(), reason));
    }
}
