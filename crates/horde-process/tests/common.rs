//! What the tests share.
#![allow(dead_code, reason = "each test uses a part")]

use std::future::Future;
use std::time::Duration;

use horde_process::{Context, Handle, Message, Node, NodeBuilder, Process, Reply, Serve, Stop};
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
