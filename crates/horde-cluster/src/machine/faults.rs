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

/// A rule of the leases, broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(any(test, feature = "faults")),
    expect(unreachable_pub, reason = "only test builds let it out of the crate")
)]
pub enum LeaseFault {
    /// Of the voters only those count that can be reached: each side of a split has its own majority.
    CountsTheReachable,
    /// Whatever is heard of a voter renews the lease, not what it acknowledged.
    ByHearing,
}

/// Which rule is broken: none, unless built for tests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults<F> {
    #[cfg(any(test, feature = "faults"))]
    broken: Option<F>,
    #[cfg(not(any(test, feature = "faults")))]
    rules: std::marker::PhantomData<F>,
}

impl<F> Default for Faults<F> {
    fn default() -> Self {
        #[cfg(any(test, feature = "faults"))]
        return Self { broken: None };
        #[cfg(not(any(test, feature = "faults")))]
        return Self { rules: std::marker::PhantomData };
    }
}

impl<F: Copy + PartialEq> Faults<F> {
    #[cfg(any(test, feature = "faults"))]
    pub(crate) fn has(self, fault: F) -> bool {
        self.broken == Some(fault)
    }

    #[cfg(not(any(test, feature = "faults")))]
    #[expect(clippy::unused_self, reason = "the signature of the test build")]
    pub(crate) fn has(self, _: F) -> bool {
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

#[cfg(any(test, feature = "faults"))]
impl super::leases::Leases {
    /// Breaks a rule. For tests, of what a simulator notices.
    #[doc(hidden)]
    pub fn break_rule(&mut self, fault: LeaseFault) {
        self.faults.broken = Some(fault);
    }
}
