//! The life of a process: one task from its name to its end.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as Task, Poll};

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::cell::{Cell, Core, Look, Shared, lock};
use crate::frame::Answer;
use crate::helper::text;
use crate::mailbox::{Item, SlotOf, Wire};
use crate::messages::Wired;
use crate::method::Again;
use crate::node::NODE;
use crate::process::Exit;
use crate::{Context, ExitReason, Info, Messages, Name, Process, StartFailure, State, Stop};

/// How many items a process handles before it lets other tasks run.
const TURN: u32 = 128;

/// What a process starts from.
pub(crate) enum Begin<P: Process> {
    Fresh(P::Args),
    /// With the state of the copy before; the second arguments are for the `init` that follows a failed `resume`.
    Resumed(Box<(P::Args, P::Args, State)>),
}

/// Who waits for the outcome of a start.
pub(crate) type Asker = Option<oneshot::Sender<Result<Option<Info>, StartFailure>>>;

/// What a process needs to start, and not after: apart from the task, which keeps its size for life.
pub(crate) struct Birth<P: Process> {
    pub(crate) deps: Arc<P::Deps>,
    pub(crate) begin: Begin<P>,
    pub(crate) name: Option<(Name, Vec<u8>)>,
}

/// What the life of a process leaves to its end.
struct Outcome {
    asker: Asker,
    started: bool,
    failure: Option<Box<StartFailure>>,
    state: Option<Box<State>>,
}

/// The whole task of a process.
pub(crate) async fn drive<P: Process>(cell: Arc<Cell<P>>, birth: Box<Birth<P>>, asker: Asker) {
    let outcome = Outcome { asker, started: false, failure: None, state: None };
    // Ends the process also when the runtime drops this task unfinished.
    let end = End { cell: &cell, outcome: Mutex::new(outcome) };
    let core = core(&cell);
    {
        let mut life = pin!(NODE.scope(core.node.clone(), live(&cell, birth, &end.outcome)));
        poll_fn(|task| {
            core.awake(task.waker());
            if core.is_killed() {
                core.publish(ExitReason::Killed);
                return Poll::Ready(());
            }
            match catch_unwind(AssertUnwindSafe(|| life.as_mut().poll(task))) {
                Ok(poll) => poll,
                Err(panic) => {
                    core.publish(ExitReason::Panicked(text(&*panic)));
                    Poll::Ready(())
                }
            }
        })
        .await;
    }
    drop(end);
}

fn core<P: Process>(cell: &Arc<Cell<P>>) -> &Core {
    crate::cell::AnyCell::core(&**cell)
}

/// From the name to the end; publishes why it ended before it drops anything.
async fn live<P: Process>(cell: &Arc<Cell<P>>, birth: Box<Birth<P>>, outcome: &Mutex<Outcome>) {
    let core = core(cell);
    if let Some((name, value)) = &birth.name {
        let shared = Shared(Arc::clone(cell) as Arc<_>);
        if let Err(failure) = core.node.name_process(&shared, name, value) {
            core.publish(ExitReason::Normal);
            lock(outcome).failure = Some(Box::new(failure));
            return;
        }
    }
    let mut cx = Context::new(Arc::clone(cell) as Arc<_>, Arc::clone(&birth.deps));
    let made = match birth.begin {
        Begin::Fresh(args) => P::init(args, &mut cx).await,
        Begin::Resumed(begin) => Box::pin(resume(*begin, &mut cx)).await,
    };
    let mut process = match made {
        Ok(process) => process,
        Err(stop) => {
            let reason = stop.into_reason();
            core.publish(reason.clone().unwrap_or(ExitReason::Normal));
            let failure = reason.map_or(StartFailure::Ignored, StartFailure::Init);
            lock(outcome).failure = Some(Box::new(failure));
            return;
        }
    };
    started(core, outcome, cx.take_info());
    let mut turn = Turn { batch: VecDeque::new(), handled: 0, left: TURN };
    let reason = loop {
        if let Some(reason) = cx.take_stop() {
            break reason;
        }
        if let Some(step) = cx.take_next() {
            step.run(&mut process, &mut cx).await;
            continue;
        }
        match poll_fn(|task| turn.poll(cell, &mut cx, task)).await {
            Event::Message(slot, deadline) => {
                cx.deadline = deadline;
                P::Messages::serve(slot, &mut process, &mut cx).await;
                cx.deadline = None;
            }
            Event::Step(step) => step.run(&mut process, &mut cx).await,
            Event::Timer(step) => step.run(&mut process, &mut cx).await,
            Event::Down(down) => process.down(*down, &mut cx).await,
            Event::Exit(exit) => process.exited(*exit, &mut cx).await,
            Event::Stop(reason) => break reason,
        }
    };
    if core.is_killed() {
        core.publish(ExitReason::Killed);
        return;
    }
    if *reason == ExitReason::Redistribution {
        let state = process.handoff(&mut cx).await;
        lock(outcome).state = state.map(Box::new);
    }
    process.terminate(&reason, &mut cx).await;
    core.publish(reason);
}

/// Starts with a state; its error means a fresh start, said in an event.
async fn resume<P: Process>(begin: (P::Args, P::Args, State), cx: &mut Context<P>) -> Result<P, Stop> {
    let (args, again, state) = begin;
    match P::resume(args, state, cx).await {
        Ok(process) => Ok(process),
        Err(stop) => {
            tracing::warn!(pid = %cx.pid(), kind = P::KIND, why = ?stop, "the handed-over state was refused: fresh start");
            P::init(again, cx).await
        }
    }
}

fn started(core: &Core, outcome: &Mutex<Outcome>, info: Option<Info>) {
    let asker = {
        let mut outcome = lock(outcome);
        outcome.started = true;
        outcome.asker.take()
    };
    if let Some(asker) = asker {
        // An asker who is gone does not want to know.
        drop(asker.send(Ok(info)));
    } else if let (Some((watcher, token)), Some(info)) = (&core.watch, info) {
        watcher.informed(*token, info);
    }
    if let Some((watcher, token)) = &core.watch {
        watcher.started(*token, Ok(core.pid().clone()));
    }
}

/// What a process does next.
enum Event<P: Process> {
    Message(SlotOf<P>, Option<std::time::Instant>),
    Step(Box<dyn crate::method::Once<P>>),
    Timer(Arc<dyn Again<P>>),
    Down(Box<crate::Down>),
    Exit(Box<Exit>),
    Stop(Box<ExitReason>),
}

/// The process's side of its mailbox.
struct Turn<P: Process> {
    batch: VecDeque<Item<P>>,
    /// Counted items handled since places were last given back.
    handled: u32,
    /// Items until other tasks run.
    left: u32,
}

impl<P: Process> Turn<P> {
    /// Places are given back in lots, smaller than the mailbox by far.
    const LOT: u32 = if P::MAILBOX < 64 { 1 } else { 32 };

    /// The next event: stop, exits, timers, then the mailbox.
    fn poll(&mut self, cell: &Arc<Cell<P>>, cx: &mut Context<P>, task: &mut Task<'_>) -> Poll<Event<P>> {
        if self.left == 0 {
            self.left = TURN;
            task.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            if let Some(event) = self.signal(cell) {
                return Poll::Ready(event);
            }
            if let Some(step) = cx.poll_timers(task) {
                self.left -= 1;
                return Poll::Ready(Event::Timer(step));
            }
            if self.batch.is_empty() || self.handled >= Self::LOT {
                let look = cell.look(std::mem::take(&mut self.handled) as usize, &mut self.batch);
                if let Look::Parked = look {
                    self.left = TURN;
                    return Poll::Pending;
                }
            }
            if let Some(item) = self.batch.pop_front() {
                self.handled += u32::from(item.is_counted());
                if let Some(event) = event(cell, item) {
                    self.left = self.left.saturating_sub(1);
                    return Poll::Ready(event);
                }
            }
        }
    }

    /// Stop before exits, exits before all else.
    fn signal(&mut self, cell: &Arc<Cell<P>>) -> Option<Event<P>> {
        use crate::cell::{AnyCell, Inbox};
        let core = AnyCell::core(&**cell);
        if !core.take_urgent() {
            return None;
        }
        if core.is_killed() {
            return Some(Event::Stop(Box::new(ExitReason::Killed)));
        }
        let mut found = None;
        let mut more = false;
        Inbox::control(&**cell, &mut |control| {
            let Some(rare) = control.known() else { return };
            found = match rare.stop.take() {
                Some(reason) => Some(Event::Stop(Box::new(reason))),
                None => rare.exits.pop_front().map(|exit| Event::Exit(Box::new(exit))),
            };
            more = !rare.exits.is_empty();
        });
        if more {
            AnyCell::signal(&**cell, &mut |_| {});
        }
        found
    }
}

/// What an item asks for; `None` when nobody wants it any more.
fn event<P: Process>(cell: &Arc<Cell<P>>, item: Item<P>) -> Option<Event<P>> {
    match item {
        Item::Message { slot, deadline } => {
            (!P::Messages::is_abandoned(&slot)).then_some(Event::Message(slot, deadline))
        }
        Item::Wire(wire) => decode(cell, *wire),
        Item::Step(step) => Some(Event::Step(step)),
        Item::Down(down) => {
            let mut known = false;
            crate::cell::Inbox::control(&**cell, &mut |control| {
                known = control
                    .known()
                    .is_some_and(|rare| rare.monitors.remove(&down.monitor.number()).is_some());
            });
            known.then_some(Event::Down(down))
        }
    }
}

/// Decodes a message in bytes, in the process's own task; what does not decode is answered here.
fn decode<P: Process>(cell: &Arc<Cell<P>>, wire: Wire) -> Option<Event<P>> {
    if wire.deadline.is_some_and(|deadline| deadline <= Instant::now().into_std()) {
        if let Some(reply) = wire.reply {
            reply.answer(&Answer::Expired);
        }
        return None;
    }
    match P::Messages::decode(wire.index, &wire.payload, Wired(wire.reply)) {
        Ok(slot) => Some(Event::Message(slot, wire.deadline)),
        Err((reply, error)) => {
            let pid = core(cell).pid();
            let message = P::Messages::NAMES[wire.index];
            tracing::debug!(%pid, kind = P::KIND, message, %error, "a message does not decode; dropped");
            if let Some(reply) = reply.0 {
                reply.answer(&Answer::BadPayload(error.to_string()));
            }
            None
        }
    }
}

/// Ends the process when it is dropped: tells all who wait, are linked or watch. Nothing of the process is left by then.
struct End<'a, P: Process> {
    cell: &'a Arc<Cell<P>>,
    outcome: Mutex<Outcome>,
}

impl<P: Process> Drop for End<'_, P> {
    fn drop(&mut self) {
        let core = core(self.cell);
        // A task that its runtime dropped has published nothing.
        let reason = core.publish(ExitReason::Killed).clone();
        let (asker, started, failure, state) = {
            let mut outcome = lock(&self.outcome);
            (outcome.asker.take(), outcome.started, outcome.failure.take(), outcome.state.take())
        };
        match &reason {
            ExitReason::Panicked(message) => {
                tracing::error!(pid = %core.pid(), kind = P::KIND, message, "a process panicked");
            }
            reason if !reason.is_normal() => {
                tracing::debug!(pid = %core.pid(), kind = P::KIND, %reason, "a process ended");
            }
            _ => {}
        }
        let control = self.cell.close();
        core.node.bury(core, control, &reason);
        let failure = failure.map_or_else(|| StartFailure::Init(reason.clone()), |failure| *failure);
        if let Some(asker) = asker {
            // An asker who is gone does not want to know.
            drop(asker.send(Err(failure.clone())));
        }
        match &core.watch {
            Some((watcher, token)) if started => {
                watcher.exited(*token, core.pid().clone(), reason, state.map(|state| *state));
            }
            Some((watcher, token)) => watcher.started(*token, Err(failure)),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Handle, Message};

    #[derive(serde::Serialize, serde::Deserialize, Message)]
    #[message(crate = "crate")]
    struct Add(u64);

    struct Sum(u64);

    impl Process for Sum {
        const KIND: &'static str = "sum";
        type Args = u64;
        type Deps = ();
        type Messages = (Add,);

        async fn init(sum: u64, _: &mut Context<Self>) -> Result<Self, Stop> {
            Ok(Self(sum))
        }
    }

    impl Handle<Add> for Sum {
        async fn handle(&mut self, add: Add, _: &mut Context<Self>) {
            self.0 += add.0;
        }
    }

    #[tokio::test]
    async fn a_process_takes_little_room() {
        let id = horde_transport::NodeId::new(horde_transport::NodeName::new("one").unwrap(), 1);
        let node = crate::Node::builder(id.clone()).start().unwrap();
        let core = Core::new(crate::Pid::new(id, 1), node, crate::cell::Options::default());
        let cell = Arc::new(Cell::<Sum>::new(core));
        let shared = size_of::<Cell<Sum>>();
        let birth = Birth { deps: Arc::new(()), begin: Begin::Fresh(1), name: None };
        let task = size_of_val(&drive(cell, Box::new(birth), None));
        assert!(task <= 520 && shared <= 240, "the task takes {task} bytes, its shared part {shared}");
    }
}
