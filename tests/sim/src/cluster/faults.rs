//! What goes wrong with nodes and network, and how it is put right.

use std::collections::BTreeSet;
use std::time::Duration;

use horde_cluster::MemberStatus;
use horde_cluster::machine::Input;
use horde_transport::{DownReason, NodeId};

use super::clock::Clock;
use super::node::{Body, SimNode};
use super::users::Deed;
use super::{Arrival, Happening, World};
use crate::oracle::tells_of;

/// What happens to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    Kill,
    Revive(usize),
    /// The same, by an operator who looks after the faults have ended.
    Return(usize),
    Pause,
    Resume(usize, u64),
    Split,
    OneWay,
    Link,
    Flap(usize, usize, u32),
    Heal,
    Clock,
    Leave,
    Join,
    Forget,
    Weather,
    /// Not a fault: a user on some node does something.
    Deed(Deed),
}

/// How long a node that leaves takes at most to move its children.
const DRAIN: Duration = Duration::from_secs(4);

impl World {
    /// Draws what will go wrong, and when.
    pub(crate) fn plan_faults(&mut self) {
        let faults = self.plan.faults;
        let often = [
            (faults.kill, Fault::Kill),
            (faults.pause, Fault::Pause),
            (faults.split, Fault::Split),
            (faults.one_way, Fault::OneWay),
            (faults.link, Fault::Link),
            (faults.flap, Fault::Flap(0, 0, 0)),
            (faults.heal, Fault::Heal),
            (faults.clock, Fault::Clock),
            (faults.leave, Fault::Leave),
            (faults.join, Fault::Join),
            (faults.forget, Fault::Forget),
            (faults.weather, Fault::Weather),
        ];
        let busy = u64::try_from(self.plan.busy.as_millis()).unwrap_or(0);
        for (often, fault) in often {
            // Of what comes `often` times a minute, the share of the busy time; the rest by chance.
            let thousandths = often * busy / 60;
            let count = thousandths / 1_000 + u64::from(self.rng.below(1_000) < thousandths % 1_000);
            for _ in 0..count {
                let at = Duration::from_millis(self.rng.below(busy));
                self.planned(at, fault.clone());
            }
        }
    }

    pub(crate) fn fault(&mut self, fault: &Fault) {
        if let Fault::Return(node) = *fault {
            return self.revive(node);
        }
        if self.calm {
            return;
        }
        match *fault {
            Fault::Return(_) => {}
            Fault::Kill => self.kill_one(),
            Fault::Revive(node) => self.revive(node),
            Fault::Pause => self.pause_one(),
            Fault::Resume(node, turns) => {
                if self.nodes[node].turns == turns {
                    self.resume(node);
                }
            }
            Fault::Split => self.split(),
            Fault::OneWay => self.cut_one(false),
            Fault::Link => self.cut_one(true),
            Fault::Flap(a, b, left) => self.flap(a, b, left),
            Fault::Heal => self.heal(),
            Fault::Clock => self.set_clock(),
            Fault::Leave => self.leave_one(),
            Fault::Join => self.come(),
            Fault::Forget => self.forget(),
            Fault::Weather => self.weather(),
            Fault::Deed(deed) => self.somewhere(deed),
        }
    }

    fn some_node(&mut self, which: impl Fn(&SimNode) -> bool) -> Option<usize> {
        let nodes: Vec<usize> = self.nodes.iter().filter(|node| which(node)).map(|node| node.index).collect();
        nodes.get(self.rng.index(nodes.len())).copied()
    }

    fn a_clock(&mut self) -> Clock {
        let drift = self.rng.below(self.plan.drift * 2 + 1);
        let rate = 1_000_000 + drift - self.plan.drift;
        Clock { born: self.queue.now, rate, ahead_ms: self.rng.below(self.plan.skew + 1) }
    }

    /// A further node starts.
    pub(crate) fn join(&mut self) {
        let (index, clock) = (self.nodes.len(), self.a_clock());
        self.history.note(self.queue.now, index, || "joins".to_owned());
        let mut node = SimNode::new(index, 1, &self.plan, clock, 1);
        node.body = Body::Up;
        self.nodes.push(node);
        // Not all start at the same moment.
        let after = Duration::from_millis(self.rng.below(100));
        let arrival = Arrival::View;
        self.queue.after(after, Happening::Arrive { node: index, life: 1, arrival });
    }

    /// A node joins: a further one, or one that was here before.
    fn come(&mut self) {
        let dead = self.some_node(|node| !node.is_alive());
        match dead {
            Some(node) if self.nodes.len() >= self.plan.most || self.rng.chance(50) => self.revive(node),
            _ if self.nodes.len() < self.plan.most => self.join(),
            _ => {}
        }
    }

    /// Whether the life of a node may end: of the voters of a quorum, a minority may. With more gone at once only an
    /// operator gets the cluster going again.
    fn may_lose(&mut self, node: usize) -> bool {
        let voters = self.plan.cluster_config.quorum.len();
        if voters > 0 && node < voters && !self.lost.contains(&node) {
            if self.lost.len() >= (voters - 1) / 2 {
                return false;
            }
            self.lost.insert(node);
        }
        true
    }

    fn kill_one(&mut self) {
        let Some(node) = self.some_node(SimNode::is_alive) else { return };
        if self.nodes.iter().filter(|node| node.is_alive()).count() < 2 && self.rng.chance(80) {
            return;
        }
        if !self.may_lose(node) {
            return;
        }
        self.crash(node);
        if self.rng.chance(30) {
            // Troubles come together: while its children are taken over, another one goes.
            let after = Duration::from_millis(self.rng.between(5, 2_500));
            self.queue.after(after, Happening::Fault(Fault::Kill));
        }
        if self.rng.chance(70) {
            let after = Duration::from_millis(self.rng.between(1, 6_000));
            self.queue.after(after, Happening::Fault(Fault::Revive(node)));
        }
    }

    /// A node is gone without a word, with all that ran on it.
    pub(crate) fn crash(&mut self, node: usize) {
        self.history.note(self.queue.now, node, || "CRASHES".to_owned());
        let id = self.nodes[node].id.clone();
        let peers: Vec<(usize, u64)> =
            self.nodes[node].ends.values().map(|end| (end.peer, end.conn)).collect();
        self.bury(node);
        for (peer, conn) in peers {
            if !self.holds(peer, conn) {
                continue;
            }
            let told = self.plan.hints && self.net.is_open(node, peer);
            let mut after = Duration::from_millis(self.rng.between(2_900, 3_500));
            if told {
                let soon = Duration::from_micros(self.rng.between(200, 2_000));
                let (life, arrival) = (self.nodes[peer].life, Arrival::Hint(id.clone()));
                self.queue.after(soon, Happening::Arrive { node: peer, life, arrival });
                if self.rng.chance(70) {
                    after = soon + Duration::from_millis(self.rng.between(1, 60));
                }
            }
            let reason = DownReason::Lost("no sign of life".to_owned());
            self.queue.after(after, Happening::Lose { node: peer, conn, reason });
        }
    }

    /// A node and its processes are no more.
    fn bury(&mut self, node: usize) {
        let sim = &mut self.nodes[node];
        sim.turn(Body::Dead, self.queue.now);
        sim.processes.clear();
        sim.ends.clear();
        sim.lines.fill(0);
        sim.backlog.clear();
        let life = sim.life;
        self.tickets.retain(|(of, its, _), _| (*of, *its) != (node, life));
        self.review();
    }

    /// Voids what nobody who lives was told of.
    pub(crate) fn review(&mut self) {
        let alive = || self.nodes.iter().filter(|node| node.is_alive());
        let lives: BTreeSet<(usize, u64)> = alive().map(|node| (node.index, node.life)).collect();
        let knower = |id: &str, life: u64, ended: bool| {
            let told = |node: &&SimNode| {
                let record = node.children.record(&id.into());
                record.is_some_and(|record| tells_of(record, life, ended))
            };
            alive().find(told).map(|node| (node.index, node.life))
        };
        self.promises.crashed(|life| lives.contains(&life), knower);
    }

    pub(crate) fn revive(&mut self, node: usize) {
        if self.nodes[node].is_alive() {
            return;
        }
        let (life, turns) = (self.nodes[node].life + 1, self.nodes[node].turns + 1);
        // A rolling change of versions: what starts anew may be newer.
        let version = if self.rng.chance(50) { 2 } else { self.nodes[node].version };
        let clock = Clock { born: self.queue.now, ..self.nodes[node].clock };
        self.history.note(self.queue.now, node, || format!("starts as {life}, version {version}"));
        self.nodes[node] = SimNode::new(node, life, &self.plan, clock, version);
        self.nodes[node].turns = turns;
        self.settle(node);
    }

    fn pause_one(&mut self) {
        let Some(node) = self.some_node(SimNode::runs) else { return };
        let body = if self.rng.chance(50) { Body::Deaf } else { Body::Frozen };
        self.pause(node, body);
        let turns = self.nodes[node].turns;
        let after = match self.rng.below(3) {
            0 => self.rng.between(10, 600),
            1 => self.rng.between(600, 3_000),
            _ => self.rng.between(3_000, 12_000),
        };
        self.queue.after(Duration::from_millis(after), Happening::Fault(Fault::Resume(node, turns)));
    }

    /// From now on a node does nothing.
    pub(crate) fn pause(&mut self, node: usize, body: Body) {
        self.history.note(self.queue.now, node, || format!("{body:?}"));
        self.nodes[node].turn(body, self.queue.now);
        let peers: Vec<usize> = self.nodes[node].ends.values().map(|end| end.peer).collect();
        if body == Body::Frozen {
            peers.into_iter().for_each(|peer| self.expect_loss(node, peer));
        }
    }

    fn split(&mut self) {
        let sides: Vec<u64> = (0..self.plan.most).map(|_| self.rng.below(2)).collect();
        self.history.note(self.queue.now, 0, || format!("split {:?}", &sides[..self.nodes.len()]));
        for a in 0..self.nodes.len() {
            for b in 0..self.nodes.len() {
                self.set_link(a, b, sides[a] != sides[b]);
            }
        }
    }

    fn cut_one(&mut self, both: bool) {
        let (a, b) = (self.rng.index(self.nodes.len()), self.rng.index(self.nodes.len()));
        let way = if both { "and" } else { "to" };
        self.history.note(self.queue.now, a, || format!("cut: n{a} {way} n{b}"));
        self.set_link(a, b, true);
        if both {
            self.set_link(b, a, true);
        }
    }

    fn flap(&mut self, a: usize, b: usize, left: u32) {
        let (a, b, left) = if a == b {
            let count = self.nodes.len();
            (self.rng.index(count), self.rng.index(count), 20)
        } else {
            (a, b, left)
        };
        if left == 0 || a == b {
            return;
        }
        let cut = left % 2 == 0;
        self.set_link(a, b, cut);
        self.set_link(b, a, cut);
        let after = Duration::from_millis(self.rng.between(20, 1_500));
        self.queue.after(after, Happening::Fault(Fault::Flap(a, b, left - 1)));
    }

    pub(crate) fn heal(&mut self) {
        self.history.note(self.queue.now, 0, || "heal".to_owned());
        for a in 0..self.nodes.len() {
            for b in 0..self.nodes.len() {
                self.set_link(a, b, false);
            }
        }
    }

    /// Somebody sets a node's wall clock, forward: back, its next life would be an earlier one.
    fn set_clock(&mut self) {
        let Some(node) = self.some_node(SimNode::is_alive) else { return };
        let by = match self.rng.below(3) {
            0 => self.rng.below(100),
            1 => self.rng.below(5_000),
            _ => self.rng.below(3_600_000),
        };
        self.history.note(self.queue.now, node, || format!("clock is {by} ms ahead"));
        self.nodes[node].clock.ahead_ms = by;
    }

    fn leave_one(&mut self) {
        let Some(node) = self.some_node(|node| node.runs() && node.leaving.is_none()) else { return };
        if self.nodes.iter().filter(|node| node.is_alive()).count() < 2 {
            return;
        }
        if self.may_lose(node) {
            self.leave(node);
        }
    }

    /// A node moves its children away, then leaves.
    pub(crate) fn leave(&mut self, node: usize) {
        self.history.note(self.queue.now, node, || "leaves".to_owned());
        let now = self.time(node);
        let by = now.monotonic + DRAIN;
        let sim = &mut self.nodes[node];
        sim.leaving = Some(by);
        sim.membership.handle(now.monotonic, Input::Leaving);
        sim.children.drain(now);
        self.settle(node);
        let (life, after) = (self.nodes[node].life, self.nodes[node].clock.takes(DRAIN));
        self.queue.after(after, Happening::Arrive { node, life, arrival: Arrival::View });
    }

    /// A node that leaves: once its children are gone, or time is over, it says goodbye and ends. One that was told to
    /// stop, since another has its place, ends at once.
    pub(crate) fn depart(&mut self, node: usize) {
        let now = self.time(node).monotonic;
        let sim = &mut self.nodes[node];
        let stopped = sim.membership.view().stopped.clone();
        if let Some(stopped) = stopped {
            self.history.note(self.queue.now, node, || format!("ends: {stopped}"));
            let peers: Vec<NodeId> = self.nodes[node].ends.keys().cloned().collect();
            for peer in peers {
                self.hang_up(node, &peer, DownReason::Goodbye, DownReason::Goodbye);
            }
            self.bury(node);
            if self.calm && node < self.needed() {
                // It was told so only now that it could be reached.
                self.queue.after(Duration::from_secs(1), Happening::Fault(Fault::Return(node)));
            }
            return;
        }
        let Some(by) = sim.leaving.filter(|_| !sim.said_left) else { return };
        if sim.children.is_drained() || now >= by {
            sim.said_left = true;
            // What still runs ends here before anybody is told.
            let running: Vec<u64> = sim.processes.keys().copied().collect();
            for number in running {
                self.ended(node, number, horde_process::ExitReason::Shutdown);
            }
            let sim = &mut self.nodes[node];
            sim.membership.handle(now, Input::Leave { by: now + Duration::from_secs(1) });
            self.settle(node);
        }
    }

    /// An operator has a member forgotten that is Down to some node; it may live and return.
    fn forget(&mut self) {
        let Some(node) = self.some_node(SimNode::runs) else { return };
        let now = self.time(node).monotonic;
        let view = self.nodes[node].membership.view().clone();
        let down = view.members.values().filter(|member| member.status == MemberStatus::Down);
        let down: Vec<NodeId> = down.map(|member| member.id.clone()).collect();
        let Some(id) = down.get(self.rng.index(down.len())).cloned() else { return };
        let index = self.nodes.iter().position(|node| node.id.name() == id.name());
        if !index.is_some_and(|index| self.may_lose(index)) {
            return;
        }
        self.history.note(self.queue.now, node, || format!("forgets {id:?}"));
        if self.nodes.iter().any(|node| node.id == id && node.is_alive()) {
            self.vouched.insert(id.clone());
        }
        if let Err(error) = self.nodes[node].membership.forget(now, &id) {
            self.fail(format!("n{node} may not forget: {error}"));
        }
        self.settle(node);
    }

    fn weather(&mut self) {
        let worst = if self.plan.streams { 30 } else { 40 };
        self.loss = if self.rng.chance(50) { self.rng.below(worst) } else { 0 };
        let most = if self.rng.chance(20) { self.rng.between(1_000, 150_000) } else { self.plan.delay.1 };
        self.delay = (self.plan.delay.0.min(most), most);
        self.weather_since = self.queue.now;
    }

    /// The faults end: the network is whole, who stood still goes on, and who must be there for all to meet again starts.
    pub(crate) fn quieten(&mut self) {
        self.heal();
        (self.loss, self.delay) = (0, (50, 2_000));
        self.weather_since = self.queue.now;
        self.plan.twice = 0;
        for node in 0..self.nodes.len() {
            self.resume(node);
        }
        for node in 0..self.needed() {
            self.revive(node);
        }
        // Somebody must be where newcomers look.
        if !self.nodes.iter().take(self.plan.nodes).any(SimNode::is_alive) {
            self.revive(0);
        }
        self.calm = true;
    }

    /// How many of the first nodes must be there for all to meet, and for a majority of the voters.
    fn needed(&self) -> usize {
        let met = match self.plan.cluster_config.expect {
            Some(count) => count,
            None => usize::from(!self.plan.seeds_all),
        };
        met.max(if self.plan.cluster_config.quorum.is_empty() { 0 } else { self.plan.nodes })
    }
}
