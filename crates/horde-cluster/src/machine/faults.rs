//! Rules that a test may break, to show that it would notice.

/// A rule of the membership, broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(any(test, feature = "faults")),
    expect(unreachable_pub, reason = "only test builds let it out of the crate")
)]
pub enum Fault {
    /// One node's silence is a verdict.
    OneObserver,
    /// Who was Down stays so, though it is heard again.
    NeverReturns,
    /// A node that stood still takes the others' silence for theirs.
    PauseIsSilence,
}

/// Which rule is broken: none, unless built for tests.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    #[cfg(any(test, feature = "faults"))]
    broken: Option<Fault>,
}

impl Faults {
    #[cfg(any(test, feature = "faults"))]
    pub(crate) fn has(self, fault: Fault) -> bool {
        self.broken == Some(fault)
    }

    #[cfg(not(any(test, feature = "faults")))]
    #[expect(clippy::unused_self, reason = "the signature of the test build")]
    pub(crate) const fn has(self, _: Fault) -> bool {
        false
    }
}

#[cfg(any(test, feature = "faults"))]
impl super::membership::Membership {
    /// Breaks a rule. For tests, of what a simulator notices.
    #[doc(hidden)]
    pub fn break_rule(&mut self, fault: Fault) {
        self.faults.broken = Some(fault);
    }
}
