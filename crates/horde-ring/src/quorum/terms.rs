//! How long a lease lasts, and when somebody else may act.

use core::time::Duration;

/// The times of leases, the same on all nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTerms {
    /// How long an acknowledged heartbeat lets a node act, from its sending. Default 2 s; sane: 3 heartbeats to 30 s.
    pub lease: Duration,
    /// How far any clock may run fast or slow, in thousandths. Default 10 (one per cent); counted as 500 at most.
    pub max_drift: u32,
    /// What is added for stopping and for late timers. Default 200 ms.
    pub margin: Duration,
}

impl Default for LeaseTerms {
    fn default() -> Self {
        Self { lease: Duration::from_secs(2), max_drift: 10, margin: Duration::from_millis(200) }
    }
}

impl LeaseTerms {
    /// How long after the last promise a replacement may start: the lease on the slowest clock, measured on the
    /// fastest, and the margin.
    ///
    /// That is `lease * (1 + max_drift) / (1 - max_drift) + margin`: both clocks may be off, in opposite directions.
    #[must_use]
    pub fn takeover_delay(&self) -> Duration {
        let drift = u128::from(self.max_drift.min(500));
        let nanos = (self.lease.as_nanos() * (1000 + drift)).div_ceil(1000 - drift);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).saturating_add(self.margin)
    }
}
