//! What to start.

use std::time::Duration;

use horde_process::{Name, Restart, Shutdown, encode};
use horde_supervisor::Spec;

use super::Process;

/// A child to start, as `horde_supervisor::ChildSpec` describes it: permanent, with 200 ms to stop, under an id of its own.
#[derive(Debug, Clone)]
pub struct Child {
    pub(super) id: Option<String>,
    pub(super) key: Option<String>,
    pub(super) spec: Spec,
}

impl Child {
    /// A child that runs a process of this kind.
    ///
    /// # Panics
    /// When the arguments do not encode, which nothing derived with serde does.
    #[must_use]
    pub fn of<P: Process>(args: P::Args) -> Self {
        let args = encode(&args).expect("the arguments encode");
        let shutdown = Shutdown::Timeout(Duration::from_millis(200));
        let (kind, restart) = (P::KIND.to_owned(), Restart::Permanent);
        let spec = Spec { kind, version: 1, args, name: None, restart, shutdown, pinned: false };
        Self { id: None, key: None, spec }
    }

    /// Sets its id, which is unique in the cluster. By default the script numbers them.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Has it registered under a name.
    #[must_use]
    pub fn named(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets when it is started again.
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Self {
        self.spec.restart = restart;
        self
    }

    /// Sets how it is stopped.
    #[must_use]
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.spec.shutdown = shutdown;
        self
    }

    pub(super) fn into_spec(self) -> Spec {
        let name = self.key.map(|key| (key_name(&key), vec![0xc0]));
        Spec { name, ..self.spec }
    }
}

/// A name in the registry.
pub(super) fn key_name(key: &str) -> Name {
    Name::Registry { registry: "names".into(), key: key.into() }
}

/// A child by its id.
pub(super) fn child_name(id: &str) -> Name {
    Name::Child { supervisor: "children".into(), id: id.into() }
}
