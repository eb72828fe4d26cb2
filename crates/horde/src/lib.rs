//! Processes that run where they belong in a cluster, are found by name, and survive their node.
//!
#![doc = include_str!("../README.md")]

mod admin;
mod error;
mod network;
mod node;

pub use admin::{
    ChildCounts, ChildFilter, ChildPhase, ChildReport, Drained, Forgotten, HordeReport, Listing,
    MemberReport, MoveReport, NameReport, Refusal, StatusReport,
};
#[cfg(feature = "quic")]
pub use admin::{Client, ClientBuilder, ClientError};
pub use error::NodeError;
pub use horde_cluster::{Cluster, ClusterConfig, Member, MemberEvent, MemberStatus, Stopped, View, Watch};
pub use horde_process::{
    Call, CallError, Claim, Context, Down, Exit, ExitReason, FencingToken, Handle, Info, Message, Name,
    NotSent, Pid, Process, Ref, Reply, Sending, Serve, Shutdown, SpawnError, State, Stop, Versions, local,
};
pub use horde_registry::{Registry, RegistryBuilder};
pub use horde_supervisor::{
    Builder as SupervisorBuilder, Child, ChildSpec, Options, Quorum, Redistribution, Restart, StartError,
    Status, Supervisor, SupervisorError, TerminateError,
};
#[cfg(feature = "quic")]
pub use horde_transport::{
    Authority, AuthorityError, Certificate, ClusterKey, DialState, DialStatus, FileError, Identity, Issued,
    PkiFiles, Refused, Role, SecretError, generate_secret, read_certificates, read_secret_file,
    write_new_file,
};
pub use horde_transport::{NodeId, NodeName};
pub use network::Network;
pub use node::{Node, NodeBuilder};

#[doc(hidden)]
pub use horde_process::__private;
