//! Processes that run where they belong in a cluster, are found by name, and survive their node.
//!
#![doc = include_str!("../README.md")]

mod error;
mod network;
mod node;

pub use error::NodeError;
pub use horde_cluster::{Cluster, ClusterConfig, Member, MemberEvent, MemberStatus, Stopped, View, Watch};
pub use horde_process::{
    Call, CallError, Claim, Context, Down, Exit, ExitReason, FencingToken, Handle, Message, Name, NotSent,
    Pid, Process, Ref, Reply, Serve, Shutdown, SpawnError, State, Stop, Versions,
};
pub use horde_registry::{Registry, RegistryBuilder};
pub use horde_supervisor::{
    Child, ChildSpec, Options, Redistribution, Restart, StartError, Status, Supervisor, SupervisorError,
    TerminateError,
};
#[cfg(feature = "quic")]
pub use horde_transport::{
    ClusterKey, DialState, DialStatus, Identity, PkiFiles, Refused, SecretError, generate_secret,
    read_secret_file,
};
pub use horde_transport::{NodeId, NodeName};
pub use network::Network;
pub use node::{Node, NodeBuilder};

#[doc(hidden)]
pub use horde_process::__private;
