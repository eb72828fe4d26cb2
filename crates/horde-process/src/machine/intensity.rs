//! How many restarts are too many.

use std::collections::VecDeque;
use std::time::Duration;

/// The restarts of the last while. OTP's rule: more than `most` of them `within` the window is too many.
#[derive(Debug)]
pub(super) struct Intensity {
    most: u32,
    within: Duration,
    restarts: VecDeque<Duration>,
}

impl Intensity {
    pub(super) fn new(most: u32, within: Duration) -> Self {
        Self { most, within, restarts: VecDeque::new() }
    }

    /// Counts one restart; false if it is one too many.
    pub(super) fn allows(&mut self, now: Duration) -> bool {
        while self.restarts.front().is_some_and(|at| *at + self.within < now) {
            self.restarts.pop_front();
        }
        if self.restarts.len() >= self.most as usize {
            return false;
        }
        self.restarts.push_back(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_restart_more_than_tolerated_within_the_window_is_too_many() {
        let second = Duration::from_secs;
        let mut intensity = Intensity::new(2, second(5));
        assert!(intensity.allows(second(0)) && intensity.allows(second(5)));
        assert!(!intensity.allows(second(5)));
        assert!(intensity.allows(second(6)));
        assert!(!intensity.allows(second(6)));
        assert!(!Intensity::new(0, second(5)).allows(second(0)));
    }
}
