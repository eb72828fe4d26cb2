//! How it grows: convergence, traffic and memory by the number of nodes, as a table and as a picture.

mod picture;

use std::fmt::Write as _;
use std::time::Duration;

pub use picture::picture;

use horde_supervisor::Restart;

use super::World;
use super::plan::Plan;
use super::scripts::a_child;
use crate::{History, Rng};

/// One run's figures. Times are virtual: links take 0.05 to 0.5 ms, machines none.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// How many nodes.
    pub nodes: usize,
    /// How many names, and as many children.
    pub names: usize,
    /// From the first start of a node until all are ready everywhere.
    pub joined: Duration,
    /// From the last registration and start until each node knows all.
    pub converged: Duration,
    /// Messages that each node sent meanwhile, heartbeats included.
    pub messages: u64,
    /// Bytes that each node sent meanwhile.
    pub bytes: u64,
    /// Bytes a second that each node sends with nothing to say.
    pub idle: u64,
    /// From the kill of a node until all its children run elsewhere.
    pub taken_over: Duration,
    /// The process's largest resident memory so far, in KiB; none where the system does not say.
    pub memory: Option<u64>,
}

/// The sizes that are measured: nodes, and names with as many children. Each takes more memory than those before it, so that the
/// largest so far is its own. The last two take minutes, and gigabytes.
pub const SIZES: &[(usize, usize)] = &[
    (3, 1_000),
    (10, 1_000),
    (30, 1_000),
    (64, 1_000),
    (10, 10_000),
    (100, 1_000),
    (10, 100_000),
    (300, 1_000),
    (100, 100_000),
    (1_000, 1_000),
];

/// Beyond so many nodes, the wait before the work begins is 1.1 s and what idle nodes send is measured for one second;
/// else two and five.
const MANY: usize = 100;
/// How finely times are taken.
const STEP: Duration = Duration::from_millis(5);
/// No run waits longer.
const MOST: Duration = Duration::from_secs(60);

/// Measures a cluster of `nodes` with `names` names and as many children; an error says what did not come to pass.
///
/// # Errors
/// What did not happen within a minute of virtual time.
pub fn scale(nodes: usize, names: usize) -> Result<Scale, String> {
    let mut plan = Plan::quiet(nodes);
    plan.names = names as u64;
    plan.cluster_config.max_members = nodes + 8;
    plan.cluster_config.expect = Some(nodes);
    // Nodes share the values that they hold.
    plan.values = true;
    plan.checked = false;
    let mut world = World::with(plan, Rng::new(1, 5));
    world.calm = true;
    world.history = History::default();
    let joined = until(&mut world, "all nodes are ready", |world| {
        world.nodes.iter().all(|node| {
            let up = node.membership.view().members.len() == nodes;
            up && node.names.is_ready() && node.children.is_ready()
        })
    })?;
    let (calming, measured) = if nodes > MANY { (1_100, 1) } else { (2_000, 5) };
    world.pass(world.queue.now + Duration::from_millis(calming));
    let before = world.net.bytes;
    world.pass(world.queue.now + Duration::from_secs(measured));
    let idle = (world.net.bytes - before) / measured / nodes as u64;
    let (messages, bytes) = (world.net.messages, world.net.bytes);
    for number in 0..names {
        let node = number % nodes;
        world.register_name(node, 1_000_000 + (number / nodes / 1_000) as u64, &format!("k{number}"))?;
        world.start_child(node, &format!("c{number}"), a_child(Restart::Permanent, None));
    }
    let converged = until(&mut world, "all nodes know all", |world| {
        let full = |node: &super::node::SimNode| {
            node.names.stored() == names && node.children.records().count() == names
        };
        world.tickets.is_empty() && world.nodes.iter().all(full)
    })?;
    let messages = (world.net.messages - messages) / nodes as u64;
    let bytes = (world.net.bytes - bytes) / nodes as u64;
    // The last one that runs a child.
    let runs = |node: &usize| world.nodes[*node].processes.values().any(|process| process.child.is_some());
    world.crash((0..nodes).rev().find(runs).unwrap_or(nodes - 1));
    let taken_over = until(&mut world, "all children run again", |world| {
        let children = world.nodes.iter().flat_map(|node| node.processes.values());
        children.filter(|process| process.child.is_some() && process.up).count() == names
    })?;
    let memory = memory();
    Ok(Scale { nodes, names, joined, converged, messages, bytes, idle, taken_over, memory })
}

fn until(world: &mut World, what: &str, done: impl Fn(&World) -> bool) -> Result<Duration, String> {
    let begin = world.queue.now;
    while !done(world) {
        if world.queue.now > begin + MOST {
            return Err(format!("not within {MOST:?}: {what}"));
        }
        world.pass(world.queue.now + STEP);
        if let Some(failure) = &world.failure {
            return Err(failure.clone());
        }
    }
    Ok(world.queue.now - begin)
}

/// What Linux says of this process; other systems say nothing.
fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The figures as lines of text.
#[must_use]
pub fn table(rows: &[Scale]) -> String {
    let mut text = String::from(
        "nodes  names=children  joined ms  converged ms  messages/node  bytes/node  idle B/s/node  taken over ms  memory MiB\n",
    );
    for row in rows {
        let memory = row.memory.map_or_else(|| "-".to_owned(), |kib| (kib / 1_024).to_string());
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{:>5}  {:>14}  {:>9}  {:>12}  {:>13}  {:>10}  {:>13}  {:>13}  {:>10}",
            row.nodes,
            row.names,
            row.joined.as_millis(),
            row.converged.as_millis(),
            row.messages,
            row.bytes,
            row.idle,
            row.taken_over.as_millis(),
            memory
        );
    }
    text
}
