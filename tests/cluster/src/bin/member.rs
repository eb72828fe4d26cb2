//! One node as an OS process: orders come on standard input, answers go to standard output.

use std::process::ExitCode;

fn main() -> ExitCode {
    horde_cluster_tests::run_member()
}
