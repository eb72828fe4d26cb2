//! Why a node does not run.

use horde_cluster::{ClusterError, Stopped};

/// Why a node was not started, and what to do about it. Nothing runs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The node's or the cluster's name is not one.
    #[error(transparent)]
    Name(#[from] horde_transport::NameError),
    /// It has neither an address to listen at nor a network in memory.
    #[error(
        "a node needs `.listen(address)` with `.secret(..)` or `.tls(..)`, or `.network(&Network::in_memory())`"
    )]
    NoNetwork,
    /// It shall listen, and has nothing to prove who it is: there is no mode without mutual TLS.
    #[error(
        "a node that listens needs `.secret(cluster, secret)` or `.tls(identity)`: there is no mode without mutual TLS"
    )]
    NoIdentity,
    /// The secret is refused.
    #[cfg(feature = "quic")]
    #[error(transparent)]
    Secret(#[from] horde_transport::SecretError),
    /// It cannot listen.
    #[cfg(feature = "quic")]
    #[error(transparent)]
    Bind(#[from] horde_transport::BindError),
    /// The kinds that it runs do not fit together.
    #[error(transparent)]
    Process(#[from] horde_process::NodeError),
    /// The membership does not start.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// It is no member and will not be one.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The control thread does not start.
    #[error("the control thread does not start: {0}")]
    Control(#[from] std::io::Error),
    /// The names or the children of the cluster cannot be hosted here.
    #[error("{0}")]
    Hosting(String),
}
