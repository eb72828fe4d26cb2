//! The cluster's machines in one thread, under virtual time, from a seed.
//!
//! Each world runs the crates' own machines, never a second implementation of them: replicas of the CRDT in
//! `replicas`, the children of a supervisor in `children`. All that a run does comes from its seed: the number of
//! nodes, the faults that are on, each delay and each loss. So a failing seed fails again.

mod children;
mod history;
mod oracle;
mod queue;
mod replicas;
mod rng;

pub use history::History;
pub use rng::Rng;

/// What a run of one seed came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What went wrong, if something did.
    pub failure: Option<String>,
    /// What happened, for a person who reads it.
    pub history: History,
    /// How many events the run had.
    pub events: u64,
}

/// Runs every world of a seed: first the replicas, then the children.
#[must_use]
pub fn run(seed: u64, nodes: Option<usize>) -> Outcome {
    let outcome = replicas::run(seed, nodes);
    if outcome.failure.is_some() {
        return outcome;
    }
    let events = outcome.events;
    let outcome = children::run(seed, nodes);
    Outcome { events: outcome.events + events, ..outcome }
}
