//! The kinds of processes that a node can run.

use std::any::Any;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use crate::cell::{Cell, Core, Inbox, Options, Shared};
use crate::helper::text;
use crate::messages::are_names;
use crate::node::NODE;
use crate::run::{Asker, Begin, Birth, drive};
use crate::{
    Info, Messages, Name, Node, NodeError, Pid, Process, Ref, Shutdown, SpawnError, Start, StartError, State,
    Versions, Watcher,
};

/// One kind, its process's type forgotten.
pub(crate) trait AnyKind: Send + Sync {
    fn kind(&self) -> &'static str;
    fn versions(&self) -> Versions;
    fn start(&self, node: &Node, start: Start, watch: (Arc<dyn Watcher>, u64)) -> Result<Pid, StartError>;
    fn as_any(&self) -> &dyn Any;
}

/// The kind of `P`, with its dependencies on this node.
pub(crate) struct KindOf<P: Process> {
    deps: Arc<P::Deps>,
}

impl<P: Process> KindOf<P> {
    pub(crate) fn new(deps: P::Deps) -> Self {
        Self { deps: Arc::new(deps) }
    }

    /// Starts one and waits until `init` has returned.
    pub(crate) async fn begin(
        &self,
        node: &Node,
        args: P::Args,
        name: Option<(Name, Vec<u8>)>,
        shutdown: Shutdown,
    ) -> Result<(Arc<dyn Inbox<P>>, Option<Info>), SpawnError> {
        let (asker, answer) = oneshot::channel();
        let options = Options { shutdown, ..Options::default() };
        let cell = self.launch(node, Begin::Fresh(args), name, options, Some(asker))?;
        match answer.await {
            Ok(Ok(info)) => Ok((cell, info)),
            Ok(Err(failure)) => Err(failure.into()),
            // Every end of a start answers; only a runtime that is gone does not.
            Err(_) => Err(StartError::Closing.into()),
        }
    }

    pub(crate) fn launch(
        &self,
        node: &Node,
        begin: Begin<P>,
        name: Option<(Name, Vec<u8>)>,
        options: Options,
        asker: Asker,
    ) -> Result<Arc<Cell<P>>, StartError> {
        // Evaluated here, so that two messages of one NAME do not build.
        const { assert!(are_names(<P::Messages as Messages<P>>::NAMES)) };
        if node.0.closing.load(Ordering::Acquire) {
            return Err(StartError::Closing);
        }
        let number = node.next_number();
        let pid = Pid::new(node.id().clone(), number);
        let cell = Arc::new(Cell::<P>::new(Core::new(pid, node.clone(), options)));
        node.0.table.insert(number, Shared(Arc::clone(&cell) as Arc<_>));
        let birth = Birth { deps: Arc::clone(&self.deps), begin, name };
        drop(node.0.runtime.spawn(drive(Arc::clone(&cell), Box::new(birth), asker)));
        Ok(cell)
    }
}

impl<P: Process> AnyKind for KindOf<P> {
    fn kind(&self) -> &'static str {
        P::KIND
    }

    fn versions(&self) -> Versions {
        P::ARGS
    }

    fn start(&self, node: &Node, start: Start, watch: (Arc<dyn Watcher>, u64)) -> Result<Pid, StartError> {
        let Start { kind, version, args, name, claim, state, shutdown } = start;
        if !P::ARGS.reads().contains(&version) {
            return Err(StartError::Version { kind, version });
        }
        let args = State::from_bytes(version, args);
        let begin = match state {
            None => Begin::Fresh(read_args::<P>(node, args)?),
            Some(state) => {
                let again = read_args::<P>(node, args.clone())?;
                Begin::Resumed(Box::new((read_args::<P>(node, args)?, again, state)))
            }
        };
        let options = Options { claim, shutdown, watch: Some(watch) };
        let cell = self.launch(node, begin, name, options, None)?;
        Ok(Inbox::core(&*cell).pid().clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Decodes arguments, of an older version through the user's `upgrade`; the user's code may panic.
fn read_args<P: Process>(node: &Node, args: State) -> Result<P::Args, StartError> {
    let read = || match args.version() {
        version if version == P::ARGS.writes() => args.decode(version),
        version => P::upgrade(version, args),
    };
    match catch_unwind(AssertUnwindSafe(|| NODE.sync_scope(node.clone(), read))) {
        Ok(Ok(args)) => Ok(args),
        Ok(Err(stop)) => Err(StartError::BadArgs(
            stop.into_reason().map_or_else(|| "nothing to run".to_owned(), |reason| reason.to_string()),
        )),
        Err(panic) => Err(StartError::BadArgs(format!("a panic: {}", text(&*panic)))),
    }
}

/// All kinds of one node.
pub(crate) struct Kinds(BTreeMap<&'static str, Arc<dyn AnyKind>>);

impl Kinds {
    pub(crate) fn new(all: Vec<Arc<dyn AnyKind>>) -> Result<Self, NodeError> {
        let mut kinds = BTreeMap::new();
        for kind in all {
            let name = kind.kind();
            if !(1..=64).contains(&name.len()) {
                return Err(NodeError::BadKind(name));
            }
            if kinds.insert(name, kind).is_some() {
                return Err(NodeError::DuplicateKind(name));
            }
        }
        Ok(Self(kinds))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, RangeInclusive<u32>)> + '_ {
        self.0.iter().map(|(name, kind)| (*name, kind.versions().reads()))
    }

    pub(crate) fn reads(&self, kind: &str) -> Option<RangeInclusive<u32>> {
        self.0.get(kind).map(|kind| kind.versions().reads())
    }

    pub(crate) fn start(
        &self,
        node: &Node,
        start: Start,
        watcher: Arc<dyn Watcher>,
        token: u64,
    ) -> Result<Pid, StartError> {
        match self.0.get(start.kind.as_str()) {
            Some(kind) => kind.start(node, start, (watcher, token)),
            None => Err(StartError::UnknownKind(start.kind)),
        }
    }

    pub(crate) async fn spawn<P: Process>(
        &self,
        node: &Node,
        args: P::Args,
        name: Option<(Name, Vec<u8>)>,
    ) -> Result<(Ref<P>, Option<Info>), SpawnError> {
        let kind = self.0.get(P::KIND).and_then(|kind| kind.as_any().downcast_ref::<KindOf<P>>());
        let kind = kind.ok_or_else(|| StartError::UnknownKind(P::KIND.to_owned()))?;
        let (inbox, info) = kind.begin(node, args, name, Shutdown::default()).await?;
        Ok((Ref::here(inbox), info))
    }
}
