//! The phases of the demo, and what holds after each.

mod check;
mod cut;
mod drain;
mod join;
mod kill;
mod pause;
mod start;

use std::time::{Duration, Instant};

use super::census::Verdict;
use super::fleet::Fleet;
use super::report::{Summary, ms};
use super::screen::Screen;
use crate::args::DemoArgs;

/// How many children are called while a node is killed, joins or leaves.
const CALLED: usize = 100;
/// How long children may take to run again, and views to agree.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at what other processes do.
const STEP: Duration = Duration::from_millis(20);

pub(super) struct Demo<'a> {
    nodes: usize,
    children: usize,
    screen: &'a Screen,
    fleet: Fleet,
    summary: Summary,
    verdict: Verdict,
    begun: Instant,
}

impl<'a> Demo<'a> {
    pub(super) fn new(args: &DemoArgs, screen: &'a Screen) -> Self {
        let (nodes, children) = (usize::from(args.nodes), args.children as usize);
        Self {
            nodes,
            children,
            screen,
            fleet: Fleet::new((1..=nodes).map(node).collect(), args.quorum),
            summary: Summary::new(nodes, children, args.quorum),
            verdict: Verdict::default(),
            begun: Instant::now(),
        }
    }

    /// Runs all phases, or until one cannot go on.
    pub(super) async fn run(&mut self) {
        if let Err(error) = self.phases().await {
            self.fail(format!("{error:#}"));
        }
    }

    async fn phases(&mut self) -> anyhow::Result<()> {
        let (first, last, newcomer) = (node(1), node(self.nodes), node(self.nodes + 1));
        // Two nodes are the fewest: the one that drains is then the one that was killed and is back.
        let second = node(2);
        self.start_nodes().await?;
        self.start_children(&first).await?;
        self.kill(&last, &first).await?;
        self.join(&newcomer, &first).await?;
        self.rejoin(&last).await?;
        self.drain(&second, &first).await?;
        self.rejoin(&second).await?;
        self.cut(&last).await?;
        let paused = if self.nodes == 2 { newcomer } else { second };
        self.pause(&paused).await
    }

    /// Something that is promised did not hold.
    pub(super) fn fail(&mut self, what: String) {
        self.summary.failed.push(what);
    }

    /// Notes that something promised did not hold, unless it did.
    fn must(&mut self, held: bool, what: impl FnOnce() -> String) {
        if !held {
            self.fail(what());
        }
    }

    /// What it came to. The nodes end with this.
    pub(super) fn summary(self) -> Summary {
        let Verdict { lost, duplicates, untracked } = self.verdict;
        let ok = self.summary.failed.is_empty() && self.verdict.is_clean();
        let took_ms = ms(0, u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX));
        Summary { lost, duplicates, untracked, took_ms, ok, ..self.summary }
    }
}

/// The name of a node.
fn node(number: usize) -> String {
    format!("n{number}")
}
