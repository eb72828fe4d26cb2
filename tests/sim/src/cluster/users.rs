//! What users do: they start and end children, register names, call, and remember what they were told.

use std::sync::Arc;
use std::time::Duration;

use horde_process::{Name, Pid, Shutdown};
use horde_registry::machine::{Key, OwnerError, RegisterError};
use horde_supervisor::machine::Answer;
use horde_supervisor::{ChildId, Restart, Spec, StartError, TerminateError};

use super::net::Frame;
use super::node::{Asked, SimNode};
use super::process::Process;
use super::{Arrival, Happening, World};

/// How long a user waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a user does on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Start,
    Terminate,
    Restart,
    Register,
    Unregister,
    Update,
    Exit,
    Call,
    Label,
}

/// What a user waits for.
#[derive(Debug, Clone)]
pub(crate) enum Ticket {
    Start(String, Restart),
    End(String, u64),
    Restart,
}

impl World {
    /// What users will do, and where.
    pub(crate) fn plan_deeds(&mut self) {
        let busy = u64::try_from(self.plan.busy.as_micros()).unwrap_or(0);
        let count = self.plan.deeds * self.plan.busy.as_secs() / 100;
        for _ in 0..count {
            let at = Duration::from_micros(self.rng.below(busy));
            let deed = match self.rng.below(40) {
                0..=11 => Deed::Start,
                12..=14 => Deed::Terminate,
                15 => Deed::Restart,
                16..=25 => Deed::Register,
                26..=27 => Deed::Unregister,
                28..=29 => Deed::Update,
                30..=31 => Deed::Exit,
                32 => Deed::Label,
                _ => Deed::Call,
            };
            self.planned(at, super::faults::Fault::Deed(deed));
        }
    }

    /// A user on some node that lives does something.
    pub(crate) fn somewhere(&mut self, deed: Deed) {
        let alive: Vec<usize> =
            self.nodes.iter().filter(|node| node.is_alive()).map(|node| node.index).collect();
        if let Some(node) = alive.get(self.rng.index(alive.len())).copied() {
            let life = self.nodes[node].life;
            self.queue.after(Duration::ZERO, Happening::Arrive { node, life, arrival: Arrival::Deed(deed) });
        }
    }

    pub(crate) fn deed(&mut self, node: usize, deed: Deed) {
        if !self.nodes[node].hosting {
            // A user's handle is there once the node is Up.
            return;
        }
        match deed {
            Deed::Start => self.start(node),
            Deed::Terminate => self.terminate(node),
            Deed::Restart => self.restart(node),
            Deed::Register => self.register(node),
            Deed::Unregister => self.unregister(node),
            Deed::Update => self.update(node),
            Deed::Exit => self.exit(node),
            Deed::Call => self.call(node),
            Deed::Label => self.label(node),
        }
    }

    fn old_id(&mut self) -> Option<String> {
        (self.next_child > 0).then(|| format!("c{}", self.rng.below(self.next_child)))
    }

    fn start(&mut self, node: usize) {
        let now = self.time(node);
        // Now and then an id that was used before: two users may want the same child.
        let number = if self.rng.chance(25) { self.rng.below(self.next_child + 1) } else { self.next_child };
        self.next_child = self.next_child.max(number + 1);
        let id = format!("c{number}");
        let newest = self.nodes[node].version;
        let named = self.rng.chance(50);
        // Now and then a name that somebody else may want too.
        let key = if self.rng.chance(10) {
            format!("k{}", self.rng.below(self.plan.names))
        } else {
            format!("of {id}")
        };
        let name = named.then(|| {
            let name = Name::Registry { registry: "names".into(), key: key.into_bytes() };
            (name, id.clone().into_bytes())
        });
        let spec = Spec {
            kind: "sim".to_owned(),
            version: if self.rng.chance(20) { newest } else { 1 },
            args: Vec::new(),
            name,
            // The same for all who want it: which of two specs wins is not what is asked here.
            restart: match number % 10 {
                0..=1 => Restart::Transient,
                2 => Restart::Temporary,
                _ => Restart::Permanent,
            },
            shutdown: match self.rng.below(10) {
                0 => Shutdown::BrutalKill,
                1 => Shutdown::Infinity,
                _ => Shutdown::Timeout(Duration::from_millis(self.rng.between(20, 1_500))),
            },
            pinned: false,
        };
        self.history.note(self.queue.now, node, || format!("start {id} {:?}", spec.restart));
        self.promises.wish(&id);
        let restart = spec.restart;
        let ticket = self.nodes[node].children.start(now, ChildId::from(&id), Arc::new(spec), PATIENCE);
        self.tickets.insert((node, self.nodes[node].life, ticket), Ticket::Start(id, restart));
    }

    fn terminate(&mut self, node: usize) {
        let (Some(id), now) = (self.old_id(), self.time(node)) else { return };
        self.history.note(self.queue.now, node, || format!("terminate {id}"));
        let life = self.life_known(node, &id);
        let sim = &mut self.nodes[node];
        let ticket = (node, sim.life, sim.children.terminate(now, &ChildId::from(&id), PATIENCE));
        self.promises.ask_end(&id, ticket);
        self.tickets.insert(ticket, Ticket::End(id, life));
    }

    fn restart(&mut self, node: usize) {
        let (Some(id), now) = (self.old_id(), self.time(node)) else { return };
        self.history.note(self.queue.now, node, || format!("restart {id}"));
        let sim = &mut self.nodes[node];
        let ticket = (node, sim.life, sim.children.restart(now, &ChildId::from(&id), PATIENCE));
        self.tickets.insert(ticket, Ticket::Restart);
    }

    /// The supervisor answers a user.
    pub(crate) fn answered(&mut self, node: usize, ticket: u64, answer: &Answer) {
        let ticket = (node, self.nodes[node].life, ticket);
        self.history.note(self.queue.now, node, || format!("answer {answer:?}"));
        self.keep(ticket, answer);
        let Some(asked) = self.tickets.remove(&ticket) else {
            return self.fail(format!("an answer that nobody asked for: {answer:?}"));
        };
        match (asked, answer) {
            (Ticket::Start(id, restart), Answer::Started(Ok(pid))) => {
                self.promises.served(&id);
                self.expect_child(&id, pid);
                // A temporary child may end whenever its node is out of sight.
                if restart == Restart::Temporary {
                    self.promises.begun_anew(&id);
                } else {
                    self.acknowledged(&id, ticket, pid);
                }
            }
            (Ticket::Start(id, _), Answer::Started(Err(StartError::AlreadyStarted(pid)))) => {
                self.promises.served(&id);
                self.expect_child(&id, pid);
            }
            // It may yet start.
            (Ticket::Start(..), Answer::Started(Err(StartError::Unknown { .. }))) => {}
            (Ticket::Start(id, _), Answer::Started(Err(_))) => self.promises.served(&id),
            (Ticket::Restart, Answer::Started(_)) => {}
            (Ticket::End(id, life), Answer::Terminated(Ok(()))) => {
                let now = self.ended_life(node, &id).max(life);
                self.promises.ended(&id, ticket, self.queue.now, life, now);
            }
            (Ticket::End(id, _), Answer::Terminated(Err(TerminateError::NotFound))) => {
                self.promises.not_found(&id, ticket);
            }
            (Ticket::End(id, _), Answer::Terminated(_)) => self.promises.unsure(&id, ticket),
            (asked, answer) => self.fail(format!("{asked:?} was answered {answer:?}")),
        }
    }

    /// The life that a user of this node ends: that of the start which the user was told of, or a later one whose record is here.
    pub(crate) fn life_known(&self, node: usize, id: &str) -> u64 {
        let sim = &self.nodes[node];
        let recorded = sim.children.record(&id.into()).map_or(0, |record| record.life);
        recorded.max(self.promises.life_told((node, sim.life), id))
    }

    /// Up to which life a child may have ended by the end that a user was told of: the life that this node knows, or, where this
    /// node was behind, the later one that its owner has ended.
    fn ended_life(&self, node: usize, id: &str) -> u64 {
        let record = |node: &SimNode| node.children.record(&id.into()).cloned();
        let here = record(&self.nodes[node]).map_or(0, |record| record.life);
        let over = self.nodes.iter().filter(|node| node.is_alive()).filter_map(record);
        over.filter(|record| record.is_over()).map(|record| record.life).max().unwrap_or(0).max(here)
    }

    fn acknowledged(&mut self, id: &str, ticket: (usize, u64, u64), pid: &Pid) {
        let host = self.nodes.iter().position(|node| node.id.name() == pid.node().name());
        let Some(host) = host else { return self.fail(format!("{pid} runs nowhere")) };
        let same = self.nodes[host].id == *pid.node();
        let life = if same { self.nodes[host].life } else { pid.node().incarnation() };
        let record = if same { self.nodes[host].children.record(&id.into()) } else { None };
        let child = record.map_or(1, |record| record.life);
        self.promises.started(id, (ticket.0, ticket.1), (host, life), child, self.queue.now);
        if !same {
            self.review();
        }
    }

    fn expect_child(&mut self, id: &str, pid: &Pid) {
        if self.promises.child_of(pid) != Some(id) {
            self.fail(format!("{pid} was given as {id} and never was it"));
        }
    }

    fn key(&mut self) -> Key {
        Key::new(format!("k{}", self.rng.below(self.plan.names)).as_bytes())
    }

    /// A process that runs on the node: one that no supervisor knows, or a new one.
    fn plain(&mut self, node: usize, new: bool) -> Option<u64> {
        let plain = self.nodes[node].processes.iter().filter(|(_, process)| process.child.is_none());
        let plain: Vec<u64> = plain.map(|(number, _)| *number).collect();
        if !new || !plain.is_empty() && self.rng.chance(60) {
            return plain.get(self.rng.index(plain.len())).copied();
        }
        let number = self.nodes[node].number();
        self.nodes[node].processes.insert(number, Process::plain());
        Some(number)
    }

    fn register(&mut self, node: usize) {
        let (key, now) = (self.key(), self.time(node));
        let Some(number) = self.plain(node, true) else { return };
        let sim = &mut self.nodes[node];
        let pid = Pid::new(sim.id.clone(), number);
        let before = sim.names.get(&key).cloned();
        match sim.names.register(now, &pid, &key, [1_u8].as_slice().into(), None) {
            Ok(()) => {
                if let Some(process) = sim.processes.get_mut(&number) {
                    process.names.insert(key.clone());
                }
                self.history.note(self.queue.now, node, || format!("{key:?} is {pid}"));
                let read = self.nodes[node].names.get(&key).map(|entry| entry.pid.clone());
                if read.as_ref() != Some(&pid) {
                    self.fail(format!("{key:?} was registered for {pid}, and the next lookup says {read:?}"));
                }
            }
            Err(RegisterError::AlreadyRegistered(holder)) => {
                let holds = before.is_some_and(|entry| entry.pid == holder);
                if !holds {
                    self.fail(format!("{key:?} was refused for {holder}, which does not hold it"));
                }
            }
            Err(error) => self.fail(format!("a name was refused: {error}")),
        }
    }

    fn a_name_of(&mut self, node: usize) -> Option<(u64, Key)> {
        let number = self.plain(node, false)?;
        let names: Vec<Key> = self.nodes[node].processes.get(&number)?.names.iter().cloned().collect();
        Some((number, names.get(self.rng.index(names.len()))?.clone()))
    }

    fn unregister(&mut self, node: usize) {
        let (Some((number, key)), now) = (self.a_name_of(node), self.time(node)) else { return };
        let sim = &mut self.nodes[node];
        let pid = Pid::new(sim.id.clone(), number);
        let result = sim.names.unregister(now, &pid, &key);
        self.history.note(self.queue.now, node, || format!("{key:?} is {pid} no more"));
        if let Some(process) = self.nodes[node].processes.get_mut(&number) {
            process.names.remove(&key);
        }
        if let Err(error) = result {
            self.fail(format!("{pid} holds {key:?} and may not give it up: {error}"));
        }
    }

    fn update(&mut self, node: usize) {
        let (Some((number, key)), now) = (self.a_name_of(node), self.time(node)) else { return };
        let value = [self.rng.below(250) as u8];
        let sim = &mut self.nodes[node];
        let pid = Pid::new(sim.id.clone(), number);
        let result: Result<(), OwnerError> = sim.names.update_value(now, &pid, &key, value.as_slice().into());
        if let Err(error) = result {
            self.fail(format!("{pid} holds {key:?} and may not change it: {error}"));
        }
    }

    fn exit(&mut self, node: usize) {
        if let Some(number) = self.plain(node, false) {
            self.history.note(self.queue.now, node, || format!("process {number} ends"));
            self.ended(node, number, horde_process::ExitReason::Normal);
        }
    }

    /// Calls a child by its id, wherever the records say it is.
    fn call(&mut self, node: usize) {
        let Some(id) = self.old_id() else { return };
        let sim = &mut self.nodes[node];
        let record = sim.children.record(&id.as_str().into());
        let Some(pid) = record.and_then(|record| record.pid()).cloned() else { return };
        if *pid.node() == sim.id {
            return;
        }
        let Some(call) = id.strip_prefix('c').and_then(|number| number.parse().ok()) else { return };
        let frame = |number| Frame::Call { number, pid: pid.number() };
        self.request(node, &pid.node().clone(), Asked::Call(call), PATIENCE, frame);
    }

    /// A call was answered.
    pub(crate) fn called(&mut self, node: usize, call: u64, child: Option<String>) {
        let id = format!("c{call}");
        if child.as_ref() != Some(&id) {
            self.fail(format!("n{node} called {id} and {child:?} answered"));
        }
    }

    fn label(&mut self, node: usize) {
        let (now, value) = (self.time(node).monotonic, self.rng.below(10).to_string());
        let mut meta = self.nodes[node].membership.meta().clone();
        meta.labels.insert("x".to_owned(), value);
        if let Err(error) = self.nodes[node].membership.set_meta(now, meta) {
            self.fail(format!("a meta is too big: {error}"));
        }
    }
}
