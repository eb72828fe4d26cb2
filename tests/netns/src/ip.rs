//! The commands of iproute2.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// Runs `program` with the words of `line`; what it said is in the error.
pub(crate) fn run(program: &str, line: &str) -> Result<()> {
    let mut command = Command::new(program);
    let output = command.args(line.split(' ')).output();
    let output = output.with_context(|| format!("`{program}` (package iproute2) does not start"))?;
    if !output.status.success() {
        bail!("`{program} {line}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
