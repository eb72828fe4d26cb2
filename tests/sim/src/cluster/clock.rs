//! A node's clocks: too slow or too fast, and apart from the others'.

use std::time::Duration;

use delta_crdt::Now;

/// When virtual time begins, in Unix milliseconds.
const BEGIN: u64 = 1_700_000_000_000;
const MILLION: u128 = 1_000_000;

/// The clocks of one machine. The monotonic one starts with each life of its node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// When the node's life began, in virtual time.
    pub(crate) born: Duration,
    /// How fast it goes: a million is right.
    pub(crate) rate: u64,
    /// How far its wall clock is ahead.
    pub(crate) ahead_ms: u64,
}

impl Clock {
    /// The clocks' time at a moment of virtual time.
    pub(crate) fn read(&self, at: Duration) -> Now {
        let monotonic = self.local(at);
        let born = u64::try_from(self.born.as_millis()).unwrap_or(u64::MAX);
        let since = u64::try_from(monotonic.as_millis()).unwrap_or(u64::MAX);
        Now { monotonic, unix_ms: BEGIN + self.ahead_ms + born + since }
    }

    /// The monotonic time at a moment of virtual time.
    pub(crate) fn local(&self, at: Duration) -> Duration {
        self.scale(at.saturating_sub(self.born), u128::from(self.rate), MILLION)
    }

    /// The virtual time at which the monotonic clock shows `local`, or a little later.
    pub(crate) fn when(&self, local: Duration) -> Duration {
        self.born + self.scale(local, MILLION, u128::from(self.rate)) + Duration::from_nanos(2)
    }

    /// How much virtual time the clock takes for `span`.
    pub(crate) fn takes(&self, span: Duration) -> Duration {
        self.scale(span, MILLION, u128::from(self.rate))
    }

    fn scale(&self, span: Duration, by: u128, over: u128) -> Duration {
        if self.rate == 1_000_000 {
            return span;
        }
        let nanos = span.as_nanos() * by / over.max(1);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}
