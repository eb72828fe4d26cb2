//! What happens when: events in the order of virtual time, then of their making.

use std::collections::BTreeMap;
use std::time::Duration;

/// Events to come.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    events: BTreeMap<(Duration, u64), E>,
    made: u64,
    /// How many events in a row were taken at this moment.
    still: u32,
    pub(crate) now: Duration,
}

/// So many events at one moment mean that time stands still: some machine asks to be woken at once, again and again.
const STILL: u32 = 200_000;

impl<E> Queue<E> {
    pub(crate) fn new() -> Self {
        Self { events: BTreeMap::new(), made: 0, still: 0, now: Duration::ZERO }
    }

    pub(crate) fn after(&mut self, delay: Duration, event: E) {
        self.made += 1;
        self.events.insert((self.now + delay, self.made), event);
    }

    /// Whether virtual time stands still: no further event is given out.
    pub(crate) fn stands_still(&self) -> bool {
        self.still >= STILL
    }

    /// The next event no later than `until`; the clock goes to it, or to `until` if there is none.
    pub(crate) fn next(&mut self, until: Duration) -> Option<E> {
        match self.events.first_key_value() {
            Some(((at, _), _)) if *at <= until => {
                if *at > self.now {
                    self.still = 0;
                } else if self.stands_still() {
                    return None;
                }
                self.still += 1;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_that_make_one_another_at_one_moment_end() {
        let mut queue = Queue::new();
        queue.after(Duration::ZERO, ());
        let mut taken = 0_u32;
        while queue.next(Duration::from_secs(1)).is_some() {
            taken += 1;
            queue.after(Duration::ZERO, ());
        }
        assert_eq!((taken, queue.stands_still()), (STILL, true));
    }
}
