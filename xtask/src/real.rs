//! `cluster` and `netns`: tests on real OS processes and real network namespaces.

use crate::shell;
use anyhow::{Result, bail};

/// What to hand to the test harness.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Arguments of the test harness: part of a test's name, `--nocapture`, ...
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    harness: Vec<String>,
}

/// Runs the tests of `tests/cluster`: nodes as OS processes on loopback QUIC, killed, paused, restarted.
pub(crate) fn cluster(args: &Args) -> Result<()> {
    shell::run(shell::cargo(["test", "-p", "horde-cluster-tests", "--"]).args(&args.harness))?;
    println!("cluster: ok");
    Ok(())
}

/// Runs the tests of `tests/netns` with `HORDE_NETNS=1`, which tells them that they may make namespaces.
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
    let mut command = shell::cargo(["test", "-p", "horde-netns-tests", "--", "--test-threads=1"]);
    shell::run(command.args(&args.harness).env("HORDE_NETNS", "1"))?;
    println!("netns: ok");
    Ok(())
}
