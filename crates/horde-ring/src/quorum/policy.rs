//! Who may go on after a partition.

use alloc::collections::BTreeSet;

use crate::quorum::agreed::{Agreed, Voter};

/// Which side of a partition keeps running. All but [`None`](Self::None) count in the agreed configuration, never
/// among those who happen to be reachable.
///
/// What none of them can do: keep a node that is paused from acting when it wakes up, before it looks at its
/// clock. Only a fencing token that the outside resource checks does that.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy<Id> {
    /// Every side (Horde's `UniformDistribution`). Cannot prevent two live copies during any partition.
    None,
    /// The side with more than half of the members; on a tie the one with the lowest id (Horde's
    /// `UniformQuorumDistribution`, without its faults). Cannot keep anything when more than half are gone at
    /// once, or when no side has enough.
    Majority,
    /// The side with at least `size` members. Refuses configurations of more than `2 * size - 1`. Cannot keep
    /// anything below `size`, and must be changed by hand when the cluster should grow.
    Static {
        /// The least number of members.
        size: usize,
    },
    /// The side with the member that joined first. Cannot keep the larger side when it lacks that member.
    KeepOldest {
        /// If the oldest is alone on its side, the others keep instead, provided they are all together. With two
        /// members this means the younger one. Cannot tell a crash of all others from being alone.
        down_if_alone: bool,
    },
    /// The side with more than half of the weight. Nobody on a tie. Cannot keep a side of many light members.
    Weighted,
    /// The side with this member. Cannot keep anything when the referee itself is gone.
    Referee {
        /// The referee, which must be a member.
        id: Id,
    },
    /// Nobody, as soon as one member is missing. Cannot keep anything through any loss; everything starts anew
    /// once the configuration is whole again, or the lost member was forgotten by hand.
    DownAll,
    /// The side that holds a lease kept elsewhere (etcd, Kubernetes, SQL). Cannot keep anything while that store
    /// is out of reach for both sides.
    Lease,
}

/// A side of a partition, counted.
#[derive(Debug)]
pub(crate) struct Tally {
    members: usize,
    present: usize,
    weight: u64,
    weight_present: u64,
    lowest_present: bool,
    oldest_present: bool,
}

impl Tally {
    /// Counts those members of a configuration that count, and those of them that are in `side`.
    pub(crate) fn new<Id: Ord>(
        agreed: &Agreed<Id>,
        counts: impl Fn(&Voter) -> bool,
        side: &BTreeSet<&Id>,
    ) -> Self {
        let (mut members, mut present, mut weight, mut weight_present) = (0, 0, 0, 0);
        let (mut lowest_present, mut oldest_present, mut oldest) = (false, false, None);
        for (id, voter) in agreed.voters().filter(|(_, voter)| counts(voter)) {
            let here = side.contains(id);
            // In the order of ids: the first is the lowest, and the first of an age the oldest.
            if members == 0 {
                lowest_present = here;
            }
            if oldest.is_none_or(|oldest| voter.joined_at() < oldest) {
                oldest = Some(voter.joined_at());
                oldest_present = here;
            }
            members += 1;
            weight += u64::from(voter.weight_of());
            if here {
                present += 1;
                weight_present += u64::from(voter.weight_of());
            }
        }
        Self { members, present, weight, weight_present, lowest_present, oldest_present }
    }

    fn whole(&self) -> bool {
        self.present == self.members
    }
}

impl<Id: Ord> Policy<Id> {
    /// Whether a side may go on. `referee` says whether a member counts and is on the side.
    pub(crate) fn grants(&self, tally: &Tally, referee: impl Fn(&Id) -> bool) -> bool {
        if matches!(self, Self::None) {
            return true;
        }
        if tally.present == 0 {
            return false;
        }
        match self {
            Self::None => true,
            Self::Majority => {
                let double = 2 * tally.present;
                double > tally.members || (double == tally.members && tally.lowest_present)
            }
            Self::Static { size } => tally.members < 2 * size && tally.present >= *size,
            Self::KeepOldest { .. } if tally.whole() => true,
            Self::KeepOldest { down_if_alone: true } if tally.oldest_present => tally.present > 1,
            Self::KeepOldest { down_if_alone: true } => tally.present == tally.members - 1,
            Self::KeepOldest { down_if_alone: false } => tally.oldest_present,
            Self::Weighted => 2 * tally.weight_present > tally.weight,
            Self::Referee { id } => referee(id),
            // The outside lease is looked at in the decision; without it only the whole goes on.
            Self::DownAll | Self::Lease => tally.whole(),
        }
    }
}
