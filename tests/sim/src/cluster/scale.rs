//! How it grows: convergence, traffic and memory by the number of nodes, as a table and as a picture.

use std::fmt::Write as _;
use std::time::Duration;

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

/// The sizes that are measured: nodes, and names with as many children.
pub const SIZES: &[(usize, usize)] = &[(3, 1_000), (10, 1_000), (30, 1_000), (64, 1_000), (100, 1_000)];

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
    world.pass(world.queue.now + Duration::from_secs(2));
    let before = world.net.bytes;
    world.pass(world.queue.now + Duration::from_secs(5));
    let idle = (world.net.bytes - before) / 5 / nodes as u64;
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
    world.crash(nodes - 1);
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

/// A line of the picture: its name, its colour, and what it shows of a run.
type Series = (&'static str, &'static str, fn(&Scale) -> f64);

/// The figures as a picture: each against the number of nodes, as a share of its highest.
#[must_use]
pub fn picture(rows: &[Scale]) -> String {
    let series: [Series; 4] = [
        ("converged, ms", "#1b6ca8", |row| row.converged.as_secs_f64() * 1e3),
        ("taken over, ms", "#c0392b", |row| row.taken_over.as_secs_f64() * 1e3),
        ("bytes per node", "#27804a", |row| row.bytes as f64),
        ("idle bytes per second and node", "#8e6c1a", |row| row.idle as f64),
    ];
    let (width, height, left, top) = (640.0, 320.0, 60.0, 40.0);
    let most = rows.iter().map(|row| row.nodes).max().unwrap_or(1) as f64;
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 980 400\" font-family=\"sans-serif\" font-size=\"12\">\n",
    );
    let _ = writeln!(svg, "<rect width=\"980\" height=\"400\" fill=\"white\"/>");
    let _ = writeln!(
        svg,
        "<path d=\"M{left} {top}V{}H{}\" fill=\"none\" stroke=\"#444\"/>",
        top + height,
        left + width
    );
    for row in rows {
        let x = left + width * row.nodes as f64 / most;
        let _ = writeln!(
            svg,
            "<text x=\"{x:.0}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            top + height + 18.0,
            row.nodes
        );
    }
    for (number, (name, colour, value)) in series.iter().enumerate() {
        let highest = rows.iter().map(value).fold(f64::MIN_POSITIVE, f64::max);
        let points: Vec<String> = rows
            .iter()
            .map(|row| {
                let (x, y) = (row.nodes as f64 / most, value(row) / highest);
                format!("{:.1},{:.1}", left + width * x, top + height * (1.0 - y))
            })
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.join(" ")
        );
        let y = top + 20.0 * number as f64;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{y}\" fill=\"{colour}\">{name}: at most {highest:.0}</text>",
            left + width + 20.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}
