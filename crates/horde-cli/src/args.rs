//! The command line.

use clap::{Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::ca::CaCommand;
use crate::client::ClientCommand;
use crate::node::NodeArgs;

/// Processes that run where they belong in a cluster, are found by name, and survive their node.
///
/// Start with `horde demo`: a real cluster on this machine, killed and healed before your eyes.
#[derive(Debug, Parser)]
#[command(name = "horde", version, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows the main job: starts a cluster of OS processes on this machine and children on it; kills a node, lets one
    /// join, drains one, cuts one off and heals it, pauses one. After each step it counts what really runs and calls
    /// every child by name from every node. Exits 0 only if all of it held.
    Demo(DemoArgs),
    /// Runs one node, for trying things out. Ctrl-C, SIGTERM or `horde drain` stop it: its children move first, and it
    /// exits 0 if all of them did.
    Node(NodeArgs),
    #[command(flatten)]
    Client(ClientCommand),
    /// Makes a cluster's certificate authority and the certificates of its nodes.
    Ca {
        #[command(subcommand)]
        command: CaCommand,
    },
    /// Makes secrets.
    Secret {
        #[command(subcommand)]
        command: SecretCommand,
    },
    /// A node of the demo; started by it.
    #[command(hide = true)]
    DemoMember {
        /// The process number of the demo.
        parent: u32,
    },
}

/// What the demo does.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DemoArgs {
    /// How many nodes, each an OS process.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(2..=16))]
    pub(crate) nodes: u16,
    /// How many children.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) children: u32,
    /// Which side of a split keeps running.
    #[arg(long, value_enum, default_value_t = Quorum::None)]
    pub(crate) quorum: Quorum,
    /// Prints one JSON object a line, and nothing else, on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which side of a split keeps running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Quorum {
    /// Every side: a child may run twice while the network is split, and once after it has healed.
    None,
    /// The side that holds most of the nodes that the demo started with: the other one stops its children.
    Majority,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Prints a fresh cluster secret of 256 bits. Keep it in a file that only its owner can read:
    /// (umask 077; horde secret new > cluster.secret)
    New,
}
