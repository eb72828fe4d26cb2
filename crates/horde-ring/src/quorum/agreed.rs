//! The configuration that the members have agreed upon.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use core::fmt;

/// One member of an agreed configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voter {
    incarnation: u64,
    weight: u32,
    joined: u64,
    labels: BTreeMap<String, String>,
}

impl Default for Voter {
    fn default() -> Self {
        Self::new()
    }
}

impl Voter {
    /// A voter of weight 1, incarnation 0 and age 0, without labels.
    #[must_use]
    pub fn new() -> Self {
        Self { incarnation: 0, weight: 1, joined: 0, labels: BTreeMap::new() }
    }

    /// Sets which life of the node this is.
    #[must_use]
    pub fn incarnation(mut self, incarnation: u64) -> Self {
        self.incarnation = incarnation;
        self
    }

    /// Sets its weight for [`Policy::Weighted`](crate::Policy::Weighted).
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Sets when it joined, as the number of the epoch that took it in; of equals the lower id is older.
    #[must_use]
    pub fn joined(mut self, epoch: u64) -> Self {
        self.joined = epoch;
        self
    }

    /// Adds a label, for [`Quorum::only`](crate::Quorum::only).
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// Which life of the node this is.
    #[must_use]
    pub fn incarnation_of(&self) -> u64 {
        self.incarnation
    }

    /// Its weight.
    #[must_use]
    pub fn weight_of(&self) -> u32 {
        self.weight
    }

    /// The epoch that took it in.
    #[must_use]
    pub fn joined_at(&self) -> u64 {
        self.joined
    }

    /// The value of a label.
    #[must_use]
    pub fn label_of(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }
}

/// An agreed configuration: an epoch, and the members that count in it, whether they can be reached or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed<Id> {
    epoch: u64,
    voters: BTreeMap<Id, Voter>,
}

/// Whom a cluster waits for before there is a first configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect<Id> {
    /// Exactly these nodes.
    Names(BTreeSet<Id>),
    /// This many nodes. Two groups of this size that never meet are two clusters; names prevent that.
    Count(usize),
}

/// A step from one configuration to the next: one member at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<Id> {
    /// Take a member in. Its `joined` is set to the new epoch.
    Add(Id, Voter),
    /// Forget a member: it has left, or is given up.
    Remove(Id),
}

/// Why there is no such next configuration; the configuration stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangeError {
    /// The node to add is a member already, in this incarnation or a later one.
    AlreadyMember,
    /// The node to remove is not a member.
    NotAMember,
    /// The last member cannot be removed.
    LastMember,
    /// The epochs are used up.
    EpochsOver,
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyMember => "the configuration did not change: the node is a member already",
            Self::NotAMember => "the configuration did not change: the node is not a member",
            Self::LastMember => "the configuration did not change: its last member cannot be removed",
            Self::EpochsOver => "the configuration did not change: there are no more epochs",
        })
    }
}

impl core::error::Error for ChangeError {}

impl<Id: Ord> Agreed<Id> {
    /// The configuration of epoch 1 with these members. To be used once they have all accepted it: see
    /// [`first`](Self::first).
    #[must_use]
    pub fn initial(voters: impl IntoIterator<Item = (Id, Voter)>) -> Self {
        Self { epoch: 1, voters: voters.into_iter().collect() }
    }

    /// A configuration as it was stored or received.
    #[must_use]
    pub fn restored(epoch: u64, voters: impl IntoIterator<Item = (Id, Voter)>) -> Self {
        Self { epoch, voters: voters.into_iter().collect() }
    }

    /// Epoch 1, if all expected nodes have accepted one and the same list: `accepted` says who accepted which.
    ///
    /// Until then nobody has quorum, else three nodes that start at once are three clusters with a majority each.
    #[must_use]
    pub fn first(expect: &Expect<Id>, accepted: &BTreeMap<Id, BTreeMap<Id, Voter>>) -> Option<Self>
    where
        Id: Clone,
    {
        let expected = |list: &BTreeMap<Id, Voter>| match expect {
            Expect::Names(names) => !names.is_empty() && list.keys().eq(names),
            Expect::Count(count) => *count > 0 && list.len() == *count,
        };
        let by_all = |list: &&BTreeMap<Id, Voter>| list.keys().all(|id| accepted.get(id) == Some(list));
        let list = accepted.values().filter(|list| expected(list)).find(by_all)?;
        Some(Self { epoch: 1, voters: list.clone() })
    }

    /// The next configuration: epoch + 1, one member more or less, or one in a new life. It holds once
    /// [`Quorum::commits`](crate::Quorum::commits) says so.
    ///
    /// # Errors
    /// [`ChangeError`] says why there is none.
    pub fn next(&self, change: Change<Id>) -> Result<Self, ChangeError>
    where
        Id: Clone,
    {
        let epoch = self.epoch.checked_add(1).ok_or(ChangeError::EpochsOver)?;
        let mut voters = self.voters.clone();
        match change {
            Change::Add(id, voter) => {
                if self.voter(&id).is_some_and(|old| old.incarnation >= voter.incarnation) {
                    return Err(ChangeError::AlreadyMember);
                }
                voters.insert(id, voter.joined(epoch));
            }
            Change::Remove(id) => {
                voters.remove(&id).ok_or(ChangeError::NotAMember)?;
                if voters.is_empty() {
                    return Err(ChangeError::LastMember);
                }
            }
        }
        Ok(Self { epoch, voters })
    }

    /// The epoch, from 1.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How many members count.
    #[must_use]
    pub fn len(&self) -> usize {
        self.voters.len()
    }

    /// Whether nobody counts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.voters.is_empty()
    }

    /// The members that count, in the order of their ids.
    pub fn ids(&self) -> impl Iterator<Item = &Id> {
        self.voters.keys()
    }

    pub(crate) fn voters(&self) -> impl Iterator<Item = (&Id, &Voter)> {
        self.voters.iter()
    }

    /// A member's entry.
    #[must_use]
    pub fn voter(&self, id: &Id) -> Option<&Voter> {
        self.voters.get(id)
    }
}
