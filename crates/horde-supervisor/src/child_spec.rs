//! A child spec as user code writes it.

use std::marker::PhantomData;
use std::time::Duration;

use horde_process::{Name, Process, Ref, Shutdown};

use crate::error::StartError;
use crate::record::ChildId;
use crate::spec::{Restart, Spec};

/// What to start, as any member that runs `P` can start it.
///
/// ```text
/// ChildSpec::<Greeter>::of("ada".into()).id("ada").restart(Restart::Transient)
/// ```
#[must_use = "a child spec starts nothing until it is given to a supervisor"]
pub struct ChildSpec<P: Process> {
    pub(crate) id: Option<ChildId>,
    pub(crate) timeout: Duration,
    args: Result<Vec<u8>, String>,
    name: Option<(Name, Vec<u8>)>,
    restart: Restart,
    shutdown: Shutdown,
    kind: PhantomData<fn() -> P>,
}

/// How long a start may take by default.
const START_TIMEOUT: Duration = Duration::from_secs(5);

impl<P: Process> ChildSpec<P> {
    /// A child that runs `P` with these arguments: permanent, with a fresh id of its own, stopped within 5 s.
    pub fn of(args: P::Args) -> Self {
        Self {
            id: None,
            timeout: START_TIMEOUT,
            args: horde_process::encode(&args).map_err(|error| error.to_string()),
            name: None,
            restart: Restart::default(),
            shutdown: Shutdown::default(),
            kind: PhantomData,
        }
    }

    /// Its id, unique in its supervisor across the cluster: a second start answers [`StartError::AlreadyStarted`].
    pub fn id(mut self, id: impl AsRef<str>) -> Self {
        self.id = Some(ChildId::from(id));
        self
    }

    /// Registers the process under this name before its `init` has answered, on whichever node it runs.
    pub fn named(mut self, name: &Ref<P>) -> Self {
        self.name = Some((name.name().clone(), Vec::new()));
        self
    }

    /// When it is started again. Default: permanent.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// How it is stopped. Default: within 5 s, then aborted.
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// How long its start may take until the caller is told [`StartError::Unknown`]. Default: 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub(crate) fn wire(self) -> Result<Spec, StartError> {
        Ok(Spec {
            kind: P::KIND.to_owned(),
            version: P::ARGS.writes(),
            args: self.args.map_err(StartError::BadArgs)?,
            name: self.name,
            restart: self.restart,
            shutdown: self.shutdown,
            pinned: false,
        })
    }
}

impl<P: Process> std::fmt::Debug for ChildSpec<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("ChildSpec");
        debug.field("kind", &P::KIND).field("id", &self.id).field("name", &self.name);
        debug.field("restart", &self.restart).field("shutdown", &self.shutdown).finish_non_exhaustive()
    }
}
