//! How a local supervisor is built.

use std::any::type_name;
use std::sync::Mutex;
use std::time::Duration;

use serde::Serialize;

use super::spec::Spec;
use super::supervisor::Supervisor;
use super::tree::{Blueprint, Tree};
use crate::kind::KindOf;
use crate::machine::{AutoShutdown, Config, Strategy};
use crate::{Name, Node, Ref, Shutdown, SpawnError, codec};

/// A local supervisor that is not started yet.
#[derive(Debug)]
#[must_use = "a builder starts nothing until `start` is called"]
pub struct SupervisorBuilder {
    config: Config,
    children: Vec<Spec>,
    extra: Option<(String, Vec<u8>)>,
}

impl SupervisorBuilder {
    pub(super) fn new(dynamic: bool) -> Self {
        Self { config: Config { dynamic, ..Config::default() }, children: Vec::new(), extra: None }
    }

    /// Which children are started again when one ended. Default: that one. Of no effect in a dynamic supervisor.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.config.strategy = strategy;
        self
    }

    /// Tolerates `restarts` within `within`, of all children together; one more and the supervisor stops all of them and ends with
    /// `Shutdown`. Default: 3 in 5 s.
    pub fn max_restarts(mut self, restarts: u32, within: Duration) -> Self {
        (self.config.max_restarts, self.config.max_seconds) = (restarts, within);
        self
    }

    /// The pause before the second restart of a child within the window, doubled for each further one, up to a minute. Default: none.
    pub fn backoff(mut self, pause: Duration) -> Self {
        self.config.backoff = pause;
        self
    }

    /// Children at most. Default 1,000,000; one more is refused.
    pub fn max_children(mut self, children: usize) -> Self {
        self.config.max_children = children;
        self
    }

    /// Whether it ends when its significant children have. Default: never.
    pub fn auto_shutdown(mut self, auto_shutdown: AutoShutdown) -> Self {
        self.config.auto_shutdown = auto_shutdown;
        self
    }

    /// What it puts before the arguments of each child that asks for it ([`super::ChildSpec::of_extra`]). A value that does not encode
    /// is as if there was none.
    pub fn extra_argument<E: Serialize>(mut self, extra: &E) -> Self {
        self.extra = codec::encode(extra).ok().map(|bytes| (type_name::<E>().to_owned(), bytes));
        self
    }

    /// A child that is started with the supervisor, after those before it; the supervisor does not start if it does not.
    pub fn child(mut self, child: impl Into<Spec>) -> Self {
        self.children.push(child.into());
        self
    }

    /// Starts it, and its children one after the other; answers when all of them run. It is nobody's child: the node's end ends it.
    ///
    /// # Errors
    /// [`SpawnError`]: neither it nor any child runs.
    pub async fn start(self, node: &Node) -> Result<Supervisor, SpawnError> {
        self.begin(node, None).await
    }

    /// As [`SupervisorBuilder::start`], under a name.
    ///
    /// # Errors
    /// [`SpawnError`]: neither it nor any child runs; among them that another process holds the name.
    pub async fn start_named(self, node: &Node, name: impl Into<Name>) -> Result<Supervisor, SpawnError> {
        self.begin(node, Some((name.into(), Vec::new()))).await
    }

    async fn begin(self, node: &Node, name: Option<(Name, Vec<u8>)>) -> Result<Supervisor, SpawnError> {
        // Its children are given their time one after the other: only the patience of the node's end ends that.
        let kind = KindOf::<Tree>::new(self.blueprint());
        let (inbox, _) = kind.begin(node, (), name, Shutdown::Infinity).await?;
        Ok(Supervisor::of(Ref::here(inbox)))
    }

    pub(super) fn blueprint(self) -> Blueprint {
        let Self { config, children, extra } = self;
        Blueprint { config, children, extra, orphans: Mutex::default() }
    }
}
