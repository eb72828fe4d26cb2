//! `sim`: the deterministic simulator of `tests/sim`, in release mode.

use crate::shell;
use anyhow::{Context, Result};

/// How many seeds that failed an error names.
const NAMED: usize = 20;

/// Which seeds to run.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// How many seeds to run.
    #[arg(long)]
    pub(crate) seeds: Option<u64>,
    /// The first seed.
    #[arg(long)]
    pub(crate) first: Option<u64>,
    /// How many nodes each run has.
    #[arg(long)]
    pub(crate) nodes: Option<u64>,
    /// Run this seed alone and print its history.
    #[arg(long, conflicts_with_all = ["seeds", "first"])]
    pub(crate) seed: Option<u64>,
    /// Run each seed twice and compare the traces.
    #[arg(long)]
    pub(crate) doublecheck: bool,
    /// Run each seed twice that this number divides.
    #[arg(long, value_name = "N", conflicts_with = "doublecheck")]
    pub(crate) doublecheck_every: Option<u64>,
    /// Break each rule on the list of deliberate faults, and look how many seeds it takes until that is noticed.
    #[arg(long, conflicts_with_all = ["seeds", "first", "seed"])]
    pub(crate) broken: bool,
    /// Tell the scripted stories: the known failures of the peers.
    #[arg(long, conflicts_with_all = ["seeds", "first", "seed"])]
    pub(crate) stories: bool,
    /// Measure larger and larger clusters: a table, and a picture in `target/sim-scale.svg`.
    #[arg(long, conflicts_with_all = ["seeds", "first", "seed"])]
    pub(crate) scale: bool,
    /// Shorten the run of `--seed` to what its failure takes.
    #[arg(long, requires = "seed")]
    pub(crate) reduce: bool,
    /// Further flags for the simulator itself, after `--`.
    #[arg(last = true)]
    pub(crate) more: Vec<String>,
}

/// Runs the simulator; its output, whose last line is `sim: N seeds, F failed`, is the command's. An error names the seeds that
/// failed once more.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut command = shell::cargo(["run", "--quiet", "--release", "-p", "horde-sim", "--"]);
    let numbers = [
        ("--seeds", args.seeds),
        ("--first", args.first),
        ("--nodes", args.nodes),
        ("--seed", args.seed),
        ("--doublecheck-every", args.doublecheck_every),
    ];
    for (flag, number) in numbers {
        if let Some(number) = number {
            command.arg(flag).arg(number.to_string());
        }
    }
    let flags = [
        ("--doublecheck", args.doublecheck),
        ("--broken", args.broken),
        ("--stories", args.stories),
        ("--scale", args.scale),
        ("--reduce", args.reduce),
    ];
    command.args(flags.iter().filter(|(_, given)| *given).map(|(flag, _)| flag));
    command.args(&args.more);
    let mut failed = Vec::new();
    let outcome = shell::run_lines(&mut command, |line| {
        println!("{line}");
        if line.starts_with("seed ") && failed.len() < NAMED {
            failed.push(line.to_owned());
        }
    });
    if failed.is_empty() { outcome } else { outcome.with_context(|| failed.join("\n")) }
}
