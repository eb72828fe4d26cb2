//! Why a registry does not start.

use std::time::Duration;

/// Why [`RegistryBuilder::start`](crate::RegistryBuilder::start) has no registry to give.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The node belongs to no cluster: it was started without one. Nothing was started.
    #[error("the node belongs to no cluster; start its membership first; nothing was started")]
    NoCluster,
    /// The name does not fit a topic. Nothing was started.
    #[error("{0:?} cannot be a registry's name: it has 1 to 119 bytes; nothing was started")]
    BadName(String),
    /// The registry is there with other rules than those asked for. Nothing was started.
    #[error(
        "registry {name} is there with other rules ({theirs}) than those asked for ({ours}); nothing was started"
    )]
    RulesDiffer {
        /// The registry.
        name: String,
        /// The rules it has, for people.
        theirs: String,
        /// The rules asked for, for people.
        ours: String,
    },
    /// Something else on the node has the registry's topic. Nothing was started.
    #[error("{0}; the registry was not started")]
    TopicTaken(#[from] horde_transport::TopicTaken),
    /// The node hosts as many registries as it may. Nothing was started.
    #[error("the node hosts {limit} registries, as many as it may; nothing was started")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// The registry is hosted here and has not synced in time: no host that is ready could be reached.
    #[error(
        "no other host of the registry was reached within {waited:?}; it is hosted here and keeps trying: start it again to wait on"
    )]
    NotReady {
        /// How long it was waited for.
        waited: Duration,
    },
}
