//! What a local supervisor is to start.

use std::any::type_name;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::builder::SupervisorBuilder;
use super::tree::Tree;
use crate::cell::{Inbox, Options};
use crate::closure::{Maker, Task};
use crate::kind::KindOf;
use crate::machine::{Refusal, Role, Traits};
use crate::run::Begin;
use crate::{Name, Node, Pid, Process, Restart, Shutdown, Start, StartError, Stop, Watcher, codec};

/// What a local supervisor is to start: permanent, with its kind as id, stopped within 5 s, unless it says otherwise.
///
/// ```
/// # use horde_process::{Restart, local::ChildSpec};
/// ChildSpec::run(|| async { Ok(()) }).id("once").restart(Restart::Transient);
/// ```
#[must_use = "a child spec starts nothing until it is given to a supervisor"]
pub struct ChildSpec<P: Process> {
    spec: Spec,
    kind: PhantomData<fn() -> P>,
}

impl<P: Process> ChildSpec<P> {
    /// A child that runs `P` with these arguments. Its node was built with [`crate::NodeBuilder::runs`] for `P`.
    pub fn of(args: P::Args) -> Self {
        let args = codec::encode(&args).map_err(|error| error.to_string());
        Self::new(Role::Worker, Source::Kind { version: P::ARGS.writes(), args, extra: None })
    }

    /// A child whose first argument is its supervisor's extra one ([`SupervisorBuilder::extra_argument`]), its second this.
    pub fn of_extra<E, A: Serialize>(args: A) -> Self
    where
        P: Process<Args = (E, A)>,
    {
        let args = codec::encode(&args).map_err(|error| error.to_string());
        let extra = Some(type_name::<E>().to_owned());
        Self::new(Role::Worker, Source::Kind { version: P::ARGS.writes(), args, extra })
    }

    fn new(role: Role, source: Source) -> Self {
        let shutdown = match role {
            Role::Worker => Shutdown::default(),
            Role::Supervisor => Shutdown::Infinity,
        };
        let (id, kind, restart) = (P::KIND.to_owned(), P::KIND.to_owned(), Restart::default());
        let traits = Traits { id, kind, restart, shutdown, role, significant: false };
        Self { spec: Spec { traits, source, name: None }, kind: PhantomData }
    }

    /// Its id: unique in a static supervisor. Default: its kind.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.spec.traits.id = id.into();
        self
    }

    /// Registers the process under this name before its `init` has answered.
    pub fn named(mut self, name: impl Into<Name>) -> Self {
        self.spec.name = Some((name.into(), Vec::new()));
        self
    }

    /// When it is started again. Default: permanent; for [`ChildSpec::run`] temporary.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.spec.traits.restart = restart;
        self
    }

    /// How it is stopped. Default: within 5 s, then ended where it awaits; a supervisor is given all the time it takes.
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.spec.traits.shutdown = shutdown;
        self
    }

    /// Its end by itself may end its supervisor ([`super::AutoShutdown`]). For transient and temporary children of static supervisors.
    pub fn significant(mut self) -> Self {
        self.spec.traits.significant = true;
        self
    }
}

impl ChildSpec<Task> {
    /// A child that runs a future as its process; `make` makes one for each start. Temporary, unless it says otherwise. It is pinned
    /// to its node: it starts in supervisors of this node alone.
    pub fn run<F>(make: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), Stop>> + Send + 'static,
    {
        let kind = KindOf::<Task>::new(Maker::again(make));
        Self::new(Role::Worker, Source::Here(Arc::new(kind))).restart(Restart::Temporary)
    }
}

impl ChildSpec<Tree> {
    /// A child that is a supervisor. Pinned to its node as [`ChildSpec::run`] is.
    pub fn supervisor(builder: SupervisorBuilder) -> Self {
        Self::new(Role::Supervisor, Source::Here(Arc::new(KindOf::<Tree>::new(builder.blueprint()))))
    }
}

impl<P: Process> From<ChildSpec<P>> for Spec {
    fn from(spec: ChildSpec<P>) -> Self {
        spec.spec
    }
}

impl<P: Process> fmt::Debug for ChildSpec<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ChildSpec");
        debug.field("traits", &self.spec.traits).field("name", &self.spec.name).finish_non_exhaustive()
    }
}

/// A child spec, its process's type forgotten. It travels, unless it is pinned to its node.
#[derive(Clone, Serialize, Deserialize)]
pub struct Spec {
    pub(super) traits: Traits,
    source: Source,
    name: Option<(Name, Vec<u8>)>,
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spec").field("traits", &self.traits).finish_non_exhaustive()
    }
}

#[derive(Clone, Serialize, Deserialize)]
enum Source {
    /// A kind of the node, from bytes; with the type of the extra argument before them.
    Kind { version: u32, args: Result<Vec<u8>, String>, extra: Option<String> },
    /// What only this node can start.
    #[serde(skip)]
    Here(Arc<dyn Launch>),
}

/// Starts a process of this node that has no arguments.
trait Launch: Send + Sync {
    fn launch(&self, node: &Node, name: Option<(Name, Vec<u8>)>, options: Options)
    -> Result<Pid, StartError>;
}

impl<P: Process<Args = ()>> Launch for KindOf<P> {
    fn launch(
        &self,
        node: &Node,
        name: Option<(Name, Vec<u8>)>,
        options: Options,
    ) -> Result<Pid, StartError> {
        let cell = KindOf::launch(self, node, Begin::Fresh(()), name, options, None)?;
        Ok(Inbox::core(&*cell).pid().clone())
    }
}

impl Spec {
    /// Puts a supervisor's extra argument before the child's own.
    pub(super) fn extend(&mut self, extra: Option<&(String, Vec<u8>)>) -> Result<(), Refusal> {
        let Source::Kind { args, extra: wants, .. } = &mut self.source else { return Ok(()) };
        let Some(wants) = wants.take() else { return Ok(()) };
        match (extra, args) {
            (Some((has, bytes)), Ok(args)) if *has == wants => {
                // A pair is an array of two, whose parts follow one another.
                args.splice(0..0, [0x92].into_iter().chain(bytes.iter().copied()));
                Ok(())
            }
            (_, Err(why)) => Err(Refusal::BadSpec(why.clone())),
            (None, _) => {
                Err(Refusal::BadSpec(format!("the child wants an extra argument {wants}, there is none")))
            }
            (Some((has, _)), _) => {
                Err(Refusal::BadSpec(format!("the child wants an extra argument {wants}, not {has}")))
            }
        }
    }

    pub(super) fn start(
        &self,
        node: &Node,
        watcher: Arc<dyn Watcher>,
        token: u64,
    ) -> Result<Pid, StartError> {
        let shutdown = self.traits.shutdown;
        match &self.source {
            Source::Kind { version, args, .. } => {
                let args = args.clone().map_err(StartError::BadArgs)?;
                let start = Start::new(self.traits.kind.clone(), *version, args);
                node.start(Start { name: self.name.clone(), shutdown, ..start }, watcher, token)
            }
            Source::Here(launch) => {
                let options = Options { claim: None, shutdown, watch: Some((watcher, token)) };
                launch.launch(node, self.name.clone(), options)
            }
        }
    }
}
