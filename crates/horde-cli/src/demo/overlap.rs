//! Copies of one child that ran at the same time.

use std::collections::BTreeMap;

use super::protocol::Entry;

/// What of the runs of each child lay upon each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Overlap {
    /// Runs that began while another run of their child had not ended.
    pub(super) copies: usize,
    /// The longest time that such a run and an earlier one went on together, in microseconds.
    pub(super) longest_us: u64,
    /// When the last pair of them was a pair no more, in Unix microseconds; `now` while there is one.
    pub(super) over_us: u64,
    /// The latest begin of such a run, in Unix microseconds.
    pub(super) last_begun_us: u64,
    /// The child of that run.
    pub(super) last_begun: Option<String>,
}

/// The overlaps that began at `since` or later. Who runs still, runs until `now`.
pub(super) fn overlap<'a>(runs: impl Iterator<Item = &'a Entry>, since: u64, now: u64) -> Overlap {
    let mut of_child: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
    for run in runs {
        of_child.entry(&run.id).or_default().push((run.started_us, run.ended_us.unwrap_or(now)));
    }
    let mut found = Overlap::default();
    for (id, mut runs) in of_child {
        runs.sort_unstable();
        let mut until = 0;
        for (start, end) in runs {
            let both = until.min(end).saturating_sub(start);
            if both > 0 && start >= since {
                found.copies += 1;
                found.longest_us = found.longest_us.max(both);
                found.over_us = found.over_us.max(start + both);
                if start >= found.last_begun_us {
                    (found.last_begun_us, found.last_begun) = (start, Some(id.to_owned()));
                }
            }
            until = until.max(end);
        }
    }
    found
}

/// The runs of a node that stood still from `from` to `to`: what it ran did not run then.
pub(super) fn without_pause(runs: &[Entry], from: u64, to: u64) -> Vec<Entry> {
    let mut awake = Vec::with_capacity(runs.len());
    for run in runs {
        let ended = run.ended_us.unwrap_or(u64::MAX);
        if ended <= from || run.started_us >= to {
            awake.push(run.clone());
            continue;
        }
        if run.started_us < from {
            awake.push(Entry { ended_us: Some(from), ..run.clone() });
        }
        if ended > to {
            awake.push(Entry { started_us: to, ..run.clone() });
        }
    }
    awake
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: &str, started_us: u64, ended_us: Option<u64>) -> Entry {
        Entry { id: id.to_owned(), pid: "p".to_owned(), generation: 1, started_us, ended_us }
    }

    #[test]
    fn runs_one_after_the_other_do_not_overlap() {
        let runs = [run("a", 10, Some(20)), run("a", 20, None), run("b", 5, None)];
        assert_eq!(overlap(runs.iter(), 0, 100), Overlap::default());
    }

    #[test]
    fn each_copy_beyond_the_first_counts_and_the_longest_time_together_is_told() {
        let runs = [run("a", 10, Some(50)), run("a", 30, Some(35)), run("a", 40, None), run("b", 1, None)];
        let found = overlap(runs.iter(), 0, 100);
        assert_eq!(
            found,
            Overlap {
                copies: 2,
                longest_us: 10,
                over_us: 50,
                last_begun_us: 40,
                last_begun: Some("a".into())
            }
        );
    }

    #[test]
    fn copies_that_still_run_overlap_until_now() {
        let runs = [run("a", 10, None), run("a", 30, None)];
        let found = overlap(runs.iter(), 0, 100);
        assert_eq!(
            found,
            Overlap {
                copies: 1,
                longest_us: 70,
                over_us: 100,
                last_begun_us: 30,
                last_begun: Some("a".into())
            }
        );
    }

    #[test]
    fn overlaps_that_began_before_the_time_asked_for_do_not_count() {
        let runs = [run("a", 10, Some(50)), run("a", 30, Some(60))];
        assert_eq!(overlap(runs.iter(), 31, 100).copies, 0);
    }

    #[test]
    fn what_stands_still_does_not_run() {
        let runs = [run("a", 10, None), run("b", 10, Some(20)), run("c", 25, Some(35)), run("d", 45, None)];
        let awake = without_pause(&runs, 20, 40);
        let times: Vec<_> = awake.iter().map(|run| (run.id.as_str(), run.started_us, run.ended_us)).collect();
        assert_eq!(
            times,
            [("a", 10, Some(20)), ("a", 40, None), ("b", 10, Some(20)), ("d", 45, None)],
            "a run within the pause never ran"
        );
    }
}
