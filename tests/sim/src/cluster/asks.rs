//! What a script has users do: start and end children, and call by name, from a node of its choice.

use std::sync::Arc;
use std::time::Duration;

use horde_process::{CallError, ExitReason, Name, Pid};
use horde_registry::machine::Key;
use horde_supervisor::machine::Answer;
use horde_supervisor::{ChildId, Spec};
use horde_transport::{RequestError, SendError};

use super::guest::{Answered, Asker, Letter, Payload};
use super::net::{Frame, Reply};
use super::node::{Asked, Call};
use super::users::Ticket;
use super::{Arrival, Happening, World};

/// What a user is told to do; the number is that of the promise.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    Start(u64, String, Box<Spec>, Duration),
    Terminate(u64, String, Duration),
    Call(u64, Name, Payload, Duration),
    Cast(Name, Payload),
    /// The process of a child ends by itself.
    End(String, ExitReason),
}

/// How soon a user looks again whether its node can be asked.
const AGAIN: Duration = Duration::from_millis(20);

impl World {
    pub(crate) fn promise(&mut self) -> u64 {
        self.guests.promised += 1;
        self.guests.promised
    }

    /// Has a user of a node do something, now or as soon as the node goes on. On a node that is dead nobody does.
    pub(crate) fn tell(&mut self, node: usize, ask: Ask) {
        self.tell_after(node, Duration::ZERO, ask);
    }

    fn tell_after(&mut self, node: usize, after: Duration, ask: Ask) {
        let life = self.nodes[node].life;
        self.queue.after(after, Happening::Arrive { node, life, arrival: Arrival::Ask(Box::new(ask)) });
    }

    pub(super) fn ask(&mut self, node: usize, ask: Ask) {
        if !self.nodes[node].hosting {
            return self.tell_after(node, AGAIN, ask);
        }
        let now = self.time(node);
        match ask {
            Ask::Start(promise, id, spec, patience) => {
                self.history.note(self.queue.now, node, || format!("start {id} {:?}", spec.restart));
                self.promises.wish(&id);
                let restart = spec.restart;
                let sim = &mut self.nodes[node];
                let ticket = sim.children.start(now, ChildId::from(&id), Arc::new(*spec), patience);
                let ticket = (node, sim.life, ticket);
                self.tickets.insert(ticket, Ticket::Start(id, restart));
                self.guests.watched.insert(ticket, promise);
            }
            Ask::Terminate(promise, id, patience) => {
                self.history.note(self.queue.now, node, || format!("terminate {id}"));
                let life = self.life_known(node, &id);
                let sim = &mut self.nodes[node];
                let ticket = (node, sim.life, sim.children.terminate(now, &ChildId::from(&id), patience));
                self.promises.ask_end(&id, ticket);
                self.tickets.insert(ticket, Ticket::End(id, life));
                self.guests.watched.insert(ticket, promise);
            }
            Ask::Call(promise, name, payload, patience) => {
                self.call_by_name(node, promise, &name, payload, patience)
            }
            Ask::Cast(name, payload) => self.cast(node, &name, payload),
            Ask::End(id, reason) => {
                let mut processes = self.nodes[node].processes.iter();
                let of = |child: &super::process::Child| child.id == id;
                let found = processes.find(|(_, process)| process.child.as_ref().is_some_and(of));
                if let Some(number) = found.map(|(number, _)| *number) {
                    self.ended(node, number, reason);
                }
            }
        }
    }

    /// The supervisor has answered: whoever holds the promise hears of it.
    pub(super) fn keep(&mut self, ticket: (usize, u64, u64), answer: &Answer) {
        if let Some(promise) = self.guests.watched.remove(&ticket) {
            let answered = match answer {
                Answer::Started(outcome) => Answered::Started(outcome.clone()),
                Answer::Terminated(outcome) => Answered::Terminated(outcome.clone()),
            };
            self.guests.answers.insert(promise, answered);
        }
    }

    /// Where a name leads from a node: by what the node itself knows.
    pub(crate) fn resolve(&self, node: usize, name: &Name) -> Option<Pid> {
        let sim = &self.nodes[node];
        match name {
            Name::Pid(pid) => Some(pid.clone()),
            Name::Registry { key, .. } => sim.names.get(&Key::new(key)).map(|entry| entry.pid.clone()),
            Name::Child { id, .. } => {
                sim.children.record(&(&**id).into()).and_then(|record| record.pid()).cloned()
            }
            _ => None,
        }
    }

    fn call_by_name(&mut self, node: usize, promise: u64, name: &Name, payload: Payload, patience: Duration) {
        self.history.note(self.queue.now, node, || format!("calls {name} ({})", payload.name));
        let Some(pid) = self.resolve(node, name) else {
            return self.hear_answer(node, promise, Err(CallError::NoProcess(name.clone())));
        };
        if *pid.node() != self.nodes[node].id {
            let to = self.nodes.iter().position(|other| other.id.name() == pid.node().name()).unwrap_or(node);
            let asked = Asked::Letter(Call { promise, patience, to });
            let frame = |number| Frame::Letter { number, pid: pid.number(), payload };
            return self.request(node, &pid.node().clone(), asked, patience, frame);
        }
        let letter = Box::new(Letter { payload, asker: Asker::Here(promise) });
        self.tell_process(node, Duration::from_micros(1), Arrival::Letter(pid.number(), letter));
        self.tell_process(node, patience, Arrival::Unanswered(promise, patience));
    }

    /// Sends and does not wait: what does not arrive is lost.
    pub(super) fn cast(&mut self, node: usize, name: &Name, payload: Payload) {
        let Some(pid) = self.resolve(node, name) else { return };
        if *pid.node() != self.nodes[node].id {
            let frame = Frame::Letter { number: 0, pid: pid.number(), payload };
            self.send(node, &pid.node().clone(), frame);
            return;
        }
        let letter = Box::new(Letter { payload, asker: Asker::Nobody });
        self.tell_process(node, Duration::from_micros(1), Arrival::Letter(pid.number(), letter));
    }

    pub(super) fn reply(&mut self, node: usize, asker: Asker, outcome: Result<Vec<u8>, CallError>) {
        match asker {
            Asker::Nobody => {}
            Asker::Here(promise) => self.hear_answer(node, promise, outcome),
            Asker::There(conn, from, number) => {
                let outcome = Ok(Reply::Answered(outcome));
                self.answer(node, conn, from, Frame::Reply { number, outcome });
            }
        }
    }

    /// What came of a call to another node.
    pub(super) fn letter_outcome(&mut self, node: usize, call: Call, outcome: Result<Reply, RequestError>) {
        let outcome = match outcome {
            Ok(Reply::Answered(outcome)) => outcome,
            Ok(_) => Err(CallError::NoReply),
            Err(RequestError::NotSent(SendError::NotConnected(to))) => Err(CallError::NotConnected(to)),
            Err(RequestError::Timeout) => Err(CallError::Timeout(call.patience)),
            Err(RequestError::Unanswered) => Err(CallError::NoReply),
            Err(_) => Err(CallError::NodeDown(self.nodes[call.to].id.clone())),
        };
        self.hear_answer(node, call.promise, outcome);
    }

    pub(super) fn hear_answer(&mut self, node: usize, promise: u64, outcome: Result<Vec<u8>, CallError>) {
        // The first that is heard counts: what comes after the time is over was given up.
        if self.guests.answers.contains_key(&promise) {
            return;
        }
        self.history.note(self.queue.now, node, || match &outcome {
            Ok(bytes) => format!("is answered ({} bytes)", bytes.len()),
            Err(error) => format!("is not answered: {error}"),
        });
        self.guests.answers.insert(promise, Answered::Called(outcome));
    }
}
