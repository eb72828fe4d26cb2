//! How well the local node itself keeps time.

use std::time::Duration;

/// The highest multiplier of suspicion times.
const WORST: u32 = 8;
/// Heartbeats kept on time that improve the multiplier by one.
const RECOVERY: u32 = 5;

/// Slows the suspicions of a node that is itself starved, after the local health multiplier of Lifeguard (Dadgar,
/// Phillips, Currey: "Lifeguard: Local Health Awareness for More Accurate Failure Detection", 2018).
#[derive(Debug, Default)]
pub(crate) struct Health {
    worse: u32,
    good_since: Duration,
}

impl Health {
    /// The node's timer was late by more than a heartbeat: once more a reason to be careful.
    pub(crate) fn late(&mut self, now: Duration) {
        self.worse = (self.worse + 1).min(WORST - 1);
        self.good_since = now;
    }

    /// Time went by without being late.
    pub(crate) fn good(&mut self, now: Duration, heartbeat: Duration) {
        while self.worse > 0 && now >= self.good_since + heartbeat * RECOVERY {
            self.worse -= 1;
            self.good_since += heartbeat * RECOVERY;
        }
        if self.worse == 0 {
            self.good_since = now;
        }
    }

    /// What suspicion times are multiplied by: 1 when all is well.
    pub(crate) fn factor(&self) -> u32 {
        1 + self.worse
    }
}
