//! The children of a supervisor on several nodes: starts, ends, crashes, partitions, drains, and what must hold in the end.

mod check;
mod faults;
mod node;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use delta_crdt::Message;
use horde_process::{ExitReason, Pid, Shutdown};
use horde_supervisor::machine::{Answer, Effect};
use horde_supervisor::{ChildId, Options, Record, Redistribution, Request, Response, Restart, Spec};
use horde_transport::RequestError;

use crate::oracle::Oracle;
use crate::queue::Queue;
use crate::{History, Outcome, Rng};
use node::SimNode;

/// What happens.
#[derive(Debug)]
enum Happening {
    /// A CRDT message arrives.
    Sync { from: usize, to: usize, life: u64, message: Message<ChildId, Arc<Record>> },
    /// A request arrives.
    Ask { from: usize, from_life: u64, to: usize, to_life: u64, number: u64, request: Request },
    /// The outcome of a request arrives.
    Reply { to: usize, life: u64, number: u64, outcome: Result<Response, RequestError> },
    /// A process has gone through its `init`.
    Up { node: usize, life: u64, token: u64, fails: bool },
    /// A process has ended.
    End { node: usize, life: u64, pid: u64, reason: ExitReason },
    /// A node's membership tells it what it thinks of the others.
    View { node: usize, life: u64 },
    /// A timer of the machine.
    Wake { node: usize, life: u64, number: u64 },
    /// A user starts a child.
    Start { node: usize },
    /// A user ends a child.
    Terminate { node: usize },
    /// A process crashes.
    Crash { node: usize },
    /// A node dies with all it runs.
    Kill { node: usize },
    /// A node that is dead starts anew.
    Revive { node: usize },
    /// The network splits.
    Cut,
    /// The network is whole again.
    Heal,
}

struct World {
    rng: Rng,
    queue: Queue<Happening>,
    history: History,
    nodes: Vec<SimNode>,
    side: Vec<u64>,
    loss: u64,
    oracle: Oracle,
    next_child: u64,
    /// What a user waits for, by (node, ticket).
    starts: BTreeMap<(usize, u64), String>,
    ends: BTreeMap<(usize, u64), String>,
    options: Options,
    events: u64,
}

/// How many steps pass between two looks at all that a machine holds.
const EACH: u64 = 16;
const BUSY: Duration = Duration::from_secs(30);
const QUIET: Duration = Duration::from_secs(60);
/// How long a user waits.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn run(seed: u64, nodes: Option<usize>) -> Outcome {
    let mut world = World::new(seed, nodes);
    world.pass(BUSY);
    world.quieten();
    world.pass(BUSY + QUIET);
    let failure = world.verdict().map(|failure| format!("children: {failure}"));
    Outcome { failure, history: world.history, events: world.events, ..Outcome::default() }
}

impl World {
    fn new(seed: u64, nodes: Option<usize>) -> Self {
        let mut rng = Rng::new(seed, 2);
        let count = nodes.unwrap_or_else(|| rng.between(1, 5) as usize);
        let redistribution = if rng.chance(50) { Redistribution::Active } else { Redistribution::Passive };
        let options = Options { redistribution, max_restarts: 1_000, ..Options::default() };
        let mut world = Self {
            queue: Queue::new(),
            history: History::new(count),
            nodes: (0..count).map(|index| SimNode::new(index, 1, &options)).collect(),
            side: vec![0; count],
            loss: if rng.chance(60) { rng.below(30) } else { 0 },
            oracle: Oracle::default(),
            next_child: 0,
            starts: BTreeMap::new(),
            ends: BTreeMap::new(),
            options,
            events: 0,
            rng,
        };
        for node in 0..count {
            let delay = Duration::from_millis(world.rng.below(200));
            world.queue.after(delay, Happening::View { node, life: 1 });
        }
        world.plan(count);
        world
    }

    /// What users and faults will do. Each run has some faults switched off.
    fn plan(&mut self, count: usize) {
        let (kills, cuts, crashes) = (self.rng.chance(60), self.rng.chance(50), self.rng.chance(50));
        for _ in 0..self.rng.between(5, 80) {
            let at = Duration::from_millis(self.rng.below(BUSY.as_millis() as u64));
            let node = self.rng.index(count);
            let happening = match self.rng.below(20) {
                0..=2 => Happening::Terminate { node },
                3 if kills => Happening::Kill { node },
                4 if kills => Happening::Revive { node },
                5 if cuts => Happening::Cut,
                6 | 7 if cuts => Happening::Heal,
                8 | 9 if crashes => Happening::Crash { node },
                _ => Happening::Start { node },
            };
            self.queue.after(at, happening);
        }
    }

    fn pass(&mut self, until: Duration) {
        while let Some(happening) = self.queue.next(until) {
            self.events += 1;
            self.happen(happening);
        }
        assert!(!self.queue.stands_still(), "virtual time stands still");
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Sync { from, to, life, message } => {
                if let Some(now) = self.live(to, life) {
                    let sender = self.nodes[from].id.clone();
                    self.nodes[to].machine.receive(now, &sender, message);
                    self.settle(to);
                }
            }
            Happening::Ask { from, from_life, to, to_life, number, request } => {
                if let Some(now) = self.live(to, to_life) {
                    let responder = self.nodes[to].expect_answer(from, from_life, number);
                    self.nodes[to].machine.request(now, responder, request);
                    self.settle(to);
                }
            }
            Happening::Reply { to, life, number, outcome } => {
                let now = self.live(to, life);
                if let Some(now) = now.filter(|_| self.nodes[to].pending.remove(&number)) {
                    self.nodes[to].machine.reply(now, number, outcome);
                    self.settle(to);
                }
            }
            Happening::Up { node, life, token, fails } => self.up(node, life, token, fails),
            Happening::End { node, life, pid, reason } => self.end(node, life, pid, reason),
            Happening::View { node, life } => self.view(node, life),
            Happening::Wake { node, life, number } => {
                let now = self.live(node, life);
                if let Some(now) = now.filter(|_| self.nodes[node].wake == number) {
                    self.nodes[node].machine.handle_timeout(now);
                    self.settle(node);
                }
            }
            Happening::Start { node } => self.start(node),
            Happening::Terminate { node } => self.terminate(node),
            Happening::Crash { node } => self.crash(node),
            Happening::Kill { node } => self.kill(node),
            Happening::Revive { node } => self.revive(node),
            Happening::Cut => self.cut(),
            Happening::Heal => self.heal(),
        }
    }

    fn start(&mut self, node: usize) {
        let life = self.nodes[node].life;
        let Some(now) = self.live(node, life) else { return };
        // Now and then an id that was used before: two users may want the same child.
        let number = if self.rng.chance(20) { self.rng.below(self.next_child + 1) } else { self.next_child };
        self.next_child = self.next_child.max(number + 1);
        let id = format!("c{number}");
        let spec = Spec {
            kind: "sim".to_owned(),
            version: 1,
            args: Vec::new(),
            name: None,
            restart: Restart::Permanent,
            shutdown: Shutdown::default(),
            pinned: false,
        };
        let ticket = self.nodes[node].machine.start(now, ChildId::from(&id), Arc::new(spec), PATIENCE);
        self.history.note(self.queue.now, node, || format!("start {id}"));
        self.starts.insert((node, ticket), id);
        self.settle(node);
    }

    fn terminate(&mut self, node: usize) {
        let life = self.nodes[node].life;
        let Some(now) = self.live(node, life) else { return };
        if self.next_child == 0 {
            return;
        }
        let id = format!("c{}", self.rng.below(self.next_child));
        self.oracle.doubted(&id);
        let ticket = self.nodes[node].machine.terminate(now, &ChildId::from(&id), PATIENCE);
        self.history.note(self.queue.now, node, || format!("terminate {id}"));
        self.ends.insert((node, ticket), id);
        self.settle(node);
    }

    /// Performs what a node's machine asks for.
    fn settle(&mut self, node: usize) {
        let now = self.now();
        self.nodes[node].machine.flush(now);
        drop(self.nodes[node].machine.take_changes());
        while let Some(effect) = self.nodes[node].machine.poll_effect() {
            self.perform(node, effect);
        }
        self.nodes[node].machine.flush(now);
        while let Some((to, message)) = self.nodes[node].machine.poll_sync() {
            let Some(to) = self.index_of(&to) else { continue };
            if self.reach(node, to) && !self.rng.chance(self.loss) {
                let (life, delay) = (self.nodes[to].life, self.delay());
                self.queue.after(delay, Happening::Sync { from: node, to, life, message });
            }
        }
        if self.events.is_multiple_of(EACH) {
            self.nodes[node].machine.check_invariants();
        }
        if let Some(at) = self.nodes[node].machine.poll_timeout() {
            self.nodes[node].wake += 1;
            let (life, number) = (self.nodes[node].life, self.nodes[node].wake);
            self.queue.after(at.saturating_sub(self.queue.now), Happening::Wake { node, life, number });
        }
    }

    fn perform(&mut self, node: usize, effect: Effect) {
        let life = self.nodes[node].life;
        match effect {
            Effect::Spawn { token, claim, .. } => {
                let pid = self.nodes[node].spawn(token, &claim);
                self.nodes[node].machine.spawned(token, pid);
                let slow = self.rng.chance(10);
                let delay = Duration::from_millis(if slow {
                    self.rng.between(100, 3_000)
                } else {
                    self.rng.below(3)
                });
                let fails = self.rng.chance(2);
                self.queue.after(delay, Happening::Up { node, life, token, fails });
            }
            Effect::Stop { pid, reason, .. } => {
                let delay = Duration::from_millis(self.rng.between(0, 400));
                self.queue.after(delay, Happening::End { node, life, pid: pid.number(), reason });
            }
            Effect::Request { number, to, request, timeout } => self.ask(node, number, &to, request, timeout),
            Effect::Respond { responder, response } => self.respond(node, responder, response),
            Effect::Answer { ticket, answer } => self.answer(node, ticket, &answer),
            Effect::Ready => {
                self.nodes[node].ready = true;
                self.history.note(self.queue.now, node, || "ready".to_owned());
                self.announce();
            }
            // This world has no quorum policy.
            Effect::Unready | Effect::Idle | Effect::Doubt(_) => {}
            Effect::Event(event) => self.history.note(self.queue.now, node, || format!("{event:?}")),
        }
    }

    fn answer(&mut self, node: usize, ticket: u64, answer: &Answer) {
        self.history.note(self.queue.now, node, || format!("answer {answer:?}"));
        let life = self.nodes[node].life;
        match answer {
            Answer::Started(Ok(pid)) => {
                let on = self.index_of(pid.node());
                if let (Some(id), Some(on)) = (self.starts.remove(&(node, ticket)), on) {
                    let child =
                        self.nodes[on].machine.record(&id.as_str().into()).map_or(1, |record| record.life);
                    self.oracle.started(&id, (node, life), (on, self.nodes[on].life), child);
                }
            }
            Answer::Terminated(Ok(())) => {
                if let Some(id) = self.ends.remove(&(node, ticket)) {
                    let child =
                        self.nodes[node].machine.record(&id.as_str().into()).map_or(1, |record| record.life);
                    self.oracle.ended(&id, (node, life), child);
                }
            }
            Answer::Started(Err(_)) | Answer::Terminated(Err(_)) => {}
        }
    }

    fn up(&mut self, node: usize, life: u64, token: u64, fails: bool) {
        let Some(now) = self.live(node, life) else { return };
        let Some((number, stopped)) = self.nodes[node].arrive(token, fails) else { return };
        let pid = Pid::new(self.nodes[node].id.clone(), number);
        let outcome = match (fails, stopped) {
            (true, _) => Err(horde_supervisor::StartError::Init(ExitReason::Error("init fails".to_owned()))),
            (_, true) => Err(horde_supervisor::StartError::Init(ExitReason::Shutdown)),
            _ => Ok(pid),
        };
        self.nodes[node].machine.started(now, token, outcome);
        self.settle(node);
    }

    fn end(&mut self, node: usize, life: u64, pid: u64, reason: ExitReason) {
        let Some(now) = self.live(node, life) else { return };
        if let Some(token) = self.nodes[node].finish(pid) {
            let pid_of = pid;
            self.history.note(self.queue.now, node, || format!("process {pid_of} ends: {reason}"));
            self.nodes[node].machine.exited(now, token, reason, None);
            self.settle(node);
        }
    }
}
