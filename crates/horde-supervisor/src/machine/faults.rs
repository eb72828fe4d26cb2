//! Rules that a test may break, to show that it would notice.

/// A rule of the supervisor, broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(any(test, feature = "faults")),
    expect(unreachable_pub, reason = "only test builds let it out of the crate")
)]
pub enum Fault {
    /// A takeover removes the record before the new copy runs.
    DeletesBeforeStart,
    /// An end is a removal, not a value.
    EndsByRemoval,
    /// It acts before its replica has synced.
    ActsBeforeSynced,
    /// Where a child belongs follows from how many members there are.
    PlacesBySize,
    /// A copy that lost writes its record again.
    LoserWritesAgain,
}

/// Which rule is broken: none, unless built for tests.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Faults {
    #[cfg(any(test, feature = "faults"))]
    broken: Option<Fault>,
}

impl Faults {
    #[cfg(any(test, feature = "faults"))]
    pub(super) fn has(self, fault: Fault) -> bool {
        self.broken == Some(fault)
    }

    #[cfg(not(any(test, feature = "faults")))]
    #[expect(clippy::unused_self, reason = "the signature of the test build")]
    pub(super) const fn has(self, _: Fault) -> bool {
        false
    }
}

#[cfg(any(test, feature = "faults"))]
impl super::Children {
    /// Breaks a rule. For tests, of what a simulator notices.
    #[doc(hidden)]
    pub fn break_rule(&mut self, fault: Fault) {
        self.faults.broken = Some(fault);
    }

    /// Breaks a rule of the replica.
    #[doc(hidden)]
    #[cfg(feature = "faults")]
    pub fn break_replica(&mut self, rule: delta_crdt::Rule) {
        self.replica.break_rule(rule);
    }

    /// Of each shard of the replica, a hash of its vector and one of what it holds.
    #[doc(hidden)]
    #[cfg(feature = "faults")]
    #[must_use]
    pub fn witness(&self) -> Vec<(u64, u64)> {
        self.replica.witness()
    }

    /// Whether the record that `other` has of a child is known here, if only to be replaced or removed.
    #[doc(hidden)]
    #[cfg(feature = "faults")]
    #[must_use]
    pub fn knows(&self, id: &super::ChildId, other: &Self) -> bool {
        let removed = || other.replica.dot(id).is_some_and(|dot| self.replica.covers(id, dot));
        self.replica.contains_key(id) || removed()
    }

    /// What its queues hold and may hold.
    #[doc(hidden)]
    #[cfg(feature = "faults")]
    #[must_use]
    pub fn load(&self) -> Vec<(&'static str, usize, usize)> {
        use super::run::{Phase, Why};
        use crate::frame::LaunchKind;
        let count =
            |which: &dyn Fn(&Phase) -> bool| self.runs.values().filter(|run| which(&run.phase)).count();
        let taken =
            |phase: &Phase| matches!(phase, Phase::Starting(Some(LaunchKind::Takeover | LaunchKind::Move)));
        let moves = |phase: &Phase| matches!(phase, Phase::Stopping(Why::Moving) | Phase::HandingOver { .. });
        let moving = if self.draining { 0 } else { count(&moves) };
        let (stats, config) = (self.replica.stats(), self.replica.config());
        vec![
            ("starts that wait until it is ready", self.parked.len(), self.options.max_waiting),
            ("starts of others' children at once", count(&taken), self.options.max_starting),
            ("moves at once", moving, self.options.max_moves),
            ("parked writes", stats.parked, config.max_parked * usize::from(config.shards)),
        ]
    }
}
