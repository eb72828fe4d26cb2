//! The network between the nodes: connections, and what happens to frames on their way.
//!
//! It keeps what the `Network` seam promises and no more: a frame arrives at most once per connection over streams, in the
//! order of its lane; over the rougher network frames are lost, come twice (but for requests) and overtake each other. A connection that
//! does not get through is lost after a while, at each end in its own time.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use horde_cluster::machine::Frame as Told;
use horde_process::CallError;
use horde_supervisor::{ChildId, Record, Request, Response};
use horde_transport::{DownReason, NodeId, Peer, RequestError, Role, SendError};

use super::guest::Payload;
use super::node::{Asked, End, address, index_of, index_of_id};
use super::{Arrival, Happening, World};

/// After this long without a sign of life a connection is lost.
const IDLE: Duration = Duration::from_secs(3);

pub(crate) type NamesMessage = horde_registry::machine::Message;
pub(crate) type ChildrenMessage = delta_crdt::Message<ChildId, std::sync::Arc<Record>>;

/// A map's message: as bytes, or as it is in runs that measure.
#[derive(Debug, Clone)]
pub(crate) enum Sync<M> {
    Bytes(Vec<u8>),
    Value(Box<M>, usize),
}

/// What a frame holds.
#[derive(Debug, Clone)]
pub(crate) enum Frame {
    Membership(Bytes),
    /// One of many that say the same, and its size: in runs that measure.
    Said(Arc<Told>, usize),
    Lease(Bytes),
    Names(Sync<NamesMessage>),
    Children(Sync<ChildrenMessage>),
    Probe {
        number: u64,
        frame: Bytes,
    },
    Ask {
        number: u64,
        request: Request,
    },
    Call {
        number: u64,
        pid: u64,
    },
    /// A message for a process of a user; a number of 0 wants no answer.
    Letter {
        number: u64,
        pid: u64,
        payload: Payload,
    },
    Reply {
        number: u64,
        outcome: Result<Reply, RequestError>,
    },
}

/// What a request brought.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Here,
    Children(Response),
    /// The process lives, and is this child if it is one.
    Called(Option<String>),
    Answered(Result<Vec<u8>, CallError>),
}

impl Frame {
    /// Frames of one lane keep their order.
    fn lane(&self) -> usize {
        match self {
            Self::Membership(_) | Self::Said(..) | Self::Lease(_) => 0,
            Self::Names(_) | Self::Children(_) => 1,
            Self::Probe { .. }
            | Self::Ask { .. }
            | Self::Call { .. }
            | Self::Letter { .. }
            | Self::Reply { .. } => 2,
        }
    }

    /// Its size on the wire, about.
    pub(crate) fn size(&self) -> usize {
        const HEAD: usize = 24;
        HEAD + match self {
            Self::Membership(bytes) | Self::Lease(bytes) | Self::Probe { frame: bytes, .. } => bytes.len(),
            Self::Names(Sync::Bytes(bytes)) | Self::Children(Sync::Bytes(bytes)) => bytes.len(),
            Self::Said(_, size) => *size,
            Self::Names(Sync::Value(_, size)) | Self::Children(Sync::Value(_, size)) => *size,
            Self::Ask { .. } | Self::Reply { outcome: Ok(Reply::Children(_)), .. } => 120,
            Self::Letter { payload, .. } => 16 + payload.name.len() + payload.bytes.len(),
            Self::Reply { outcome: Ok(Reply::Answered(Ok(bytes))), .. } => 16 + bytes.len(),
            Self::Call { .. } | Self::Reply { .. } => 16,
        }
    }
}

/// One way from a node to another.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Link {
    pub(crate) cut: bool,
    /// Counts cuts and heals.
    pub(crate) turns: u64,
    /// When that was last.
    pub(crate) since: Duration,
    /// Until when it is busy with what was sent.
    busy: Duration,
}

/// A connection.
#[derive(Debug)]
struct Conn {
    /// The two nodes and their lives.
    ends: [(usize, u64); 2],
    ids: [NodeId; 2],
    /// When the last frame of each way and lane arrives.
    last: [[Duration; 3]; 2],
    /// What waits for the way to be free again.
    held: [VecDeque<Frame>; 2],
}

/// All links and connections.
#[derive(Debug)]
pub(crate) struct Net {
    links: Vec<Vec<Link>>,
    /// The first has the number 1.
    conns: Vec<Conn>,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl Net {
    pub(crate) fn new(most: usize) -> Self {
        let links = vec![vec![Link::default(); most]; most];
        Self { links, conns: Vec::new(), messages: 0, bytes: 0 }
    }

    fn conn(&self, number: u64) -> Option<&Conn> {
        self.conns.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    fn conn_mut(&mut self, number: u64) -> Option<&mut Conn> {
        self.conns.get_mut(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    pub(crate) fn is_open(&self, from: usize, to: usize) -> bool {
        !self.links[from][to].cut
    }

    /// Since when frames have gone both ways; none while they do not.
    pub(crate) fn open_since(&self, a: usize, b: usize) -> Option<Duration> {
        self.pair(a, b).then(|| self.links[a][b].since.max(self.links[b][a].since))
    }

    fn pair(&self, a: usize, b: usize) -> bool {
        self.is_open(a, b) && self.is_open(b, a)
    }
}

impl World {
    /// Cuts the way from one node to another, or frees it.
    pub(crate) fn set_link(&mut self, from: usize, to: usize, cut: bool) {
        if from == to || self.net.links[from][to].cut == cut {
            return;
        }
        let link = &mut self.net.links[from][to];
        (link.cut, link.turns, link.since) = (cut, link.turns + 1, self.queue.now);
        if cut {
            return self.expect_loss(from, to);
        }
        let conns: Vec<u64> = self.conns_between(from, to);
        for conn in conns {
            let way = self.way(conn, from);
            let held = self.net.conn_mut(conn).map(|conn| std::mem::take(&mut conn.held[way]));
            for frame in held.unwrap_or_default() {
                self.carry(conn, from, to, frame);
            }
        }
    }

    fn conns_between(&self, a: usize, b: usize) -> Vec<u64> {
        let ends = self.nodes[a].ends.values().filter(|end| end.peer == b).map(|end| end.conn);
        let other = self.nodes[b].ends.values().filter(|end| end.peer == a).map(|end| end.conn);
        let mut conns: Vec<u64> = ends.chain(other).collect();
        conns.sort_unstable();
        conns.dedup();
        conns
    }

    fn way(&self, conn: u64, from: usize) -> usize {
        usize::from(self.net.conn(conn).is_some_and(|conn| conn.ends[0].0 != from))
    }

    fn stamp(&self, a: usize, b: usize) -> [u64; 4] {
        let (there, back) = (self.net.links[a][b].turns, self.net.links[b][a].turns);
        [there, back, self.nodes[a].turns, self.nodes[b].turns]
    }

    /// Something is wrong between two nodes: if it lasts, their connection is lost.
    pub(crate) fn expect_loss(&mut self, a: usize, b: usize) {
        for conn in self.conns_between(a, b) {
            let stamp = self.stamp(a, b);
            for end in [a, b] {
                let after = IDLE + Duration::from_millis(self.rng.below(500));
                self.queue.after(after, Happening::Idle { conn, a, b, end, stamp });
            }
        }
    }

    pub(crate) fn idle(&mut self, conn: u64, (a, b): (usize, usize), end: usize, stamp: [u64; 4]) {
        let blocked = !self.net.pair(a, b) || !self.nodes[a].answers() || !self.nodes[b].answers();
        // Whoever has lost it already does not answer over it any more, though the way may be free again.
        let half = !self.holds(if end == a { b } else { a }, conn);
        if half || blocked && self.stamp(a, b) == stamp {
            self.close_end(end, conn, DownReason::Lost("no sign of life".to_owned()));
        }
    }

    /// The node keeps trying to reach an address.
    pub(crate) fn dial(&mut self, node: usize, life: u64, to: SocketAddr, tries: u32) {
        let sim = &self.nodes[node];
        if !sim.is_alive() || sim.life != life {
            return;
        }
        if !sim.dials.contains(&to) {
            self.nodes[node].dialling.remove(&to);
            return;
        }
        let Some(peer) = index_of(to).filter(|peer| *peer != node) else { return };
        let connected = self.nodes.get(peer).is_some_and(|peer| sim.ends.contains_key(&peer.id));
        let reached = self.nodes.get(peer).is_some_and(super::node::SimNode::answers);
        let connects = reached && !connected && sim.answers() && self.net.pair(node, peer);
        if connects {
            self.connect(node, peer);
        }
        let connected = connected || connects && !self.plan.checked;
        if connected && !self.plan.checked {
            // Nothing is cut in runs that measure.
            self.nodes[node].dialling.remove(&to);
            return;
        }
        let pause = Duration::from_millis(50 * 2_u64.pow(tries.min(6))).min(Duration::from_secs(2));
        let pause = if connected { Duration::from_millis(500) } else { pause };
        let tries = if connected { 0 } else { tries + 1 };
        let half = u64::try_from(pause.as_micros()).unwrap_or(0) / 2;
        let after = Duration::from_micros(half + self.rng.below(half + 1));
        self.queue.after(after, Happening::Dial { node, life, to, tries });
    }

    fn connect(&mut self, a: usize, b: usize) {
        let conn = self.net.conns.len() as u64 + 1;
        let ends = [(a, self.nodes[a].life), (b, self.nodes[b].life)];
        let after = self.transit() * 2;
        let last = [[self.queue.now + after; 3]; 2];
        let ids = [self.nodes[a].id.clone(), self.nodes[b].id.clone()];
        self.net.conns.push(Conn { ends, ids, last, held: Default::default() });
        for (node, peer) in [(a, b), (b, a)] {
            let id = self.nodes[peer].id.clone();
            if let Some(old) = self.nodes[node].ends.get(&id).copied() {
                self.close_end(node, old.conn, DownReason::Lost("replaced".to_owned()));
            }
            let since = self.queue.now;
            self.nodes[node].ends.insert(id.clone(), End { conn, peer, since });
            if let Some(line) = self.nodes[node].lines.get_mut(peer) {
                *line = conn;
            }
            let peer = Peer { id, address: Some(address(peer)), role: Role::Node };
            let life = self.nodes[node].life;
            self.queue.after(after, Happening::Arrive { node, life, arrival: Arrival::Up(conn, peer) });
        }
    }

    /// One end of a connection is no more: what it waits for is told so.
    pub(crate) fn close_end(&mut self, node: usize, conn: u64, reason: DownReason) {
        let Some(peer) = self.peer_over(node, conn).cloned() else { return };
        let sim = &mut self.nodes[node];
        sim.ends.remove(&peer);
        sim.lines.iter_mut().filter(|line| **line == conn).for_each(|line| *line = 0);
        let over = sim.pending.iter().filter(|(_, (over, _))| *over == Some(conn)).map(|(number, _)| *number);
        let over: Vec<u64> = over.collect();
        let life = sim.life;
        let down = Arrival::Down(peer, reason);
        self.queue.after(Duration::ZERO, Happening::Arrive { node, life, arrival: down });
        for number in over {
            let arrival = Arrival::Outcome(number, Err(RequestError::Interrupted));
            self.queue.after(Duration::ZERO, Happening::Arrive { node, life, arrival });
        }
    }

    /// Closes a connection from one end; the other is told, if that gets through.
    pub(crate) fn hang_up(&mut self, node: usize, peer: &NodeId, own: DownReason, theirs: DownReason) {
        let Some(End { conn, peer: other, .. }) = self.nodes[node].ends.get(peer).copied() else { return };
        self.close_end(node, conn, own);
        let after = if self.net.is_open(node, other) { self.transit() * 2 } else { IDLE };
        self.queue.after(after, Happening::Lose { node: other, conn, reason: theirs });
    }

    /// The connection to a node, and its index.
    fn line(&self, from: usize, to: &NodeId) -> Option<(u64, usize)> {
        let fast = || {
            let peer = index_of_id(to)?;
            let line = self.nodes[from].lines.get(peer).copied()?;
            let conn = self.net.conn(line)?;
            let end = conn.ends.iter().find(|end| end.0 == peer)?;
            (end.1 == to.incarnation()).then_some((line, peer))
        };
        fast().or_else(|| self.nodes[from].ends.get(to).map(|end| (end.conn, end.peer)))
    }

    /// Sends a frame. False: there is no connection.
    pub(crate) fn send(&mut self, from: usize, to: &NodeId, frame: Frame) -> bool {
        let Some((conn, peer)) = self.line(from, to) else { return false };
        self.net.messages += 1;
        self.net.bytes += frame.size() as u64;
        self.carry(conn, from, peer, frame);
        true
    }

    fn carry(&mut self, conn: u64, from: usize, to: usize, frame: Frame) {
        let (way, lane) = (self.way(conn, from), frame.lane());
        if self.net.links[from][to].cut {
            if self.plan.streams
                && let Some(conn) = self.net.conn_mut(conn)
            {
                conn.held[way].push_back(frame);
            }
            return;
        }
        let mut after = self.transit() + self.wait_for_room(from, to, frame.size());
        if self.rng.chance(self.loss) {
            if !self.plan.streams {
                return;
            }
            after += Duration::from_millis(self.rng.between(20, 200));
        }
        let life = self.net.conn(conn).map_or(0, |conn| conn.ends[1 - way].1);
        // A request arrives once if at all: its number says so to the transport.
        let request = matches!(frame, Frame::Ask { .. } | Frame::Call { .. } | Frame::Letter { .. });
        if !self.plan.streams && !request && self.rng.chance(self.plan.twice) {
            let again = after + self.transit() * 3;
            let arrival = Arrival::Frame(conn, from, frame.clone());
            self.queue.after(again, Happening::Arrive { node: to, life, arrival });
        }
        let now = self.queue.now;
        if let Some(conn) = self.net.conn_mut(conn) {
            let last = &mut conn.last[way][lane];
            if self.plan.streams {
                after = after.max(last.saturating_sub(now));
                *last = now + after;
            } else {
                // Nothing arrives before the connection stands.
                after = after.max(last.saturating_sub(now));
            }
        }
        let arrival = Arrival::Frame(conn, from, frame);
        self.queue.after(after, Happening::Arrive { node: to, life, arrival });
    }

    fn wait_for_room(&mut self, from: usize, to: usize, size: usize) -> Duration {
        let Some(bandwidth) = self.plan.bandwidth else { return Duration::ZERO };
        let link = &mut self.net.links[from][to];
        let takes = Duration::from_micros(size as u64 * 1_000_000 / bandwidth.max(1));
        link.busy = link.busy.max(self.queue.now) + takes;
        link.busy - self.queue.now
    }

    fn transit(&mut self) -> Duration {
        let (least, most) = self.delay;
        Duration::from_micros(self.rng.between(least, most))
    }

    /// Asks another node; the outcome comes back once, in time.
    pub(crate) fn request(
        &mut self,
        from: usize,
        to: &NodeId,
        asked: Asked,
        timeout: Duration,
        frame: impl FnOnce(u64) -> Frame,
    ) {
        let number = self.nodes[from].number();
        let (life, conn) = (self.nodes[from].life, self.nodes[from].ends.get(to).map(|end| end.conn));
        self.nodes[from].pending.insert(number, (conn, asked));
        let (after, error) = if self.send(from, to, frame(number)) {
            (self.nodes[from].clock.takes(timeout), RequestError::Timeout)
        } else {
            (Duration::ZERO, RequestError::NotSent(SendError::NotConnected(to.clone())))
        };
        let arrival = Arrival::Outcome(number, Err(error));
        self.queue.after(after, Happening::Arrive { node: from, life, arrival });
    }

    /// Answers a request that came over a connection.
    pub(crate) fn answer(&mut self, from: usize, conn: u64, to: usize, frame: Frame) {
        if self.holds(from, conn) {
            self.net.messages += 1;
            self.net.bytes += frame.size() as u64;
            self.carry(conn, from, to, frame);
        }
    }

    /// Whether the connection stands at this end.
    pub(crate) fn holds(&self, node: usize, conn: u64) -> bool {
        self.peer_over(node, conn).is_some()
    }

    /// Who is at the other end of a connection, while it stands at this one.
    pub(crate) fn peer_over(&self, node: usize, conn: u64) -> Option<&NodeId> {
        let Conn { ends, ids, .. } = self.net.conn(conn)?;
        let other = usize::from(ends[0].0 == node);
        let peer = &ids[other];
        if self.nodes[node].lines.get(ends[other].0) == Some(&conn) {
            return Some(peer);
        }
        self.nodes[node].ends.get(peer).is_some_and(|end| end.conn == conn).then_some(peer)
    }
}
