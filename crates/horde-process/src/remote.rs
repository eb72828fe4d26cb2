//! Processes of other nodes, through the `Network` seam.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use horde_transport::{Event, Lane, NodeId, OnReply, Responder, Topic};

use crate::address::has_moved;
use crate::call::not_sent;
use crate::cell::{Shared, lock};
use crate::frame::{self, Answer, Head};
use crate::mailbox::{Refused, Wire};
use crate::reply::WireReply;
use crate::signals::{exit, forget_link, forget_watcher};
use crate::{CallError, ExitReason, Message, Name, Node, NodeError, Pid, codec};

/// The topic of all frames between processes.
const TOPIC: &str = "process";

/// Which processes of this node have links or monitors with which other node.
#[derive(Default)]
pub(crate) struct Peers(Mutex<BTreeMap<NodeId, BTreeSet<u64>>>);

impl Peers {
    pub(crate) fn clear(&self) {
        lock(&self.0).clear();
    }
}

/// Receives what other nodes send to the processes of `node`.
pub(crate) fn subscribe(node: &Node) -> Result<(), NodeError> {
    let Some(network) = node.network() else { return Ok(()) };
    let weak = Arc::downgrade(&node.0);
    let subscriber = move |event| {
        if let Some(node) = weak.upgrade() {
            Node(node).event(event);
        }
    };
    let subscription =
        network.subscribe(&topic(), Arc::new(subscriber)).map_err(|_| NodeError::NetworkTaken)?;
    *lock(&node.0.subscription) = Some(subscription);
    Ok(())
}

impl Node {
    pub(crate) fn send_frame(&self, to: &NodeId, frame: Bytes) -> Result<(), CallError> {
        let network = self.network().ok_or_else(|| CallError::NotConnected(to.clone()))?;
        network.send(to, self.topic(), Lane::Calls, frame).map_err(not_sent)
    }

    pub(crate) fn request(
        &self,
        to: &NodeId,
        frame: Bytes,
        timeout: Duration,
        on_reply: OnReply,
    ) -> Result<(), CallError> {
        let network = self.network().ok_or_else(|| CallError::NotConnected(to.clone()))?;
        network.request(to, self.topic(), frame, timeout, on_reply);
        Ok(())
    }

    /// Sends a message without knowing the type of the process, in bytes: to whoever takes a message of its name.
    ///
    /// # Errors
    /// Only what is known here and now; the message was not sent.
    pub fn cast<M: Message>(&self, to: impl Into<Name>, message: &M) -> Result<(), CallError> {
        let name = to.into();
        let pid = self.resolve(&name).ok_or_else(|| CallError::NoProcess(name.clone()))?;
        if pid.node() == self.id() {
            let process = self.find(&pid).ok_or_else(|| CallError::NoProcess(name.clone()))?;
            return self.deliver_cast(&process, &name, message);
        }
        let head = Head::Cast { target: pid.number(), message: M::NAME };
        let frame =
            frame::write_value(&head, message).map_err(|error| crate::address::bad_payload::<M>(&error))?;
        self.send_frame(pid.node(), frame)
    }

    /// Queues a message in bytes for a process of this node.
    pub(crate) fn deliver_cast<M: Message>(
        &self,
        process: &Shared,
        name: &Name,
        message: &M,
    ) -> Result<(), CallError> {
        let payload = codec::encode(message).map_err(|error| crate::address::bad_payload::<M>(&error))?;
        let unknown = || CallError::UnknownMessage { message: M::NAME.to_owned() };
        let index = process.0.index(M::NAME).ok_or_else(unknown)?;
        let wire = Wire { index, payload: payload.into(), reply: None, deadline: None };
        process.0.deliver(Box::new(wire)).map_err(|(_, refused)| match refused {
            Refused::Full => CallError::Full(name.clone()),
            Refused::Closed if has_moved(process.core()) => CallError::Moved(name.clone()),
            Refused::Closed => CallError::NoProcess(name.clone()),
        })
    }

    /// What the network says, on its own thread.
    fn event(&self, event: Event) {
        match event {
            Event::Frame { from, frame, .. } => self.frame(&from, &frame),
            Event::Request { from, frame, timeout, responder } => {
                self.called(&from, &frame, timeout, responder)
            }
            Event::Down { peer, .. } => {
                let numbers = lock(&self.0.peers.0).remove(&peer).unwrap_or_default();
                self.lose(&peer, numbers);
            }
            // Who is there, and who may be gone, is the cluster's to judge.
            _ => {}
        }
    }

    fn called(&self, from: &NodeId, frame: &Bytes, timeout: Duration, responder: Responder) {
        match frame::read::<Head<'_>>(frame) {
            Ok((Head::Call { target, message }, at)) => match self.0.table.get(target) {
                Some(process) => deliver_call(&process, message, frame.slice(at..), timeout, responder),
                None => {
                    let answer = if self.0.moved.has(target) { Answer::Moved } else { Answer::NoProcess };
                    responder.send(frame::write(&answer, &[]));
                }
            },
            Ok(_) => responder.send(frame::write(&Answer::UnknownMessage, &[])),
            Err(error) => {
                tracing::warn!(peer = %from, %error, "a call that does not read");
                responder.send(frame::write(&Answer::BadPayload(error.to_string()), &[]));
            }
        }
    }

    fn frame(&self, from: &NodeId, frame: &Bytes) {
        let (head, at) = match frame::read::<Head<'_>>(frame) {
            Ok(read) => read,
            Err(error) => {
                tracing::warn!(peer = %from, %error, "a frame that does not read; dropped");
                return;
            }
        };
        let here = |number| Pid::new(self.id().clone(), number);
        let there = |number| Pid::new(from.clone(), number);
        let find = |number| self.0.table.get(number);
        match head {
            Head::Cast { target, message } => {
                // At most once: a cast to nobody, to one that does not take it, or to a full mailbox is lost.
                let Some(process) = find(target) else { return };
                let Some(index) = process.0.index(message) else { return };
                let wire = Wire { index, payload: frame.slice(at..), reply: None, deadline: None };
                if process.0.deliver(Box::new(wire)).is_err() {
                    tracing::debug!(peer = %from, pid = %here(target), message, "a full mailbox: a cast is lost");
                }
            }
            Head::Link { from: other, to } => {
                self.relate(from, &here(to));
                if !self.linked(&here(to), &there(other)) {
                    self.unrelate(from, &here(to));
                    let head = Head::Exit { from: to, to: other, reason: ExitReason::NoProcess };
                    self.answer(from, &head);
                }
            }
            Head::Unlink { from: other, to } => {
                find(to).iter().for_each(|process| forget_link(process, &there(other)));
            }
            Head::Exit { from: other, to, reason } => {
                find(to).iter().for_each(|process| exit(process, &there(other), &reason));
            }
            Head::Monitor { watcher, reference, target } => {
                self.relate(from, &here(target));
                if !self.watched(&here(target), &there(watcher), reference) {
                    self.tell_down(&there(watcher), reference, &here(target), &ExitReason::NoProcess);
                }
            }
            Head::Demonitor { watcher, reference, target } => {
                find(target).iter().for_each(|process| forget_watcher(process, &there(watcher), reference));
            }
            Head::Down { watcher, reference, reason } => self.downed(from, watcher, reference, reason),
            Head::Call { .. } => tracing::warn!(peer = %from, "a call that is no request; dropped"),
        }
    }

    /// What `watcher` monitors on `from` is gone: the process knows which one it was.
    fn downed(&self, from: &NodeId, watcher: u64, reference: u64, reason: ExitReason) {
        let Some(process) = self.0.table.get(watcher) else { return };
        let mut target = None;
        process.0.control(&mut |control| {
            target = control.known().and_then(|rare| rare.monitors.get(&reference).cloned());
        });
        // A node speaks for its own processes alone.
        if let Some(target) = target.filter(|target| target.node() == from) {
            self.tell_down(process.core().pid(), reference, &target, &reason);
        }
    }

    fn answer(&self, to: &NodeId, head: &Head<'_>) {
        // Without a connection the other side hears that this node is down.
        drop(self.send_frame(to, frame::write(head, &[])));
    }

    /// Notes that a process of this node has to do with one of `peer`.
    pub(crate) fn relate(&self, peer: &NodeId, own: &Pid) {
        lock(&self.0.peers.0).entry(peer.clone()).or_default().insert(own.number());
    }

    /// A process of this node has nothing to do with `peer` any more.
    pub(crate) fn unrelate(&self, peer: &NodeId, own: &Pid) {
        if peer != self.id() {
            let mut peers = lock(&self.0.peers.0);
            if let Some(numbers) = peers.get_mut(peer) {
                numbers.remove(&own.number());
                if numbers.is_empty() {
                    peers.remove(peer);
                }
            }
        }
    }

    fn topic(&self) -> &Topic {
        &self.0.topic
    }
}

/// The topic of all frames between processes.
pub(crate) fn topic() -> Topic {
    match Topic::new(TOPIC) {
        Ok(topic) => topic,
        Err(error) => unreachable!("{TOPIC}: {error}"),
    }
}

/// Queues a call in bytes for a process of this node; what cannot be queued is answered here.
pub(crate) fn deliver_call(
    process: &Shared,
    message: &str,
    payload: Bytes,
    timeout: Duration,
    responder: Responder,
) {
    let Some(index) = process.0.index(message) else {
        responder.send(frame::write(&Answer::UnknownMessage, &[]));
        return;
    };
    let reply = Some(WireReply::new(responder, process.clone()));
    let deadline = tokio::time::Instant::now().into_std().checked_add(timeout);
    let wire = Box::new(Wire { index, payload, reply, deadline });
    let Err((wire, refused)) = process.0.deliver(wire) else { return };
    if let Some(reply) = wire.reply {
        reply.answer(match refused {
            Refused::Full => &Answer::Full,
            Refused::Closed if has_moved(process.core()) => &Answer::Moved,
            Refused::Closed => &Answer::NoProcess,
        });
    }
}
