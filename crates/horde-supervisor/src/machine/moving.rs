//! Moves: stop, hand over, start. The owner stays responsible until another member runs the child.

use std::collections::BTreeSet;

use horde_process::{ExitReason, Pid, State};
use horde_transport::{NodeId, RequestError};

use super::launch::record_of;
use super::requests::Purpose;
use super::run::{Phase, Run, Why};
use super::{ChildId, ChildState, Children, Event, Now, Record, Wanted};
use crate::config::Redistribution;
use crate::error::StartError;
use crate::frame::{Launch, LaunchKind, Request, Response, Wish};

impl Children {
    /// Moves all children away and takes no new ones. [`Children::is_drained`] says when none is left here.
    pub fn drain(&mut self, now: Now) {
        self.draining = true;
        for id in std::mem::take(&mut self.queue) {
            if let Some((launch, origins)) = self.queued.remove(&id) {
                self.tell(&launch.wish.id, origins, &Err(StartError::Stopping));
            }
        }
        let tokens: Vec<u64> = self.runs.keys().copied().collect();
        for token in tokens {
            self.move_away(now, token);
        }
    }

    /// Offers again what nobody would have before.
    pub(super) fn offer_again(&mut self, now: Now) {
        let waiting =
            self.runs.iter().filter(|(_, run)| matches!(run.phase, Phase::HandingOver { asked: None, .. }));
        let tokens: Vec<u64> = waiting.map(|(token, _)| *token).collect();
        for token in tokens {
            self.offer(now, token);
        }
    }

    /// Moves children that placement now gives to others, a few at a time, if that is wanted.
    pub(super) fn redistribute(&mut self, now: Now) {
        if self.options.redistribution != Redistribution::Active || self.draining || !self.ready {
            return;
        }
        if self.patience.is_meeting(now.monotonic) {
            return;
        }
        let moving = self
            .runs
            .values()
            .filter(|run| matches!(run.phase, Phase::Stopping(Why::Moving) | Phase::HandingOver { .. }))
            .count();
        let room = self.options.max_moves.saturating_sub(moving);
        let tokens: Vec<u64> = self
            .runs
            .iter()
            .filter(|(_, run)| matches!(run.phase, Phase::Running) && !run.wish.spec.pinned)
            .filter(|(_, run)| self.roster.moves_to(&run.wish.id, &run.wish.spec, &self.me).is_some())
            .map(|(token, _)| *token)
            .take(room)
            .collect();
        for token in tokens {
            self.move_away(now, token);
        }
    }

    fn move_away(&mut self, now: Now, token: u64) {
        let Some(run) = self.runs.get(&token) else { return };
        match run.phase {
            Phase::Running => {
                let (id, record) = (run.wish.id.clone(), record_of(run, Wanted::Run, ChildState::Moving));
                self.put(now, id, record);
                self.stop_run(now, token, Why::Moving, ExitReason::Redistribution);
            }
            Phase::Starting(_) => self.stop_run(now, token, Why::Moving, ExitReason::Redistribution),
            Phase::Backoff => self.hand_over(now, token, None),
            Phase::Stopping(_) | Phase::HandingOver { .. } => {}
        }
    }

    /// The child has ended here: offers it, with its state, to the member that shall run it.
    pub(super) fn hand_over(&mut self, now: Now, token: u64, state: Option<State>) {
        let Some(run) = self.runs.get_mut(&token) else { return };
        run.pid = None;
        run.phase = Phase::HandingOver { state, tried: BTreeSet::new(), asked: None, unsure: None };
        self.offer(now, token);
    }

    /// This node offered the child to `to` before it lost its lease, and never heard what came of it: the same offer, once more,
    /// finds what runs there, and what is still on its way finds that.
    pub(super) fn offer_anew(&mut self, now: Now, id: &ChildId, record: &Record, to: NodeId) {
        let Record { spec, request, strikes, .. } = record;
        let wish = Wish { id: id.clone(), spec: spec.clone(), request: *request, again: false };
        let (tried, unsure) = (BTreeSet::new(), Some(to));
        let phase = Phase::HandingOver { state: None, tried, asked: None, unsure };
        let token = self.number();
        self.run_of.insert(id.clone(), token);
        self.runs.insert(token, Run::new(wish, record.rank(), *strikes, phase));
        self.offer(now, token);
    }

    fn offer(&mut self, now: Now, token: u64) {
        let Some(run) = self.runs.get_mut(&token) else { return };
        let Phase::HandingOver { state, tried, asked, unsure } = &mut run.phase else { return };
        if let Some(gone) = unsure.take_if(|to| self.roster.is_gone(to)) {
            tried.insert(gone);
        }
        if self.draining {
            tried.insert(self.me.clone());
        }
        let state = state.clone();
        let (wish, life, strikes) = (run.wish.clone(), run.rank.life, run.strikes);
        let placed = || self.roster.host_for(&wish.id, &wish.spec, tried).cloned();
        let host = unsure.clone().or_else(placed);
        let generation = run.rank.generation + 1;
        match host {
            Some(host) if host != self.me => {
                *asked = Some(host.clone());
                let launch = Launch { wish, life, generation, strikes, state, kind: LaunchKind::Move };
                self.ask(host.clone(), Request::Launch(launch), Purpose::HandOver { token, to: host });
            }
            // Somebody may be ready a little later: offered again when the members change, and on each tick.
            None if self.draining && self.roster.could_run_elsewhere(&wish.spec) => tried.clear(),
            // Nobody will have it: the record stays, and whoever can takes it over once this node has left.
            None if self.draining => self.gone(now, token, ExitReason::Redistribution),
            // Here again, with its state.
            _ => {
                let Some(mut run) = self.runs.remove(&token) else { return };
                run.rank.generation = generation;
                run.rank.stamp = self.replica.stamp(now).to_bits();
                run.phase = Phase::Starting(None);
                self.begin(run, state);
            }
        }
    }

    /// A member has answered to the offer of a child.
    pub(super) fn handed_over(
        &mut self,
        now: Now,
        token: u64,
        to: NodeId,
        outcome: Result<Response, RequestError>,
    ) {
        let Some(run) = self.runs.get_mut(&token) else { return };
        let Phase::HandingOver { tried, asked, unsure, .. } = &mut run.phase else { return };
        *asked = None;
        let silent = matches!(outcome, Err(RequestError::Timeout));
        match outcome {
            Ok(Response::Started(Ok(pid) | Err(StartError::AlreadyStarted(pid)))) => {
                self.moved(now, token, &pid, to);
            }
            // It may run there: the same offer finds itself, at once or with the next tick.
            Err(RequestError::Timeout | RequestError::Interrupted | RequestError::Unanswered) => {
                *unsure = Some(to);
                if silent {
                    self.offer(now, token);
                }
            }
            Err(_) if unsure.is_some() => {}
            _ => {
                *unsure = None;
                tried.insert(to);
                self.offer(now, token);
            }
        }
    }

    fn moved(&mut self, now: Now, token: u64, pid: &Pid, to: NodeId) {
        let Some(run) = self.runs.get_mut(&token) else { return };
        let (id, life, restarts) = (run.wish.id.clone(), run.rank.life, std::mem::take(&mut run.origins));
        let after = run.after.take_if(|(launch, _)| launch.life <= life);
        // Who wanted it restarted has that: it was started anew, over there. Who wanted it started here does not.
        self.tell(&id, restarts, &Ok(pid.clone()));
        if let Some((_, origins)) = after {
            self.tell(&id, origins, &Err(StartError::AlreadyStarted(pid.clone())));
        }
        self.drop_run(now, token);
        self.patience.handed(now.monotonic, id.clone(), to.clone());
        self.emit(Event::Moved { id, to });
        self.redistribute(now);
    }
}
