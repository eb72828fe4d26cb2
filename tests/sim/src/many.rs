//! Many seeds, on all cores: which fail, and how long it took.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Which seeds, and how often each is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Many {
    pub(crate) first: u64,
    pub(crate) seeds: u64,
    pub(crate) nodes: Option<usize>,
    /// Each seed whose number this divides is run twice; 0: none.
    pub(crate) twice_every: u64,
    pub(crate) threads: usize,
}

/// What came of them.
#[derive(Debug, Default)]
struct Tally {
    failed: u64,
    twice: u64,
    events: u64,
}

impl Many {
    /// Runs all seeds; each failure is printed as it is found, the tally last.
    #[expect(clippy::print_stdout, reason = "it is what the command is for")]
    pub(crate) fn run(self) -> ExitCode {
        let begun = std::time::Instant::now();
        let (next, tally) = (AtomicU64::new(0), Mutex::new(Tally::default()));
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= self.seeds {
                            break;
                        }
                        self.seed(self.first.saturating_add(number), &tally);
                    }
                });
            }
        });
        let Tally { failed, twice, events } = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
        let nodes = self.nodes.map(|nodes| format!("{nodes} nodes, ")).unwrap_or_default();
        let (seeds, took) = (self.seeds, begun.elapsed().as_secs_f64());
        println!(
            "sim: {seeds} seeds, {failed} failed ({nodes}{twice} run twice, {events} events, {took:.1} s on {} threads)",
            self.threads
        );
        if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    #[expect(clippy::print_stdout, reason = "it is what the command is for")]
    fn seed(self, seed: u64, tally: &Mutex<Tally>) {
        let outcome = horde_sim::run(seed, self.nodes);
        let twice = self.twice_every > 0 && seed.is_multiple_of(self.twice_every);
        let differs = || twice.then(|| differs(seed, self.nodes, &outcome)).flatten();
        let failure = outcome.failure.clone().or_else(differs);
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.events += outcome.events;
        tally.twice += u64::from(twice);
        if let Some(failure) = failure {
            tally.failed += 1;
            let nodes = self.nodes.map(|nodes| format!(" --nodes {nodes}")).unwrap_or_default();
            println!("seed {seed}: {failure}\nREPRODUCE WITH: cargo xtask sim --seed {seed}{nodes}");
        }
    }
}

/// Whether a second run of the seed is another than the first.
pub(crate) fn differs(seed: u64, nodes: Option<usize>, outcome: &horde_sim::Outcome) -> Option<String> {
    let again = horde_sim::run(seed, nodes);
    let same = again.trace == outcome.trace
        && again.events == outcome.events
        && again.history.trace() == outcome.history.trace();
    (!same).then(|| "two runs of one seed differ".to_owned())
}
