//! Which side of a split keeps running.

use horde::NodeBuilder;

use crate::args::Quorum;
use crate::demo::protocol::Be;

/// The one place where a node takes its policy over: what its node and its supervisor are told of it.
///
/// # Errors
/// With a policy that this build does not have: the node is not started.
pub(super) fn apply(
    be: &Be,
    node: NodeBuilder,
    children: horde::SupervisorBuilder,
) -> anyhow::Result<(NodeBuilder, horde::SupervisorBuilder)> {
    match be.quorum {
        Quorum::None => Ok((node, children)),
        // Here `be.first` names the voters, and the supervisor is told its policy.
        Quorum::Majority => anyhow::bail!(
            "`--quorum majority` is not in this build: its supervisor has no quorum policy, and {} nodes were to vote",
            be.first.len()
        ),
    }
}
