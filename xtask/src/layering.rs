//! Machines build without a runtime: what each library is made of with `--no-default-features`.

use crate::shell;
use anyhow::{Result, bail};

/// Libraries whose machine layer stands without a runtime, a socket or a clock.
pub(crate) const MACHINE_LAYERS: &[&str] = &[
    "delta-crdt",
    "horde-ring",
    "horde-transport",
    "horde-cluster",
    "horde-process",
    "horde-registry",
    "horde-supervisor",
];

/// The simulator drives the machines by itself: neither a runtime nor a socket is below it.
const SIMULATOR: &str = "horde-sim";

/// Crates that a machine layer never depends on, at any depth.
const DRIVERS_ONLY: &[&str] = &["tokio", "mio", "quinn", "quinn-proto", "rustls", "socket2"];

/// Asks cargo for each machine layer's whole tree. An error names each crate that does not belong.
pub(crate) fn check() -> Result<()> {
    let mut found = Vec::new();
    for layer in MACHINE_LAYERS.iter().chain([&SIMULATOR]) {
        let args =
            ["tree", "--locked", "-p", layer, "--no-default-features", "-e", "normal", "--prefix", "none"];
        let tree = shell::output(&mut shell::cargo(args))?;
        found.extend(refused(&tree).into_iter().map(|name| format!("{layer} without features needs {name}")));
    }
    if !found.is_empty() {
        bail!("{}", found.join("\n"));
    }
    Ok(())
}

/// The driver crates in the output of `cargo tree --prefix none`.
fn refused(tree: &str) -> Vec<&'static str> {
    let names: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    DRIVERS_ONLY.iter().copied().filter(|driver| names.contains(driver)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_below_a_machine_is_refused_and_a_name_that_only_looks_like_one_is_not() {
        assert_eq!(refused("horde-ring v0.1.0 (p)\ntokio v1.0.0\nbytes v1.0.0 (*)"), ["tokio"]);
        assert!(refused("horde-ring v0.1.0 (p)\ntokio-metrics-names v1.0.0").is_empty());
    }
}
