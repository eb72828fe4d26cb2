//! `bench [SUITE ..] [--quick] [--json] [--plot [FILE.svg]]`: suites, or all, each with its peers in the same run.

mod crdt;
mod harness;
mod plot;
mod process;
mod quiet;
mod ring;
mod transport;

use std::process::ExitCode;

use harness::Options;

/// Counts live heap bytes; costs the code under test a few nanoseconds per allocation.
#[global_allocator]
static HEAP: &stats_alloc::StatsAlloc<std::alloc::System> = &stats_alloc::INSTRUMENTED_SYSTEM;

/// The suites by name: one file each.
const SUITES: [(&str, fn(&Options) -> std::io::Result<()>); 4] =
    [("crdt", crdt::run), ("ring", ring::run), ("transport", transport::run), ("process", process::run)];

fn main() -> ExitCode {
    let (wanted, options) = match Options::parse(std::env::args().skip(1)) {
        Ok(parsed) => parsed,
        Err(why) => return usage(&why),
    };
    if let Some(unknown) = wanted.iter().find(|name| !SUITES.iter().any(|(suite, _)| suite == name)) {
        return usage(&format!("there is no suite '{unknown}'"));
    }
    for (suite, run) in
        SUITES.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|one| one == name))
    {
        if let Err(why) = run(&options) {
            eprintln!("bench {suite}: {why}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn usage(why: &str) -> ExitCode {
    let names: Vec<&str> = SUITES.iter().map(|(name, _)| *name).collect();
    eprintln!(
        "bench: {why}\nusage: bench [SUITE ..] [--quick] [--json] [--plot [FILE.svg]]; suites: {}",
        names.join(", ")
    );
    ExitCode::from(2)
}
