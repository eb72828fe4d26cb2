//! Names that this node was told of before its own registries show them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::{Name, Node, Pid};

/// Names kept at most. Beyond, the oldest is dropped: it is found once the registry shows it.
const MAX_LEARNED: usize = 4_096;
/// How long a registry has to show what it was told of.
const TRUSTED: Duration = Duration::from_secs(2);

/// The names, and the order in which they came.
#[derive(Default)]
pub(crate) struct Learned(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    pids: HashMap<Name, (Pid, Instant)>,
    order: VecDeque<(Name, Instant)>,
}

impl Learned {
    fn add(&self, name: Name, pid: Pid, now: Instant) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Entries { pids, order } = &mut *entries;
        while order.front().is_some_and(|(_, at)| order.len() >= MAX_LEARNED || *at + TRUSTED < now) {
            if let Some((name, at)) = order.pop_front()
                && pids.get(&name).is_some_and(|(_, of)| *of == at)
            {
                pids.remove(&name);
            }
        }
        pids.insert(name.clone(), (pid, now));
        order.push_back((name, now));
    }

    pub(crate) fn find(&self, name: &Name, now: Instant) -> Option<Pid> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.pids.get(name).filter(|(_, at)| *at + TRUSTED >= now).map(|(pid, _)| pid.clone())
    }
}

impl Node {
    /// Tells this node that `name` was given to `pid`, on whichever node that runs. Until the registry itself shows the
    /// name here, and for no longer than 2 s, it resolves to that process. So who started a process elsewhere reads its
    /// own write. The newest 4,096 names are kept.
    pub fn learn(&self, name: Name, pid: Pid) {
        self.0.learned.add(name, pid, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use horde_transport::{NodeId, NodeName};

    fn pid(number: u64) -> Pid {
        Pid::new(NodeId::new(NodeName::new("one").unwrap(), 1), number)
    }

    #[test]
    fn a_learnt_name_is_found_until_its_time_is_over() {
        let (learned, now) = (Learned::default(), Instant::now());
        learned.add(Name::local("a"), pid(1), now);
        learned.add(Name::local("a"), pid(2), now + Duration::from_millis(1));
        assert_eq!(learned.find(&Name::local("a"), now + TRUSTED), Some(pid(2)));
        assert_eq!(learned.find(&Name::local("a"), now + TRUSTED * 2), None);
    }

    #[test]
    fn no_more_names_are_kept_than_the_limit_and_the_oldest_goes_first() {
        let (learned, now) = (Learned::default(), Instant::now());
        for number in 0..=MAX_LEARNED as u64 {
            learned.add(Name::local(format!("n{number}")), pid(number), now);
        }
        assert_eq!(learned.find(&Name::local("n0"), now), None);
        assert_eq!(learned.find(&Name::local("n1"), now), Some(pid(1)));
        assert!(learned.0.lock().unwrap().order.len() <= MAX_LEARNED);
    }
}
