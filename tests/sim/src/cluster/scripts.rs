//! Scripted runs: the known failures of the peers, and what this cluster does in their place.
//!
//! Each scenario is a short story on a quiet network; what must hold at its end is said where it is checked, and the whole
//! cluster must be as it should besides.

mod both;
mod children;
mod names;
mod nodes;

use std::sync::Arc;
use std::time::Duration;

use horde_process::{ExitReason, Name, Pid, Shutdown};
use horde_registry::machine::Key;
use horde_supervisor::{ChildId, Restart, Spec};

use super::World;
use super::plan::Plan;
use super::users::Ticket;
use crate::Rng;

/// A story with its name: none when it ended well.
pub type Scenario = (&'static str, fn() -> Option<String>);

/// All of them.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    [children::ALL, names::ALL, nodes::ALL, both::ALL].concat()
}

/// A second, in most stories.
const SECOND: Duration = Duration::from_secs(1);

/// How a story goes on; an error is what went wrong.
type Story = Result<(), String>;

/// Tells a story to a quiet cluster of `nodes`, then looks at the whole of it.
fn tell(
    nodes: usize,
    change: impl FnOnce(&mut Plan),
    story: impl FnOnce(&mut World) -> Story,
) -> Option<String> {
    let mut plan = Plan::quiet(nodes);
    change(&mut plan);
    let mut world = World::with(plan, Rng::new(1, 4));
    world.calm = true;
    // A node that is told to expect nobody looks around for two seconds.
    world.wait(SECOND * 4);
    let told = story(&mut world);
    if let Err(wrong) = told {
        return Some(wrong);
    }
    for _ in 0..60 {
        world.wait(SECOND);
        if world.failure.is_some() || world.whole().is_none() {
            break;
        }
    }
    world.failure.clone().or_else(|| world.whole())
}

/// Says what is wrong, unless it is right.
fn expect(right: bool, wrong: impl FnOnce() -> String) -> Story {
    if right { Ok(()) } else { Err(wrong()) }
}

pub(super) fn a_child(restart: Restart, name: Option<&str>) -> Spec {
    let registry = || "names".into();
    let name = name.map(|key| (Name::Registry { registry: registry(), key: key.into() }, vec![0xc0]));
    let shutdown = Shutdown::Timeout(Duration::from_millis(200));
    let (kind, args) = ("sim".to_owned(), Vec::new());
    Spec { kind, version: 1, args, name, restart, shutdown, pinned: false }
}

impl World {
    fn wait(&mut self, time: Duration) {
        self.pass(self.queue.now + time);
    }

    pub(super) fn start_child(&mut self, node: usize, id: &str, spec: Spec) {
        let now = self.time(node);
        let restart = spec.restart;
        if let Some(number) = id.strip_prefix('c').and_then(|number| number.parse::<u64>().ok()) {
            self.next_child = self.next_child.max(number + 1);
        }
        self.promises.wish(id);
        let patience = Duration::from_secs(5);
        let ticket = self.nodes[node].children.start(now, ChildId::from(id), Arc::new(spec), patience);
        self.tickets.insert((node, self.nodes[node].life, ticket), Ticket::Start(id.to_owned(), restart));
        self.settle(node);
    }

    fn terminate_child(&mut self, node: usize, id: &str) {
        let now = self.time(node);
        let life = self.life_known(node, id);
        let sim = &mut self.nodes[node];
        let ticket = (node, sim.life, sim.children.terminate(now, &id.into(), Duration::from_secs(5)));
        self.promises.ask_end(id, ticket);
        self.tickets.insert(ticket, Ticket::End(id.to_owned(), life));
        self.settle(node);
    }

    /// The nodes on which a child runs.
    fn hosts(&self, id: &str) -> Vec<usize> {
        let alive = self.nodes.iter().filter(|node| node.is_alive());
        let with = alive.filter(|node| self.process_of(node.index, id).is_some());
        with.map(|node| node.index).collect()
    }

    fn process_of(&self, node: usize, id: &str) -> Option<u64> {
        let mut processes = self.nodes[node].processes.iter();
        processes
            .find(|(_, process)| process.child.as_ref().is_some_and(|child| child.id == id))
            .map(|(number, _)| *number)
    }

    /// A child's process ends by itself.
    fn end_child(&mut self, id: &str, reason: ExitReason) {
        for node in self.hosts(id) {
            if let Some(number) = self.process_of(node, id) {
                self.ended(node, number, reason.clone());
                self.settle(node);
            }
        }
    }

    /// A process that no supervisor knows registers a name.
    pub(super) fn register_name(&mut self, node: usize, process: u64, key: &str) -> Result<(), String> {
        let (now, key) = (self.time(node), Key::new(key.as_bytes()));
        let sim = &mut self.nodes[node];
        let entry = super::process::Process::plain();
        sim.processes.entry(process).or_insert(entry);
        let pid = Pid::new(sim.id.clone(), process);
        let result = sim.names.register(now, &pid, &key, [1_u8].as_slice().into(), None);
        if result.is_ok()
            && let Some(process) = sim.processes.get_mut(&process)
        {
            process.names.insert(key);
        }
        self.settle(node);
        result.map_err(|error| error.to_string())
    }

    /// How many nodes that live find a name.
    fn finders(&self, key: &str) -> usize {
        let key = Key::new(key.as_bytes());
        let alive = self.nodes.iter().filter(|node| node.is_alive());
        alive.filter(|node| node.names.get(&key).is_some()).count()
    }

    /// Cuts a node off from all others, or connects it again.
    fn isolate(&mut self, node: usize, cut: bool) {
        for other in 0..self.nodes.len() {
            self.set_link(node, other, cut);
            self.set_link(other, node, cut);
        }
    }
}
