//! What the tests share.
#![allow(dead_code, reason = "each test uses a part")]

use std::future::Future;
use std::time::Duration;

use horde_process::{
    Context, Down, Exit, Handle, Message, Node, NodeBuilder, Pid, Process, Ref, Reply, Serve, Stop,
};
use horde_transport::{NodeId, NodeName};
use serde::{Deserialize, Serialize};

/// The outcome of `future`, which must come soon.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("no outcome within 20 s")
}

/// A node without a network.
pub(crate) fn alone(build: impl FnOnce(NodeBuilder) -> NodeBuilder) -> Node {
    build(Node::builder(id("one"))).start().unwrap()
}

/// A node's id.
pub(crate) fn id(name: &str) -> NodeId {
    NodeId::new(NodeName::new(name).unwrap(), 1)
}

#[derive(Serialize, Deserialize, Message)]
#[message(crate = "horde_process")]
pub(crate) struct Add {
    pub(crate) by: u64,
}

#[derive(Serialize, Deserialize, Message)]
#[message(reply = u64, crate = "horde_process")]
pub(crate) struct Get;

#[derive(Serialize, Deserialize, Message)]
#[message(reply = u64, crate = "horde_process")]
pub(crate) struct Silent;

/// Adds numbers up; panics when they are too big.
pub(crate) struct Tally {
    sum: u64,
}

impl Process for Tally {
    const KIND: &'static str = "tally";
    type Args = u64;
    type Deps = ();
    type Messages = (Add, Get, Silent);

    async fn init(sum: u64, _: &mut Context<Self>) -> Result<Self, Stop> {
        Ok(Self { sum })
    }
}

impl Handle<Add> for Tally {
    async fn handle(&mut self, add: Add, _: &mut Context<Self>) {
        match self.sum.checked_add(add.by) {
            Some(sum) if sum < u64::MAX => self.sum = sum,
            _ => panic!("over the limit by {}", 1),
        }
    }
}

impl Handle<Get> for Tally {
    async fn handle(&mut self, _: Get, _: &mut Context<Self>) -> u64 {
        self.sum
    }
}

impl Serve<Silent> for Tally {
    async fn serve(&mut self, _: Silent, reply: Reply<u64>, _: &mut Context<Self>) {
        drop(reply);
    }
}

#[derive(Serialize, Deserialize, Message)]
#[message(crate = "horde_process")]
pub(crate) enum Watch {
    Link(Pid),
    Unlink(Pid),
    Monitor(Pid),
    Trap,
    Never,
}

impl Watch {
    pub(crate) fn link(pid: &Pid) -> Self {
        Self::Link(pid.clone())
    }
    pub(crate) fn unlink(pid: &Pid) -> Self {
        Self::Unlink(pid.clone())
    }
    pub(crate) fn monitor(pid: &Pid) -> Self {
        Self::Monitor(pid.clone())
    }
    pub(crate) fn trap() -> Self {
        Self::Trap
    }
    pub(crate) fn never() -> Self {
        Self::Never
    }
}

/// What a watchdog has seen so far.
#[derive(Serialize, Deserialize, Message)]
#[message(reply = Vec<String>, crate = "horde_process")]
pub(crate) struct Seen;

/// Whether a `Watch::Never` was taken.
#[derive(Serialize, Deserialize, Message)]
#[message(reply = bool, crate = "horde_process")]
pub(crate) struct Begun;

#[derive(Serialize, Deserialize, Message)]
#[message(reply = u64, crate = "horde_process")]
pub(crate) struct Ask {
    pub(crate) whom: Ref<Tally>,
}

/// Links and monitors as it is told, and remembers what it hears.
#[derive(Default)]
pub(crate) struct Watchdog {
    seen: Vec<String>,
    kept: Vec<Reply<()>>,
}

impl Process for Watchdog {
    const KIND: &'static str = "watchdog";
    type Args = ();
    type Deps = ();
    type Messages = (Watch, Seen, Begun, Ask);

    async fn init((): (), _: &mut Context<Self>) -> Result<Self, Stop> {
        Ok(Self::default())
    }

    async fn exited(&mut self, exit: Exit, _: &mut Context<Self>) {
        self.seen.push(format!("exit {}: {}", exit.from, exit.reason));
    }

    async fn down(&mut self, down: Down, _: &mut Context<Self>) {
        self.seen.push(format!("down {}: {}", down.pid, down.reason));
    }
}

impl Serve<Watch> for Watchdog {
    async fn serve(&mut self, watch: Watch, reply: Reply<()>, cx: &mut Context<Self>) {
        match watch {
            Watch::Link(pid) => cx.link(&pid),
            Watch::Unlink(pid) => cx.unlink(&pid),
            Watch::Monitor(pid) => drop(cx.monitor(pid)),
            Watch::Trap => cx.trap_exits(true),
            Watch::Never => return self.kept.push(reply),
        }
        reply.send(());
    }
}

impl Handle<Seen> for Watchdog {
    async fn handle(&mut self, _: Seen, _: &mut Context<Self>) -> Vec<String> {
        self.seen.clone()
    }
}

impl Handle<Begun> for Watchdog {
    async fn handle(&mut self, _: Begun, _: &mut Context<Self>) -> bool {
        !self.kept.is_empty()
    }
}

impl Handle<Ask> for Watchdog {
    async fn handle(&mut self, ask: Ask, _: &mut Context<Self>) -> u64 {
        ask.whom.call(Get).await.unwrap()
    }
}

/// Waits until a watchdog has seen this much.
pub(crate) trait Sees {
    async fn seen(&self, count: usize) -> Vec<String>;
}

impl Sees for Ref<Watchdog> {
    async fn seen(&self, count: usize) -> Vec<String> {
        within(async {
            loop {
                let seen = self.call(Seen).await.unwrap();
                if seen.len() >= count {
                    return seen;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }
}
