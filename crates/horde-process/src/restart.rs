//! When an ended child is started again.

use serde::{Deserialize, Serialize};

use crate::ExitReason;

/// When a child that ended is started again. The meanings are OTP's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Restart {
    /// Whenever it ends, and elsewhere when its node dies.
    #[default]
    Permanent,
    /// When it ends abnormally, and elsewhere when its node dies.
    Transient,
    /// Never: it ends with its process, and with its node.
    Temporary,
}

impl Restart {
    /// Whether a child that ended by itself for `reason` is started again. One that was moved away is not, whatever its type.
    #[must_use]
    pub fn restarts(self, reason: &ExitReason) -> bool {
        match self {
            Self::Permanent => *reason != ExitReason::Redistribution,
            Self::Transient => !reason.is_normal(),
            Self::Temporary => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_restarts_after_the_ends_that_otp_says() {
        let ends = [
            (ExitReason::Normal, [true, false, false]),
            (ExitReason::Shutdown, [true, false, false]),
            (ExitReason::ShutdownWith("x".into()), [true, false, false]),
            (ExitReason::Killed, [true, true, false]),
            (ExitReason::Panicked("x".into()), [true, true, false]),
            (ExitReason::Error("x".into()), [true, true, false]),
            (ExitReason::Redistribution, [false, false, false]),
        ];
        for (reason, expected) in ends {
            let types = [Restart::Permanent, Restart::Transient, Restart::Temporary];
            assert_eq!(types.map(|restart| restart.restarts(&reason)), expected, "{reason}");
        }
    }
}
