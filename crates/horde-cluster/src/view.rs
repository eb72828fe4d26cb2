//! The members as one node sees them at one moment.

use std::collections::BTreeMap;
use std::ops::Bound;

use horde_transport::{NodeId, NodeName};

use crate::{Member, MemberStatus, Stopped};

/// A snapshot of the membership, the local node included. It never changes; a later one has a higher version.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct View {
    /// Counts the views of this node from 1; says nothing of other nodes' views.
    pub version: u64,
    /// The node whose view this is.
    pub local: NodeId,
    /// Everybody known, those that are Down or have left lately included. One life of each name: the highest.
    pub members: BTreeMap<NodeId, Member>,
    /// The highest life of each name that was forgotten for good: neither it nor an earlier one is a member again. At most
    /// [`MAX_FORGOTTEN`](crate::machine::MAX_FORGOTTEN), the latest.
    pub forgotten: BTreeMap<NodeName, u64>,
    /// Why the local node is no member any more, if it is none.
    pub stopped: Option<Stopped>,
}

impl View {
    /// The member `id`, in exactly this life.
    #[must_use]
    pub fn get(&self, id: &NodeId) -> Option<&Member> {
        self.members.get(id)
    }

    /// How `id` is; a life that a higher one has replaced, or that was forgotten, is Down; none when nothing is known of it.
    #[must_use]
    pub fn status(&self, id: &NodeId) -> Option<MemberStatus> {
        let known = self.members.get(id).map(|member| member.status);
        known.or_else(|| (self.is_replaced(id) || self.is_forgotten(id)).then_some(MemberStatus::Down))
    }

    /// The members that may still run: all but those Down and Left, in the order of their ids.
    pub fn alive(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|member| member.status.is_alive())
    }

    /// Whether `id` is certainly gone: Down, Left, forgotten, or replaced by a higher incarnation. False when nothing is known of it.
    #[must_use]
    pub fn is_down(&self, id: &NodeId) -> bool {
        self.status(id).is_some_and(|status| !status.is_alive())
    }

    /// The alive members that host `horde`, such as `registry/names`, ready or not.
    pub fn hosting<'a>(&'a self, horde: &'a str) -> impl Iterator<Item = &'a Member> {
        self.alive().filter(move |member| member.meta.hordes.contains_key(horde))
    }

    /// Whether an operator had this life forgotten.
    #[must_use]
    pub fn is_forgotten(&self, id: &NodeId) -> bool {
        self.forgotten.get(id.name()).is_some_and(|life| id.incarnation() <= *life)
    }

    fn is_replaced(&self, id: &NodeId) -> bool {
        let mut higher = self.members.range((Bound::Excluded(id), Bound::Unbounded));
        higher.next().is_some_and(|(next, _)| next.name() == id.name())
    }
}
