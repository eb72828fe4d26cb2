//! Which side of a split keeps running.

use horde::NodeBuilder;

use crate::args::Quorum;
use crate::demo::protocol::Be;

/// The one place where a node takes its policy over: what its node and its supervisor are told of it.
///
/// # Errors
/// When one of the first nodes has a name that no node may have: the node is not started.
pub(super) fn apply(
    be: &Be,
    node: NodeBuilder,
    children: horde::SupervisorBuilder,
) -> anyhow::Result<(NodeBuilder, horde::SupervisorBuilder)> {
    Ok(match be.quorum {
        Quorum::None => (node, children),
        // Those that join later name the same voters, and follow them.
        Quorum::Majority => (node.quorum(&be.first), children.quorum(horde::Quorum::Majority)),
    })
}
