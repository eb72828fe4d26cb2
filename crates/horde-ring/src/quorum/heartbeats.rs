//! A node's own lease: which of its heartbeats were acknowledged by whom.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use crate::quorum::Quorum;
use crate::quorum::agreed::Agreed;
use crate::quorum::terms::LeaseTerms;

/// The most heartbeats that wait for an acknowledgement; of more, the oldest cannot be acknowledged any longer.
pub const MAX_HEARTBEATS: usize = 256;

/// A node's sent heartbeats and their acknowledgements: what its lease follows from.
///
/// A lease rests on acknowledgements, not on what is heard: it ends `lease` after the *sending* of the newest
/// heartbeat that enough members have acknowledged. Times are on one clock of the node's own that runs through
/// suspend, counted from any fixed start.
#[derive(Debug, Clone)]
pub struct Heartbeats<Id> {
    /// Number and time of sending, in order.
    sent: VecDeque<(u64, Duration)>,
    next: u64,
    /// By member: when the newest heartbeat that it acknowledged was sent, and the epoch it had accepted then.
    acknowledged: BTreeMap<Id, (Duration, u64)>,
}

impl<Id> Default for Heartbeats<Id> {
    fn default() -> Self {
        Self { sent: VecDeque::new(), next: 0, acknowledged: BTreeMap::new() }
    }
}

impl<Id: Ord> Heartbeats<Id> {
    /// Nothing sent, no lease.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that a heartbeat is about to be sent, and answers its number. Call it before the sending, never after.
    pub fn send(&mut self, now: Duration) -> u64 {
        let number = self.next;
        self.next += 1;
        self.sent.push_back((number, now));
        if self.sent.len() > MAX_HEARTBEATS {
            self.sent.pop_front();
        }
        number
    }

    /// Notes that `by`, which had then accepted the configuration of `epoch`, has acknowledged a heartbeat.
    ///
    /// A number that was never sent, or is too old, changes nothing. Acknowledgements may come in any order.
    pub fn acknowledge(&mut self, by: Id, number: u64, epoch: u64) {
        let Ok(at) = self.sent.binary_search_by_key(&number, |&(number, _)| number) else { return };
        let (_, sent) = self.sent[at];
        let newest = self.acknowledged.entry(by).or_insert((sent, epoch));
        if sent >= newest.0 {
            *newest = (sent, epoch);
        }
    }

    /// When this node's lease ends; `None` if enough members never acknowledged anything.
    ///
    /// Acknowledgements from members that have accepted a later configuration do not count: get to know that
    /// configuration first. `me` counts as of now, since a node always acknowledges itself.
    #[must_use]
    pub fn lease_end(
        &self,
        quorum: &Quorum<Id>,
        agreed: &Agreed<Id>,
        me: &Id,
        now: Duration,
        terms: &LeaseTerms,
    ) -> Option<Duration> {
        let mut newest: Vec<(Duration, &Id)> = self
            .acknowledged
            .iter()
            .filter(|(id, (_, epoch))| *id != me && *epoch <= agreed.epoch())
            .map(|(id, (sent, _))| (*sent, id))
            .collect();
        newest.sort_unstable_by(|a, b| b.cmp(a));
        let mut side = BTreeSet::from([me]);
        if quorum.grants(agreed, &side) {
            return Some(now.saturating_add(terms.lease));
        }
        newest.into_iter().find_map(|(sent, id)| {
            side.insert(id);
            quorum.grants(agreed, &side).then(|| sent.saturating_add(terms.lease))
        })
    }

    /// Whether this node may act now, say before an effect on the outside.
    #[must_use]
    pub fn may_act(
        &self,
        quorum: &Quorum<Id>,
        agreed: &Agreed<Id>,
        me: &Id,
        now: Duration,
        terms: &LeaseTerms,
    ) -> bool {
        self.lease_end(quorum, agreed, me, now, terms).is_some_and(|end| now < end)
    }

    /// Those whose acknowledgements keep the lease now, for [`QuorumView`](crate::QuorumView): sent less than
    /// `lease` ago, by members of this epoch or an earlier one.
    #[must_use]
    pub fn fresh(&self, agreed: &Agreed<Id>, now: Duration, terms: &LeaseTerms) -> BTreeSet<Id>
    where
        Id: Clone,
    {
        self.acknowledged
            .iter()
            .filter(|(_, (sent, epoch))| *epoch <= agreed.epoch() && now < sent.saturating_add(terms.lease))
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Forgets what all acknowledged, as when another configuration holds. Numbers go on, and what was sent can be
    /// acknowledged still.
    pub fn clear(&mut self) {
        self.acknowledged.clear();
    }

    /// Forgets what a member acknowledged, when it is no longer one.
    pub fn forget(&mut self, id: &Id) {
        self.acknowledged.remove(id);
    }
}
