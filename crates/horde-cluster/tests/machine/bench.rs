//! One machine on the bench: its inputs, its clock, and what it says.

use std::time::Duration;

use horde_cluster::machine::{Beat, Frame, Input, Lifecycle, Membership, Output, Record};
use horde_cluster::{ClusterConfig, MemberEvent, MemberStatus, Meta, Stopped};
use horde_transport::{DownReason, NodeId, NodeName, Peer, Role};

pub(crate) fn id(name: &str, incarnation: u64) -> NodeId {
    NodeId::new(NodeName::new(name).unwrap(), incarnation)
}

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) fn record(id: &NodeId, lifecycle: Lifecycle) -> Record {
    Record { id: id.clone(), address: None, version: 1, counter: 0, lifecycle, meta: Meta::default().into() }
}

/// A machine, its clock, and what it said last.
pub(crate) struct Bench {
    pub(crate) machine: Membership,
    pub(crate) now: Duration,
    pub(crate) sent: Vec<(NodeId, Frame)>,
    pub(crate) probes: Vec<(NodeId, u64)>,
    pub(crate) events: Vec<MemberEvent>,
    pub(crate) other: Vec<Output>,
}

impl Bench {
    pub(crate) fn new(config: ClusterConfig) -> Self {
        let machine = Membership::new(id("me", 5), config, Duration::ZERO).unwrap();
        let (sent, probes, events, other) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut bench = Self { machine, now: Duration::ZERO, sent, probes, events, other };
        bench.collect();
        bench
    }

    /// A machine that is Up with these members.
    pub(crate) fn with(others: &[&NodeId]) -> Self {
        let mut bench =
            Self::new(ClusterConfig { expect: Some(others.len() + 1), ..ClusterConfig::default() });
        for other in others {
            bench.up(other);
            bench.frame(other, &Frame::Own(record(other, Lifecycle::Up)));
            bench.frame(other, &Frame::Members { told: Vec::new(), last: true });
        }
        bench.clear();
        bench
    }

    pub(crate) fn clear(&mut self) {
        self.sent.clear();
        self.probes.clear();
        self.events.clear();
        self.other.clear();
    }

    pub(crate) fn collect(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Send { to, frame } => self.sent.push((to, Frame::decode(&frame).unwrap())),
                Output::Probe { to, probe, .. } => self.probes.push((to, probe)),
                Output::Publish { events, .. } => self.events.extend(events),
                other => self.other.push(other),
            }
        }
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.machine.handle(self.now, input);
        self.collect();
    }

    pub(crate) fn up(&mut self, peer: &NodeId) {
        self.input(Input::PeerUp(Peer { id: peer.clone(), address: None, role: Role::Node }));
    }

    pub(crate) fn lost(&mut self, peer: &NodeId) {
        self.input(Input::PeerDown { peer: peer.clone(), reason: DownReason::Lost("test".into()) });
    }

    pub(crate) fn frame(&mut self, from: &NodeId, frame: &Frame) {
        self.input(Input::Frame { from: from.clone(), frame: frame.encode() });
    }

    /// Lets time pass, with every timer on time, while `alive` answer heartbeats and probes.
    pub(crate) fn pass(&mut self, time: Duration, alive: &[&NodeId]) {
        let end = self.now + time;
        while let Some(due) = self.machine.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.machine.handle_timeout(self.now);
            let (sent, probes) = (self.sent.len(), self.probes.len());
            self.collect();
            let beats: Vec<_> = self.sent[sent..].to_vec();
            let probes: Vec<_> = self.probes[probes..].to_vec();
            for (to, frame) in beats {
                if let Frame::Beat(beat) = frame
                    && alive.contains(&&to)
                {
                    self.answer_beat(&to, &beat);
                }
            }
            for (to, probe) in probes {
                if alive.contains(&&to) {
                    self.input(Input::Probed { probe, answered: true });
                }
            }
        }
        self.now = end;
    }

    pub(crate) fn answer_beat(&mut self, from: &NodeId, beat: &Beat) {
        let beat =
            Beat { seq: beat.seq, ack: beat.seq, held_us: 0, version: 1, counter: 0, digest: beat.digest };
        self.frame(from, &Frame::Beat(beat));
    }

    pub(crate) fn status(&self, of: &NodeId) -> Option<MemberStatus> {
        self.machine.view().status(of)
    }

    pub(crate) fn asked(&self, whom: &NodeId) -> Option<u64> {
        self.sent.iter().rev().find_map(|(to, frame)| match frame {
            Frame::Ask { round, .. } if to == whom => Some(*round),
            _ => None,
        })
    }

    pub(crate) fn told_of_stop(&self) -> Option<Stopped> {
        self.machine.view().stopped.clone()
    }
}
