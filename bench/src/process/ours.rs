//! The suite's workloads on our processes.

use std::time::Instant;

use horde_process::{Context, Handle, Message, Name, Node, Process, Ref, Stop};
use horde_transport::{NodeId, NodeName};
use serde::{Deserialize, Serialize};

use super::each;
use crate::harness::ns_per_item;

/// Adds up, and answers the sum.
#[derive(Serialize, Deserialize, Message)]
#[message(reply = u64, crate = "horde_process")]
pub(super) struct Ask(pub(super) u64);

/// Adds up.
#[derive(Serialize, Deserialize, Message)]
#[message(crate = "horde_process")]
pub(super) struct Tell(pub(super) u64);

/// A process that holds a number.
pub(super) struct Sum(u64);

impl Process for Sum {
    const KIND: &'static str = "sum";
    type Args = ();
    type Deps = ();
    type Messages = (Ask, Tell);

    async fn init((): (), _: &mut Context<Self>) -> Result<Self, Stop> {
        Ok(Self(0))
    }
}

impl Handle<Ask> for Sum {
    async fn handle(&mut self, Ask(more): Ask, _: &mut Context<Self>) -> u64 {
        self.0 += more;
        self.0
    }
}

impl Handle<Tell> for Sum {
    async fn handle(&mut self, Tell(more): Tell, _: &mut Context<Self>) {
        self.0 += more;
    }
}

/// A node's id.
pub(super) fn id(name: &str) -> NodeId {
    NodeId::new(NodeName::new(name).expect("a name"), 1)
}

fn node() -> Node {
    Node::builder(id("bench")).runs::<Sum>(()).start().expect("a node")
}

async fn one() -> (Node, Ref<Sum>) {
    let node = node();
    let sum = node.spawn::<Sum>(()).await.expect("a process");
    (node, sum)
}

pub(super) async fn calls(count: usize) -> f64 {
    let (_node, sum) = one().await;
    let start = Instant::now();
    for _ in 0..count {
        sum.call(Ask(1)).await.expect("an answer");
    }
    each(start, count)
}

pub(super) async fn casts(count: usize) -> f64 {
    let (_node, sum) = one().await;
    let start = Instant::now();
    for _ in 0..count {
        sum.send(Tell(1)).await.expect("sent");
    }
    assert_eq!(sum.call(Ask(0)).await, Ok(count as u64));
    each(start, count)
}

/// Thousands of starts a second, each until its `init` has run; the processes stay.
pub(super) async fn starts(count: usize) -> (f64, Box<dyn std::any::Any + Send>) {
    let node = node();
    let mut all = Vec::with_capacity(count);
    let start = Instant::now();
    for _ in 0..count {
        all.push(node.spawn::<Sum>(()).await.expect("a process"));
    }
    (1e6 / each(start, count), Box::new((node, all)))
}

/// A node with this many names, and the names.
pub(super) async fn names(count: usize) -> (Node, Vec<Name>) {
    let node = node();
    let names: Vec<Name> = (0..count).map(|number| Name::local(format!("name-{number:08}"))).collect();
    for name in &names {
        node.spawn_named::<Sum>(name, ()).await.expect("a process");
    }
    (node, names)
}

/// Millions of look-ups a second of the reader's processor time, by one reader, in no order that a cache likes.
pub(super) fn lookups((node, names): &(Node, Vec<Name>), count: usize) -> f64 {
    let shuffled: Vec<&Name> = (0..names.len()).map(|at| &names[at * 7919 % names.len()]).collect();
    1e3 / ns_per_item(&shuffled, count, |name| node.resolve(name).expect("a process"))
}
