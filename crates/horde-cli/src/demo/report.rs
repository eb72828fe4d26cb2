//! What the demo has shown.

use std::collections::BTreeMap;

use serde::Serialize;

use super::protocol::{Calls, Failures};
use crate::args::Quorum;

/// The figures of a demo: what `--json` prints last. Those of phases that were not reached are 0.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Summary {
    pub(super) event: &'static str,
    pub(super) nodes: usize,
    pub(super) children: usize,
    pub(super) quorum: Quorum,
    pub(super) start_ms: f64,
    /// Children per node after the start.
    pub(super) spread: Vec<usize>,
    pub(super) kill_lost: usize,
    pub(super) kill_detect_ms: f64,
    pub(super) kill_recover_ms: f64,
    /// Calls during the kill, and those of them that failed, by what they were told.
    pub(super) calls: u64,
    pub(super) failed_calls: u64,
    pub(super) failures: BTreeMap<String, u64>,
    pub(super) slowest_call_ms: f64,
    /// From the newcomer's start until all that now belongs to it runs there.
    pub(super) join_ms: f64,
    pub(super) join_moves: usize,
    /// What placement moves at most when the newcomer joins.
    pub(super) join_difference: usize,
    pub(super) join_failures: BTreeMap<String, u64>,
    /// From SIGTERM until the last moved child runs elsewhere, and until the process has ended.
    pub(super) drain_ms: f64,
    pub(super) drain_exit_ms: f64,
    pub(super) drain_moves: usize,
    pub(super) drain_failures: BTreeMap<String, u64>,
    /// From the cut until both sides have called the other Down.
    pub(super) cut_detect_ms: f64,
    /// From the heal until each child runs once, in its place, and is found from everywhere.
    pub(super) heal_ms: f64,
    /// From the heal until no child runs twice any more.
    pub(super) heal_once_ms: f64,
    /// The longest that two copies of one child ran at once, before or after the heal, and how many such copies there were.
    pub(super) overlap_ms: f64,
    pub(super) overlap_copies: usize,
    pub(super) pause_ms: f64,
    pub(super) pause_recover_ms: f64,
    /// The longest that a copy on the paused node ran beside another one once it went on.
    pub(super) pause_overlap_ms: f64,
    pub(super) lost: usize,
    pub(super) duplicates: usize,
    pub(super) untracked: usize,
    /// What did not hold, in words.
    pub(super) failed: Vec<String>,
    pub(super) took_ms: f64,
    pub(super) ok: bool,
}

impl Summary {
    pub(super) fn new(nodes: usize, children: usize, quorum: Quorum) -> Self {
        Self {
            event: "summary",
            nodes,
            children,
            quorum,
            start_ms: 0.0,
            spread: Vec::new(),
            kill_lost: 0,
            kill_detect_ms: 0.0,
            kill_recover_ms: 0.0,
            calls: 0,
            failed_calls: 0,
            failures: BTreeMap::new(),
            slowest_call_ms: 0.0,
            join_ms: 0.0,
            join_moves: 0,
            join_difference: 0,
            join_failures: BTreeMap::new(),
            drain_ms: 0.0,
            drain_exit_ms: 0.0,
            drain_moves: 0,
            drain_failures: BTreeMap::new(),
            cut_detect_ms: 0.0,
            heal_ms: 0.0,
            heal_once_ms: 0.0,
            overlap_ms: 0.0,
            overlap_copies: 0,
            pause_ms: 0.0,
            pause_recover_ms: 0.0,
            pause_overlap_ms: 0.0,
            lost: 0,
            duplicates: 0,
            untracked: 0,
            failed: Vec::new(),
            took_ms: 0.0,
            ok: false,
        }
    }
}

/// Horde's figure (Elixir) for 1,000 children on 3 nodes of such a machine: kill -9 of one until all it lost run again.
pub(super) const HORDE_RECOVER_MS: f64 = 68.0;
/// The same for a graceful stop of a node: until all its children have moved.
pub(super) const HORDE_DRAIN_MS: f64 = 139.0;

/// Milliseconds between two times in microseconds.
pub(super) fn ms(from_us: u64, to_us: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "differences within a demo are far below 2^52")]
    let us = to_us.saturating_sub(from_us) as f64;
    us / 1_000.0
}

/// The failed calls by kind.
pub(super) fn kinds(calls: &Calls) -> BTreeMap<String, u64> {
    calls.failed.iter().map(|(kind, failures)| (kind.clone(), failures.count)).collect()
}

/// The failed calls in words, each kind with the window in which they fell, counted from `since`.
pub(super) fn failures(calls: &Calls, since: u64) -> String {
    let one = |(kind, failures): (&String, &Failures)| {
        let Failures { count, first_us, last_us } = *failures;
        format!("{count} {kind} in [{:.0}, {:.0}] ms", ms(since, first_us), ms(since, last_us))
    };
    let all: Vec<String> = calls.failed.iter().map(one).collect();
    if all.is_empty() { "none failed".to_owned() } else { format!("failed: {}", all.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_calls_are_told_by_kind_with_their_window() {
        let mut calls = Calls::default();
        assert_eq!(failures(&calls, 0), "none failed");
        calls.fail("moved", 12_000);
        calls.fail("moved", 15_400);
        calls.fail("interrupted", 20_000);
        assert_eq!(failures(&calls, 10_000), "failed: 1 interrupted in [10, 10] ms, 2 moved in [2, 5] ms");
        assert_eq!(kinds(&calls), [("interrupted".to_owned(), 1), ("moved".to_owned(), 2)].into());
    }

    #[test]
    fn the_summary_carries_the_fields_that_are_promised() {
        let summary = serde_json::json!(Summary::new(3, 1_000, Quorum::None));
        let promised = [
            "event",
            "nodes",
            "children",
            "quorum",
            "start_ms",
            "spread",
            "kill_detect_ms",
            "kill_recover_ms",
            "failed_calls",
            "join_moves",
            "drain_ms",
            "heal_ms",
            "overlap_ms",
            "pause_recover_ms",
            "lost",
            "duplicates",
            "untracked",
            "ok",
        ];
        assert!(promised.iter().all(|field| summary.get(field).is_some()), "{summary}");
        assert_eq!(summary["quorum"], "none");
    }
}
