//! `fix`: what a machine can mend by itself.

use crate::shell;
use anyhow::Result;

/// Formats, applies clippy's fixes, and formats what those fixes touched.
pub(crate) fn run() -> Result<()> {
    shell::run(&mut shell::cargo(["fmt", "--all"]))?;
    shell::run(&mut shell::cargo([
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--fix",
        "--allow-dirty",
        "--allow-staged",
    ]))?;
    shell::run(&mut shell::cargo(["fmt", "--all"]))?;
    println!("fix: ok");
    Ok(())
}
