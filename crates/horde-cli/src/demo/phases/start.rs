//! Nodes, and children on them.

use std::time::Instant;

use super::Demo;
use crate::demo::protocol::{Order, Report};

impl Demo<'_> {
    pub(super) async fn start_nodes(&mut self) -> anyhow::Result<()> {
        let phase = self.screen.phase("nodes", format!("starting {} nodes", self.nodes));
        let begun = Instant::now();
        for number in 1..=self.nodes {
            self.fleet.start(&super::node(number), self.nodes).await?;
        }
        for node in &mut self.fleet.nodes {
            node.ready().await?;
        }
        let took = begun.elapsed().as_millis();
        phase.done(&format!("{} nodes, each an OS process, joined with mutual TLS in {took} ms", self.nodes));
        Ok(())
    }

    pub(super) async fn start_children(&mut self, from: &str) -> anyhow::Result<()> {
        let phase = self.screen.phase("start", format!("starting {} children from {from}", self.children));
        let begun = Instant::now();
        let order = Order::StartChildren { from: 0, to: self.children };
        let Report::Started { failed } = self.fleet.find(from)?.ask(&order).await? else {
            anyhow::bail!("no report of starts")
        };
        self.summary.start_ms = begun.elapsed().as_secs_f64() * 1_000.0;
        if let Some(first) = failed.first() {
            anyhow::bail!("{} of {} starts failed; the first: {first}", failed.len(), self.children);
        }
        let count = self.settled().await?;
        self.summary.spread = count.spread().into_iter().map(|(_, running)| running).collect();
        let spread: Vec<_> =
            count.spread().iter().map(|(node, running)| format!("{node} {running}")).collect();
        let took = self.summary.start_ms;
        phase.done(&format!("{} children started in {took:.0} ms: {}", self.children, spread.join(", ")));
        self.verify("start_checked").await?;
        Ok(())
    }
}
