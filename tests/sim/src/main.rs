//! Runs seeds of the simulator.

mod many;

use std::process::ExitCode;

use clap::Parser;
use many::Many;

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
    /// Runs each seed twice that this number divides.
    #[arg(long, default_value_t = 0, value_name = "N", conflicts_with = "doublecheck")]
    doublecheck_every: u64,
    /// How many seeds run at once; by default as many as there are cores.
    #[arg(long)]
    threads: Option<usize>,
    /// Breaks each rule on the list of deliberate faults, and looks how many seeds it takes until that is noticed.
    #[arg(long, conflicts_with_all = ["seeds", "first", "seed"])]
    broken: bool,
    /// Of the deliberate faults only those whose name has this in it.
    #[arg(long, requires = "broken")]
    only: Option<String>,
    /// Measures larger and larger clusters, and draws the figures into this file.
    #[arg(long, conflicts_with_all = ["seeds", "first", "seed"], num_args = 0..=1, default_missing_value = "target/sim-scale.svg")]
    scale: Option<std::path::PathBuf>,
    /// With `--scale`: these sizes instead of the usual ones, as `nodes x names`, such as `100x1000`.
    #[arg(long, requires = "scale", value_delimiter = ',', value_parser = size)]
    sizes: Vec<(usize, usize)>,
    /// Tells the scripted stories.
    #[arg(long, conflicts_with_all = ["seeds", "first", "seed"])]
    stories: bool,
    /// Shortens the run of `--seed` to what its failure takes.
    #[arg(long, requires = "seed")]
    reduce: bool,
    /// Of what the seed plans, does only this, by number, as `--reduce` prints it.
    #[arg(long, requires = "seed", value_delimiter = ',')]
    keep: Option<Vec<u32>>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(file) = &args.scale {
        return scale(file, &args.sizes);
    }
    match (args.broken, args.stories, args.seed) {
        (true, ..) => broken(args.only.as_deref()),
        (_, true, _) => stories(),
        (.., Some(seed)) if args.reduce => reduce(seed, args.nodes),
        (.., Some(seed)) if args.keep.is_some() => {
            let keep = args.keep.map(|keep| keep.into_iter().collect());
            verdict(seed, horde_sim::run_cluster(seed, args.nodes, keep))
        }
        (.., Some(seed)) => one(seed, &args),
        _ => many(&args),
    }
}

/// Runs seeds, and says which fail.
fn many(args: &Args) -> ExitCode {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let twice_every = if args.doublecheck { 1 } else { args.doublecheck_every };
    let Args { first, seeds, nodes, .. } = *args;
    Many { first, seeds, nodes, twice_every, threads: args.threads.unwrap_or_else(cores) }.run()
}

/// Runs one seed, and prints what happened.
fn one(seed: u64, args: &Args) -> ExitCode {
    let outcome = horde_sim::run(seed, args.nodes);
    let differs = args.doublecheck.then(|| many::differs(seed, args.nodes, &outcome)).flatten();
    let told = match outcome.failure {
        Some(_) => outcome,
        None => horde_sim::run_cluster(seed, args.nodes, None),
    };
    verdict(seed, horde_sim::Outcome { failure: told.failure.clone().or(differs), ..told })
}

#[expect(clippy::print_stdout, reason = "it is what the command is for")]
fn verdict(seed: u64, outcome: horde_sim::Outcome) -> ExitCode {
    print!("{}", outcome.history);
    match &outcome.failure {
        Some(failure) => {
            println!("seed {seed}: {failure}");
            println!("REPRODUCE WITH: cargo xtask sim --seed {seed}");
            println!("SHORTEN WITH: cargo xtask sim --seed {seed} -- --reduce");
            ExitCode::FAILURE
        }
        None => {
            println!("sim: seed {seed} holds ({} events)", outcome.events);
            ExitCode::SUCCESS
        }
    }
}

#[expect(clippy::print_stdout, reason = "it is what the command is for")]
fn reduce(seed: u64, nodes: Option<usize>) -> ExitCode {
    let Some(reduced) = horde_sim::reduce(seed, nodes) else {
        println!("the cluster of seed {seed} does not fail");
        return ExitCode::SUCCESS;
    };
    let keep: Vec<String> = reduced.keep.iter().map(u32::to_string).collect();
    print!("{}", reduced.outcome.history);
    println!("seed {seed}: {}", reduced.outcome.failure.unwrap_or_default());
    println!("{} of {} planned events are needed ({} runs)", keep.len(), reduced.planned, reduced.runs);
    println!("REPRODUCE WITH: cargo xtask sim --seed {seed} -- --keep {}", keep.join(","));
    ExitCode::FAILURE
}

/// A run may take minutes: its row is shown when it is there.
#[expect(clippy::print_stderr, reason = "it is what the command is for")]
fn eprint_row(row: &horde_sim::Scale) {
    eprint!("{}", horde_sim::table(std::slice::from_ref(row)));
}

/// Reads `100x1000`.
fn size(text: &str) -> Result<(usize, usize), String> {
    let (nodes, names) = text.split_once('x').ok_or("a size is nodes x names")?;
    let number = |text: &str| text.parse().map_err(|error| format!("{text}: {error}"));
    Ok((number(nodes)?, number(names)?))
}

/// Measures clusters of growing size.
#[expect(clippy::print_stdout, reason = "it is what the command is for")]
fn scale(file: &std::path::Path, sizes: &[(usize, usize)]) -> ExitCode {
    let mut rows = Vec::new();
    let sizes = if sizes.is_empty() { horde_sim::SIZES } else { sizes };
    for &(nodes, names) in sizes {
        match horde_sim::scale(nodes, names) {
            Ok(row) => {
                rows.push(row);
                eprint_row(&row);
            }
            Err(error) => {
                println!("{nodes} nodes: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    print!("{}", horde_sim::table(&rows));
    match std::fs::write(file, horde_sim::picture(&rows)) {
        Ok(()) => {
            println!("drawn into {}", file.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{}: {error}", file.display());
            ExitCode::FAILURE
        }
    }
}

/// Tells each story, and says how it ended.
#[expect(clippy::print_stdout, reason = "it is what the command is for")]
fn stories() -> ExitCode {
    let mut failed = 0;
    let stories = horde_sim::scenarios();
    for (name, story) in &stories {
        match story() {
            None => println!("held: {name}"),
            Some(wrong) => {
                failed += 1;
                println!("NOT held: {name}: {wrong}");
            }
        }
    }
    println!("sim: {} stories, {failed} ended badly", stories.len());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Each deliberate fault and how soon it is caught.
#[expect(clippy::print_stdout, reason = "it is what the command is for")]
fn broken(only: Option<&str>) -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    let chosen = horde_sim::BROKEN.iter();
    let chosen = chosen.filter(|fault| only.is_none_or(|only| format!("{:?}", fault.rule).contains(only)));
    let (mut missed, mut count) = (0, 0);
    for fault in chosen {
        count += 1;
        let (broken, limit) = (fault.rule, fault.within);
        let (caught, others) = horde_sim::catch(fault);
        match caught {
            Some((seed, failure)) => {
                let line = failure.lines().next().unwrap_or_default();
                println!("{broken:?}: caught by seed {seed} of {limit}: {line}");
            }
            None => {
                missed += 1;
                println!("{broken:?}: NOT caught by {limit} seeds by the check that it is meant for");
                for (seed, failure) in others {
                    println!("  seed {seed} says else: {}", failure.lines().next().unwrap_or_default());
                }
            }
        }
    }
    println!("sim: {count} rules broken, {missed} not noticed");
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
