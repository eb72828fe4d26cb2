//! What is run as a member, and how.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

/// The member's program, and the command that it is an argument of, if any.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    under: Vec<OsString>,
}

impl Program {
    /// The program at `path`: `env!("CARGO_BIN_EXE_member")` in a test.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), under: Vec::new() }
    }

    /// Run by another command, which replaces itself by it: `ip netns exec one`.
    #[must_use]
    pub fn under<S: Into<OsString>>(mut self, command: impl IntoIterator<Item = S>) -> Self {
        self.under = command.into_iter().map(Into::into).collect();
        self
    }

    pub(crate) fn command(&self) -> Command {
        let Some((first, rest)) = self.under.split_first() else { return Command::new(&self.path) };
        let mut command = Command::new(first);
        command.args(rest).arg(&self.path);
        command
    }
}
