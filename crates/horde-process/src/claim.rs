//! What a supervisor claims of the process it runs.

use std::sync::Arc;

use horde_transport::NodeId;
use serde::{Deserialize, Serialize};

/// What the supervisor that runs a process knows of it. The registry compares the claims of two copies of one child; nobody
/// else reads it but the process itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Claim {
    /// The supervisor's name.
    pub supervisor: Arc<str>,
    /// The child's id: the same supervisor and id is the same child.
    pub child: Arc<str>,
    /// Which of the child's copies it is.
    pub rank: ClaimRank,
}

impl Claim {
    /// True if both are claims on copies of one child.
    #[must_use]
    pub fn same_child(&self, other: &Self) -> bool {
        self.supervisor == other.supervisor && self.child == other.child
    }

    /// The token to hand to outside resources, which refuse a lower one than they have seen.
    #[must_use]
    pub fn fencing_token(&self) -> FencingToken {
        let ClaimRank { config_epoch, generation, stamp, .. } = self.rank;
        FencingToken { config_epoch, generation, stamp }
    }
}

/// Which copy of a child: the higher one, field by field from the top, is the one that goes on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClaimRank {
    /// How often users have started the id after it had ended.
    pub life: u64,
    /// The configuration of the cluster under which it was started.
    pub config_epoch: u64,
    /// How often it was started, restarts and takeovers included.
    pub generation: u64,
    /// When it was claimed, as the owner's hybrid clock says.
    pub stamp: u64,
    /// Who runs it.
    pub owner: NodeId,
}

/// Orders the copies of a child for outside resources (Kleppmann's fencing): a resource that has seen one refuses lower ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FencingToken {
    /// The configuration of the cluster.
    pub config_epoch: u64,
    /// How often the child was started.
    pub generation: u64,
    /// When it was claimed.
    pub stamp: u64,
}

impl FencingToken {
    /// The token as one number of the same order: 32 bits of epoch and 32 of generation, each held at its highest, then the stamp.
    #[must_use]
    pub fn as_u128(&self) -> u128 {
        let clip = |value: u64| u128::from(u32::try_from(value).unwrap_or(u32::MAX));
        (clip(self.config_epoch) << 96) | (clip(self.generation) << 64) | u128::from(self.stamp)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_number_orders_as_the_token(a in tokens(), b in tokens()) {
            prop_assert_eq!(a.cmp(&b), a.as_u128().cmp(&b.as_u128()));
        }
    }

    fn tokens() -> impl Strategy<Value = FencingToken> {
        (0..4_u64, 0..4_u64, 0..4_u64).prop_map(|(config_epoch, generation, stamp)| FencingToken {
            config_epoch,
            generation,
            stamp,
        })
    }
}
