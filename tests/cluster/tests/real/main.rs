//! Members as OS processes on loopback QUIC: they meet, die, stand still, come back, leave and are refused.

mod drain;
mod kill;
mod meet;
mod pause;
mod refuse;

use horde_cluster_tests::{Cluster, Program};

const SECRET: &str = "a-secret-that-only-these-tests-know";

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_member"))
}

fn cluster() -> Cluster {
    Cluster::new(program(), SECRET)
}
