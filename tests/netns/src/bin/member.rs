//! The member of `tests/cluster`, built for this package too: a test finds only the programs of its own package.

use std::process::ExitCode;

fn main() -> ExitCode {
    horde_cluster_tests::run_member()
}
