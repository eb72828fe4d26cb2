//! One node: the machines of its crates, its clocks, its connections and the processes that really run on it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use delta_crdt::Change;
use horde_cluster::ClusterConfig;
use horde_cluster::machine::{Leases, Membership};
use horde_registry::machine::{Entry, Key, Names};
use horde_supervisor::machine::Children;
use horde_supervisor::{ChildId, Record};
use horde_transport::{NodeId, NodeName};

use super::Arrival;
use super::check::Claimed;
use super::clock::Clock;
use super::plan::Plan;
use super::process::Process;
use crate::Broken;

/// The registry's topic.
pub(crate) const NAMES: &str = "registry/names";
/// The supervisor's topic.
pub(crate) const CHILDREN: &str = "supervisor/children";

/// How a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// It runs.
    Up,
    /// It is there and does nothing; its connections stand.
    Deaf,
    /// It is stopped as a whole; its connections end after a while.
    Frozen,
    /// It is gone.
    Dead,
}

/// One end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) conn: u64,
    pub(crate) peer: usize,
    /// When it was made.
    pub(crate) since: Duration,
}

/// What a request of this node is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asked {
    Probe(u64),
    Children(u64),
    Call(u64),
    Letter(Call),
}

/// A call of a user by name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) promise: u64,
    pub(crate) patience: Duration,
    pub(crate) to: usize,
}

/// One node.
pub(crate) struct SimNode {
    pub(crate) id: NodeId,
    pub(crate) index: usize,
    pub(crate) life: u64,
    pub(crate) body: Body,
    pub(crate) clock: Clock,
    pub(crate) membership: Membership,
    pub(crate) names: Names,
    pub(crate) children: Children,
    pub(crate) leases: Leases,
    /// Registry and supervisor run here: from the moment that the node is Up, or that others announce them.
    pub(crate) hosting: bool,
    /// The view that registry and supervisor know, and the latest.
    pub(crate) seen: u64,
    /// Process kinds of arguments up to this version run here.
    pub(crate) version: u32,
    pub(crate) processes: BTreeMap<u64, Process>,
    pub(crate) ends: BTreeMap<NodeId, End>,
    /// The connection to each other node by its index, 0 for none: what most look-ups want.
    pub(crate) lines: Vec<u64>,
    pub(crate) dials: BTreeSet<SocketAddr>,
    /// Addresses for which an attempt is under way.
    pub(crate) dialling: BTreeSet<SocketAddr>,
    /// Requests without an outcome: over which connection, and for what.
    pub(crate) pending: BTreeMap<u64, (Option<u64>, Asked)>,
    /// Who waits for an answer: over which connection, and its request.
    pub(crate) askers: BTreeMap<u64, (u64, usize, u64)>,
    /// What came while it did nothing.
    pub(crate) backlog: VecDeque<Arrival>,
    /// When the driver looks next.
    pub(crate) armed: Option<Duration>,
    /// It moves its children away, then leaves; when it leaves at the latest.
    pub(crate) leaving: Option<Duration>,
    pub(crate) said_left: bool,
    /// Counts changes of the body, for connections that time out.
    pub(crate) turns: u64,
    /// When that was last.
    pub(crate) turned: Duration,
    pub(crate) next: u64,
    /// Since when its registry has held each name for the node that holds it now, and its supervisor a record of each child.
    pub(crate) knows_names: BTreeMap<Key, Duration>,
    pub(crate) knows_children: BTreeMap<ChildId, Duration>,
    /// Since which generation it has had each child.
    pub(crate) claims: BTreeMap<String, Claimed>,
    /// When it first heard of each member.
    pub(crate) met: BTreeMap<NodeId, Duration>,
    /// Of each child that ended by itself here: in which life and generation, and when.
    pub(crate) ends_of: BTreeMap<String, (u64, u64, Vec<Duration>)>,
}

impl SimNode {
    pub(crate) fn new(index: usize, life: u64, plan: &Plan, clock: Clock, version: u32) -> Self {
        let id = id(index, life);
        let mut config = ClusterConfig {
            address: Some(address(index)),
            seeds: seeds(plan),
            seed: life ^ (index as u64) << 32,
            ..plan.cluster_config.clone()
        };
        config.meta.kinds.insert("sim".to_owned(), (1, version));
        config.meta.kinds.extend(plan.kinds.keys().map(|kind| ((*kind).to_owned(), (1, 1))));
        let (voters, terms) = (config.quorum.clone(), config.lease);
        let mut leases = Leases::new(id.clone(), voters, terms, config.heartbeat, Duration::ZERO);
        let mut membership = Membership::new(id.clone(), config, Duration::ZERO).expect("a small meta");
        let mut names = Names::new(id.clone(), plan.names_config.clone());
        let mut children = Children::new(id.clone(), "children", plan.options.clone());
        match plan.broken {
            Some(Broken::Membership(fault)) => membership.break_rule(fault),
            Some(Broken::Leases(fault)) => leases.break_rule(fault),
            Some(Broken::Names(fault)) => names.break_rule(fault),
            Some(Broken::Children(fault)) => children.break_rule(fault),
            Some(Broken::Replica(rule)) => {
                names.break_replica(rule);
                children.break_replica(rule);
            }
            Some(Broken::OneEpoch) | None => {}
        }
        Self {
            membership,
            names,
            children,
            leases,
            hosting: false,
            id,
            index,
            life,
            body: Body::Up,
            clock,
            seen: 0,
            version,
            processes: BTreeMap::new(),
            ends: BTreeMap::new(),
            lines: vec![0; plan.most],
            dials: BTreeSet::new(),
            dialling: BTreeSet::new(),
            pending: BTreeMap::new(),
            askers: BTreeMap::new(),
            backlog: VecDeque::new(),
            armed: None,
            leaving: None,
            said_left: false,
            turns: 0,
            turned: clock.born,
            next: 0,
            knows_names: BTreeMap::new(),
            knows_children: BTreeMap::new(),
            claims: BTreeMap::new(),
            met: BTreeMap::new(),
            ends_of: BTreeMap::new(),
        }
    }

    /// Its registry has changed.
    pub(crate) fn learn_names(&mut self, now: Duration, changes: &[horde_registry::machine::Change]) {
        for change in changes {
            let holder = |entry: &Arc<Entry>| entry.pid.clone();
            match change.value() {
                Some(new) if change.old().map(holder) == Some(holder(new)) => {}
                Some(_) => drop(self.knows_names.insert(change.key().clone(), now)),
                None => drop(self.knows_names.remove(change.key())),
            }
        }
    }

    /// Its supervisor's records have changed.
    pub(crate) fn learn_children(&mut self, now: Duration, changes: &[Change<ChildId, Arc<Record>>]) {
        for change in changes {
            match (change.old(), change.value()) {
                (None, Some(_)) => drop(self.knows_children.insert(change.key().clone(), now)),
                (_, None) => drop(self.knows_children.remove(change.key())),
                (Some(_), Some(_)) => {}
            }
        }
    }

    /// It exists, whether or not it does anything.
    pub(crate) fn is_alive(&self) -> bool {
        self.body != Body::Dead
    }

    /// It does what it should.
    pub(crate) fn runs(&self) -> bool {
        self.body == Body::Up
    }

    /// The kernel below it answers.
    pub(crate) fn answers(&self) -> bool {
        matches!(self.body, Body::Up | Body::Deaf)
    }

    /// It is otherwise from now on.
    pub(crate) fn turn(&mut self, body: Body, now: Duration) {
        (self.body, self.turned) = (body, now);
        self.turns += 1;
    }

    pub(crate) fn born(&self) -> Duration {
        self.clock.born
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// Who node `index` is in its `life`.
pub(crate) fn id(index: usize, life: u64) -> NodeId {
    NodeId::new(NodeName::new(format!("n{index}")).expect("a valid name"), life)
}

/// Which node is called so.
pub(crate) fn index_of_id(id: &NodeId) -> Option<usize> {
    id.name().as_str().strip_prefix('n')?.parse().ok()
}

/// Where node `index` listens.
pub(crate) fn address(index: usize) -> SocketAddr {
    let [.., high, low] = (index as u64).to_be_bytes();
    SocketAddr::from(([10, 0, high, low], 7000))
}

/// Which node listens there.
pub(crate) fn index_of(address: SocketAddr) -> Option<usize> {
    match address.ip() {
        std::net::IpAddr::V4(ip) => {
            let [_, _, high, low] = ip.octets();
            Some(usize::from(high) << 8 | usize::from(low))
        }
        std::net::IpAddr::V6(_) => None,
    }
}

fn seeds(plan: &Plan) -> Vec<SocketAddr> {
    let known = if plan.seeds_all { plan.nodes } else { 1 };
    (0..known).map(address).collect()
}
