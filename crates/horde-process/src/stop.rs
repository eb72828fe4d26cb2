//! Why a process does not start.

use std::fmt;

use crate::ExitReason;

/// Why a process does not start, or does not read a state. `?` makes one from any error.
///
/// It is no error itself (as `anyhow::Error` is none), so that `?` can turn every error into it.
pub struct Stop(Option<Box<ExitReason>>);

impl Stop {
    /// There is nothing to run: the starter hears `Ignored`, no supervisor starts it again, nothing is logged.
    #[must_use]
    pub fn ignore() -> Self {
        Self(None)
    }

    /// It cannot start, for this reason.
    #[must_use]
    pub fn because(reason: ExitReason) -> Self {
        Self(Some(Box::new(reason)))
    }

    /// The reason; `None` if the process only has nothing to do.
    #[must_use]
    pub fn into_reason(self) -> Option<ExitReason> {
        self.0.map(|reason| *reason)
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("Stop(ignore)"),
            Some(reason) => write!(f, "Stop({reason:?})"),
        }
    }
}

impl<E: std::error::Error> From<E> for Stop {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::because(ExitReason::Error(text))
    }
}
