//! Time as the engine sees it: handed in by the caller, never read.

use core::fmt;
use core::time::Duration;

const COUNTER_BITS: u32 = 16;

/// What the clocks of the caller say at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Time since any start that is fixed for the life of the replica; never runs backwards. Drives timers.
    pub monotonic: Duration,
    /// Milliseconds since the Unix epoch. May jump either way. Drives stamps.
    pub unix_ms: u64,
}

/// A hybrid logical clock reading: 48 bits of Unix milliseconds, then a 16-bit counter.
///
/// A write's stamp is above that of every value it replaces, whatever the clocks say; among concurrent writes stamps
/// follow wall time as far as the clocks agree. Stamps of two replicas can be equal: ties go to the dot.
/// Source: Kulkarni and others, "Logical Physical Clocks", 2014.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Stamp(u64);

impl Stamp {
    /// The stamp at `unix_ms` with a counter of 0. Bits above 48 are cut off.
    #[must_use]
    pub const fn at_unix_ms(unix_ms: u64) -> Self {
        Self(unix_ms << COUNTER_BITS)
    }

    /// The stamp with these 64 bits.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// All 64 bits.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_ms(self) -> u64 {
        self.0 >> COUNTER_BITS
    }

    /// The counter among the stamps of one millisecond.
    #[must_use]
    pub const fn counter(self) -> u16 {
        (self.0 & 0xffff) as u16
    }

    const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.unix_ms(), self.counter())
    }
}

/// The clock of one replica.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    last: Stamp,
    max_drift_ms: u64,
}

impl Clock {
    pub(crate) fn new(max_drift: Duration) -> Self {
        let max_drift_ms = u64::try_from(max_drift.as_millis()).unwrap_or(u64::MAX);
        Self { last: Stamp::default(), max_drift_ms }
    }

    /// A stamp for a local write over siblings of which `top` has the highest stamp.
    ///
    /// A sibling that is far ahead is overtaken, but does not become the clock's last reading.
    pub(crate) fn write(&mut self, now: Now, top: Stamp) -> Stamp {
        let own = Stamp::at_unix_ms(now.unix_ms).max(self.last.next());
        let stamp = if top < own { own } else { top.next() };
        self.last = if self.ahead_ms(now, stamp).is_some() { own } else { stamp };
        stamp
    }

    /// Takes note of a stamp from elsewhere. Says by how many milliseconds it is ahead when that is beyond the limit; such a
    /// stamp does not move the clock.
    pub(crate) fn observe(&mut self, now: Now, stamp: Stamp) -> Option<u64> {
        let ahead = self.ahead_ms(now, stamp);
        if ahead.is_none() {
            self.last = self.last.max(stamp);
        }
        ahead
    }

    /// True if [`Self::observe`] would complain.
    pub(crate) fn is_ahead(&self, now: Now, stamp: Stamp) -> bool {
        self.ahead_ms(now, stamp).is_some()
    }

    fn ahead_ms(&self, now: Now, stamp: Stamp) -> Option<u64> {
        let ahead = stamp.unix_ms().saturating_sub(now.unix_ms);
        (ahead > self.max_drift_ms).then_some(ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(unix_ms: u64) -> Now {
        Now { monotonic: Duration::ZERO, unix_ms }
    }

    #[test]
    fn stamps_rise_when_the_wall_clock_stands_still_or_falls() {
        let mut clock = Clock::new(Duration::from_millis(500));
        let first = clock.write(at(1_000), Stamp::default());
        let second = clock.write(at(1_000), Stamp::default());
        let third = clock.write(at(10), Stamp::default());
        assert!(first < second && second < third);
        assert_eq!(first.unix_ms(), 1_000);
    }

    #[test]
    fn a_far_ahead_sibling_is_overtaken_but_does_not_drag_the_clock() {
        let mut clock = Clock::new(Duration::from_millis(500));
        let far = Stamp::at_unix_ms(3_600_000);
        assert_eq!(clock.observe(at(1_000), far), Some(3_599_000));
        assert!(clock.write(at(1_000), far) > far);
        assert_eq!(clock.write(at(1_000), Stamp::default()).unix_ms(), 1_000);
    }

    #[test]
    fn a_stamp_within_the_drift_limit_moves_the_clock() {
        let mut clock = Clock::new(Duration::from_millis(500));
        let near = Stamp::at_unix_ms(1_400);
        assert_eq!(clock.observe(at(1_000), near), None);
        assert!(clock.write(at(1_000), Stamp::default()) > near);
    }
}
