//! Where names come from.

use crate::{Claim, Pid};

/// Names resolve through this; a registry and a supervisor implement it.
///
/// Called from any thread, in user tasks too: it must be short, never block and never wait.
/// Called without any lock of this crate held, so it may call back into the node.
pub trait Resolve: Send + Sync + 'static {
    /// Who holds `key` now: the encoded key of a registry, or the bytes of a child's id.
    fn resolve(&self, key: &[u8]) -> Option<Pid>;

    /// Gives `key` with `value` to the local process `pid`, which runs under `claim` if a supervisor runs it.
    ///
    /// # Errors
    /// [`NameTaken`]: nothing was registered.
    fn register(&self, key: &[u8], value: &[u8], pid: &Pid, claim: Option<&Claim>) -> Result<(), NameTaken>;

    /// Takes all keys from the local process `pid`, which has ended. Called for each that ends, also for those that hold none.
    fn unregister_all(&self, pid: &Pid);

    /// In place of [`Resolve::unregister_all`] when `pid` has ended to move to another node, where its new copy will register.
    /// Whoever keeps its keys until then spares callers the gap: they are told [`crate::CallError::Moved`]. By default they go.
    fn moves(&self, pid: &Pid) {
        self.unregister_all(pid);
    }
}

/// Why a name was not given. Nothing was registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameTaken {
    /// Another process holds it.
    #[error("the name belongs to {0}; nothing was registered")]
    AlreadyRegistered(Pid),
    /// It cannot be given at all, for the reason in the text.
    #[error("the name was refused: {0}; nothing was registered")]
    Refused(String),
}
