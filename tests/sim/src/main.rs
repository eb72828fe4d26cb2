//! Runs seeds of the simulator.

use std::process::ExitCode;

use clap::Parser;

/// Runs the cluster's machines in one thread, under virtual time, from seeds.
#[derive(Debug, Parser)]
struct Args {
    /// How many seeds to run.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// How many nodes; by default each seed has its own number.
    #[arg(long)]
    nodes: Option<usize>,
    /// Runs this seed alone and prints its history.
    #[arg(long)]
    seed: Option<u64>,
    /// Runs each seed twice and compares the traces.
    #[arg(long)]
    doublecheck: bool,
}

#[expect(clippy::print_stdout, reason = "it is what the command is for")]
fn main() -> ExitCode {
    let args = Args::parse();
    let (first, count) = args.seed.map_or((args.first, args.seeds), |seed| (seed, 1));
    let (mut failed, mut events) = (0_u64, 0_u64);
    for seed in first..first.saturating_add(count) {
        let outcome = run(seed, args.nodes);
        events += outcome.events;
        let differs = args.doublecheck && run(seed, args.nodes).history.trace() != outcome.history.trace();
        if args.seed.is_some() {
            print!("{}", outcome.history);
        }
        let failure = if differs { Some("two runs of one seed differ".to_owned()) } else { outcome.failure };
        if let Some(failure) = failure {
            failed += 1;
            println!("seed {seed}: {failure}");
            println!("REPRODUCE WITH: cargo xtask sim --seed {seed}");
        }
    }
    println!("sim: {count} seeds, {failed} failed ({events} events)");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A panic in a machine is a failure of its seed like any other.
fn run(seed: u64, nodes: Option<usize>) -> horde_sim::Outcome {
    std::panic::catch_unwind(|| horde_sim::run(seed, nodes)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let failure = Some(format!("panicked: {}", text.unwrap_or_default()));
        horde_sim::Outcome { failure, history: horde_sim::History::default(), events: 0 }
    })
}
