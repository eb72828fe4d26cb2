//! A node is told to stop: its children move, and then it leaves.

use rustix::process::Signal;

use super::{CALLED, Demo};
use crate::demo::report::{kinds, ms};

/// What a call may be told while its child moves: it may have run, or it was not delivered.
const TOLERATED: [&str; 2] = ["interrupted", "moved"];

impl Demo<'_> {
    pub(super) async fn drain(&mut self, leaver: &str, caller: &str) -> anyhow::Result<()> {
        let what = format!("{leaver} is told to stop while {caller} calls {CALLED} children");
        let phase = self.screen.phase("drain", what);
        let moving = self.census().await?.on(leaver);
        self.begin_calls(caller).await?;
        let node = self.fleet.take(leaver)?;
        let told = node.signal(Signal::TERM)?;
        let farewell = node.farewell().await?;
        let mut count = self.settled().await?;
        let calls = self.end_calls(caller).await?;
        let moved = count.recovered(&moving, told);
        let moves = count.begun(told);
        self.summary.drain_ms = ms(told, moved.unwrap_or(told));
        self.summary.drain_exit_ms = ms(told, farewell.at);
        self.summary.drain_moves = moves;
        self.summary.drain_failures = kinds(&calls);
        phase.done(&format!(
            "{leaver} got SIGTERM: its {} children run elsewhere after {:.1} ms ({moves} moves); its process ended after {:.0} ms with {}",
            moving.len(),
            self.summary.drain_ms,
            self.summary.drain_exit_ms,
            farewell.status,
        ));
        self.tell_calls("drain_calls", &calls, told);
        self.must(farewell.status.success(), || {
            format!("the process of {leaver} ended with {}", farewell.status)
        });
        self.must(farewell.unmoved == 0, || {
            format!("{} children of {leaver} were not moved", farewell.unmoved)
        });
        self.must(moves <= moving.len(), || {
            format!("{moves} children were moved, and {leaver} had {}", moving.len())
        });
        let late = moved.is_none_or(|moved| moved > farewell.at);
        self.must(!late, || format!("the process of {leaver} ended before all its children ran elsewhere"));
        for (kind, failures) in &calls.failed {
            self.must(TOLERATED.contains(&kind.as_str()), || {
                format!("{} calls during the drain failed with: {kind}", failures.count)
            });
        }
        count.nodes.insert(format!("{leaver}, which left"), farewell.entries);
        self.one_at_a_time("drain", &count, told);
        self.verify("drain_checked").await?;
        Ok(())
    }
}
