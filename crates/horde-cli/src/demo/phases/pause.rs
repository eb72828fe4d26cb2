//! A node stands still for longer than the others wait for it, and goes on.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Demo, PATIENCE, STEP};
use crate::demo::overlap::without_pause;
use crate::demo::protocol::unix_us;
use crate::demo::report::ms;

/// How long it stands still at least; a silent node is Down after about a second.
const PAUSE: Duration = Duration::from_millis(2_500);

impl Demo<'_> {
    pub(super) async fn pause(&mut self, victim: &str) -> anyhow::Result<()> {
        let phase = self.screen.phase("pause", format!("{victim} is stopped with SIGSTOP"));
        let begun = Instant::now();
        let node = self.fleet.take(victim)?;
        let stopped = node.signal(Signal::STOP)?;
        let rest = self.fleet.names();
        let noticed = self.declared_down(&rest, &[victim.to_owned()], stopped).await?;
        self.all_run_elsewhere(victim).await?;
        phase.say(format!("{victim} stands still; the others run its children"));
        tokio::time::sleep(PAUSE.saturating_sub(begun.elapsed())).await;
        let continued = node.signal(Signal::CONT)?;
        self.fleet.nodes.push(node);
        phase.say(format!("{victim} goes on"));
        let reunited = self.reunited(continued).await?;
        let mut count = self.settled().await?;
        let settled = count.last_change(continued).max(reunited);
        // What ran there stood still with it: only after that is it a second copy.
        if let Some(runs) = count.nodes.get_mut(victim) {
            *runs = without_pause(runs, stopped, continued);
        }
        let overlap = count.overlap(stopped, unix_us());
        self.summary.pause_ms = ms(stopped, continued);
        self.summary.pause_overlap_ms = ms(0, overlap.longest_us);
        phase.done(&format!(
            "{victim} stood still for {:.0} ms: {} called it Down after {:.0} ms; after SIGCONT all are up again within {:.0} ms, \
             no child runs twice after {:.0} ms, each is in its place after {:.0} ms",
            self.summary.pause_ms,
            rest.join(", "),
            ms(stopped, noticed),
            ms(continued, reunited),
            ms(continued, overlap.over_us.max(continued)),
            ms(continued, settled),
        ));
        let found = self.verify("pause_checked").await?;
        self.summary.pause_recover_ms = ms(continued, settled.max(found));
        Ok(())
    }

    /// Waits until the others run every child.
    async fn all_run_elsewhere(&mut self, victim: &str) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let all: usize = self.running().await?.iter().map(|(_, running)| running).sum();
            if all >= self.children || Instant::now() > end {
                let started = self.children;
                self.must(all == started, || {
                    format!("while {victim} stood still, {all} of {started} children ran elsewhere")
                });
                return Ok(());
            }
            tokio::time::sleep(STEP).await;
        }
    }
}
