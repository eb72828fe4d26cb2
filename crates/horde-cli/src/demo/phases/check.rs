//! What must hold after each phase: what runs is what was started, each child in its place, found from everywhere.

use std::time::Instant;

use super::{Demo, PATIENCE, STEP};
use crate::demo::census::Headcount;
use crate::demo::member::name;
use crate::demo::placement::Placement;
use crate::demo::protocol::{Order, Report, unix_us};

impl Demo<'_> {
    /// Where the children belong, with the nodes that are there now.
    pub(super) fn placement(&self) -> Placement {
        Placement::over(self.fleet.names())
    }

    /// Every child by its name.
    pub(super) fn ids(&self) -> impl Iterator<Item = String> + use<> {
        (0..self.children).map(name)
    }

    /// What runs and ran on the nodes that are there.
    pub(super) async fn census(&mut self) -> anyhow::Result<Headcount> {
        let mut count = Headcount::default();
        for (node, report) in self.fleet.ask_all(&Order::Census).await? {
            let Report::Census { entries } = report else { anyhow::bail!("no census of {node}") };
            count.nodes.insert(node, entries);
        }
        Ok(count)
    }

    /// How many run on each node.
    pub(super) async fn running(&mut self) -> anyhow::Result<Vec<(String, usize)>> {
        let mut all = Vec::new();
        for (node, report) in self.fleet.ask_all(&Order::Count).await? {
            let Report::Count { running } = report else { anyhow::bail!("no count of {node}") };
            all.push((node, running));
        }
        Ok(all)
    }

    /// Waits until every child runs once and in its place, for a while. The last census, be that so or not.
    pub(super) async fn settled(&mut self) -> anyhow::Result<Headcount> {
        let end = Instant::now() + PATIENCE;
        let placement = self.placement();
        loop {
            let all: usize = self.running().await?.iter().map(|(_, running)| running).sum();
            if all == self.children || Instant::now() > end {
                let count = self.census().await?;
                let clean = count.verdict(self.children).is_clean() && count.misplaced(&placement) == 0;
                if clean || Instant::now() > end {
                    return Ok(count);
                }
            }
            tokio::time::sleep(STEP).await;
        }
    }

    /// The two checks that stand after each phase: the census, and a call to each child by name from each node. Answers when the
    /// names were found from everywhere: 0 if that was so from the first call on.
    pub(super) async fn verify(&mut self, after: &'static str) -> anyhow::Result<u64> {
        let nodes = self.fleet.nodes.len();
        let what = format!("calling {} children by name from {nodes} nodes", self.children);
        let phase = self.screen.phase(after, what);
        let (mut answered, mut failed, mut again, mut slowest_us) = (0, 0, 0, 0);
        let mut by_node = Vec::new();
        for (node, report) in self.fleet.ask_all(&Order::CallAll { count: self.children }).await? {
            let Report::Called(calls) = report else { anyhow::bail!("no report of calls of {node}") };
            answered += calls.answered;
            failed += calls.failures();
            again += calls.again;
            slowest_us = slowest_us.max(calls.slowest_us);
            by_node.push((node, calls.by_node));
        }
        let called = unix_us();
        let wanted = (self.children * nodes) as u64;
        self.must(failed == 0 && answered == wanted, || {
            format!("{after}: of {wanted} calls {answered} were answered and {failed} failed")
        });
        let count = self.census().await?;
        let verdict = count.verdict(self.children);
        self.verdict.add(verdict);
        self.must(verdict.is_clean(), || format!("{after}: what runs is not what was started: {verdict:?}"));
        if let Some(child) = count.culprit(self.children) {
            self.explain(after, &child, &count).await?;
        }
        let misplaced = count.misplaced(&self.placement());
        self.must(misplaced == 0, || format!("{after}: {misplaced} children run where they do not belong"));
        let spread: std::collections::BTreeMap<String, u64> =
            count.spread().into_iter().filter(|(_, n)| *n > 0).map(|(node, n)| (node, n as u64)).collect();
        for (node, answers) in by_node {
            self.must(answers == spread, || {
                format!("{after}: {node} was answered by {answers:?}, and {spread:?} run")
            });
        }
        let repeated = if again == 0 { String::new() } else { format!(", {again} of them at a later try") };
        phase.done(&format!(
            "  each runs once, and answers by name from each of {nodes} nodes: {answered} answers{repeated}, {failed} failures"
        ));
        Ok(if again == 0 { 0 } else { called })
    }

    /// Says what is known of a child with which something is wrong.
    async fn explain(&mut self, after: &str, child: &str, count: &Headcount) -> anyhow::Result<()> {
        self.fail(format!("{after}: runs of {child}: {}", count.story(child, unix_us())));
        for (node, report) in self.fleet.ask_all(&Order::Explain { child: child.to_owned() }).await? {
            let Report::Explained { text } = report else { anyhow::bail!("{node} does not explain") };
            self.fail(format!("{after}: {child} as {node} knows it: {text}"));
        }
        Ok(())
    }

    /// Waits until each node sees all as up. Answers when the last of them saw another one rise, at `since` or later.
    pub(super) async fn reunited(&mut self, since: u64) -> anyhow::Result<u64> {
        let end = Instant::now() + PATIENCE;
        let names = self.fleet.names();
        loop {
            let (mut missing, mut last) = (Vec::new(), since);
            for (node, report) in self.fleet.ask_all(&Order::Members).await? {
                let Report::Members { up, risen, .. } = report else { anyhow::bail!("no members of {node}") };
                let unseen = names.iter().filter(|name| !up.contains(name));
                missing.extend(unseen.map(|other| format!("{node} does not see {other}")));
                last = risen.iter().map(|(_, at)| *at).fold(last, u64::max);
            }
            if missing.is_empty() || Instant::now() > end {
                self.must(missing.is_empty(), || format!("not everybody is up: {}", missing.join(", ")));
                return Ok(last);
            }
            tokio::time::sleep(STEP).await;
        }
    }

    /// Waits until each of `who` has called `whom` Down, at `since` or later. Answers when the last of them did.
    pub(super) async fn declared_down(
        &mut self,
        who: &[String],
        whom: &[String],
        since: u64,
    ) -> anyhow::Result<u64> {
        let end = Instant::now() + PATIENCE;
        loop {
            let (mut missing, mut last) = (Vec::new(), since);
            for name in who {
                let Report::Members { down, .. } = self.fleet.find(name)?.ask(&Order::Members).await? else {
                    anyhow::bail!("no members of {name}")
                };
                for other in whom {
                    match down.iter().find(|(node, at)| node == other && *at >= since) {
                        Some((_, at)) => last = last.max(*at),
                        None => missing.push(format!("{name} has not called {other} Down")),
                    }
                }
            }
            if missing.is_empty() || Instant::now() > end {
                self.must(missing.is_empty(), || missing.join(", "));
                return Ok(last);
            }
            tokio::time::sleep(STEP).await;
        }
    }
}
