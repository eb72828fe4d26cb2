//! What the commands on a running cluster are told.

use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use horde::Role;

use crate::identity::Credentials;

/// Commands on a running cluster.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ClientCommand {
    /// Shows one node and the cluster as it sees it: members by status, what it hosts and whether that has caught up,
    /// children by state, names, and since when it runs.
    Status(Connect),
    /// Lists the members as one node sees them: status, address, zone, version, labels, and what each hosts. A `*` marks
    /// what has not caught up.
    Members(Connect),
    /// Lists children on all members: kind, state, node, process and generation (raised by each restart, takeover and
    /// move).
    Children(ChildrenArgs),
    /// Lists names: registry, key, and the process that holds it.
    Names(NamesArgs),
    /// Shows what a rebalance would move, and moves nothing: each running child that placement by itself gives to another
    /// member than the one that runs it.
    Plan(PlanArgs),
    /// Drains a member: it takes no new children, moves its own away with their state, leaves the cluster, and its program
    /// ends. Answers when it has left; exits 0 only if every child has moved. Needs the role of an operator.
    Drain(DrainArgs),
    /// Forgets a member that is Down and will not come back, on all members: it is in no view any more, nobody dials it,
    /// and nothing waits for it. Refused while any member hears it. Should that very life return, it is turned away and
    /// stops; a new start of it joins. Exits 0 only if every living member has forgotten it. Needs the role of an operator.
    Forget(ForgetArgs),
}

/// Which node is asked, and as whom.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Connect {
    /// Where a node of the cluster listens, such as 127.0.0.1:7100.
    #[arg(long, value_name = "ADDR")]
    pub(crate) connect: String,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
    /// In which role, with a secret: what the command needs if nothing is said. A certificate says it by itself.
    #[arg(long = "as", value_enum, value_name = "ROLE")]
    pub(crate) role: Option<RoleArg>,
    /// How many seconds to wait for the connection, and for each answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
    /// Prints one JSON object a line, and nothing else, on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A client's role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleArg {
    /// It looks.
    Client,
    /// It also drains and forgets.
    Operator,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Client => Self::Client,
            RoleArg::Operator => Self::Operator,
        }
    }
}

/// Which children.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ChildrenArgs {
    #[command(flatten)]
    pub(crate) connect: Connect,
    /// Those of this supervisor alone.
    #[arg(long, value_name = "NAME")]
    pub(crate) supervisor: Option<String>,
    /// Those on this node alone.
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
    #[command(flatten)]
    pub(crate) limit: Limit,
}

/// Which names.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct NamesArgs {
    #[command(flatten)]
    pub(crate) connect: Connect,
    /// Those of this registry alone.
    #[arg(long, value_name = "NAME")]
    pub(crate) registry: Option<String>,
    #[command(flatten)]
    pub(crate) limit: Limit,
}

/// Whose plan.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) connect: Connect,
    /// Of this supervisor alone.
    #[arg(long, value_name = "NAME")]
    pub(crate) supervisor: Option<String>,
    #[command(flatten)]
    pub(crate) limit: Limit,
}

/// How many rows.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Limit {
    /// How many rows at most; how many were left out is said.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub(crate) limit: usize,
}

/// Who is drained.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DrainArgs {
    /// The member: its name, or `name@incarnation`.
    pub(crate) member: String,
    #[command(flatten)]
    pub(crate) connect: Connect,
    /// How many seconds it may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) within: u64,
}

/// Who is forgotten.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ForgetArgs {
    /// The member: its name, or `name@incarnation`.
    pub(crate) member: String,
    #[command(flatten)]
    pub(crate) connect: Connect,
}

impl Connect {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

impl ClientCommand {
    pub(crate) fn connect(&self) -> &Connect {
        match self {
            Self::Status(connect) | Self::Members(connect) => connect,
            Self::Children(args) => &args.connect,
            Self::Names(args) => &args.connect,
            Self::Plan(args) => &args.connect,
            Self::Drain(args) => &args.connect,
            Self::Forget(args) => &args.connect,
        }
    }

    /// The role that it takes.
    pub(crate) fn needs(&self) -> Role {
        if matches!(self, Self::Drain(_) | Self::Forget(_)) { Role::Operator } else { Role::Client }
    }
}
