//! The cluster's machines in one thread, under virtual time, from a seed.
//!
//! Each world runs the crates' own machines, never a second implementation of them: replicas of the CRDT in
//! `replicas`, the children of a supervisor in `children`, whole nodes in `cluster`. All that a run does comes from its
//! seed: the number of nodes, the faults that are on, each delay and each loss. So a failing seed fails again.

mod broken;
mod children;
mod cluster;
pub mod harness;
mod history;
mod oracle;
mod queue;
mod reduce;
mod replicas;
mod rng;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use broken::{BROKEN, Broken, Caught, Deliberate, catch};
pub use cluster::{SIZES, Scale, Scenario, picture, scale, scenarios, table};
pub use history::History;
pub use reduce::{Reduced, reduce, reduce_broken};
pub use rng::Rng;

/// What a run of one seed came to.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// What went wrong, if something did.
    pub failure: Option<String>,
    /// What happened, for a person who reads it.
    pub history: History,
    /// How many events the run had.
    pub events: u64,
    /// A number of all that happened in the cluster: equal runs have equal numbers.
    pub trace: u64,
    /// How many faults and deeds the cluster's seed planned.
    pub planned: u32,
}

/// Runs every world of a seed: first the replicas, then the children, then whole nodes. A panic of a machine is a failure
/// like any other. The history of the cluster is written only for a run that fails.
#[must_use]
pub fn run(seed: u64, nodes: Option<usize>) -> Outcome {
    let setup = cluster::Setup { seed, nodes, ..cluster::Setup::default() };
    let worlds: [&dyn Fn() -> Outcome; 3] =
        [&|| replicas::run(seed, nodes, None, false), &|| children::run(seed, nodes), &|| told(&setup)];
    let (mut events, mut last) = (0, None);
    for world in worlds {
        let outcome = guarded(world);
        events += outcome.events;
        let failed = outcome.failure.is_some();
        last = Some(outcome);
        if failed {
            break;
        }
    }
    Outcome { events, ..last.unwrap_or_default() }
}

/// Runs the cluster of a seed alone, with its history; of what the seed plans only `keep`, if it is given.
#[must_use]
pub fn run_cluster(seed: u64, nodes: Option<usize>, keep: Option<BTreeSet<u32>>) -> Outcome {
    guarded(|| cluster::run(&cluster::Setup { seed, nodes, keep, told: true, ..Default::default() }))
}

/// Runs a cluster, and once more with its history if it fails.
fn told(setup: &cluster::Setup) -> Outcome {
    let outcome = guarded(|| cluster::run(setup));
    match outcome.failure {
        None => outcome,
        Some(_) => guarded(|| cluster::run(&cluster::Setup { told: true, ..setup.clone() })),
    }
}

/// Turns a panic into a failure.
fn guarded(world: impl FnOnce() -> Outcome) -> Outcome {
    catch_unwind(AssertUnwindSafe(world)).unwrap_or_else(|panic| Outcome {
        failure: Some(format!("panicked: {}", text(&*panic))),
        ..Outcome::default()
    })
}

/// What a panic said.
fn text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
