//! `bench SUITE [--quick] [--json] [--plot FILE]`: one suite with its peers in the same run.

mod harness;
mod plot;
mod ring;
mod transport;

use std::process::ExitCode;

use harness::Options;

/// Counts live heap bytes; costs the code under test a few nanoseconds per allocation.
#[global_allocator]
static HEAP: &stats_alloc::StatsAlloc<std::alloc::System> = &stats_alloc::INSTRUMENTED_SYSTEM;

/// The suites by name: one file each.
const SUITES: [(&str, fn(&Options) -> std::io::Result<()>); 2] =
    [("ring", ring::run), ("transport", transport::run)];

fn main() -> ExitCode {
    let (suite, options) = match Options::parse(std::env::args().skip(1)) {
        Ok(parsed) => parsed,
        Err(why) => return usage(&why),
    };
    let Some((_, run)) = SUITES.iter().find(|(name, _)| *name == suite) else {
        return usage(&format!("there is no suite '{suite}'"));
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench {suite}: {why}");
            ExitCode::FAILURE
        }
    }
}

fn usage(why: &str) -> ExitCode {
    let names: Vec<&str> = SUITES.iter().map(|(name, _)| *name).collect();
    eprintln!(
        "bench: {why}\nusage: bench SUITE [--quick] [--json] [--plot FILE]; suites: {}",
        names.join(", ")
    );
    ExitCode::from(2)
}
