//! The suite's workloads on ractor, kameo, and a bounded tokio channel with a task.

use std::any::Any;
use std::time::Instant;

use kameo::actor::Spawn as _;
use kameo::message::Context;
use ractor::{ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::sync::{mpsc, oneshot};

use super::each;
use crate::harness::ns_per_item;

enum Ask {
    Ask(u64, RpcReplyPort<u64>),
    Tell(u64),
}

struct Ractor;

impl ractor::Actor for Ractor {
    type Msg = Ask;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Ask>, (): ()) -> Result<u64, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(&self, _: ActorRef<Ask>, message: Ask, sum: &mut u64) -> Result<(), ActorProcessingErr> {
        match message {
            Ask::Ask(more, reply) => {
                *sum += more;
                reply.send(*sum)?;
            }
            Ask::Tell(more) => *sum += more,
        }
        Ok(())
    }
}

async fn ractor_one(name: Option<String>) -> ActorRef<Ask> {
    ractor::Actor::spawn(name, Ractor, ()).await.expect("an actor").0
}

pub(super) async fn ractor_calls(count: usize) -> f64 {
    let actor = ractor_one(None).await;
    let start = Instant::now();
    for _ in 0..count {
        ractor::call!(actor, Ask::Ask, 1).expect("an answer");
    }
    let figure = each(start, count);
    actor.stop(None);
    figure
}

pub(super) async fn ractor_casts(count: usize) -> f64 {
    let actor = ractor_one(None).await;
    let start = Instant::now();
    for _ in 0..count {
        actor.cast(Ask::Tell(1)).expect("sent");
    }
    assert_eq!(ractor::call!(actor, Ask::Ask, 0).expect("an answer"), count as u64);
    let figure = each(start, count);
    actor.stop(None);
    figure
}

pub(super) async fn ractor_starts(count: usize) -> (f64, Box<dyn Any + Send>) {
    let mut all = Vec::with_capacity(count);
    let start = Instant::now();
    for _ in 0..count {
        all.push(ractor_one(None).await);
    }
    (1e6 / each(start, count), Box::new(all))
}

fn name(number: usize) -> String {
    format!("name-{number:08}")
}

pub(super) async fn ractor_names(count: usize) {
    for number in 0..count {
        ractor_one(Some(name(number))).await;
    }
}

pub(super) fn ractor_lookups(names: usize, count: usize) -> f64 {
    let keys: Vec<String> = (0..names).map(|at| name(at * 7919 % names)).collect();
    1e3 / ns_per_item(&keys, count, |key| ractor::registry::where_is(key.as_str()).expect("an actor"))
}

#[derive(kameo::Actor)]
struct Kameo(u64);

struct Get(u64);
struct Put(u64);

impl kameo::message::Message<Get> for Kameo {
    type Reply = u64;

    async fn handle(&mut self, Get(more): Get, _: &mut Context<Self, u64>) -> u64 {
        self.0 += more;
        self.0
    }
}

impl kameo::message::Message<Put> for Kameo {
    type Reply = ();

    async fn handle(&mut self, Put(more): Put, _: &mut Context<Self, ()>) {
        self.0 += more;
    }
}

pub(super) async fn kameo_calls(count: usize) -> f64 {
    let actor = Kameo::spawn(Kameo(0));
    let start = Instant::now();
    for _ in 0..count {
        actor.ask(Get(1)).await.expect("an answer");
    }
    each(start, count)
}

pub(super) async fn kameo_casts(count: usize) -> f64 {
    let actor = Kameo::spawn(Kameo(0));
    let start = Instant::now();
    for _ in 0..count {
        actor.tell(Put(1)).await.expect("sent");
    }
    assert_eq!(actor.ask(Get(0)).await.expect("an answer"), count as u64);
    each(start, count)
}

pub(super) async fn kameo_starts(count: usize) -> (f64, Box<dyn Any + Send>) {
    let mut all = Vec::with_capacity(count);
    let start = Instant::now();
    for _ in 0..count {
        let actor = Kameo::spawn(Kameo(0));
        actor.wait_for_startup().await;
        all.push(actor);
    }
    (1e6 / each(start, count), Box::new(all))
}

pub(super) async fn kameo_names(count: usize) {
    for number in 0..count {
        Kameo::spawn(Kameo(0)).register(name(number)).expect("a free name");
    }
}

pub(super) fn kameo_lookups(names: usize, count: usize) -> f64 {
    let keys: Vec<String> = (0..names).map(|at| name(at * 7919 % names)).collect();
    let find = |key: &String| kameo::actor::ActorRef::<Kameo>::lookup(key.as_str()).expect("its type");
    1e3 / ns_per_item(&keys, count, |key| find(key).expect("an actor"))
}

enum Raw {
    Ask(u64, oneshot::Sender<u64>),
    Tell(u64),
}

fn tokio_one() -> mpsc::Sender<Raw> {
    let (sender, mut messages) = mpsc::channel(1024);
    tokio::spawn(async move {
        let mut sum = 0;
        while let Some(message) = messages.recv().await {
            match message {
                Raw::Ask(more, reply) => {
                    sum += more;
                    let _gone = reply.send(sum);
                }
                Raw::Tell(more) => sum += more,
            }
        }
    });
    sender
}

async fn ask(to: &mpsc::Sender<Raw>, more: u64) -> u64 {
    let (reply, answer) = oneshot::channel();
    to.send(Raw::Ask(more, reply)).await.expect("sent");
    answer.await.expect("an answer")
}

pub(super) async fn tokio_calls(count: usize) -> f64 {
    let to = tokio_one();
    let start = Instant::now();
    for _ in 0..count {
        ask(&to, 1).await;
    }
    each(start, count)
}

pub(super) async fn tokio_casts(count: usize) -> f64 {
    let to = tokio_one();
    let start = Instant::now();
    for _ in 0..count {
        to.send(Raw::Tell(1)).await.expect("sent");
    }
    assert_eq!(ask(&to, 0).await, count as u64);
    each(start, count)
}

pub(super) async fn tokio_starts(count: usize) -> (f64, Box<dyn Any + Send>) {
    let mut all = Vec::with_capacity(count);
    let start = Instant::now();
    for _ in 0..count {
        let (sender, mut messages) = mpsc::channel::<Raw>(1024);
        let (ran, has_run) = oneshot::channel();
        tokio::spawn(async move {
            let _gone = ran.send(());
            while messages.recv().await.is_some() {}
        });
        has_run.await.expect("it runs");
        all.push(sender);
    }
    (1e6 / each(start, count), Box::new(all))
}
