//! The rules that a test may switch off, to show that it would notice.

/// A rule of the sync protocol; the numbers are those of the protocol page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(any(test, feature = "rule-switches")),
    expect(unreachable_pub, reason = "only test builds let it out of the crate")
)]
pub enum Rule {
    /// R1: writes of one origin are applied in order.
    InOrder,
    /// R2: a write waits for the writes it replaces.
    Dependencies,
    /// R3: a write takes the place of those it replaces. Off: they stay.
    Replaces,
    /// R4: what the sender of a session covers and does not hold is gone here too. Off: it stays.
    JoinRemoves,
    /// R4: what is covered here is not taken from a session again. Off: it is.
    JoinKnows,
    /// R5, sender: fragments, vector and floors come from one state. Off: vector and floors are read at Commit.
    OneState,
    /// R5, receiver: "not covered by mine" is judged at Commit. Off: at Pull.
    VectorAtCommit,
    /// R5: an aborted session applies nothing. Off: what was staged is applied together with the vector.
    AbortAppliesNothing,
    /// R6: a put over a tombstone replaces it by name.
    PutNamesTombstone,
    /// R7: a tombstone stays until all members cover it. Off, and floors with it: dropped at once.
    Stability,
    /// R8: a pull from below a floor is answered with the whole shard.
    Repair,
    /// R9: different states under equal vectors are reported and united. Off: nobody looks.
    Union,
    /// The vector has an entry for each life of a node. Off: one for each node, of its highest life; writes of the lives
    /// before count as covered.
    EveryLife,
}

/// Which rules hold. All of them, unless built for tests.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    #[cfg(any(test, feature = "rule-switches"))]
    pub(crate) off: Option<Rule>,
}

impl Rules {
    #[cfg(any(test, feature = "rule-switches"))]
    pub(crate) fn hold(self, rule: Rule) -> bool {
        self.off != Some(rule)
    }

    #[cfg(not(any(test, feature = "rule-switches")))]
    #[expect(clippy::unused_self, reason = "the signature of the test build")]
    pub(crate) const fn hold(self, _: Rule) -> bool {
        true
    }
}
