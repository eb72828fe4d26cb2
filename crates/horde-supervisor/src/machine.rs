//! The children of one supervisor as one member sees them: a pure machine.
//!
//! ```text
//!   starts, ends, restarts of users ──┐                       ┌──> Spawn, Stop      (the processes of this node)
//!   outcomes and exits of processes ──┤                       ├──> Request, Respond (the other members)
//!   requests and replies of members ──┼──>  Children (a  ─────┼──> Answer           (the users that wait)
//!   who is here, who is ready ────────┤     replica inside)   ├──> changes          (the published view)
//!   CRDT messages, time ──────────────┘                       └──> CRDT messages    (`poll_sync`)
//! ```
//!
//! Nothing here reads a clock, sends, spawns or rolls dice. A lost effect is repaired like this: a lost `Request` is
//! repeated after its timeout under the same request id; a lost `Respond` makes the asker repeat; lost CRDT messages
//! are pulled again by the replica; what really runs is compared with the records once a second.

mod acknowledged;
mod coordinate;
mod ended;
mod exits;
mod faults;
mod launch;
mod moving;
mod patience;
mod plan;
mod quorum;
mod reconcile;
mod requests;
mod roster;
mod run;
mod takeover;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use delta_crdt::{Change, Message, Now, Output, Replica, ReplicaId};
use horde_process::{Claim, ExitReason, Pid, Shutdown, State};
use horde_transport::NodeId;

use crate::config::{Options, Quorum};
use crate::error::{StartError, TerminateError};
use crate::frame::{Launch, Request, Response, Wish};
use crate::record::{ByClaim, ChildId, ChildState, End, Record, Wanted};
use crate::spec::{Restart, Spec};

#[cfg(any(test, feature = "faults"))]
pub use faults::Fault;
pub use plan::PlannedMove;
pub use roster::{Host, Presence};

use acknowledged::Acknowledged;
use coordinate::{Caller, Coordination, User, Waiter};
use patience::Patience;
use requests::Purpose;
use roster::Roster;
use run::{Origin, Run};

/// What the driver must do.
#[derive(Debug)]
pub enum Effect {
    /// Start a process; report [`Children::started`] with the token, and [`Children::exited`] when it ends.
    Spawn {
        /// Names this run of the child.
        token: u64,
        /// What to start.
        spec: Arc<Spec>,
        /// What the process may know of its claim.
        claim: Claim,
        /// What the copy before handed over.
        state: Option<State>,
    },
    /// Stop a process; its end is reported by [`Children::exited`].
    Stop {
        /// The process.
        pid: Pid,
        /// The reason it is given.
        reason: ExitReason,
        /// How.
        shutdown: Shutdown,
    },
    /// Ask another member; report [`Children::reply`] with the number.
    Request {
        /// Names this request.
        number: u64,
        /// Whom.
        to: NodeId,
        /// What.
        request: Request,
        /// For how long.
        timeout: Duration,
    },
    /// Answer the request that came with this responder number.
    Respond {
        /// As given to [`Children::request`].
        responder: u64,
        /// The answer.
        response: Response,
    },
    /// Answer the user who holds this ticket.
    Answer {
        /// As returned by `start`, `terminate`, `restart`.
        ticket: u64,
        /// The answer.
        answer: Answer,
    },
    /// Our replica has caught up: announce that this member is ready.
    Ready,
    /// The lease is lost: announce that this member is not ready any more.
    Unready,
    /// The lease is lost and nothing runs here any more: report that nothing rests on it.
    Idle,
    /// Records name a node that nobody here has seen: ask whether its lease is over.
    Doubt(NodeId),
    /// Tell who listens. Lost: only this news.
    Event(Event),
}

/// What a user waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To `start` and `restart`.
    Started(Result<Pid, StartError>),
    /// To `terminate`.
    Terminated(Result<(), TerminateError>),
}

/// News of one child on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// It runs here.
    Started {
        /// Which child.
        id: ChildId,
        /// As which process.
        pid: Pid,
    },
    /// It was started here because its node is gone.
    TakenOver {
        /// Which child.
        id: ChildId,
        /// As which process.
        pid: Pid,
        /// From which node.
        from: NodeId,
    },
    /// It ended and is started again here.
    Restarting {
        /// Which child.
        id: ChildId,
        /// Why it ended.
        reason: ExitReason,
    },
    /// It was handed to another member, which runs it now.
    Moved {
        /// Which child.
        id: ChildId,
        /// Who runs it.
        to: NodeId,
    },
    /// It has ended here.
    Stopped {
        /// Which child.
        id: ChildId,
        /// Why.
        reason: ExitReason,
    },
    /// It failed for good.
    Failed {
        /// Which child.
        id: ChildId,
        /// Why.
        reason: ExitReason,
    },
    /// No member can run it.
    Unplaceable {
        /// Which child.
        id: ChildId,
    },
    /// Its shutdown time is over and its task does not end; its slot stays taken.
    Stuck {
        /// Which child.
        id: ChildId,
        /// Which process.
        pid: Pid,
    },
}

/// The children of one supervisor, as one member sees them.
#[derive(Debug)]
pub struct Children {
    me: NodeId,
    supervisor: Arc<str>,
    options: Options,
    faults: faults::Faults,
    replica: Replica<ChildId, Arc<Record>, ByClaim>,
    roster: Roster,
    /// Whether our replica has caught up; before it, nothing is placed, taken over or answered.
    ready: bool,
    /// Under a quorum policy: whether this node holds its lease. Without one, always.
    leased: bool,
    /// From when on this node takes over what others ran.
    acts_from: Duration,
    /// The epoch of the agreed configuration; 0 without a quorum policy.
    epoch: u64,
    /// Members whose records we have in whole since the lease was taken up.
    caught_up: BTreeSet<NodeId>,
    /// Members that lost their lease, and whose records we do not have in whole since.
    unlearnt: BTreeSet<NodeId>,
    draining: bool,
    /// What runs, starts, stops or waits here, by token.
    runs: BTreeMap<u64, Run>,
    /// At most one run of a child on one node.
    run_of: BTreeMap<ChildId, u64>,
    /// The children whose record names a node, by node.
    owned: BTreeMap<NodeId, BTreeSet<ChildId>>,
    unplaceable: BTreeSet<ChildId>,
    ended: BTreeMap<ChildId, Duration>,
    /// Starts that this node coordinates, until the record shows them.
    coordinations: BTreeMap<ChildId, Coordination>,
    /// Acknowledged starts of this node's users, until the record shows them.
    acknowledged: BTreeMap<ChildId, Acknowledged>,
    /// Users and members that wait for a child to run.
    waiters: BTreeMap<ChildId, Vec<Waiter>>,
    /// Users of this node that wait for an answer.
    users: BTreeMap<u64, User>,
    /// Users that wait until this member is ready.
    parked: VecDeque<(u64, Wish)>,
    requests: BTreeMap<u64, Purpose>,
    /// Takeovers and moves that wait for a free start.
    queue: VecDeque<ChildId>,
    queued: BTreeMap<ChildId, (Launch, Vec<Origin>)>,
    starting: usize,
    /// Children that another member was asked to take over.
    taking: BTreeSet<ChildId>,
    /// What waits because records may be behind.
    patience: Patience,
    /// Since when a record's owner is nobody that was ever seen here.
    strangers: BTreeMap<NodeId, Duration>,
    /// Runs whose `Starting` no record shows yet; written when the input is drained and init still runs.
    unwritten: BTreeSet<u64>,
    /// What shall happen at a time.
    timers: BTreeMap<(Duration, u64), Timer>,
    next: u64,
    /// The driver has something to write, to send, or an earlier time to wake at.
    dirty: bool,
    effects: VecDeque<Effect>,
    outbox: VecDeque<(NodeId, Message<ChildId, Arc<Record>>)>,
    changes: Vec<Change<ChildId, Arc<Record>>>,
}

/// What a timer does.
#[derive(Debug)]
enum Timer {
    /// The user who holds this ticket stops waiting.
    Deadline { ticket: u64 },
    /// Ask for a start again.
    Retry { caller: Caller, wish: Wish },
    /// Restart a run after its backoff.
    Restart { token: u64 },
    /// Compare records and runs.
    Tick,
}

/// How often records and runs are compared.
const TICK: Duration = Duration::from_millis(1_000);

impl Children {
    /// The children of `supervisor`, as the member `me` sees them: none yet, and not ready.
    #[must_use]
    pub fn new(me: NodeId, supervisor: &str, options: Options) -> Self {
        let config = delta_crdt::Config { shards: SHARDS, ..delta_crdt::Config::default() };
        let mut timers = BTreeMap::new();
        timers.insert((Duration::ZERO, 0), Timer::Tick);
        Self {
            replica: Replica::new(replica_id(&me), config, ByClaim),
            roster: Roster::new(me.clone()),
            me,
            supervisor: supervisor.into(),
            faults: faults::Faults::default(),
            ready: false,
            leased: options.quorum == Quorum::None,
            acts_from: Duration::ZERO,
            options,
            epoch: 0,
            caught_up: BTreeSet::new(),
            unlearnt: BTreeSet::new(),
            draining: false,
            runs: BTreeMap::new(),
            run_of: BTreeMap::new(),
            owned: BTreeMap::new(),
            unplaceable: BTreeSet::new(),
            ended: BTreeMap::new(),
            coordinations: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            waiters: BTreeMap::new(),
            users: BTreeMap::new(),
            parked: VecDeque::new(),
            requests: BTreeMap::new(),
            queue: VecDeque::new(),
            queued: BTreeMap::new(),
            starting: 0,
            taking: BTreeSet::new(),
            patience: Patience::default(),
            strangers: BTreeMap::new(),
            unwritten: BTreeSet::new(),
            timers,
            next: 1,
            dirty: true,
            effects: VecDeque::new(),
            outbox: VecDeque::new(),
            changes: Vec::new(),
        }
    }

    /// The record of a child.
    #[must_use]
    pub fn record(&self, id: &ChildId) -> Option<&Arc<Record>> {
        self.replica.get(id)
    }

    /// All records.
    pub fn records(&self) -> impl Iterator<Item = (&ChildId, &Arc<Record>)> {
        self.replica.iter()
    }

    /// How many children have a run here: starting, running, stopping or waiting for their backoff.
    #[must_use]
    pub fn running_here(&self) -> usize {
        self.runs.len()
    }

    /// Whether all that ran here has gone elsewhere or ended.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.draining && self.runs.is_empty()
    }

    /// The next thing to do on this node or to ask of another member.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The changes of the records since the last call, for the published view.
    pub fn take_changes(&mut self) -> Vec<Change<ChildId, Arc<Record>>> {
        std::mem::take(&mut self.changes)
    }

    /// The next CRDT message to send. Only the driver calls this, so that messages leave in order.
    pub fn poll_sync(&mut self) -> Option<(NodeId, Message<ChildId, Arc<Record>>)> {
        self.outbox.pop_front()
    }

    /// Whether the driver has something to do: to flush, to send, or to wake earlier than it was told.
    #[must_use]
    pub fn needs_drive(&self) -> bool {
        self.dirty || !self.outbox.is_empty()
    }

    /// Writes what local inputs left unwritten and queues it for the peers. The driver calls it when its input is drained.
    pub fn flush(&mut self, now: Now) {
        for token in std::mem::take(&mut self.unwritten) {
            self.write_starting(now, token);
        }
        self.replica.flush(now);
        self.drain_replica(now);
        self.dirty = false;
    }

    /// The connection to a member stands again: what was lost in between is asked for at once.
    pub fn reconnected(&mut self, now: Now, peer: &NodeId) {
        if *peer != self.me && self.roster.is_here(peer) {
            self.meet(now, peer);
            self.drain_replica(now);
        }
    }

    /// A CRDT message of another member.
    pub fn receive(&mut self, now: Now, from: &NodeId, message: Message<ChildId, Arc<Record>>) {
        self.replica.receive(now, replica_id(from), message);
        self.drain_replica(now);
        // What was missing to be ready may have come.
        self.ready_if_caught_up(now);
    }

    /// When [`Children::handle_timeout`] wants to be called, on the monotonic clock.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let own = self.timers.keys().next().map(|(at, _)| *at);
        own.into_iter().chain(self.replica.poll_timeout()).min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.replica.poll_timeout().is_some_and(|at| at <= now.monotonic) {
            self.replica.handle_timeout(now);
            self.drain_replica(now);
        }
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > now.monotonic {
                break;
            }
            match entry.remove() {
                Timer::Deadline { ticket } => self.give_up(ticket),
                Timer::Retry { caller, wish } => self.route(now, caller, wish, 0),
                Timer::Restart { token } => self.restart_run(now, token),
                Timer::Tick => {
                    self.tick(now);
                    self.at(now.monotonic + TICK, Timer::Tick);
                }
            }
        }
    }

    /// Takes in what the replica learnt, keeping its messages for `poll_sync`.
    fn drain_replica(&mut self, now: Now) {
        while let Some(output) = self.replica.poll_output() {
            match output {
                Output::Send { to, message } => {
                    if let Some(node) = self.roster.node(to) {
                        self.outbox.push_back((node.clone(), message));
                    }
                }
                Output::Changed(changes) => self.absorb(now, changes),
                Output::Synced { peer } => self.synced(now, peer),
                other => tracing::debug!(node = %self.me, supervisor = %self.supervisor, ?other, "replica"),
            }
        }
    }

    fn at(&mut self, when: Duration, timer: Timer) {
        let number = self.number();
        self.dirty |= self.timers.keys().next().is_none_or(|(first, _)| when < *first);
        self.timers.insert((when, number), timer);
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn emit(&mut self, event: Event) {
        self.effects.push_back(Effect::Event(event));
    }

    /// Writes a record and takes in the change.
    fn put(&mut self, now: Now, id: ChildId, record: Record) {
        self.dirty = true;
        let change = self.replica.put(now, id, Arc::new(record));
        self.absorb(now, vec![change]);
    }
}

/// The shards of each supervisor's map.
const SHARDS: u16 = 16;

/// The replica of a member: a pinned hash of its name, and its incarnation as the epoch.
#[must_use]
pub fn replica_id(node: &NodeId) -> ReplicaId {
    ReplicaId {
        node: twox_hash::XxHash3_64::oneshot(node.name().as_str().as_bytes()),
        epoch: node.incarnation(),
    }
}
