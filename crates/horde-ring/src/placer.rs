//! Who decides about a key, and what is decided.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use crate::candidate::Candidate;
use crate::hash::KeyHash;
use crate::live::LivePlacement;
use crate::member::Member;
use crate::members::Members;
use crate::placement::Placement;
use crate::rendezvous::Rendezvous;
use crate::strategy::{Built, Strategy};

/// The coordinator rule: every key has one coordinator, [`Rendezvous`] over the members, whatever the strategy.
///
/// With a pure strategy every node tells a key's host at once. With a live one only the coordinator may ask it,
/// because two nodes may get two answers.
///
/// ```
/// use horde_ring::{Candidate, Decided, KeyHash, Members, Placer, Strategy, Target};
///
/// let mut placer = Placer::new(Strategy::LeastLoaded, Members::of(["a", "b", "c"]));
/// let candidate = Candidate::new(KeyHash::of("greeter-42"));
/// let coordinator = *placer.coordinator(candidate.key).expect("there are members");
/// assert_eq!(placer.decide(&candidate, Target::Any, &|_| true), Ok(Decided::Ask(&coordinator)));
/// // On the coordinator:
/// let host = placer.choose(&candidate, Target::Any, &|_| true, &|member| if *member == "b" { 0 } else { 9 });
/// assert!(host.is_ok());
/// ```
pub struct Placer<Id> {
    coordinators: Rendezvous<Id>,
    strategy: Built<Id>,
}

/// Where a candidate must go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a, Id> {
    /// Wherever the strategy says.
    Any,
    /// To this member and no other.
    Member(&'a Id),
}

/// What a node can say about a candidate's host without asking anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided<'a, Id> {
    /// The host.
    Host(&'a Id),
    /// The strategy is live: ask this member, the coordinator, which calls [`Placer::choose`].
    Ask(&'a Id),
}

/// Why a candidate has no host; nothing was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unplaced {
    /// There are no members.
    NoMembers,
    /// The filter accepts none of the members.
    NoneAccepted,
    /// The explicit target is not a member.
    UnknownTarget,
    /// The filter refuses the explicit target.
    TargetRefused,
}

impl fmt::Display for Unplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoMembers => "nothing was placed: there are no members",
            Self::NoneAccepted => "nothing was placed: no member passes the filter",
            Self::UnknownTarget => "nothing was placed: the target is not a member",
            Self::TargetRefused => "nothing was placed: the target does not pass the filter",
        })
    }
}

impl core::error::Error for Unplaced {}

impl<Id> Placer<Id> {
    /// A built-in strategy over these members.
    #[must_use]
    pub fn new(strategy: Strategy, members: impl Into<Arc<Members<Id>>>) -> Self
    where
        Id: Send + Sync + 'static,
    {
        let members = members.into();
        Self { coordinators: Rendezvous::new(Arc::clone(&members)), strategy: strategy.build(members) }
    }

    /// A pure strategy of your own; it must have been built from the same members.
    #[must_use]
    pub fn pure(
        members: impl Into<Arc<Members<Id>>>,
        strategy: Box<dyn Placement<Id> + Send + Sync>,
    ) -> Self {
        Self { coordinators: Rendezvous::new(members), strategy: Built::Pure(strategy) }
    }

    /// A live strategy of your own; it must have been built from the same members.
    #[must_use]
    pub fn live(
        members: impl Into<Arc<Members<Id>>>,
        strategy: Box<dyn LivePlacement<Id> + Send + Sync>,
    ) -> Self {
        Self { coordinators: Rendezvous::new(members), strategy: Built::Live(strategy) }
    }

    /// The members.
    #[must_use]
    pub fn members(&self) -> &Members<Id> {
        self.coordinators.members()
    }

    /// The one member that decides about `key`; `None` if there are no members.
    #[must_use]
    pub fn coordinator(&self, key: KeyHash) -> Option<&Id> {
        self.coordinators.owner(key)
    }

    /// The pure strategy, for `replicas` and `diff`; `None` if the strategy is live.
    #[must_use]
    pub fn placement(&self) -> Option<&(dyn Placement<Id> + Send + Sync)> {
        match &self.strategy {
            Built::Pure(pure) => Some(&**pure),
            Built::Live(_) => None,
        }
    }

    /// The host of a candidate, or whom to ask for it. Any node may call this.
    ///
    /// # Errors
    /// [`Unplaced`] says why nobody can be the host.
    pub fn decide(
        &self,
        candidate: &Candidate<'_>,
        target: Target<'_, Id>,
        filter: &dyn Fn(&Member<Id>) -> bool,
    ) -> Result<Decided<'_, Id>, Unplaced>
    where
        Id: Ord,
    {
        if let Target::Member(id) = target {
            return self.targeted(id, filter).map(Decided::Host);
        }
        let coordinator = self.coordinator(candidate.key).ok_or(Unplaced::NoMembers)?;
        match &self.strategy {
            Built::Pure(pure) => {
                pure.place(candidate, filter).map(Decided::Host).ok_or(Unplaced::NoneAccepted)
            }
            Built::Live(_) => Ok(Decided::Ask(coordinator)),
        }
    }

    /// The host of a candidate. For a live strategy only the key's coordinator may call this.
    ///
    /// `load` says what a member carries now, in any one unit.
    ///
    /// # Errors
    /// [`Unplaced`] says why nobody can be the host.
    pub fn choose(
        &mut self,
        candidate: &Candidate<'_>,
        target: Target<'_, Id>,
        filter: &dyn Fn(&Member<Id>) -> bool,
        load: &dyn Fn(&Id) -> u64,
    ) -> Result<&Id, Unplaced>
    where
        Id: Ord,
    {
        if let Target::Member(id) = target {
            return self.targeted(id, filter);
        }
        if self.members().is_empty() {
            return Err(Unplaced::NoMembers);
        }
        match &mut self.strategy {
            Built::Pure(pure) => pure.place(candidate, filter),
            Built::Live(live) => live.choose(candidate, load, filter),
        }
        .ok_or(Unplaced::NoneAccepted)
    }

    fn targeted(&self, id: &Id, filter: &dyn Fn(&Member<Id>) -> bool) -> Result<&Id, Unplaced>
    where
        Id: Ord,
    {
        let member = self.members().get(id).ok_or(Unplaced::UnknownTarget)?;
        if filter(member) { Ok(member.id()) } else { Err(Unplaced::TargetRefused) }
    }
}

impl<Id: fmt::Debug> fmt::Debug for Placer<Id> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Placer")
            .field("members", self.members())
            .field("pure", &self.placement().is_some())
            .finish_non_exhaustive()
    }
}
