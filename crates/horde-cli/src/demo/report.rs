//! What the demo has shown.

use serde::Serialize;

/// The figures of a demo: what `--json` prints last.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Summary {
    pub(super) event: &'static str,
    pub(super) nodes: usize,
    pub(super) children: usize,
    pub(super) quorum: &'static str,
    pub(super) start_ms: f64,
    /// Children per node after the start.
    pub(super) spread: Vec<usize>,
    pub(super) kill_lost: usize,
    pub(super) kill_detect_ms: f64,
    pub(super) kill_recover_ms: f64,
    /// Calls during the kill, and those of them that failed, by what they were told.
    pub(super) calls: u64,
    pub(super) failed_calls: u64,
    pub(super) failures: std::collections::BTreeMap<String, u64>,
    pub(super) slowest_call_ms: f64,
    pub(super) lost: usize,
    pub(super) duplicates: usize,
    pub(super) untracked: usize,
    pub(super) ok: bool,
}

/// Horde's figure (Elixir) for 1,000 children on 3 nodes of such a machine: kill -9 of one until all it lost run again.
pub(super) const HORDE_RECOVER_MS: f64 = 68.0;

/// Milliseconds between two times in microseconds.
pub(super) fn ms(from_us: u64, to_us: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "differences within a demo are far below 2^52")]
    let us = to_us.saturating_sub(from_us) as f64;
    us / 1_000.0
}
