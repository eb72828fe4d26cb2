//! `fuzz`: each cargo-fuzz target of `fuzz/` for a while.

use crate::shell;
use anyhow::{Result, bail};

/// How long to look.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Seconds for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Targets to run; all when none is named.
    targets: Vec<String>,
}

/// Fuzzes each target in turn. An error that names what is missing, or the target that crashed.
pub(crate) fn run(args: &Args) -> Result<()> {
    if !shell::root().join("fuzz/Cargo.toml").exists() {
        bail!("fuzz: nothing was run, there is no package fuzz/ with targets");
    }
    // Not the cargo that runs this tool: `+nightly` is understood by rustup's proxy alone.
    if !shell::succeeds(shell::command("cargo").args(["+nightly", "--version"])) {
        bail!("fuzz: nothing was run, the nightly toolchain is missing: rustup toolchain install nightly");
    }
    if !shell::succeeds(shell::command("cargo").args(["+nightly", "fuzz", "--version"])) {
        bail!("fuzz: nothing was run, cargo-fuzz is missing: cargo install cargo-fuzz");
    }
    let mut targets = args.targets.clone();
    if targets.is_empty() {
        let listed = shell::output(shell::command("cargo").args(["+nightly", "fuzz", "list"]))?;
        targets = listed.lines().map(str::to_owned).collect();
    }
    let limit = format!("-max_total_time={}", args.seconds);
    let mut crashed = Vec::new();
    for target in &targets {
        let mut command = shell::command("cargo");
        if let Err(error) = shell::run(command.args(["+nightly", "fuzz", "run", target, "--", &limit])) {
            eprintln!("{error:#}");
            crashed.push(target.as_str());
        }
    }
    println!("fuzz: {} targets, {} crashes", targets.len(), crashed.len());
    if !crashed.is_empty() {
        bail!("these targets crashed or did not build: {}", crashed.join(", "));
    }
    Ok(())
}
