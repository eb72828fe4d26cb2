//! Waiting for what gives no event, never without a deadline.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long anything may take that takes milliseconds on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks.
const STEP: Duration = Duration::from_millis(10);

/// Looks until `look` finds something, at most for `within`. What it found last is in the error.
///
/// # Errors
/// When the time is over.
pub fn until<T, E: Debug>(
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> Result<Result<T, E>>,
) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        match look()? {
            Ok(found) => return Ok(found),
            Err(not_yet) if Instant::now() >= deadline => {
                bail!("not within {within:?}: {what}; at last: {not_yet:?}")
            }
            Err(_) => std::thread::sleep(STEP), // tidy: sleep, another process gives no event
        }
    }
}
