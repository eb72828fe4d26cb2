//! What happens when: events in the order of virtual time, then of their making.

use std::collections::BTreeMap;
use std::time::Duration;

/// Events to come.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    events: BTreeMap<(Duration, u64), E>,
    made: u64,
    pub(crate) now: Duration,
}

impl<E> Queue<E> {
    pub(crate) fn new() -> Self {
        Self { events: BTreeMap::new(), made: 0, now: Duration::ZERO }
    }

    pub(crate) fn after(&mut self, delay: Duration, event: E) {
        self.made += 1;
        self.events.insert((self.now + delay, self.made), event);
    }

    /// The next event no later than `until`; the clock goes to it, or to `until` if there is none.
    pub(crate) fn next(&mut self, until: Duration) -> Option<E> {
        match self.events.first_key_value() {
            Some(((at, _), _)) if *at <= until => {
                let ((at, _), event) = self.events.pop_first()?;
                self.now = at;
                Some(event)
            }
            _ => {
                self.now = until;
                None
            }
        }
    }
}
