//! `horde secret`.

/// Prints a fresh secret.
#[expect(clippy::print_stdout, reason = "it is what the command is for")]
#[expect(clippy::unnecessary_wraps, reason = "every command has one shape")]
pub(crate) fn new() -> anyhow::Result<bool> {
    println!("{}", horde::generate_secret());
    Ok(true)
}
