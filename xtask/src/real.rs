//! `cluster` and `netns`: tests on real OS processes and real network namespaces.

use crate::shell;
use anyhow::{Result, bail};
use std::process::Command;

/// What to hand to the test harness.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Arguments of the test harness: part of a test's name, `--nocapture`, ...
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    harness: Vec<String>,
}

/// Runs the tests of `tests/cluster`: nodes as OS processes on loopback QUIC, killed, paused, restarted. Those of
/// `horde node` and the commands on it are in the crate whose program they run.
pub(crate) fn cluster(args: &Args) -> Result<()> {
    let mut command = shell::cargo(["test", "-p", "horde-cluster-tests", "-p", "horde-cli", "--"]);
    run("cluster", command.args(&args.harness))
}

/// Runs the tests of `tests/netns` with `HORDE_NETNS=1`, which tells them that they may make namespaces. They are asked
/// for by name: `cargo test` alone passes them by.
///
/// An error, before anything is built, if this user may not make network namespaces.
pub(crate) fn netns(args: &Args) -> Result<()> {
    if !shell::succeeds(shell::command("unshare").args(["--net", "true"])) {
        bail!(
            "netns: nothing was run, this user may not make network namespaces. Run as root on Linux, \
             or in a container with CAP_NET_ADMIN and CAP_SYS_ADMIN"
        );
    }
    if !shell::succeeds(shell::command("ip").args(["netns", "list"])) {
        bail!("netns: nothing was run, the command `ip` (package iproute2) is missing");
    }
    let mut command = shell::cargo(["test", "-p", "horde-netns-tests", "--test=*", "--", "--test-threads=1"]);
    run("netns", command.args(&args.harness).env("HORDE_NETNS", "1"))
}

/// Runs tests and says `NAME: ok`. An error if one fails, and also if there was none: that shows nothing.
fn run(name: &str, command: &mut Command) -> Result<()> {
    let mut tests = 0;
    shell::run_lines(command, |line| {
        println!("{line}");
        tests += passed(line);
    })?;
    if tests == 0 {
        bail!("{name}: no test ran");
    }
    println!("{name}: ok");
    Ok(())
}

/// How many tests passed, by one line of the harness.
fn passed(line: &str) -> u64 {
    let counts = line.strip_prefix("test result: ok. ");
    counts.and_then(|counts| counts.split(' ').next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_that_passed_are_counted() {
        assert_eq!(passed("test result: ok. 12 passed; 0 failed; 0 ignored"), 12);
        assert_eq!(passed("test result: FAILED. 12 passed; 1 failed"), 0);
        assert_eq!(passed("running 3 tests"), 0);
    }
}
