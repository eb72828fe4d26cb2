//! Rules that a test may break, to show that it would notice.

/// A rule of the registry, broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(any(test, feature = "faults")),
    expect(unreachable_pub, reason = "only test builds let it out of the crate")
)]
pub enum Fault {
    /// It judges copies of one child too, by age, and tells the loser.
    JudgesCopies,
    /// A process that lost its name takes it again.
    LoserTakesAgain,
    /// It is ready before its replica has synced.
    ReadyBeforeSynced,
    /// A name that a third node removed is not written again.
    BelievesRemovals,
    /// A dead node's names stay as they are.
    KeepsTheDead,
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
impl super::Names {
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

    /// Whether what `other` has under that name is known here: it is held, shown or hidden with its dead node, or it was removed since.
    #[doc(hidden)]
    #[cfg(feature = "faults")]
    #[must_use]
    pub fn knows(&self, key: &super::Key, other: &Self) -> bool {
        let removed = || other.replica.dot(key).is_some_and(|dot| self.replica.covers(key, dot));
        self.replica.contains_key(key) || removed()
    }

    /// What its queues hold and may hold.
    #[doc(hidden)]
    #[cfg(feature = "faults")]
    #[must_use]
    pub fn load(&self) -> Vec<(&'static str, usize, usize)> {
        let names = self.holders.values().map(std::collections::BTreeSet::len).max().unwrap_or(0);
        let (stats, config) = (self.replica.stats(), self.replica.config());
        vec![
            ("names of one process", names, self.config.max_names_per_process),
            ("parked writes", stats.parked, config.max_parked * usize::from(config.shards)),
        ]
    }
}
