//! What a local supervisor is set to.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Which children are started again when one ended, in the order of their start. OTP's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Strategy {
    /// That one.
    #[default]
    OneForOne,
    /// All: the others are stopped first.
    OneForAll,
    /// That one and those after it, which are stopped first.
    RestForOne,
}

/// Whether a supervisor stops when its significant children have ended by themselves and are not started again. OTP's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum AutoShutdown {
    /// It does not; no child may be significant.
    #[default]
    Never,
    /// When one of them has.
    AnySignificant,
    /// When the last of them has.
    AllSignificant,
}

/// What a local supervisor is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// No order, no ids that must differ, no child kept that has ended; all stop at once.
    pub dynamic: bool,
    /// Which children are started again together. Dynamic: always one for one.
    pub strategy: Strategy,
    /// How many restarts within `max_seconds` are tolerated, of all children together. Default 3 (OTP's). One more and the
    /// supervisor stops all of them and ends with `Shutdown`.
    pub max_restarts: u32,
    /// The window of `max_restarts`. Default 5 s.
    pub max_seconds: Duration,
    /// The pause before the second restart of a child within the window; doubled for each further one, up to a minute. Default none.
    pub backoff: Duration,
    /// Children at most. Default 1,000,000; one more is refused with `MaxChildren`.
    pub max_children: usize,
    /// Whether it stops when its significant children have ended.
    pub auto_shutdown: AutoShutdown,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dynamic: false,
            strategy: Strategy::OneForOne,
            max_restarts: 3,
            max_seconds: Duration::from_secs(5),
            backoff: Duration::ZERO,
            max_children: 1_000_000,
            auto_shutdown: AutoShutdown::Never,
        }
    }
}
