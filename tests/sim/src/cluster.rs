//! A whole cluster: the membership, the registry, the supervisor and the processes of every node, over a network that fails.
//!
//! ```text
//!   plan (the seed's figures) --> faults, users --+
//!                                                 v
//!   queue (virtual time) ------> World::happen: Arrive { node, arrival } --> that node's machines
//!                                                 ^                                |
//!        net (connections, delays, losses) -------+------------- outputs ----------+
//! ```
//!
//! The machines are the crates' own; what is written here is what a driver does, a network, processes, users, and checks.

mod asks;
mod check;
mod clock;
mod drive;
mod faults;
mod guest;
mod net;
mod node;
mod plan;
mod process;
mod promise;
mod scale;
mod scripts;
mod shared;
mod stand;
mod users;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use delta_crdt::Now;
use horde_transport::{DownReason, NodeId, Peer, RequestError};

use crate::queue::Queue;
use crate::{Broken, History, Outcome, Rng};
pub(crate) use asks::Ask;
pub(crate) use faults::Fault;
pub(crate) use guest::{Answered, Effects, Guest, Hosted, Payload, Setting, Started};
use guest::{Guests, Letter};
use net::{Frame, Net, Reply};
pub(crate) use node::{Body, SimNode};
pub(crate) use plan::{Faults, Plan};
use promise::Promises;
pub use scale::{SIZES, Scale, picture, scale, table};
pub use scripts::{Scenario, scenarios};
use shared::Shared;
use users::{Deed, Ticket};

/// Something that a node hears.
#[derive(Debug)]
pub(crate) enum Arrival {
    Up(u64, Peer),
    Down(NodeId, DownReason),
    Hint(NodeId),
    Frame(u64, usize, Frame),
    Outcome(u64, Result<Reply, RequestError>),
    /// Its driver looks whether something is due.
    Drive(Duration),
    /// Registry and supervisor hear of the latest view.
    View,
    Born(u64),
    Inited(u64),
    Overdue(u64),
    Ended(u64, horde_process::ExitReason),
    Deed(Deed),
    /// A script has a user do something.
    Ask(Box<Ask>),
    /// A message for a process of a user, and one of its timers.
    Letter(u64, Box<Letter>),
    Timer(u64, u64),
    /// A call on this node has had its time.
    Unanswered(u64, Duration),
}

/// What happens.
#[derive(Debug)]
pub(crate) enum Happening {
    Arrive { node: usize, life: u64, arrival: Arrival },
    Dial { node: usize, life: u64, to: SocketAddr, tries: u32 },
    Idle { conn: u64, a: usize, b: usize, end: usize, stamp: [u64; 4] },
    Lose { node: usize, conn: u64, reason: DownReason },
    Fault(Fault),
}

/// All nodes and what is between them.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) rng: Rng,
    pub(crate) queue: Queue<Happening>,
    pub(crate) history: History,
    pub(crate) nodes: Vec<SimNode>,
    pub(crate) net: Net,
    pub(crate) promises: Promises,
    pub(crate) tickets: BTreeMap<(usize, u64, u64), Ticket>,
    pub(crate) guests: Guests,
    pub(crate) shared: Shared,
    /// The weather now.
    pub(crate) loss: u64,
    pub(crate) delay: (u64, u64),
    /// Since when.
    pub(crate) weather_since: Duration,
    /// Faults are over: nothing goes wrong any more.
    pub(crate) calm: bool,
    pub(crate) next_child: u64,
    /// The voters whose first lives have ended.
    pub(crate) lost: BTreeSet<usize>,
    /// Whom an operator had forgotten while they lived.
    pub(crate) vouched: BTreeSet<NodeId>,
    /// Children that two sides started before they knew of each other, by id and life: when that must be over.
    pub(crate) twins: BTreeMap<(String, u64), Duration>,
    /// How much was planned so far, and what of it is done.
    planned: u32,
    keep: Option<BTreeSet<u32>>,
    /// A number that is the same for equal runs.
    pub(crate) trace: u64,
    /// How often a node declared another Down.
    pub(crate) downs: u32,
    pub(crate) events: u64,
    pub(crate) failure: Option<String>,
    /// What was checked lately and did not hold yet.
    trouble: VecDeque<(Duration, String)>,
}

/// Within this time after the last fault everything must be as it should.
pub(crate) const HEALING: Duration = Duration::from_secs(40);
/// And stay so for this time.
pub(crate) const STAYING: Duration = Duration::from_secs(3);
/// Between two looks.
pub(crate) const LOOK: Duration = Duration::from_secs(1);

/// Which run it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) nodes: Option<usize>,
    pub(crate) broken: Option<Broken>,
    /// What is changed in the seed's plan.
    pub(crate) bend: Option<fn(&mut Plan)>,
    /// Of what the seed plans only this is done, by number; all of it by default.
    pub(crate) keep: Option<BTreeSet<u32>>,
    /// Whether the history is written.
    pub(crate) told: bool,
}

/// Runs the cluster of a seed.
pub(crate) fn run(setup: &Setup) -> Outcome {
    let mut world = World::new(setup);
    world.live();
    let failure = world.failure.map(|failure| format!("cluster: {failure}"));
    let World { history, events, trace, planned, .. } = world;
    Outcome { failure, history, events, trace, planned }
}

impl World {
    fn new(setup: &Setup) -> Self {
        let mut rng = Rng::new(setup.seed, 3);
        let mut plan = Plan { broken: setup.broken, ..Plan::new(&mut rng, setup.nodes) };
        if let Some(bend) = setup.bend {
            bend(&mut plan);
        }
        let mut world = Self::with(plan, rng);
        world.keep.clone_from(&setup.keep);
        if !setup.told {
            world.history = History::default();
        }
        world.plan_faults();
        world.plan_deeds();
        world
    }

    /// A cluster whose nodes have just started, and in which nothing is planned.
    pub(crate) fn with(plan: Plan, rng: Rng) -> Self {
        let mut world = Self {
            queue: Queue::new(),
            history: History::new(plan.most),
            nodes: Vec::new(),
            net: Net::new(plan.most),
            promises: Promises::default(),
            tickets: BTreeMap::new(),
            guests: Guests::default(),
            shared: Shared::default(),
            loss: plan.loss,
            delay: plan.delay,
            weather_since: Duration::ZERO,
            calm: false,
            next_child: 0,
            downs: 0,
            planned: 0,
            keep: None,
            trace: 0,
            lost: BTreeSet::new(),
            vouched: BTreeSet::new(),
            twins: BTreeMap::new(),
            events: 0,
            failure: None,
            trouble: VecDeque::new(),
            plan,
            rng,
        };
        world.history.note(Duration::ZERO, 0, || format!("{:?}", world.plan));
        for _ in 0..world.plan.nodes {
            world.join();
        }
        world
    }

    fn live(&mut self) {
        self.pass(self.plan.busy);
        self.quieten();
        let end = self.queue.now + HEALING;
        let mut good_since: Option<Duration> = None;
        while self.failure.is_none() && self.queue.now < end {
            self.pass(self.queue.now + LOOK);
            let now = self.queue.now;
            match self.whole() {
                None => {
                    let since = *good_since.get_or_insert(now);
                    if now >= since + STAYING {
                        return;
                    }
                }
                Some(trouble) => {
                    good_since = None;
                    self.trouble.push_back((now, trouble));
                    if self.trouble.len() > 3 {
                        self.trouble.pop_front();
                    }
                }
            }
        }
        if self.failure.is_none() {
            let (at, last) = self.trouble.pop_back().unwrap_or_default();
            self.failure = Some(format!("not whole {HEALING:?} after the last fault; at {at:?}: {last}"));
            if !self.plan.cluster_config.quorum.is_empty() {
                for node in 0..self.nodes.len() {
                    self.history.note(at, node, || format!("{:?}", self.nodes[node].leases));
                }
            }
        }
    }

    pub(crate) fn pass(&mut self, until: Duration) {
        while self.step(until) {}
    }

    /// What happens next, if that is no later than `until`; false if nothing does.
    pub(crate) fn step(&mut self, until: Duration) -> bool {
        if self.failure.is_some() {
            return false;
        }
        let Some(happening) = self.queue.next(until) else {
            if self.queue.stands_still() {
                self.fail(
                    "virtual time stands still: some machine asks to be woken at once for ever".to_owned(),
                );
            }
            return false;
        };
        self.events += 1;
        self.happen(happening);
        if !self.twins.is_empty() {
            self.check_twins();
        }
        if self.plan.checked && self.events.is_multiple_of(check::ALL) {
            self.check_always();
        }
        true
    }

    pub(crate) fn fail(&mut self, text: String) {
        if self.failure.is_none() {
            self.failure = Some(format!("{text} (at {:?})", self.queue.now));
        }
    }

    /// The time on a node's clocks.
    pub(crate) fn time(&self, node: usize) -> Now {
        self.nodes[node].clock.read(self.queue.now)
    }

    /// Something is to be done at a time, unless it is left out of this run.
    pub(crate) fn planned(&mut self, at: Duration, fault: Fault) {
        let number = self.planned;
        self.planned += 1;
        if self.keep.as_ref().is_none_or(|keep| keep.contains(&number)) {
            self.queue.after(at, Happening::Fault(fault));
        }
    }

    fn note_step(&mut self, happening: &Happening) {
        let (kind, node) = match happening {
            Happening::Arrive { node, life, .. } => (*life, *node),
            Happening::Dial { node, .. } => (1 << 40, *node),
            Happening::Idle { end, .. } => (2 << 40, *end),
            Happening::Lose { node, .. } => (3 << 40, *node),
            Happening::Fault(_) => (4 << 40, 0),
        };
        let time = u64::try_from(self.queue.now.as_nanos()).unwrap_or(u64::MAX);
        for number in [time, kind, node as u64] {
            self.trace = (self.trace ^ number).wrapping_mul(0x0100_0000_01b3).rotate_left(17);
        }
    }

    fn happen(&mut self, happening: Happening) {
        self.note_step(&happening);
        match happening {
            Happening::Arrive { node, life, arrival } => self.arrive(node, life, arrival),
            Happening::Dial { node, life, to, tries } => self.dial(node, life, to, tries),
            Happening::Idle { conn, a, b, end, stamp } => self.idle(conn, (a, b), end, stamp),
            Happening::Lose { node, conn, reason } => self.close_end(node, conn, reason),
            Happening::Fault(fault) => self.fault(&fault),
        }
    }

    /// Something comes to a node: now, or once it goes on.
    fn arrive(&mut self, node: usize, life: u64, arrival: Arrival) {
        let sim = &self.nodes[node];
        if sim.life != life || !sim.is_alive() {
            return;
        }
        if let Arrival::Frame(conn, ..) | Arrival::Up(conn, _) = &arrival
            && !self.holds(node, *conn)
        {
            return;
        }
        if self.nodes[node].runs() {
            self.hear(node, arrival);
            self.settle(node);
        } else {
            self.nodes[node].backlog.push_back(arrival);
        }
    }

    /// A node that did nothing goes on: all at once.
    pub(crate) fn resume(&mut self, node: usize) {
        if matches!(self.nodes[node].body, Body::Deaf | Body::Frozen) {
            self.history.note(self.queue.now, node, || "goes on".to_owned());
            self.nodes[node].turn(Body::Up, self.queue.now);
            let life = self.nodes[node].life;
            while let Some(arrival) = self.nodes[node].backlog.pop_front() {
                if self.nodes[node].life == life && self.nodes[node].runs() {
                    self.hear(node, arrival);
                    self.settle(node);
                }
            }
        }
    }
}
