//! `ci`: all that must hold before a change goes in. It changes nothing but what is below `target/`.
//!
//! What fails fast comes first and the tests come last. All steps run even if one fails, so that one round shows
//! everything.

mod steps;

use anyhow::{Result, bail};
use std::time::{Duration, Instant};
use steps::STEPS;

/// Which steps to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run these steps alone, by name, in the order of the gate.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

/// What became of one step.
struct Outcome {
    name: &'static str,
    took: Duration,
    error: Option<String>,
}

/// Runs the steps, prints each with its time, then `ci: ok`. An error names the steps that failed.
pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(unknown) = args.only.iter().find(|name| STEPS.iter().all(|(step, _)| step != name)) {
        let names: Vec<&str> = STEPS.iter().map(|(name, _)| *name).collect();
        bail!("there is no step `{unknown}`; the steps are {}", names.join(", "));
    }
    let chosen =
        STEPS.iter().filter(|(name, _)| args.only.is_empty() || args.only.iter().any(|only| only == name));
    let outcomes: Vec<Outcome> = chosen.map(|(name, step)| run_step(name, *step)).collect();
    let total: Duration = outcomes.iter().map(|outcome| outcome.took).sum();
    println!("\n{} steps in {:.1} s", outcomes.len(), total.as_secs_f64());
    let failed: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.error.is_some()).collect();
    if !failed.is_empty() {
        // Once more, where a reader of the log looks.
        for Outcome { name, error, .. } in &failed {
            println!("{name}: {}", error.as_deref().unwrap_or_default());
        }
        let names: Vec<&str> = failed.iter().map(|outcome| outcome.name).collect();
        bail!("ci: failed: {}", names.join(", "));
    }
    println!("ci: ok");
    Ok(())
}

fn run_step(name: &'static str, step: fn() -> Result<()>) -> Outcome {
    println!("\n== {name}");
    let begun = Instant::now();
    let error = step().err().map(|error| format!("{error:#}"));
    let took = begun.elapsed();
    if let Some(error) = &error {
        println!("{error}");
    }
    println!("== {name}: {} ({:.1} s)", if error.is_none() { "ok" } else { "FAILED" }, took.as_secs_f64());
    Outcome { name, took, error }
}
