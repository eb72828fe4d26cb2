//! One tool, one gate: what checks, mends, simulates and measures this repository.
//!
//! Each command exits with status 0 only if all that it promises held.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool answers on its standard streams"
)]

mod bench;
mod ci;
mod deny;
mod fix;
mod fuzz;
mod layering;
mod msrv;
mod real;
mod shell;
mod sim;
mod tidy;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// One tool, one gate: what checks, mends, simulates and measures Horde.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run all that CI runs; changes nothing.
    Ci(ci::Args),
    /// Format, and apply the fixes that clippy proposes.
    Fix,
    /// Check style: sizes, module docs, banned words and calls, layering, manifests, links.
    Tidy,
    /// Run the simulator over seeds.
    Sim(sim::Args),
    /// Run the tests on real OS processes.
    Cluster(real::Args),
    /// Run the partition tests in network namespaces.
    Netns(real::Args),
    /// Fuzz each decoder.
    Fuzz(fuzz::Args),
    /// Run the benchmarks, with peers' figures from the same run.
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Ci(args) => ci::run(&args),
        Command::Fix => fix::run(),
        Command::Tidy => tidy::run(),
        Command::Sim(args) => sim::run(&args),
        Command::Cluster(args) => real::cluster(&args),
        Command::Netns(args) => real::netns(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Bench(args) => bench::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
