//! What the drivers of a node do: they feed its machines and perform what these ask for.

use std::sync::Arc;
use std::time::Duration;

use delta_crdt::Message;
use horde_cluster::MemberEvent;
use horde_cluster::machine::{Frame as ClusterFrame, Input, Output as ClusterOutput};
use horde_process::CallError;
use horde_registry::machine::Output as NamesOutput;
use horde_supervisor::Response;
use horde_supervisor::machine::{Effect, Event};
use horde_transport::{DownReason, RequestError};

use super::guest::{Asker, Letter};
use super::net::{Frame, Reply, Sync};
use super::node::{Asked, CHILDREN, NAMES};
use super::{Arrival, Happening, World};

/// How the membership's frame of a node's own record begins, after its version.
const OWN: u8 = 0;

/// More outputs of a node's machines in one step mean that they never end.
const MOST: u32 = 1_000_000;

impl World {
    /// Gives a node's machines what has come.
    pub(crate) fn hear(&mut self, node: usize, arrival: Arrival) {
        let now = self.time(node);
        let sim = &mut self.nodes[node];
        match arrival {
            Arrival::Up(_, peer) => {
                let id = peer.id.clone();
                sim.membership.handle(now.monotonic, Input::PeerUp(peer));
                if sim.hosting {
                    sim.names.link_up(now, &id);
                    sim.children.reconnected(now, &id);
                }
            }
            Arrival::Down(peer, reason) => {
                if sim.hosting {
                    sim.names.link_down(now, &peer);
                }
                sim.membership.handle(now.monotonic, Input::PeerDown { peer, reason });
            }
            Arrival::Hint(peer) => sim.membership.handle(now.monotonic, Input::CrashHint { peer }),
            Arrival::Frame(conn, from, frame) => self.take(node, conn, from, frame),
            Arrival::Outcome(number, outcome) => self.outcome(node, number, outcome),
            Arrival::Drive(at) if sim.armed == Some(at) => {
                sim.armed = None;
                self.drive(node);
            }
            Arrival::Drive(_) => {}
            Arrival::View => self.see(node),
            Arrival::Born(process) => self.born(node, process),
            Arrival::Inited(process) => self.inited(node, process),
            Arrival::Overdue(process) => self.overdue(node, process),
            Arrival::Ended(process, reason) => self.ended(node, process, reason),
            Arrival::Deed(deed) => self.deed(node, deed),
            Arrival::Ask(ask) => self.ask(node, *ask),
            Arrival::Letter(process, letter) => self.letter(node, process, *letter),
            Arrival::Timer(process, timer) => self.guest_timer(node, process, timer),
            Arrival::Unanswered(promise, patience) => {
                self.hear_answer(node, promise, Err(CallError::Timeout(patience)));
            }
        }
    }

    /// A frame of a peer.
    fn take(&mut self, node: usize, conn: u64, from: usize, frame: Frame) {
        let now = self.time(node);
        let Some(peer) = self.peer_over(node, conn).cloned() else { return };
        let sim = &mut self.nodes[node];
        let member = || peer == sim.id || sim.membership.view().get(&peer).is_some();
        match frame {
            Frame::Membership(frame) => {
                sim.membership.handle(now.monotonic, Input::Frame { from: peer, frame });
            }
            Frame::Said(frame, _) => {
                let frame = ClusterFrame::clone(&frame);
                sim.membership.handle(now.monotonic, Input::Said { from: peer, frame });
            }
            Frame::Lease(frame) => sim.leases.frame(now.monotonic, &peer, &frame),
            // Nobody subscribes to their topics yet.
            Frame::Names(_) | Frame::Children(_) if !sim.hosting => {}
            Frame::Names(message) => match open(message) {
                Ok(message) => sim.names.receive(now, &peer, message),
                Err(error) => self.fail(format!("a registry's frame is not read: {error}")),
            },
            Frame::Children(message) if member() => match open(message) {
                Ok(message) => sim.children.receive(now, &peer, message),
                Err(error) => self.fail(format!("a supervisor's frame is not read: {error}")),
            },
            Frame::Probe { number, frame } => {
                let answered = sim.membership.answer(&frame).is_some();
                let outcome = if answered { Ok(Reply::Here) } else { Err(RequestError::Unanswered) };
                self.answer(node, conn, from, Frame::Reply { number, outcome });
            }
            Frame::Ask { number, request } if sim.hosting && member() => {
                let responder = sim.number();
                sim.askers.insert(responder, (conn, from, number));
                sim.children.request(now, responder, request);
            }
            Frame::Ask { number, .. } => {
                let outcome = Err(RequestError::Unanswered);
                self.answer(node, conn, from, Frame::Reply { number, outcome });
            }
            Frame::Children(_) => {}
            Frame::Call { number, pid } => {
                let found = sim.processes.get(&pid).filter(|process| process.up);
                let found = found.map(|process| process.child.as_ref().map(|child| child.id.clone()));
                let outcome = found.map(Reply::Called).ok_or(RequestError::Unanswered);
                self.answer(node, conn, from, Frame::Reply { number, outcome });
            }
            Frame::Letter { number, pid, payload } => {
                let asker = if number == 0 { Asker::Nobody } else { Asker::There(conn, from, number) };
                self.letter(node, pid, Letter { payload, asker });
            }
            Frame::Reply { number, outcome } => self.outcome(node, number, outcome),
        }
    }

    fn outcome(&mut self, node: usize, number: u64, outcome: Result<Reply, RequestError>) {
        let now = self.time(node);
        let sim = &mut self.nodes[node];
        let Some((_, asked)) = sim.pending.remove(&number) else { return };
        match (asked, outcome) {
            (Asked::Probe(probe), outcome) => {
                let answered = outcome.is_ok();
                sim.membership.handle(now.monotonic, Input::Probed { probe, answered });
            }
            (Asked::Children(number), outcome) => {
                let outcome = outcome.map(|reply| match reply {
                    Reply::Children(response) => response,
                    _ => Response::NotNow,
                });
                sim.children.reply(now, number, outcome);
            }
            (Asked::Call(call), Ok(Reply::Called(child))) => self.called(node, call, child),
            (Asked::Call(_), _) => {}
            (Asked::Letter(call), outcome) => self.letter_outcome(node, call, outcome),
        }
    }

    /// The drivers' tasks: timers, then what waits to be sent.
    fn drive(&mut self, node: usize) {
        let now = self.time(node);
        let sim = &mut self.nodes[node];
        let due = |at: Option<Duration>| at.is_some_and(|at| at <= now.monotonic);
        if due(sim.membership.poll_timeout()) {
            sim.membership.handle_timeout(now.monotonic);
        }
        if due(sim.leases.poll_timeout()) {
            sim.leases.handle_timeout(now.monotonic);
        }
        if !sim.hosting {
            return;
        }
        if sim.names.needs_flush() {
            sim.names.flush(now);
        }
        if due(sim.names.poll_timeout()) {
            sim.names.handle_timeout(now);
        }
        if due(sim.children.poll_timeout()) {
            sim.children.handle_timeout(now);
        }
        sim.children.flush(now);
        while let Some((to, message)) = self.nodes[node].children.poll_sync() {
            let message = if self.plan.values {
                self.shared.children.wrap(message)
            } else {
                Sync::Bytes(message.encode())
            };
            self.send(node, &to, Frame::Children(message));
        }
    }

    /// A frame of the membership: as bytes; or a node's own record, which goes to all, read once for all of them.
    fn said(&mut self, frame: bytes::Bytes) -> Frame {
        if !self.plan.values || frame.get(1) != Some(&OWN) {
            return Frame::Membership(frame);
        }
        if self.shared.said.as_ref().is_none_or(|(bytes, _)| bytes.as_ptr() != frame.as_ptr()) {
            let Ok(said) = ClusterFrame::decode(&frame) else { return Frame::Membership(frame) };
            self.shared.said = Some((frame.clone(), Arc::new(said)));
        }
        match &self.shared.said {
            Some((bytes, said)) => Frame::Said(said.clone(), bytes.len()),
            None => Frame::Membership(frame),
        }
    }

    /// Performs all that a node's machines ask for, and says when its drivers look next.
    pub(crate) fn settle(&mut self, node: usize) {
        for done in 0_u32.. {
            if done == MOST {
                self.fail(format!("n{node} asks for ever more to be done, and virtual time stands still"));
                break;
            }
            let sim = &mut self.nodes[node];
            if let Some(output) = sim.membership.poll_output() {
                self.membership_output(node, output);
            } else if let Some(output) = sim.leases.poll_output() {
                self.lease_output(node, output);
            } else if let Some(output) = sim.names.poll_output() {
                self.names_output(node, output);
            } else if let Some(effect) = sim.children.poll_effect() {
                self.effect(node, effect);
            } else {
                break;
            }
        }
        self.check_removals(node);
        if self.nodes[node].is_alive() {
            if self.plan.checked {
                self.check_step(node);
            }
            self.depart(node);
            self.arm(node);
        }
    }

    fn arm(&mut self, node: usize) {
        let lag = Duration::from_micros(self.plan.lag);
        let sim = &self.nodes[node];
        let due = [sim.membership.poll_timeout(), sim.leases.poll_timeout()];
        let hosted = [sim.names.poll_timeout(), sim.children.poll_timeout()];
        let hosted = hosted.into_iter().filter(|_| sim.hosting);
        let mut at =
            due.into_iter().chain(hosted).flatten().min().map(|at| sim.clock.when(at).max(self.queue.now));
        let waits = sim.hosting && (sim.names.needs_flush() || sim.children.needs_drive());
        if waits && sim.armed.is_none_or(|armed| armed > self.queue.now + lag) {
            let soon = self.queue.now + Duration::from_micros(self.rng.below(self.plan.lag + 1));
            at = Some(at.map_or(soon, |at| at.min(soon)));
        }
        let Some(at) = at.filter(|at| sim.armed.is_none_or(|armed| *at < armed)) else { return };
        let life = sim.life;
        self.nodes[node].armed = Some(at);
        let after = at.saturating_sub(self.queue.now);
        self.queue.after(after, Happening::Arrive { node, life, arrival: Arrival::Drive(at) });
    }

    fn membership_output(&mut self, node: usize, output: ClusterOutput) {
        match output {
            ClusterOutput::Send { to, frame } => {
                let frame = self.said(frame);
                self.send(node, &to, frame);
            }
            ClusterOutput::Probe { to, probe, frame, timeout } => {
                self.request(node, &to, Asked::Probe(probe), timeout, |number| Frame::Probe {
                    number,
                    frame,
                });
            }
            ClusterOutput::Dial(address) => {
                self.nodes[node].dials.insert(address);
                if self.nodes[node].dialling.insert(address) {
                    let life = self.nodes[node].life;
                    let dial = Happening::Dial { node, life, to: address, tries: 0 };
                    self.queue.after(Duration::from_micros(100), dial);
                }
            }
            ClusterOutput::Undial(address) => drop(self.nodes[node].dials.remove(&address)),
            ClusterOutput::Disconnect { peer, why } => {
                self.hang_up(node, &peer, DownReason::Disconnected, DownReason::Lost(why));
            }
            ClusterOutput::Publish { events, .. } => {
                for event in events {
                    self.history.note(self.queue.now, node, || format!("{event:?}"));
                    match event {
                        MemberEvent::Down(member) => self.check_down(node, &member),
                        MemberEvent::Joined(member) => {
                            self.nodes[node].met.entry(member).or_insert(self.queue.now);
                        }
                        _ => {}
                    }
                }
                let (life, after) = (self.nodes[node].life, self.rng.below(self.plan.lag + 1));
                let view = Happening::Arrive { node, life, arrival: Arrival::View };
                self.queue.after(Duration::from_micros(after), view);
            }
            ClusterOutput::Warn(warning) => {
                self.history.note(self.queue.now, node, || format!("warns: {warning}"))
            }
        }
    }

    fn names_output(&mut self, node: usize, output: NamesOutput) {
        match output {
            NamesOutput::Send { to, message } => {
                let message = if self.plan.values {
                    self.shared.names.wrap(message)
                } else {
                    Sync::Bytes(message.encode())
                };
                self.send(node, &to, Frame::Names(message));
            }
            NamesOutput::Changed(changes) => self.nodes[node].learn_names(self.queue.now, &changes),
            NamesOutput::Signal { pid, key, winner } => self.signal(node, &pid, &key, winner),
            NamesOutput::Ready => {
                self.check_ready(node);
                self.announce_ready(node, NAMES, true);
            }
            NamesOutput::Warning(delta_crdt::Warning::Diverged { .. }) => {
                self.fail(format!("two copies of the registry differ under equal vectors, n{node} says"));
            }
            _ => {}
        }
    }

    fn announce_ready(&mut self, node: usize, horde: &str, ready: bool) {
        let now = self.time(node).monotonic;
        self.history.note(self.queue.now, node, || format!("{horde} is ready: {ready}"));
        let mut meta = self.nodes[node].membership.meta().clone();
        meta.hordes.entry(horde.to_owned()).or_default().ready = ready;
        if let Err(error) = self.nodes[node].membership.set_meta(now, meta) {
            self.fail(format!("a meta is too big: {error}"));
        }
    }

    fn effect(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::Spawn { token, spec, claim, state } => self.spawn(node, token, spec, claim, state),
            Effect::Stop { pid, reason, shutdown } => self.stop(node, &pid, reason, shutdown),
            Effect::Request { number, to, request, timeout } => {
                let ask = |number| Frame::Ask { number, request };
                self.request(node, &to, Asked::Children(number), timeout, ask);
            }
            Effect::Respond { responder, response } => {
                if let Some((conn, to, number)) = self.nodes[node].askers.remove(&responder) {
                    let outcome = Ok(Reply::Children(response));
                    self.answer(node, conn, to, Frame::Reply { number, outcome });
                }
            }
            Effect::Answer { ticket, answer } => self.answered(node, ticket, &answer),
            Effect::Ready => {
                self.check_caught_up(node);
                self.announce_ready(node, CHILDREN, true);
            }
            Effect::Unready => self.announce_ready(node, CHILDREN, false),
            Effect::Idle => {
                let now = self.time(node).monotonic;
                let sim = &mut self.nodes[node];
                sim.leases.set_idle(now, true);
            }
            Effect::Doubt(id) => {
                let now = self.time(node).monotonic;
                self.nodes[node].leases.doubt(now, &id);
            }
            Effect::Event(event) => {
                self.history.note(self.queue.now, node, || format!("{event:?}"));
                if let Event::Stopped { id, .. } = event {
                    self.nodes[node].ends_of.remove(id.as_str());
                }
            }
        }
    }
}

fn open<K, V>(message: Sync<Message<K, V>>) -> Result<Message<K, V>, delta_crdt::DecodeError>
where
    K: delta_crdt::Key + serde::de::DeserializeOwned,
    V: serde::de::DeserializeOwned,
{
    match message {
        Sync::Bytes(bytes) => Message::decode(&bytes),
        Sync::Value(message, _) => Ok(*message),
    }
}
