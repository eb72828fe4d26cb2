//! A node dies by SIGKILL while children are called.

use super::{CALLED, Demo};
use crate::demo::protocol::{Calls, Order, Report};
use crate::demo::report::{failures, kinds, ms};

impl Demo<'_> {
    pub(super) async fn kill(&mut self, victim: &str, caller: &str) -> anyhow::Result<()> {
        let what = format!("killing {victim} while {caller} calls {CALLED} children");
        let phase = self.screen.phase("kill", what);
        let lost = self.census().await?.on(victim);
        self.begin_calls(caller).await?;
        let killed = self.fleet.take(victim)?.kill().await?;
        let count = self.settled().await?;
        let recovered = count.recovered(&lost, killed);
        self.must(recovered.is_some(), || format!("not all {} children of {victim} run again", lost.len()));
        let names = self.fleet.names();
        let noticed = self.declared_down(&names, &[victim.to_owned()], killed).await?;
        let calls = self.end_calls(caller).await?;
        self.summary.kill_lost = lost.len();
        self.summary.kill_detect_ms = ms(killed, noticed);
        self.summary.kill_recover_ms = ms(killed, recovered.unwrap_or(killed));
        self.summary.calls = calls.all();
        self.summary.failed_calls = calls.failures();
        self.summary.failures = kinds(&calls);
        self.summary.slowest_call_ms = ms(0, calls.slowest_us);
        phase.done(&format!(
            "{victim} killed with SIGKILL: noticed after {:.1} ms, its {} children run again after {:.1} ms",
            self.summary.kill_detect_ms,
            lost.len(),
            self.summary.kill_recover_ms,
        ));
        self.tell_calls("kill_calls", &calls, killed);
        self.one_at_a_time("kill", &count, killed);
        self.verify("kill_checked").await?;
        Ok(())
    }

    /// From now on `caller` calls some children again and again.
    pub(super) async fn begin_calls(&mut self, caller: &str) -> anyhow::Result<()> {
        let children = (0..self.children.min(CALLED)).collect();
        let Report::Done = self.fleet.find(caller)?.ask(&Order::CallMany { children }).await? else {
            anyhow::bail!("{caller} does not call")
        };
        Ok(())
    }

    pub(super) async fn end_calls(&mut self, caller: &str) -> anyhow::Result<Calls> {
        match self.fleet.find(caller)?.ask(&Order::StopCalls).await? {
            Report::Called(calls) => Ok(calls),
            other => anyhow::bail!("no report of calls: {other:?}"),
        }
    }

    pub(super) fn tell_calls(&mut self, phase: &'static str, calls: &Calls, since: u64) {
        let (all, slowest) = (calls.all(), ms(0, calls.slowest_us));
        let text =
            format!("  {all} calls meanwhile, {}; the slowest took {slowest:.0} ms", failures(calls, since));
        self.screen.phase(phase, String::new()).done(&text);
    }

    /// Nothing that happened since gave a child a second copy.
    pub(super) fn one_at_a_time(&mut self, phase: &str, count: &crate::demo::census::Headcount, since: u64) {
        let overlap = count.overlap(since, crate::demo::protocol::unix_us());
        self.must(overlap.copies == 0, || {
            let longest = ms(0, overlap.longest_us);
            let story = count.story(overlap.last_begun.as_deref().unwrap_or_default(), since);
            format!(
                "{phase}: {} children ran twice, for up to {longest:.1} ms; one of them: {story}",
                overlap.copies
            )
        });
    }
}
