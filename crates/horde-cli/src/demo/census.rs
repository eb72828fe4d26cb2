//! What really runs, from what the processes themselves noted in each OS process.

use std::collections::{BTreeMap, BTreeSet};

use super::member::name;
use super::overlap::{Overlap, overlap};
use super::placement::Placement;
use super::protocol::Entry;

/// The entries of all nodes that live.
#[derive(Debug, Default)]
pub(super) struct Headcount {
    /// By node.
    pub(super) nodes: BTreeMap<String, Vec<Entry>>,
}

/// What runs against what was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Started, and running nowhere.
    pub(super) lost: usize,
    /// Copies beyond the first.
    pub(super) duplicates: usize,
    /// Running, and never started.
    pub(super) untracked: usize,
}

impl Verdict {
    pub(super) fn is_clean(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.untracked += other.untracked;
    }
}

impl Headcount {
    fn running(&self) -> impl Iterator<Item = &Entry> {
        self.nodes.values().flatten().filter(|entry| entry.ended_us.is_none())
    }

    /// How many run on each node.
    pub(super) fn spread(&self) -> Vec<(String, usize)> {
        let running = |entries: &[Entry]| entries.iter().filter(|entry| entry.ended_us.is_none()).count();
        self.nodes.iter().map(|(node, entries)| (node.clone(), running(entries))).collect()
    }

    /// The children that run on a node.
    pub(super) fn on(&self, node: &str) -> BTreeSet<String> {
        let entries = self.nodes.get(node).into_iter().flatten();
        entries.filter(|entry| entry.ended_us.is_none()).map(|entry| entry.id.clone()).collect()
    }

    /// How many run elsewhere than where `placement` wants them.
    pub(super) fn misplaced(&self, placement: &Placement) -> usize {
        let of_node = |(node, entries): (&String, &Vec<Entry>)| {
            let running = entries.iter().filter(|entry| entry.ended_us.is_none());
            running.filter(|entry| placement.owner(&entry.id) != Some(node.as_str())).count()
        };
        self.nodes.iter().map(of_node).sum()
    }

    /// How many runs began at `since` or later.
    pub(super) fn begun(&self, since: u64) -> usize {
        self.nodes.values().flatten().filter(|entry| entry.started_us >= since).count()
    }

    /// When a run last began or ended, if that was at `since` or later.
    pub(super) fn last_change(&self, since: u64) -> u64 {
        let times = self.nodes.values().flatten().map(|entry| entry.ended_us.unwrap_or(entry.started_us));
        times.max().unwrap_or(since).max(since)
    }

    /// Copies of one child that ran at once, and began to at `since` or later.
    pub(super) fn overlap(&self, since: u64, now: u64) -> Overlap {
        overlap(self.nodes.values().flatten(), since, now)
    }

    /// When the last of `ids` began to run again after `since`, in Unix microseconds; none while one does not run.
    pub(super) fn recovered(&self, ids: &BTreeSet<String>, since: u64) -> Option<u64> {
        let mut begun: BTreeMap<&str, u64> = BTreeMap::new();
        for entry in self.running().filter(|entry| entry.started_us >= since) {
            let first = begun.entry(&entry.id).or_insert(entry.started_us);
            *first = (*first).min(entry.started_us);
        }
        ids.iter()
            .map(|id| begun.get(id.as_str()).copied())
            .try_fold(since, |last, at| at.map(|at| last.max(at)))
    }

    /// A child that is lost, doubled or untracked, if there is one.
    pub(super) fn culprit(&self, started: usize) -> Option<String> {
        let mut copies: BTreeMap<String, usize> = (0..started).map(|number| (name(number), 0)).collect();
        for entry in self.running() {
            *copies.entry(entry.id.clone()).or_insert(1) += 1;
        }
        copies.into_iter().find(|(_, count)| *count != 1).map(|(id, _)| id)
    }

    /// Runs of a child on the nodes that are there, in words.
    pub(super) fn story(&self, id: &str, since: u64) -> String {
        let of_node = |(node, entries): (&String, &Vec<Entry>)| {
            let of_child = entries.iter().filter(|entry| entry.id == id).map(|entry| {
                let relative = |at: u64| i128::from(at) - i128::from(since);
                let end = entry.ended_us.map_or("now".to_owned(), |at| format!("{}", relative(at)));
                format!("{node} generation {} [{}, {end}] us", entry.generation, relative(entry.started_us))
            });
            of_child.collect::<Vec<_>>()
        };
        self.nodes.iter().flat_map(of_node).collect::<Vec<_>>().join("; ")
    }

    pub(super) fn verdict(&self, started: usize) -> Verdict {
        let expected: BTreeSet<String> = (0..started).map(name).collect();
        let mut copies: BTreeMap<&str, usize> = BTreeMap::new();
        for entry in self.running() {
            *copies.entry(&entry.id).or_default() += 1;
        }
        Verdict {
            lost: expected.iter().filter(|id| !copies.contains_key(id.as_str())).count(),
            duplicates: copies.values().map(|count| count - 1).sum(),
            untracked: copies.keys().filter(|id| !expected.contains(**id)).count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, started_us: u64, ended_us: Option<u64>) -> Entry {
        Entry { id: id.to_owned(), pid: "p".to_owned(), generation: 1, started_us, ended_us }
    }

    fn headcount(entries: [Vec<Entry>; 2]) -> Headcount {
        let [one, two] = entries;
        Headcount { nodes: [("one".to_owned(), one), ("two".to_owned(), two)].into() }
    }

    #[test]
    fn a_census_that_equals_what_was_started_is_clean() {
        let count = headcount([vec![entry("worker-0", 1, None)], vec![entry("worker-1", 1, None)]]);
        assert!(count.verdict(2).is_clean());
        assert_eq!(count.spread(), [("one".to_owned(), 1), ("two".to_owned(), 1)]);
    }

    #[test]
    fn lost_doubled_and_unknown_children_are_told_apart() {
        let one = vec![entry("worker-0", 1, None), entry("worker-1", 1, Some(2)), entry("else", 1, None)];
        let two = vec![entry("worker-0", 1, None), entry("worker-0", 3, None)];
        assert_eq!(headcount([one, two]).verdict(3), Verdict { lost: 2, duplicates: 2, untracked: 1 });
    }

    #[test]
    fn what_runs_where_it_does_not_belong_is_counted() {
        let placement = Placement::over(["one".to_owned(), "two".to_owned()]);
        let (right, wrong): (Vec<usize>, Vec<usize>) =
            (0..20).partition(|number| placement.owner(&name(*number)) == Some("one"));
        let run = |number: &usize| entry(&name(*number), 1, None);
        let count = headcount([right.iter().chain(&wrong).map(run).collect(), Vec::new()]);
        assert_eq!(count.misplaced(&placement), wrong.len());
        assert!(!right.is_empty() && !wrong.is_empty());
    }

    #[test]
    fn begins_and_ends_since_a_time_are_told() {
        let count = headcount([vec![entry("worker-0", 5, Some(40))], vec![entry("worker-0", 30, None)]]);
        assert_eq!((count.begun(30), count.begun(31)), (1, 0));
        assert_eq!((count.last_change(10), count.last_change(60)), (40, 60));
        assert_eq!(count.overlap(0, 100).longest_us, 10);
    }

    #[test]
    fn recovery_is_over_when_the_last_of_the_lost_runs_again() {
        let ids: BTreeSet<String> = ["worker-0".to_owned(), "worker-1".to_owned()].into();
        let half = headcount([vec![entry("worker-0", 12, None)], vec![entry("worker-1", 5, None)]]);
        assert_eq!(half.recovered(&ids, 10), None);
        let whole = headcount([vec![entry("worker-0", 12, None)], vec![entry("worker-1", 17, None)]]);
        assert_eq!(whole.recovered(&ids, 10), Some(17));
    }
}
