//! Runs of a script, one for each seed.

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use super::Builder;
use crate::History;

/// The environment's variable that has [`explore`] run one seed alone.
pub const SEED_VARIABLE: &str = "HORDE_SIM_SEED";

/// One run of a script: its seed, from which all chance in it comes.
#[derive(Debug, Clone)]
pub struct Run {
    pub(super) seed: u64,
    /// Whether the history is written.
    pub(super) told: bool,
    /// A number of all that happened.
    pub(super) trace: Rc<Cell<u64>>,
}

impl Run {
    /// A run by itself, with its history; [`explore`] makes many.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Self { seed, told: true, trace: Rc::default() }
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// A cluster of this many nodes, all of which start at once.
    #[must_use]
    pub fn cluster(&self, nodes: usize) -> Builder {
        Builder::new(self.clone(), nodes)
    }
}

/// What went wrong in a run. As text: what, the seed, how to run it again, and what happened, a column for each node.
#[derive(Clone)]
pub struct Failure {
    pub(super) seed: u64,
    pub(super) what: String,
    pub(super) at: Duration,
    pub(super) history: History,
}

impl Failure {
    /// What went wrong.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The seed of the run.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// When, in virtual time.
    #[must_use]
    pub fn at(&self) -> Duration {
        self.at
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.history)?;
        writeln!(f, "seed {}: {} (at {:?})", self.seed, self.what, self.at)?;
        f.write_str(&again(self.seed))
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What `unwrap` shows is what a person reads.
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Failure {}

/// How to run a seed again: a test's thread has the test's name.
fn again(seed: u64) -> String {
    match std::thread::current().name() {
        Some(test) if test != "main" => format!("REPRODUCE WITH: {SEED_VARIABLE}={seed} cargo test {test}"),
        _ => format!("REPRODUCE WITH: {SEED_VARIABLE}={seed} in the environment of the same program"),
    }
}

/// Runs a script for each seed; or for one alone, if the environment names it in `HORDE_SIM_SEED`.
///
/// The first seed is run twice, to show that two runs of one seed are the same.
///
/// # Panics
/// When a run fails, with what went wrong, its seed, and its history; when the script itself panics; when two runs of one
/// seed differ, for which a process must have read something that is not the simulator's.
pub fn explore(seeds: impl IntoIterator<Item = u64>, script: impl Fn(Run) -> Result<(), Failure>) {
    let one = std::env::var(SEED_VARIABLE).ok();
    let one = one.map(|text| text.parse().unwrap_or_else(|_| panic!("{SEED_VARIABLE} is no number: {text}")));
    let seeds: Vec<u64> = one.map_or_else(|| seeds.into_iter().collect(), |seed| vec![seed]);
    for (index, seed) in seeds.into_iter().enumerate() {
        let first = attempt(seed, false, &script);
        if index > 0 && first.0.is_ok() {
            continue;
        }
        let second = attempt(seed, true, &script);
        if let Err(failure) = second.0 {
            panic!("{failure}");
        }
        assert!(
            first.0.is_ok() && first.1 == second.1,
            "two runs of seed {seed} differ: a process reads a clock, a random number or an order that is not the simulator's"
        );
    }
}

fn attempt(seed: u64, told: bool, script: impl Fn(Run) -> Result<(), Failure>) -> (Result<(), Failure>, u64) {
    let run = Run { seed, told, trace: Rc::default() };
    let trace = run.trace.clone();
    match catch_unwind(AssertUnwindSafe(|| script(run))) {
        Ok(result) => (result, trace.get()),
        Err(panic) => panic!("the script panicked: {}\n{}", crate::text(&*panic), again(seed)),
    }
}
