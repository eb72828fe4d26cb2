//! `horde demo`: the main job on real OS processes, and a census of what really runs.

mod census;
mod fleet;
mod member;
mod phases;
mod protocol;
mod report;
mod screen;
mod worker;

pub(crate) use member::run as member;
pub(crate) use worker::{Census, Worker};

use std::time::{Duration, Instant};

use crate::args::DemoArgs;
use phases::Demo;
use screen::Screen;

/// The whole demo takes no longer; past this something hangs, and it says so.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs the demo. True if all that it promises held.
pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let screen = Screen::new(args.json);
    runtime.block_on(async {
        let started = Instant::now();
        let demo = Demo::new(args, &screen);
        let outcome = tokio::select! {
            outcome = tokio::time::timeout(LIMIT, demo.run()) => outcome,
            _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted; its nodes are stopped"),
            () = terminated() => anyhow::bail!("told to stop; its nodes are stopped"),
        };
        let summary = outcome
            .map_err(|_| anyhow::anyhow!("gave up after {} s; its nodes are stopped", LIMIT.as_secs()))??;
        screen.summary(&summary, started.elapsed());
        Ok(summary.ok)
    })
}

async fn terminated() {
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut signal) => drop(signal.recv().await),
        Err(_) => std::future::pending().await,
    }
}
