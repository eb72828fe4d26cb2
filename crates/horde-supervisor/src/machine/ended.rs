//! Ends and restarts that users ask for.

use horde_process::ExitReason;
use std::sync::Arc;
use std::time::Duration;

use super::coordinate::{Caller, Waiter};
use super::faults::Fault;
use super::requests::Purpose;
use super::run::{Origin, Phase, Why};
use super::{Answer, ChildId, ChildState, Children, End, Now, Record, Wanted};
use crate::error::{StartError, TerminateError};
use crate::frame::{Request, Response, Wish};

impl Children {
    /// A user of this node ends a child. It is marked as ended at once, on every side; the answer comes when its process has ended.
    pub fn terminate(&mut self, now: Now, id: &ChildId, timeout: Duration) -> u64 {
        let ticket = self.admit(now, id.clone(), timeout, false, true);
        let record = self.replica.get(id).filter(|record| record.is_wanted()).cloned();
        // It was started from here a moment ago, and its record is on its way: its host knows it.
        let host = self.end_acknowledged(now, id);
        if let Some(record) = &record {
            self.mark_ended(now, id, record, End::Terminated);
        }
        let owner = record.as_ref().map(|record| Some(record.owner.clone()));
        match host.or(owner) {
            _ if self.run_of.contains_key(id) => self.await_end(id, Caller::User(ticket)),
            Some(Some(host)) if host != self.me && self.roster.is_here(&host) => {
                self.ask(host, Request::Terminate { id: id.clone() }, Purpose::Order { ticket });
            }
            Some(_) => self.answer(ticket, Answer::Terminated(Ok(()))),
            None => self.answer(ticket, Answer::Terminated(Err(TerminateError::NotFound))),
        }
        ticket
    }

    /// A member has ended a child that runs here.
    pub(super) fn end_here(&mut self, now: Now, id: &ChildId, caller: Caller) {
        if let Some(record) = self.replica.get(id).filter(|record| record.is_wanted()).cloned() {
            self.mark_ended(now, id, &record, End::Terminated);
        }
        if self.run_of.contains_key(id) {
            self.await_end(id, caller);
        } else {
            self.confirm_end(caller, Ok(()));
        }
    }

    pub(super) fn mark_ended(&mut self, now: Now, id: &ChildId, record: &Record, end: End) {
        if self.faults.has(Fault::EndsByRemoval) {
            let change = self.replica.remove(now, id);
            self.absorb(now, change.into_iter().collect());
        } else {
            let ended = Record { wanted: Wanted::Ended(end), ..record.clone() };
            self.put(now, id.clone(), ended);
        }
        // A start that never got as far as a record is ended here too.
        if let Some(token) = self.run_of.get(id).copied() {
            self.stop_run(now, token, Why::Ended, ExitReason::Shutdown);
        }
    }

    fn await_end(&mut self, id: &ChildId, caller: Caller) {
        let run = self.run_of.get(id).and_then(|token| self.runs.get_mut(token));
        match run {
            Some(run) => run.enders.push(caller),
            None => self.confirm_end(caller, Ok(())),
        }
    }

    pub(super) fn confirm_end(&mut self, caller: Caller, result: Result<(), TerminateError>) {
        match caller {
            Caller::User(ticket) => self.answer(ticket, Answer::Terminated(result)),
            Caller::Member(responder) => self.respond(responder, Response::Terminated(result)),
            Caller::Again => {}
        }
    }

    /// A user of this node restarts a child: a running one is stopped and started where it is, a failed one is placed anew.
    pub fn restart(&mut self, now: Now, id: &ChildId, timeout: Duration) -> u64 {
        let ticket = self.admit(now, id.clone(), timeout, true, false);
        if let Some(host) = self.acknowledged_host(id).cloned() {
            self.ask(host, Request::Restart { id: id.clone() }, Purpose::Order { ticket });
            return ticket;
        }
        let Some(record) = self.replica.get(id).filter(|record| record.is_wanted()).cloned() else {
            self.answer(ticket, Answer::Started(Err(StartError::NotFound)));
            return ticket;
        };
        match &record.state {
            ChildState::Failed(_) | ChildState::Unplaceable => {
                let stamp = self.replica.stamp(now).to_bits();
                let anew = Record {
                    generation: record.generation + 1,
                    stamp,
                    state: ChildState::Unplaceable,
                    strikes: 0,
                    owner: self.me.clone(),
                    ..(*record).clone()
                };
                self.put(now, id.clone(), anew);
                if !self.place_again(now, id) && self.roster.coordinates(id) {
                    let Record { spec, .. } = &*record;
                    let error = StartError::Unplaceable { kind: spec.kind.clone(), version: spec.version };
                    self.answer(ticket, Answer::Started(Err(error)));
                } else {
                    self.wait_for(id, &record, ticket);
                }
            }
            _ if record.owner == self.me => self.restart_here(now, id, Origin::User { ticket }),
            _ if self.roster.is_here(&record.owner) => {
                let request = Request::Restart { id: id.clone() };
                self.ask(record.owner.clone(), request, Purpose::Order { ticket });
            }
            _ => self.wait_for(id, &record, ticket),
        }
        ticket
    }

    fn wait_for(&mut self, id: &ChildId, record: &Arc<Record>, ticket: u64) {
        let wish = Wish { id: id.clone(), spec: record.spec.clone(), request: record.request, again: false };
        self.waiters.entry(id.clone()).or_default().push(Waiter { caller: Caller::User(ticket), wish });
    }

    pub(super) fn restart_here(&mut self, now: Now, id: &ChildId, origin: Origin) {
        let Some(token) = self.run_of.get(id).copied() else {
            return self.tell(id, vec![origin], &Err(StartError::NotFound));
        };
        if let Some(run) = self.runs.get_mut(&token) {
            run.origins.push(origin);
            // It starts anew where it goes; it may run there already, and must not start here beside that.
            if matches!(run.phase, Phase::HandingOver { .. }) {
                return;
            }
            if matches!(run.phase, Phase::Backoff) {
                return self.restart_run(now, token);
            }
        }
        self.stop_run(now, token, Why::Restart, ExitReason::Shutdown);
    }
}
