//! `horde demo`: the main job on real OS processes, and a census of what really runs.

mod census;
mod fleet;
mod member;
mod overlap;
mod phases;
mod placement;
mod protocol;
mod report;
mod screen;
mod signals;
mod worker;

pub(crate) use member::run as member;
pub(crate) use worker::{Census, Worker};

use std::time::Duration;

use crate::args::{DemoArgs, Quorum};
use phases::Demo;
use screen::Screen;

/// The whole demo takes no longer; past this something hangs, and it says so.
const LIMIT: Duration = Duration::from_secs(120);
/// Fewer nodes cannot lose one and keep a majority.
const MAJORITY_NEEDS: u16 = 3;

/// Runs the demo. True if all that it promises held.
pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<bool> {
    anyhow::ensure!(
        args.quorum == Quorum::None || args.nodes >= MAJORITY_NEEDS,
        "`--quorum majority` needs `--nodes {MAJORITY_NEEDS}` at least: the demo kills one of them, and the rest must be most"
    );
    // All nodes are started from this thread: they are tied to its end.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let screen = Screen::new(args.json);
    runtime.block_on(async {
        let mut demo = Demo::new(args, &screen);
        tokio::select! {
            () = demo.run() => {}
            () = tokio::time::sleep(LIMIT) => {
                demo.fail(format!("gave up after {} s", LIMIT.as_secs()));
            }
            _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted; its nodes are stopped"),
            () = terminated() => anyhow::bail!("told to stop; its nodes are stopped"),
        }
        let summary = demo.summary();
        screen.summary(&summary);
        Ok(summary.ok)
    })
}

async fn terminated() {
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut signal) => drop(signal.recv().await),
        Err(_) => std::future::pending().await,
    }
}
