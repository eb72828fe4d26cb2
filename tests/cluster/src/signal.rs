//! Signals to other OS processes.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// A signal that a test sends. SIGKILL is [`crate::Member::kill`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// The process stands still.
    Stop,
    /// It goes on.
    Continue,
}

impl Signal {
    /// Sends it to the process `pid`, a child of this one that was not waited for: its number belongs to nobody else.
    pub(crate) fn send(self, pid: u32) -> Result<()> {
        let name = match self {
            Self::Stop => "STOP",
            Self::Continue => "CONT",
        };
        // The shell's own `kill`: no package, and no unsafe code here.
        let status = Command::new("sh").args(["-c", &format!("kill -s {name} {pid}")]).status();
        let status = status.context("`sh` did not start")?;
        ensure!(status.success(), "SIG{name} was not sent to process {pid}: {status}");
        Ok(())
    }
}
