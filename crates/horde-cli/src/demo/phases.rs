//! The phases of the demo.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::census::{Headcount, Verdict};
use super::fleet::NodeProcess;
use super::protocol::{Be, Calls, Order, Report, unix_us};
use super::report::{Summary, ms};
use super::screen::Screen;
use crate::args::DemoArgs;

/// How many children are called while a node is killed.
const CALLED: usize = 100;
/// How long children may take to run again, and views to agree.
const PATIENCE: Duration = Duration::from_secs(15);

pub(super) struct Demo<'a> {
    nodes: usize,
    children: usize,
    screen: &'a Screen,
    fleet: Vec<NodeProcess>,
    summary: Summary,
    verdict: Verdict,
    held: bool,
}

impl<'a> Demo<'a> {
    pub(super) fn new(args: &DemoArgs, screen: &'a Screen) -> Self {
        let (nodes, children) = (usize::from(args.nodes), args.children as usize);
        let summary = Summary {
            event: "summary",
            nodes,
            children,
            quorum: "none",
            start_ms: 0.0,
            spread: Vec::new(),
            kill_lost: 0,
            kill_detect_ms: 0.0,
            kill_recover_ms: 0.0,
            calls: 0,
            failed_calls: 0,
            failures: Default::default(),
            slowest_call_ms: 0.0,
            lost: 0,
            duplicates: 0,
            untracked: 0,
            ok: false,
        };
        Self { nodes, children, screen, fleet: Vec::new(), summary, verdict: Verdict::default(), held: true }
    }

    /// Runs all phases. The nodes end with it.
    pub(super) async fn run(mut self) -> anyhow::Result<Summary> {
        self.start_nodes().await?;
        self.start_children().await?;
        self.kill_one().await?;
        let Verdict { lost, duplicates, untracked } = self.verdict;
        let ok = self.held && self.verdict.is_clean();
        Ok(Summary { lost, duplicates, untracked, ok, ..self.summary })
    }

    async fn start_nodes(&mut self) -> anyhow::Result<()> {
        let phase = self.screen.phase("nodes", format!("starting {} nodes", self.nodes));
        let begun = Instant::now();
        let secret = horde::generate_secret();
        let mut join = Vec::new();
        for number in 1..=self.nodes {
            let name = format!("n{number}");
            let mut node = NodeProcess::spawn(&name)?;
            let listen = ([127, 0, 0, 1], 0).into();
            let be = Be { name, secret: secret.clone(), listen, join: join.clone(), expect: self.nodes };
            let address = node.be(be).await?;
            if join.is_empty() {
                join.push(address);
            }
            self.fleet.push(node);
        }
        for node in &mut self.fleet {
            node.ready().await?;
        }
        let took = begun.elapsed().as_millis();
        phase.done(&format!("{} nodes, each an OS process, joined with mutual TLS in {took} ms", self.nodes));
        Ok(())
    }

    async fn start_children(&mut self) -> anyhow::Result<()> {
        let phase = self.screen.phase("start", format!("starting {} children from n1", self.children));
        let begun = Instant::now();
        let order = Order::StartChildren { from: 0, to: self.children };
        let Report::Started { failed } = self.fleet[0].ask(&order).await? else {
            anyhow::bail!("no report of starts")
        };
        self.summary.start_ms = begun.elapsed().as_secs_f64() * 1_000.0;
        if let Some(first) = failed.first() {
            anyhow::bail!("{} of {} starts failed; the first: {first}", failed.len(), self.children);
        }
        let count = self.census().await?;
        self.summary.spread = count.spread().into_iter().map(|(_, running)| running).collect();
        let spread =
            count.spread().iter().map(|(node, running)| format!("{node} {running}")).collect::<Vec<_>>();
        let text = format!(
            "{} children started in {:.0} ms: {}",
            self.children,
            self.summary.start_ms,
            spread.join(", ")
        );
        phase.done(&text);
        self.judge(&count);
        self.call_from_everywhere("call").await
    }

    async fn kill_one(&mut self) -> anyhow::Result<()> {
        let victim = self.fleet.last().map(|node| node.name.clone()).unwrap_or_default();
        let phase = self.screen.phase("kill", format!("killing {victim} while n1 calls {CALLED} children"));
        let before = self.census().await?;
        let lost = before.on(&victim);
        self.summary.kill_lost = lost.len();
        let called = (0..self.children.min(CALLED)).collect();
        self.fleet[0].ask(&Order::CallMany { children: called }).await?;
        let Some(node) = self.fleet.pop() else { anyhow::bail!("no node to kill") };
        let killed = node.kill().await?;
        let recovered = self.recovery(&lost, killed).await?;
        let noticed = self.noticed(&victim).await?;
        let Report::Called(calls) = self.fleet[0].ask(&Order::StopCalls).await? else {
            anyhow::bail!("no report of calls")
        };
        self.note_calls(&calls);
        self.summary.kill_detect_ms = ms(killed, noticed);
        self.summary.kill_recover_ms = ms(killed, recovered);
        phase.done(&format!(
            "{victim} killed with SIGKILL: noticed after {:.1} ms, its {} children run again after {:.1} ms",
            self.summary.kill_detect_ms,
            lost.len(),
            self.summary.kill_recover_ms,
        ));
        let failures =
            calls.failed.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ");
        let failures =
            if failures.is_empty() { "none failed".to_owned() } else { format!("failed: {failures}") };
        let text = format!(
            "{} calls meanwhile, {failures}; the slowest took {:.0} ms",
            calls.answered + calls.failures(),
            self.summary.slowest_call_ms
        );
        self.screen.phase("kill_calls", String::new()).done(&text);
        self.call_from_everywhere("call_again").await?;
        let count = self.census().await?;
        self.judge(&count);
        Ok(())
    }

    fn note_calls(&mut self, calls: &Calls) {
        self.summary.calls = calls.answered + calls.failures();
        self.summary.failed_calls = calls.failures();
        self.summary.failures = calls.failed.clone();
        self.summary.slowest_call_ms = ms(0, calls.slowest_us);
    }

    /// Waits until all that was lost runs again. Answers when the last of it began to.
    async fn recovery(&mut self, lost: &BTreeSet<String>, killed: u64) -> anyhow::Result<u64> {
        let end = Instant::now() + PATIENCE;
        loop {
            let count = self.census().await?;
            if let Some(at) = count.recovered(lost, killed) {
                return Ok(at);
            }
            if Instant::now() > end {
                self.held = false;
                return Ok(unix_us());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// When the last survivor noticed that a node is down.
    async fn noticed(&mut self, victim: &str) -> anyhow::Result<u64> {
        let mut last = 0;
        for node in &mut self.fleet {
            let Report::Members { down, .. } = node.ask(&Order::Members).await? else {
                anyhow::bail!("no report of members")
            };
            match down.iter().find(|(name, _)| name == victim) {
                Some((_, at)) => last = last.max(*at),
                None => self.held = false,
            }
        }
        Ok(last)
    }

    /// Calls every child by name from every node.
    async fn call_from_everywhere(&mut self, phase: &'static str) -> anyhow::Result<()> {
        let nodes = self.fleet.len();
        let phase = self
            .screen
            .phase(phase, format!("calling {} children by name from {nodes} nodes", self.children));
        let (mut answered, mut failed) = (0, 0);
        for node in &mut self.fleet {
            let Report::Called(calls) = node.ask(&Order::CallAll { count: self.children }).await? else {
                anyhow::bail!("no report of calls")
            };
            answered += calls.answered;
            failed += calls.failures();
        }
        self.held &= failed == 0 && answered == (self.children * nodes) as u64;
        phase.done(&format!(
            "every child called by name from each of {nodes} nodes: {answered} answers, {failed} failures"
        ));
        Ok(())
    }

    async fn census(&mut self) -> anyhow::Result<Headcount> {
        let mut count = Headcount::default();
        for node in &mut self.fleet {
            let Report::Census { entries } = node.ask(&Order::Census).await? else {
                anyhow::bail!("no census")
            };
            count.nodes.insert(node.name.clone(), entries);
        }
        Ok(count)
    }

    fn judge(&mut self, count: &Headcount) {
        self.verdict.add(count.verdict(self.children));
    }
}
