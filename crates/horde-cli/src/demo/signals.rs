//! Signals between the demo and its nodes.

use anyhow::Context;
use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};

/// Sends a signal to a process that is a child of this one and was not waited for: its number is nobody else's.
pub(super) fn send(process: u32, signal: Signal) -> anyhow::Result<()> {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw).context("no such process number")?;
    kill_process(pid, signal).with_context(|| format!("cannot send {signal:?} to process {process}"))
}

/// From now on this process is killed when its parent ends, however that ends and even while this one is stopped.
///
/// # Errors
/// When the parent has ended already, or the system has no such service.
pub(super) fn die_with_parent(parent: u32) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("cannot tie this node to the demo's end")?;
    // It may have ended before the line above: then nobody sends a signal any more.
    let now = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    anyhow::ensure!(now == Some(parent), "the demo that started this node is gone");
    Ok(())
}
