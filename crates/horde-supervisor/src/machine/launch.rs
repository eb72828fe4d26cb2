//! Runs on this node: from the launch to the record that says `Running`.

use std::collections::VecDeque;
use std::time::Duration;

use horde_process::{Claim, ClaimRank, ExitReason, Pid};

use super::quorum::brief;
use super::run::{Origin, Phase, Run, Why};
use super::{Answer, ChildState, Children, Effect, End, Event, Now, Record, Wanted};
use crate::error::StartError;
use crate::frame::{Launch, LaunchKind, Response, Wish};
use crate::record::ChildId;

impl Children {
    /// Runs a child here, unless it runs already or the record has moved past this launch.
    pub(super) fn launch(&mut self, now: Now, launch: Launch, origins: Vec<Origin>) {
        if !self.leased {
            return self.turn_away(origins);
        }
        let id = launch.wish.id.clone();
        if let Some(token) = self.run_of.get(&id).copied() {
            return self.launch_again(now, token, launch, origins);
        }
        if self.is_stale(&launch) {
            return self.refuse_stale(&launch, origins);
        }
        if launch.kind == LaunchKind::Fresh || self.starting < self.options.max_starting {
            self.spawn(now, launch, origins, VecDeque::new());
        } else if let Some((earlier, waiting)) = self.queued.get_mut(&id) {
            waiting.extend(origins);
            if (launch.life, launch.generation) > (earlier.life, earlier.generation) {
                *earlier = launch;
            }
        } else {
            self.queue.push_back(id.clone());
            self.queued.insert(id, (launch, origins));
        }
    }

    /// The record says that this launch came too late: ended, a later life, or another owner that is here runs it.
    fn is_stale(&self, launch: &Launch) -> bool {
        self.replica.get(&launch.wish.id).is_some_and(|record| {
            let elsewhere = record.owner != self.me && !self.roster.is_gone(&record.owner);
            self.is_unfounded(launch, record)
                || record.life > launch.life
                || record.life == launch.life
                    && (record.is_over() || record.generation >= launch.generation && elsewhere)
        })
    }

    fn refuse_stale(&mut self, launch: &Launch, origins: Vec<Origin>) {
        let record = self.replica.get(&launch.wish.id);
        let result = match record.and_then(|record| record.pid().map(|pid| (pid.clone(), record.request))) {
            Some((pid, request)) if request == launch.wish.request => Ok(pid),
            Some((pid, _)) => Err(StartError::AlreadyStarted(pid)),
            None => Err(StartError::Unknown { id: launch.wish.id.to_string() }),
        };
        self.tell(&launch.wish.id, origins, &result);
    }

    /// The record of a child that has ended is forgotten: what waited here to run it again came too late, and would not be told so
    /// by a record any more.
    pub(super) fn give_up_launches(&mut self, id: &ChildId) {
        if let Some((launch, origins)) = self.queued.remove(id) {
            self.queue.retain(|queued| queued != id);
            self.refuse_stale(&launch, origins);
        }
        let run = self.run_of.get(id).and_then(|token| self.runs.get_mut(token));
        let after = run.and_then(|run| run.after.take_if(|(launch, _)| launch.kind != LaunchKind::Fresh));
        if let Some((launch, origins)) = after {
            self.refuse_stale(&launch, origins);
        }
    }

    fn launch_again(&mut self, now: Now, token: u64, launch: Launch, origins: Vec<Origin>) {
        let Some(run) = self.runs.get_mut(&token) else { return };
        match (&run.phase, &run.pid) {
            (Phase::Running, Some(pid)) => {
                let same = run.wish.request == launch.wish.request;
                let result =
                    if same { Ok(pid.clone()) } else { Err(StartError::AlreadyStarted(pid.clone())) };
                let id = run.wish.id.clone();
                // Whoever asks gives up a higher claim, and its state, for this: the copy here takes both.
                if launch.life == run.rank.life && launch.generation > run.rank.generation {
                    run.origins.extend(origins);
                    return self.reclaim(now, token, launch.generation, launch.state);
                }
                self.tell(&id, origins, &result);
            }
            (Phase::Stopping(Why::Reclaim), _) => run.origins.extend(origins),
            (Phase::Stopping(_) | Phase::HandingOver { .. }, _) => {
                let mut origins = origins;
                if let Some((_, earlier)) = run.after.take() {
                    origins.extend(earlier);
                }
                run.after = Some((launch, origins));
            }
            _ => {
                // It takes that place too, once its `init` has answered.
                if launch.life == run.rank.life && launch.generation > run.rank.generation {
                    run.raised = Some((launch.generation, launch.state));
                }
                run.origins.extend(origins);
            }
        }
    }

    pub(super) fn spawn(
        &mut self,
        now: Now,
        launch: Launch,
        origins: Vec<Origin>,
        restarts: VecDeque<Duration>,
    ) {
        let Launch { wish, life, generation, strikes, state, kind } = launch;
        let stamp = self.replica.stamp(now).to_bits();
        let rank = ClaimRank { life, config_epoch: self.epoch, generation, stamp, owner: self.me.clone() };
        let id = wish.id.clone();
        let run = Run { restarts, origins, ..Run::new(wish, rank, strikes, Phase::Starting(Some(kind))) };
        self.begin(run, state);
        self.claim(now, &id);
    }

    /// Starts the process of a run under a fresh token.
    pub(super) fn begin(&mut self, run: Run, state: Option<horde_process::State>) {
        let token = self.number();
        let id = run.wish.id.clone();
        self.patience.is_back(&id);
        let claim = Claim { supervisor: self.supervisor.clone(), child: id.shared(), rank: run.rank.clone() };
        if matches!(run.phase, Phase::Starting(None | Some(LaunchKind::Fresh))) {
            self.unwritten.insert(token);
            self.dirty = true;
        }
        self.effects.push_back(Effect::Spawn { token, spec: run.wish.spec.clone(), claim, state });
        self.run_of.insert(id, token);
        self.runs.insert(token, run);
        self.starting += 1;
    }

    /// The process of a run has been given its pid; its `init` still runs.
    pub fn spawned(&mut self, token: u64, pid: Pid) {
        let Some(run) = self.runs.get_mut(&token) else { return };
        if run.pid.is_none() {
            run.pid = Some(pid);
            if matches!(run.phase, Phase::Stopping(_)) {
                let stop = stop_of(run);
                self.effects.extend(stop);
            }
        }
    }

    /// The outcome of a [`Effect::Spawn`]: its `init` has answered, or it could not be started at all.
    pub fn started(&mut self, now: Now, token: u64, result: Result<Pid, StartError>) {
        let Some(run) = self.runs.get_mut(&token) else { return };
        self.starting = self.starting.saturating_sub(1);
        self.unwritten.remove(&token);
        match (&run.phase, result) {
            (Phase::Starting(_), Ok(pid)) => self.is_running(now, token, pid),
            (Phase::Starting(kind), Err(error)) => {
                let kind = *kind;
                self.start_failed(now, token, kind, error);
            }
            (Phase::Stopping(_), Ok(pid)) => {
                run.pid = Some(pid);
                let stop = stop_of(run);
                self.effects.extend(stop);
            }
            (Phase::Stopping(_), Err(_)) => {
                self.exited(now, token, horde_process::ExitReason::Shutdown, None)
            }
            (Phase::Running | Phase::Backoff | Phase::HandingOver { .. }, _) => {}
        }
        self.dequeue(now);
    }

    fn dequeue(&mut self, now: Now) {
        while self.starting < self.options.max_starting {
            let Some(id) = self.queue.pop_front() else { return };
            if let Some((launch, origins)) = self.queued.remove(&id) {
                self.launch(now, launch, origins);
            }
        }
    }

    fn is_running(&mut self, now: Now, token: u64, pid: Pid) {
        let Some(run) = self.runs.get_mut(&token) else { return };
        run.phase = Phase::Running;
        run.pid = Some(pid.clone());
        let raised = run.raised.take();
        let (id, origins) = (run.wish.id.clone(), std::mem::take(&mut run.origins));
        let rank = &self.runs[&token].rank;
        if self.replica.get(&id).is_some_and(|record| record.ends(rank.life) || record.rank() > *rank) {
            self.arbitrate(now, &id);
        } else {
            self.write_running(now, token);
        }
        self.emit(Event::Started { id: id.clone(), pid: pid.clone() });
        self.tell(&id, origins, &Ok(pid));
        if let Some((generation, state)) = raised {
            self.reclaim(now, token, generation, state);
        }
    }

    pub(super) fn write_running(&mut self, now: Now, token: u64) {
        let Some(run) = self.runs.get(&token) else { return };
        if let (Phase::Running, Some(pid)) = (&run.phase, &run.pid) {
            let record = record_of(run, Wanted::Run, ChildState::Running(pid.clone()));
            self.put(now, run.wish.id.clone(), record);
        }
    }

    /// Says that `init` runs, once others could have learnt of it.
    pub(super) fn write_starting(&mut self, now: Now, token: u64) {
        let Some(run) = self.runs.get(&token) else { return };
        if matches!(run.phase, Phase::Starting(None | Some(LaunchKind::Fresh)) | Phase::Backoff) {
            let record = record_of(run, Wanted::Run, ChildState::Starting);
            self.put(now, run.wish.id.clone(), record);
        }
    }

    fn start_failed(&mut self, now: Now, token: u64, kind: Option<LaunchKind>, error: StartError) {
        let Some(run) = self.runs.get_mut(&token) else { return };
        let id = run.wish.id.clone();
        match kind {
            Some(LaunchKind::Fresh) => {
                let origins = std::mem::take(&mut run.origins);
                self.write_failed_attempt(now, token);
                self.drop_run(now, token);
                self.tell(&id, origins, &Err(error));
            }
            Some(LaunchKind::Move) => {
                let origins = std::mem::take(&mut run.origins);
                self.drop_run(now, token);
                self.tell(&id, origins, &Err(error));
            }
            Some(LaunchKind::Takeover) | None => self.ended_by_itself(now, token, as_reason(error)),
        }
    }

    /// A first start has failed: its record says so. What another member runs in that life is not over for that, and holds
    /// again if it was outranked.
    fn write_failed_attempt(&mut self, now: Now, token: u64) {
        let Some(run) = self.runs.get(&token) else { return };
        let (id, rank) = (run.wish.id.clone(), run.rank.clone());
        if self.replica.get(&id).is_none_or(|record| record.life != rank.life || !record.is_wanted()) {
            return;
        }
        let others = self.replica.siblings(&id).filter_map(|sibling| sibling.value);
        let running = others.filter(|record| record.life == rank.life && record.owner != self.me);
        match running.filter(|record| record.pid().is_some()).max_by_key(|record| record.rank()).cloned() {
            Some(other) => self.put(now, id, Record::clone(&other)),
            None => self.write_end(now, token, End::NotStarted),
        }
    }

    /// Tells those who asked for a run how it went.
    pub(super) fn tell(&mut self, id: &ChildId, origins: Vec<Origin>, result: &Result<Pid, StartError>) {
        for origin in origins {
            match origin {
                Origin::Coordination => self.coordinated(id, result.clone()),
                Origin::Member { responder } => self.respond(responder, Response::Started(result.clone())),
                Origin::User { ticket } => self.answer(ticket, Answer::Started(result.clone())),
                Origin::Takeover { from } => {
                    if let Ok(pid) = result {
                        self.emit(Event::TakenOver { id: id.clone(), pid: pid.clone(), from });
                    }
                }
            }
        }
    }

    /// Tells a run's process to stop, for `why`.
    pub(super) fn stop_run(&mut self, now: Now, token: u64, why: Why, reason: horde_process::ExitReason) {
        let Some(run) = self.runs.get_mut(&token) else { return };
        match &mut run.phase {
            Phase::Starting(_) | Phase::Running => {
                run.phase = Phase::Stopping(why);
                let (pid, shutdown) = (run.pid.clone(), run.wish.spec.shutdown);
                self.unwritten.remove(&token);
                if let Some(pid) = pid {
                    self.effects.push_back(Effect::Stop { pid, reason, shutdown });
                }
            }
            // The end of the child outranks every other reason to stop.
            Phase::Stopping(earlier) => {
                if matches!(why, Why::Ended | Why::Superseded) {
                    *earlier = why;
                }
            }
            Phase::Backoff | Phase::HandingOver { .. } => self.gone(now, token, reason),
        }
    }
}

/// The effect that stops the process of a run that is told to.
fn stop_of(run: &Run) -> Option<Effect> {
    let (reason, shutdown) = match run.phase {
        Phase::Stopping(Why::NoQuorum) => (ExitReason::NoQuorum, brief(run.wish.spec.shutdown)),
        _ => (ExitReason::Shutdown, run.wish.spec.shutdown),
    };
    run.pid.clone().map(|pid| Effect::Stop { pid, reason, shutdown })
}

/// The record that a run would write.
pub(super) fn record_of(run: &Run, wanted: Wanted, state: ChildState) -> Record {
    let Wish { spec, request, .. } = &run.wish;
    let ClaimRank { life, config_epoch, generation, stamp, owner } = run.rank.clone();
    Record {
        spec: spec.clone(),
        life,
        wanted,
        generation,
        config_epoch,
        stamp,
        owner,
        request: *request,
        state,
        strikes: run.strikes,
    }
}

fn as_reason(error: StartError) -> horde_process::ExitReason {
    match error {
        StartError::Init(reason) => reason,
        StartError::Ignored => horde_process::ExitReason::Normal,
        other => horde_process::ExitReason::error(other),
    }
}
