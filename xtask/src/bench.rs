//! `bench`: the package `bench/`, which stands apart so that nobody else builds the peers' crates.

use crate::shell;
use anyhow::{Result, bail};

/// What to measure, and how to print it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Suites to run: crdt, ring, transport, process. All when none is named.
    suites: Vec<String>,
    /// Finish each suite within a minute.
    #[arg(long)]
    quick: bool,
    /// One JSON object per line, and nothing else on standard output.
    #[arg(long)]
    json: bool,
    /// Draw the figures as well.
    #[arg(long)]
    plot: bool,
}

/// Builds the benchmarks in release mode and runs the suites; their output is the command's.
pub(crate) fn run(args: &Args) -> Result<()> {
    if !shell::root().join("bench/Cargo.toml").exists() {
        bail!("bench: there is no package bench/ to run");
    }
    let mut command =
        shell::cargo(["run", "--quiet", "--release", "--manifest-path", "bench/Cargo.toml", "--"]);
    command.args(&args.suites);
    for (wanted, flag) in [(args.quick, "--quick"), (args.json, "--json"), (args.plot, "--plot")] {
        if wanted {
            command.arg(flag);
        }
    }
    shell::run(&mut command)
}
