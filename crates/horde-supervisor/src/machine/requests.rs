//! What was asked of other members, and what they ask of us.

use horde_transport::{NodeId, RequestError};

use super::coordinate::Caller;
use super::run::Origin;
use super::{Answer, Children, Effect, Now};
use crate::error::TerminateError;
use crate::frame::{Request, Response, Wish};
use crate::record::ChildId;

/// What an answer is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// The coordinator was asked to start a child.
    Start { caller: Caller, wish: Wish },
    /// The host that we chose was asked to run a child that a user wants.
    Launch { id: ChildId, host: NodeId },
    /// The host that we chose was asked to take over a child.
    Takeover { id: ChildId },
    /// A member was asked to take a child that moves away from here.
    HandOver { token: u64, to: NodeId },
    /// The owner was asked to end or restart a child.
    Order { ticket: u64 },
}

impl Children {
    pub(super) fn ask(&mut self, to: NodeId, request: Request, purpose: Purpose) {
        let number = self.number();
        let timeout = match purpose {
            Purpose::HandOver { .. } => self.options.handover_timeout,
            Purpose::Order { ticket } => {
                self.users.get(&ticket).map_or(self.options.request_timeout, |user| user.timeout)
            }
            _ => self.options.request_timeout,
        };
        self.requests.insert(number, purpose);
        self.effects.push_back(Effect::Request { number, to, request, timeout });
    }

    /// A request of another member. The answer comes as [`Effect::Respond`] with this responder number, once.
    pub fn request(&mut self, now: Now, responder: u64, request: Request) {
        match request {
            Request::Start { wish, hops } => self.route(now, Caller::Member(responder), wish, hops),
            Request::Launch(launch) if self.ready && !self.draining => {
                self.launch(now, launch, vec![Origin::Member { responder }]);
            }
            Request::Launch(_) => self.respond(responder, Response::NotNow),
            Request::Terminate { id } => self.end_here(now, &id, Caller::Member(responder)),
            Request::Restart { id } => self.restart_here(now, &id, Origin::Member { responder }),
        }
    }

    /// The outcome of a request of ours.
    pub fn reply(&mut self, now: Now, number: u64, outcome: Result<Response, RequestError>) {
        let Some(purpose) = self.requests.remove(&number) else { return };
        match purpose {
            Purpose::Start { caller, wish } => match outcome {
                Ok(Response::Started(result)) => self.finish(caller, &wish, result),
                Ok(_) | Err(_) => self.not_now(now, caller, wish),
            },
            Purpose::Launch { id, host } => self.launched_elsewhere(now, &id, &host, outcome),
            Purpose::Takeover { id } => {
                self.taking.remove(&id);
                if !matches!(outcome, Ok(Response::Started(_))) {
                    tracing::debug!(node = %self.me, child = %id, ?outcome, "takeover not confirmed; tried again");
                }
            }
            Purpose::HandOver { token, to } => self.handed_over(now, token, to, outcome),
            Purpose::Order { ticket } => self.ordered(ticket, outcome),
        }
    }

    fn ordered(&mut self, ticket: u64, outcome: Result<Response, RequestError>) {
        let id = self.users.get(&ticket).map(|user| user.id.to_string()).unwrap_or_default();
        let answer = match outcome {
            Ok(Response::Started(result)) => Answer::Started(result),
            Ok(Response::Terminated(result)) => Answer::Terminated(result),
            // The owner went away after the end was written: the record is what counts.
            Ok(Response::NotNow) | Err(_) => {
                match self.users.get(&ticket).is_some_and(|user| user.restarts) {
                    true => Answer::Started(Err(crate::error::StartError::Unknown { id })),
                    false => Answer::Terminated(Err(TerminateError::StillStopping)),
                }
            }
        };
        self.answer(ticket, answer);
    }

    pub(super) fn respond(&mut self, responder: u64, response: Response) {
        self.effects.push_back(Effect::Respond { responder, response });
    }
}
