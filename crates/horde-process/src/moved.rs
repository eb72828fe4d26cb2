//! Processes of this node that have ended to move elsewhere.

use std::collections::{HashSet, VecDeque};
use std::sync::Mutex;

use crate::cell::lock;

/// Processes remembered at most. Beyond, the oldest is forgotten: callers who still hold its pid hear that there is no process.
const MAX_MOVED: usize = 65_536;

/// Their numbers.
#[derive(Default)]
pub(crate) struct Moved(Mutex<Numbers>);

#[derive(Default)]
struct Numbers {
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Moved {
    /// Numbers are never given twice.
    pub(crate) fn note(&self, number: u64) {
        let mut numbers = lock(&self.0);
        if numbers.order.len() >= MAX_MOVED
            && let Some(oldest) = numbers.order.pop_front()
        {
            numbers.known.remove(&oldest);
        }
        numbers.known.insert(number);
        numbers.order.push_back(number);
    }

    pub(crate) fn has(&self, number: u64) -> bool {
        lock(&self.0).known.contains(&number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_remembered_than_the_limit_and_the_oldest_goes_first() {
        let moved = Moved::default();
        for number in 0..=MAX_MOVED as u64 {
            moved.note(number);
        }
        assert!(!moved.has(0) && moved.has(1) && moved.has(MAX_MOVED as u64));
        assert_eq!(lock(&moved.0).known.len(), MAX_MOVED);
    }
}
