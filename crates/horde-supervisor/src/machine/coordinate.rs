//! Starts: from the user who wishes, by the coordinator, to the host.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use horde_process::Pid;
use horde_transport::{NodeId, RequestError};

use super::requests::Purpose;
use super::run::Origin;
use super::{Answer, ChildState, Children, Effect, Now, Record, Timer};
use crate::error::StartError;
use crate::frame::{Launch, LaunchKind, Request, Response, Wish};
use crate::record::{ChildId, RequestId};
use crate::spec::Spec;

/// How often a start is passed on between members whose views differ before it waits for them to agree.
const MAX_HOPS: u8 = 3;
/// How long a start waits before it is tried again.
const RETRY: Duration = Duration::from_millis(20);

/// Who waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// A user of this node, by ticket.
    User(u64),
    /// A member, by responder.
    Member(u64),
    /// A user who was answered already: the child's host went down before the record had come.
    Again,
}

/// A user of this node who waits.
#[derive(Debug)]
pub(super) struct User {
    pub(super) id: ChildId,
    pub(super) timeout: Duration,
    /// When it asked (a hybrid logical clock stamp).
    pub(super) asked: u64,
    pub(super) deadline: (Duration, u64),
    /// Waits for a restart by hand.
    pub(super) restarts: bool,
    /// Waits for an end.
    pub(super) ends: bool,
    /// Its start waits here: nothing was asked of anybody.
    pub(super) parked: bool,
}

/// Somebody who waits for a child to run.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) caller: Caller,
    pub(super) wish: Wish,
}

/// A start that this node coordinates, until the record shows it.
#[derive(Debug)]
pub(super) struct Coordination {
    pub(super) wish: Wish,
    pub(super) life: u64,
    pub(super) host: NodeId,
    /// Set once the host has answered and before the record has come.
    pub(super) done: Option<Pid>,
    pub(super) generation: u64,
    pub(super) callers: Vec<Waiter>,
    pub(super) tried: BTreeSet<NodeId>,
}

impl Coordination {
    /// Whether the record says what comes of this start, so that it need not be kept any more; and not of one that failed before.
    pub(super) fn is_shown_by(&self, record: &Record) -> bool {
        let wanted = record.is_wanted() || record.generation >= self.generation;
        record.life > self.life || record.life == self.life && wanted
    }
}

impl Children {
    /// A user of this node wants `id` to run `spec`: placed, started, and answered under the ticket returned, in time.
    pub fn start(&mut self, now: Now, id: ChildId, spec: Arc<Spec>, timeout: Duration) -> u64 {
        let ticket = self.admit(now, id.clone(), timeout, false, false);
        let size = spec.size() + id.as_str().len();
        if size > self.options.max_spec {
            let limit = self.options.max_spec;
            self.answer(ticket, Answer::Started(Err(StartError::TooBig { size, limit })));
        } else if self.draining {
            self.answer(ticket, Answer::Started(Err(StartError::Stopping)));
        } else if self.users.len() > self.options.max_waiting {
            self.answer(ticket, Answer::Started(Err(StartError::Busy(self.options.max_waiting))));
        } else {
            let request = self.mint();
            self.route(now, Caller::User(ticket), Wish { id, spec, request, again: false }, 0);
        }
        ticket
    }

    /// A fresh id for a child whose user gave none: unique across the cluster.
    pub fn fresh_id(&mut self) -> ChildId {
        let RequestId { origin, number } = self.mint();
        ChildId::from(format!("{origin:016x}-{number:x}"))
    }

    fn mint(&mut self) -> RequestId {
        let origin = super::replica_id(&self.me);
        RequestId { origin: origin.node ^ origin.epoch.rotate_left(32), number: self.number() }
    }

    pub(super) fn admit(
        &mut self,
        now: Now,
        id: ChildId,
        timeout: Duration,
        restarts: bool,
        ends: bool,
    ) -> u64 {
        let ticket = self.number();
        let deadline = (now.monotonic + timeout, ticket);
        self.dirty |= self.timers.keys().next().is_none_or(|(first, _)| deadline.0 < *first);
        self.timers.insert(deadline, Timer::Deadline { ticket });
        let asked = self.replica.stamp(now).to_bits();
        self.users.insert(ticket, User { id, timeout, asked, deadline, restarts, ends, parked: false });
        ticket
    }

    /// Brings a wish to its coordinator.
    pub(super) fn route(&mut self, now: Now, caller: Caller, wish: Wish, hops: u8) {
        if let Caller::User(ticket) = caller {
            if !self.users.contains_key(&ticket) {
                return;
            }
            if !self.ready {
                return self.park(ticket, wish);
            }
        }
        if caller == Caller::Again && !self.is_awaited(&wish) {
            return;
        }
        if !self.ready || self.draining {
            return self.not_now(now, caller, wish);
        }
        match self.roster.coordinator(&wish.id).cloned() {
            Some(coordinator) if coordinator == self.me => self.coordinate(now, caller, wish),
            Some(coordinator) if hops < MAX_HOPS => {
                let request = Request::Start { wish: wish.clone(), hops: hops + 1 };
                self.ask(coordinator, request, Purpose::Start { caller, wish });
            }
            _ => self.not_now(now, caller, wish),
        }
    }

    /// The views do not agree yet, or somebody is on the way out: try again a little later.
    pub(super) fn not_now(&mut self, now: Now, caller: Caller, wish: Wish) {
        match caller {
            Caller::User(_) | Caller::Again => self.at(now.monotonic + RETRY, Timer::Retry { caller, wish }),
            Caller::Member(responder) => self.respond(responder, Response::NotNow),
        }
    }

    fn coordinate(&mut self, now: Now, caller: Caller, wish: Wish) {
        if let Some(coordination) = self.coordinations.get_mut(&wish.id) {
            match &coordination.done {
                None => coordination.callers.push(Waiter { caller, wish }),
                Some(pid) => {
                    let same = coordination.wish.request == wish.request;
                    let result =
                        if same { Ok(pid.clone()) } else { Err(StartError::AlreadyStarted(pid.clone())) };
                    self.finish(caller, &wish, result);
                }
            }
            return;
        }
        // Generations go on rising through the lives of an id, so that fencing tokens do. An attempt that failed ended nothing, so
        // that the next one is in the same life: in a later one it would end what runs in this one elsewhere.
        let (life, generation) = match self.replica.get(&wish.id) {
            None => (1, 1),
            Some(record) if record.is_over() && record.request != wish.request => {
                (record.life + 1, record.generation + 1)
            }
            Some(record) if !record.is_wanted() && !record.is_over() => (record.life, record.generation + 1),
            Some(record) => {
                let record = record.clone();
                return self.answer_from(caller, wish, &record);
            }
        };
        let Some(host) = self.roster.host_for(&wish.id, &wish.spec, &BTreeSet::new()).cloned() else {
            return self.cannot_place(now, caller, wish, (life, generation));
        };
        let callers = vec![Waiter { caller, wish: wish.clone() }];
        let tried = BTreeSet::new();
        let coordination =
            Coordination { wish: wish.clone(), life, generation, host, done: None, callers, tried };
        self.coordinations.insert(wish.id.clone(), coordination);
        self.send_launch(now, &wish.id);
    }

    /// A record stands: the child runs, or will; or this very start was served, and what it started has ended since.
    fn answer_from(&mut self, caller: Caller, wish: Wish, record: &Record) {
        let result = match (&record.state, record.pid()) {
            (ChildState::Running(pid), None) if record.request == wish.request => Ok(pid.clone()),
            // It may be on its way to start all the same, by an earlier question.
            (_, None) if record.is_over() && record.request == wish.request => {
                Err(StartError::Unknown { id: wish.id.to_string() })
            }
            (_, Some(pid)) if !self.roster.is_gone(&record.owner) => {
                let same = record.request == wish.request;
                if same { Ok(pid.clone()) } else { Err(StartError::AlreadyStarted(pid.clone())) }
            }
            (ChildState::Failed(reason), _) => Err(StartError::AlreadyFailed(reason.clone())),
            (ChildState::Unplaceable, _) => Err(unplaceable(&record.spec)),
            _ => {
                self.waiters.entry(wish.id.clone()).or_default().push(Waiter { caller, wish });
                return;
            }
        };
        self.finish(caller, &wish, result);
    }

    /// No member runs this kind: the child is kept, and tried when the members change.
    fn cannot_place(&mut self, now: Now, caller: Caller, wish: Wish, (life, generation): (u64, u64)) {
        let stamp = self.replica.stamp(now).to_bits();
        let record = Record {
            spec: wish.spec.clone(),
            life,
            wanted: super::Wanted::Run,
            generation,
            config_epoch: self.epoch,
            stamp,
            owner: self.me.clone(),
            request: wish.request,
            state: ChildState::Unplaceable,
            strikes: 0,
        };
        self.put(now, wish.id.clone(), record);
        self.emit(super::Event::Unplaceable { id: wish.id.clone() });
        let result = Err(unplaceable(&wish.spec));
        self.finish(caller, &wish, result);
    }

    /// Hands a coordinated start to its host.
    pub(super) fn send_launch(&mut self, now: Now, id: &ChildId) {
        let Some(coordination) = self.coordinations.get(id) else { return };
        let launch = Launch {
            wish: coordination.wish.clone(),
            life: coordination.life,
            generation: coordination.generation,
            strikes: 0,
            state: None,
            kind: if coordination.wish.again { LaunchKind::Takeover } else { LaunchKind::Fresh },
        };
        let host = coordination.host.clone();
        if host == self.me {
            self.launch(now, launch, vec![Origin::Coordination]);
        } else {
            self.ask(host.clone(), Request::Launch(launch), Purpose::Launch { id: id.clone(), host });
        }
    }

    /// The host has answered, or has not.
    pub(super) fn launched_elsewhere(
        &mut self,
        now: Now,
        id: &ChildId,
        host: &NodeId,
        outcome: Result<Response, RequestError>,
    ) {
        if self.coordinations.get(id).is_none_or(|coordination| coordination.host != *host) {
            return;
        }
        match outcome {
            Ok(Response::Started(result)) => self.coordinated(id, result),
            Ok(_) => self.next_host(now, id),
            // It may run there: the same request finds itself. Once the host is gone, the next one gets it.
            Err(RequestError::Timeout | RequestError::Unanswered) if self.roster.is_here(host) => {
                self.send_launch(now, id)
            }
            Err(_) => self.next_host(now, id),
        }
    }

    /// The chosen host will not do: the next best, or everybody waits and asks again.
    pub(super) fn next_host(&mut self, now: Now, id: &ChildId) {
        let Some(coordination) = self.coordinations.get_mut(id) else { return };
        coordination.tried.insert(coordination.host.clone());
        match self.roster.host_for(id, &coordination.wish.spec, &coordination.tried).cloned() {
            Some(host) => {
                coordination.host = host;
                self.send_launch(now, id);
            }
            None => {
                let callers = self.coordinations.remove(id).map(|c| c.callers).unwrap_or_default();
                for Waiter { caller, wish } in callers {
                    self.not_now(now, caller, wish);
                }
            }
        }
    }

    /// A coordinated start has its outcome.
    pub(super) fn coordinated(&mut self, id: &ChildId, result: Result<Pid, StartError>) {
        let Some(coordination) = self.coordinations.get_mut(id) else { return };
        let callers = std::mem::take(&mut coordination.callers);
        let request = coordination.wish.request;
        let is_shown = self.replica.get(id).is_some_and(|record| coordination.is_shown_by(record));
        match &result {
            Ok(pid) if !is_shown => coordination.done = Some(pid.clone()),
            _ => drop(self.coordinations.remove(id)),
        }
        for Waiter { caller, wish } in callers {
            let result = match &result {
                Ok(pid) if wish.request != request => Err(StartError::AlreadyStarted(pid.clone())),
                other => other.clone(),
            };
            self.finish(caller, &wish, result);
        }
    }

    /// Gives a caller its answer.
    pub(super) fn finish(&mut self, caller: Caller, wish: &Wish, result: Result<Pid, StartError>) {
        match caller {
            Caller::Member(responder) => self.respond(responder, Response::Started(result)),
            Caller::User(ticket) => {
                if let Some(asked) = self.users.get(&ticket).map(|user| user.asked) {
                    self.remember(wish, asked, &result);
                }
                self.answer(ticket, Answer::Started(result));
            }
            Caller::Again => self.remember_anew(wish, &result),
        }
    }

    /// Answers a user, once.
    pub(super) fn answer(&mut self, ticket: u64, answer: Answer) {
        if let Some(user) = self.users.remove(&ticket) {
            self.timers.remove(&user.deadline);
            self.effects.push_back(Effect::Answer { ticket, answer });
        }
    }

    /// A user's deadline has passed.
    pub(super) fn give_up(&mut self, ticket: u64) {
        let Some(user) = self.users.get(&ticket) else { return };
        let answer = if user.ends {
            Answer::Terminated(Err(crate::error::TerminateError::StillStopping))
        } else if user.parked && !self.leased {
            Answer::Started(Err(StartError::NoQuorum))
        } else {
            Answer::Started(Err(StartError::Unknown { id: user.id.to_string() }))
        };
        self.answer(ticket, answer);
    }

    /// Whoever waited for `id` hears where it stands now.
    pub(super) fn wake_waiters(&mut self, id: &ChildId, record: &Record) {
        for Waiter { caller, wish } in self.waiters.remove(id).unwrap_or_default() {
            self.answer_from(caller, wish, record);
        }
    }
}

fn unplaceable(spec: &Spec) -> StartError {
    StartError::Unplaceable { kind: spec.kind.clone(), version: spec.version }
}
