//! What waits a while because the records here may be behind what happens elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use horde_transport::NodeId;

use crate::record::ChildId;

/// How long the record of a child that another member has taken may take to come; past it the child is started here again.
const HANDED: Duration = Duration::from_secs(30);
/// How long moves wait at most until what a member that came (back) knows is known here.
const MEETING: Duration = Duration::from_secs(10);
/// A claim that is learnt of so long after its owner went down was made by an owner that lives, most likely.
const LATE: Duration = Duration::from_millis(300);
/// How long such an owner has to be back; then it has died since.
const RETURN: Duration = Duration::from_secs(2);

/// How long an owner is gone before its end is held against what it ran: one that lives after all is back by then.
const BLAME: Duration = Duration::from_secs(5);

/// The times of all that waits.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// Children that another member has taken from here, and whose record does not say so here yet: who, until when.
    handed: BTreeMap<ChildId, (NodeId, Duration)>,
    /// Children that were offered to another member before the lease was lost, and may run there for all that this node knows.
    offered: BTreeMap<ChildId, NodeId>,
    /// Members that are here anew, since when: what they know is not all known here yet.
    meeting: BTreeMap<NodeId, Duration>,
    /// Since when owners of children are gone.
    gone: BTreeMap<NodeId, Duration>,
    /// Children whose claim was learnt of late: whose it is, and until when nobody takes them over.
    late: BTreeMap<ChildId, (NodeId, Duration)>,
}

impl Patience {
    /// `to` has taken the child from here. Until its record comes, ours says that it is here: it must not run here again for that.
    pub(super) fn handed(&mut self, now: Duration, id: ChildId, to: NodeId) {
        self.handed.insert(id, (to, now + HANDED));
    }

    pub(super) fn is_handed(&self, id: &ChildId) -> bool {
        self.handed.contains_key(id)
    }

    /// The child runs here again.
    pub(super) fn is_back(&mut self, id: &ChildId) {
        self.handed.remove(id);
        self.offered.remove(id);
    }

    /// `to` was offered the child, and may have it.
    pub(super) fn offered(&mut self, id: ChildId, to: NodeId) {
        self.offered.insert(id, to);
    }

    /// To whom the child was offered, once.
    pub(super) fn take_offer(&mut self, id: &ChildId) -> Option<NodeId> {
        self.offered.remove(id)
    }

    /// Forgets who was handed over and is not in `mine` any more, or whose taker is gone or late.
    pub(super) fn recall(&mut self, now: Duration, mine: &BTreeSet<ChildId>, gone: impl Fn(&NodeId) -> bool) {
        self.handed.retain(|id, (to, until)| mine.contains(id) && now < *until && !gone(to));
        self.offered.retain(|id, to| mine.contains(id) && !gone(to));
    }

    pub(super) fn meets(&mut self, now: Duration, node: NodeId) {
        self.meeting.insert(node, now);
    }

    /// What `node` knew is known here, or it is away again: true if that was waited for.
    pub(super) fn has_met(&mut self, node: &NodeId) -> bool {
        self.meeting.remove(node).is_some()
    }

    /// Whether moves wait: after a split nobody moves copies that are about to lose.
    pub(super) fn is_meeting(&mut self, now: Duration) -> bool {
        self.meeting.retain(|_, since| now < *since + MEETING);
        !self.meeting.is_empty()
    }

    /// Who is gone now.
    pub(super) fn are_gone(&mut self, now: Duration, gone: impl Iterator<Item = NodeId>) {
        let mut before = std::mem::take(&mut self.gone);
        self.gone = gone
            .map(|node| (before.remove(&node).unwrap_or(now), node))
            .map(|(at, node)| (node, at))
            .collect();
        self.late.retain(|_, (owner, _)| self.gone.contains_key(owner));
    }

    /// A claim of `owner`, who is gone, was learnt of just now. True if that is late: the owner may be about to return.
    pub(super) fn is_late(&mut self, now: Duration, id: &ChildId, owner: &NodeId) -> bool {
        let late = self.gone.get(owner).is_some_and(|since| *since + LATE <= now);
        if late {
            self.late.insert(id.clone(), (owner.clone(), now + RETURN));
        }
        late
    }

    /// Whether `owner` claimed the child when it was taken for gone here already: it lived, and the child did not end it.
    pub(super) fn was_late(&self, id: &ChildId, owner: &NodeId) -> bool {
        self.late.get(id).is_some_and(|(late, _)| late == owner)
    }

    /// Whether `owner` is gone for so long that its end may be held against a child; one that nobody remembers is.
    pub(super) fn may_blame(&self, now: Duration, owner: &NodeId) -> bool {
        self.gone.get(owner).is_none_or(|since| *since + BLAME <= now)
    }

    /// Since when a member that is listed is gone.
    pub(super) fn gone_since(&self, node: &NodeId) -> Option<Duration> {
        self.gone.get(node).copied()
    }

    /// Whether nobody takes the child over yet.
    pub(super) fn waits(&self, now: Duration, id: &ChildId) -> bool {
        self.late.get(id).is_some_and(|(_, until)| now < *until)
    }
}
