//! The process of a local supervisor: drives its machine.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};

use super::ear::{Ear, Heard};
use super::spec::Spec;
use crate::cell::{Shared, lock};
use crate::machine::{
    Answer, ChildInfo, Children, Config, Counts, Input, Key, Output, Refusal, Report, Role, Which,
};
use crate::{
    Context, ExitReason, Handle, Info, Message, Node, Pid, Process, Reply, Serve, Shutdown, SpawnError,
    StartFailure, Stop, TimerRef,
};

/// Requests that may wait for a child's start or end. One more is refused with `Busy`.
const MAX_WAITING: usize = 100_000;
/// How long a supervisor waits in `init` for what its life before left behind.
const ORPHANS: Duration = Duration::from_secs(5);

/// Asks for a new child.
#[derive(Debug, Serialize, Deserialize, Message)]
#[message(reply = Result<Started, Refusal>, crate = "crate")]
pub struct StartChild(pub(super) Spec);

/// Asks for the end of a child.
#[derive(Debug, Serialize, Deserialize, Message)]
#[message(reply = Result<(), Refusal>, crate = "crate")]
pub struct TerminateChild(pub Which);

/// Asks for a static child that is at rest.
#[derive(Debug, Serialize, Deserialize, Message)]
#[message(reply = Result<Started, Refusal>, crate = "crate")]
pub struct RestartChild(pub Which);

/// Wants a static child that is at rest forgotten.
#[derive(Debug, Serialize, Deserialize, Message)]
#[message(reply = Result<(), Refusal>, crate = "crate")]
pub struct DeleteChild(pub Which);

/// Asks for all children.
#[derive(Debug, Serialize, Deserialize, Message)]
#[message(reply = Vec<ChildInfo>, crate = "crate")]
pub struct WhichChildren;

/// Asks how many there are.
#[derive(Debug, Serialize, Deserialize, Message)]
#[message(reply = Counts, crate = "crate")]
pub struct CountChildren;

/// A child that has started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Its process.
    pub pid: Pid,
    /// What its `init` told its starter.
    pub info: Option<Info>,
}

/// What a supervisor starts from, in each of its lives.
pub struct Blueprint {
    pub(super) config: Config,
    pub(super) children: Vec<Spec>,
    pub(super) extra: Option<(String, Vec<u8>)>,
    /// Processes of the life before that have not ended yet: what was left when it was killed.
    pub(super) orphans: Mutex<Vec<Shared>>,
}

impl fmt::Debug for Blueprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blueprint").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The process of a local supervisor. Talk to it through [`super::Supervisor`].
pub struct Tree {
    machine: Children,
    children: BTreeMap<Key, Running>,
    asked: BTreeMap<u64, Asked>,
    requests: u64,
    ear: Arc<Ear>,
    node: Node,
    blueprint: Arc<Blueprint>,
    born: Instant,
    timer: Option<(Duration, TimerRef)>,
    done: bool,
}

/// What the driver knows of a child.
struct Running {
    /// `None` when no further start can follow.
    spec: Option<Spec>,
    pid: Option<Pid>,
    info: Option<Info>,
}

/// Who waits for an answer.
enum Asked {
    /// The supervisor's own `init`.
    Init,
    Start(Reply<Result<Started, Refusal>>),
    Other(Reply<Result<(), Refusal>>),
}

#[diagnostic::do_not_recommend]
impl Process for Tree {
    const KIND: &'static str = "supervisor";
    type Args = ();
    type Deps = Blueprint;
    type Messages = (StartChild, TerminateChild, RestartChild, DeleteChild, WhichChildren, CountChildren);

    async fn init((): (), cx: &mut Context<Self>) -> Result<Self, Stop> {
        let blueprint = Arc::clone(cx.deps());
        bury_orphans(&blueprint).await?;
        let mut tree = Self::new(blueprint, cx);
        for spec in tree.blueprint.children.clone() {
            let id = spec.traits.id.clone();
            match tree.start_first(spec, cx).await {
                Ok(()) | Err(Refusal::NotStarted(SpawnError::Failed(StartFailure::Ignored))) => {}
                Err(refusal) => {
                    tree.stop_all(cx).await;
                    let why = format!("its child `{id}` did not start: {refusal}");
                    return Err(Stop::because(ExitReason::ShutdownWith(why)));
                }
            }
        }
        Ok(tree)
    }

    async fn terminate(&mut self, _: &ExitReason, cx: &mut Context<Self>) {
        self.stop_all(cx).await;
    }
}

/// Waits until what a killed life left behind has ended: its names and its work are the same children's.
async fn bury_orphans(blueprint: &Blueprint) -> Result<(), Stop> {
    let orphans = std::mem::take(&mut *lock(&blueprint.orphans));
    let all = async {
        for orphan in &orphans {
            crate::signals::ended(Some(orphan.clone())).await;
        }
    };
    if timeout(ORPHANS, all).await.is_ok() {
        return Ok(());
    }
    let left = orphans.into_iter().filter(|orphan| orphan.core().ended().is_none());
    lock(&blueprint.orphans).extend(left);
    Err(Stop::because(ExitReason::Error("children of its life before do not end".to_owned())))
}

impl Tree {
    fn new(blueprint: Arc<Blueprint>, cx: &Context<Self>) -> Self {
        Self {
            machine: Children::new(blueprint.config.clone()),
            children: BTreeMap::new(),
            asked: BTreeMap::new(),
            requests: 0,
            ear: Arc::new(Ear::new(cx.inbox())),
            node: cx.node().clone(),
            blueprint,
            born: Instant::now(),
            timer: None,
            done: false,
        }
    }

    /// Starts one of the first children and waits for its outcome.
    async fn start_first(&mut self, spec: Spec, cx: &mut Context<Self>) -> Result<(), Refusal> {
        let mut outcome = self.ask_start(spec, Asked::Init, cx);
        loop {
            if let Some(answer) = outcome {
                return answer.map(drop);
            }
            self.ear.news().await;
            outcome = self.take_news(cx);
        }
    }

    async fn stop_all(&mut self, cx: &mut Context<Self>) {
        self.machine.handle(self.now(), Input::Stop);
        self.perform(cx);
        while !self.done {
            self.ear.news().await;
            self.take_news(cx);
        }
    }

    /// Takes what was heard of children.
    pub(super) async fn listen(&mut self, cx: &mut Context<Self>) {
        self.take_news(cx);
    }

    async fn tick(&mut self, cx: &mut Context<Self>) {
        self.timer = None;
        self.machine.handle_timeout(self.now());
        self.perform(cx);
    }

    fn now(&self) -> Duration {
        self.born.elapsed()
    }

    fn take_news(&mut self, cx: &mut Context<Self>) -> Option<Answer> {
        let mut own = None;
        for heard in self.ear.take() {
            let input = match heard {
                Heard::Info(key, info) => {
                    if let Some(child) = self.children.get_mut(&key) {
                        child.info = Some(info);
                    }
                    continue;
                }
                Heard::Started(key, outcome) => {
                    Input::Started { key, outcome: outcome.map_err(SpawnError::from) }
                }
                Heard::Exited(key, reason) => Input::Exited { key, reason },
                Heard::Stuck(key) => Input::Stuck { key },
            };
            self.machine.handle(self.now(), input);
            own = self.perform(cx).or(own);
        }
        own
    }

    fn ask_start(&mut self, mut spec: Spec, asked: Asked, cx: &mut Context<Self>) -> Option<Answer> {
        if let Err(refusal) = spec.extend(self.blueprint.extra.as_ref()) {
            return answer(asked, Err(refusal), None);
        }
        let key = self.machine.next_key();
        let child = spec.traits.clone();
        self.children.insert(key, Running { spec: Some(spec), pid: None, info: None });
        let own = self.ask(|request| Input::Start { request, child }, asked, cx);
        if self.machine.next_key() == key {
            self.children.remove(&key);
        }
        own
    }

    fn ask(
        &mut self,
        input: impl FnOnce(u64) -> Input,
        asked: Asked,
        cx: &mut Context<Self>,
    ) -> Option<Answer> {
        if self.asked.len() >= MAX_WAITING {
            return answer(asked, Err(Refusal::Busy(MAX_WAITING)), None);
        }
        self.requests += 1;
        self.asked.insert(self.requests, asked);
        self.machine.handle(self.now(), input(self.requests));
        self.perform(cx)
    }

    /// Does what the machine says. The answer is that to the supervisor's own question, if it came.
    fn perform(&mut self, cx: &mut Context<Self>) -> Option<Answer> {
        let mut own = None;
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Start { key } => self.start(key),
                Output::Stop { key, shutdown } => {
                    if let Some(pid) = self.children.get(&key).and_then(|child| child.pid.as_ref()) {
                        self.node.stop(pid, ExitReason::Shutdown, shutdown);
                    }
                }
                Output::Forget { key } => {
                    let gone = self.machine.forgets(key);
                    match self.children.get_mut(&key) {
                        Some(_) if gone => drop(self.children.remove(&key)),
                        Some(child) => child.spec = None,
                        None => {}
                    }
                }
                Output::Answer { request, answer: said } => {
                    let Some(asked) = self.asked.remove(&request) else { continue };
                    let info = match &said {
                        Ok(Some(pid)) => self.info_of(pid),
                        _ => None,
                    };
                    own = answer(asked, said, info).or(own);
                }
                Output::End(reason) => cx.stop(reason),
                Output::Done => self.done = true,
                Output::Report(report) => self.report(report, cx),
            }
        }
        self.set_timer(cx);
        own
    }

    fn start(&mut self, key: Key) {
        let Some(child) = self.children.get_mut(&key) else { return };
        let Some(spec) = &child.spec else { return };
        (child.pid, child.info) = (None, None);
        match spec.start(&self.node, Arc::clone(&self.ear) as Arc<_>, key) {
            Ok(pid) => child.pid = Some(pid),
            Err(error) => {
                let outcome = Err(SpawnError::NotStarted(error));
                self.machine.handle(self.now(), Input::Started { key, outcome });
            }
        }
    }

    fn info_of(&mut self, pid: &Pid) -> Option<Info> {
        let key = self.machine.key_of(pid)?;
        self.children.get_mut(&key)?.info.take()
    }

    fn set_timer(&mut self, cx: &mut Context<Self>) {
        let due = self.machine.poll_timeout();
        if due == self.timer.as_ref().map(|(at, _)| *at) {
            return;
        }
        if let Some((_, timer)) = self.timer.take() {
            timer.cancel();
        }
        if let Some(at) = due {
            let timer = cx.after(at.saturating_sub(self.now()), Self::tick);
            self.timer = Some((at, timer));
        }
    }

    fn report(&self, report: Report, cx: &Context<Self>) {
        let (node, supervisor) = (self.node.id(), cx.pid());
        match report {
            Report::ChildTerminated { id, pid, reason } if reason.is_normal() => {
                tracing::debug!(%node, %supervisor, child = id, %pid, %reason, "a child ended");
            }
            Report::ChildTerminated { id, pid, reason } => {
                tracing::warn!(%node, %supervisor, child = id, %pid, %reason, "a child ended");
            }
            Report::StartError { id, why } => {
                tracing::warn!(%node, %supervisor, child = id, %why, "a child did not start again");
            }
            Report::Shutdown { id, why } => {
                tracing::error!(%node, %supervisor, child = id, why, "the supervisor ends");
            }
            Report::ShutdownError { id, reason: Some(reason) } => {
                tracing::warn!(%node, %supervisor, child = id, %reason, "a child that was stopped ended otherwise");
            }
            Report::ShutdownError { id, reason: None } => {
                tracing::error!(%node, %supervisor, child = id, "a child that was stopped does not end");
            }
        }
    }
}

/// Tells who asked. What the supervisor asked itself comes back.
fn answer(asked: Asked, answer: Answer, info: Option<Info>) -> Option<Answer> {
    match asked {
        Asked::Init => return Some(answer),
        Asked::Other(reply) => reply.send(answer.map(drop)),
        Asked::Start(reply) => reply.send(match answer {
            Ok(Some(pid)) => Ok(Started { pid, info }),
            Ok(None) => Err(Refusal::NotFound),
            Err(refusal) => Err(refusal),
        }),
    }
    None
}

impl Drop for Tree {
    /// A supervisor that was killed takes its children along: workers as it went itself, supervisors in their order.
    fn drop(&mut self) {
        let mut orphans = Vec::new();
        for (_, pid, role) in self.machine.processes() {
            orphans.extend(self.node.find(pid));
            let shutdown = match role {
                Role::Worker => Shutdown::BrutalKill,
                Role::Supervisor => Shutdown::Infinity,
            };
            self.node.stop(pid, ExitReason::Shutdown, shutdown);
        }
        // One that starts is not in that list yet.
        for pid in self.children.values().filter_map(|child| child.pid.as_ref()) {
            if let Some(process) = self.node.find(pid).filter(|_| self.machine.key_of(pid).is_none()) {
                orphans.push(process);
                self.node.stop(pid, ExitReason::Shutdown, Shutdown::BrutalKill);
            }
        }
        lock(&self.blueprint.orphans).extend(orphans);
    }
}

#[diagnostic::do_not_recommend]
impl Serve<StartChild> for Tree {
    async fn serve(
        &mut self,
        start: StartChild,
        reply: Reply<Result<Started, Refusal>>,
        cx: &mut Context<Self>,
    ) {
        self.ask_start(start.0, Asked::Start(reply), cx);
    }
}

#[diagnostic::do_not_recommend]
impl Serve<TerminateChild> for Tree {
    async fn serve(
        &mut self,
        end: TerminateChild,
        reply: Reply<Result<(), Refusal>>,
        cx: &mut Context<Self>,
    ) {
        self.ask(|request| Input::Terminate { request, which: end.0 }, Asked::Other(reply), cx);
    }
}

#[diagnostic::do_not_recommend]
impl Serve<RestartChild> for Tree {
    async fn serve(
        &mut self,
        restart: RestartChild,
        reply: Reply<Result<Started, Refusal>>,
        cx: &mut Context<Self>,
    ) {
        self.ask(|request| Input::Restart { request, which: restart.0 }, Asked::Start(reply), cx);
    }
}

#[diagnostic::do_not_recommend]
impl Serve<DeleteChild> for Tree {
    async fn serve(
        &mut self,
        delete: DeleteChild,
        reply: Reply<Result<(), Refusal>>,
        cx: &mut Context<Self>,
    ) {
        self.ask(|request| Input::Delete { request, which: delete.0 }, Asked::Other(reply), cx);
    }
}

#[diagnostic::do_not_recommend]
impl Handle<WhichChildren> for Tree {
    async fn handle(&mut self, _: WhichChildren, _: &mut Context<Self>) -> Vec<ChildInfo> {
        self.machine.iter().collect()
    }
}

#[diagnostic::do_not_recommend]
impl Handle<CountChildren> for Tree {
    async fn handle(&mut self, _: CountChildren, _: &mut Context<Self>) -> Counts {
        self.machine.counts()
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree").field("children", &self.machine.counts()).finish_non_exhaustive()
    }
}
