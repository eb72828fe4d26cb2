//! A process of one's own in the simulated cluster: a counter that must neither count twice nor forget when it moves.
//!
//! `cargo run -p horde-sim --example counter` runs it for fifty seeds. With `HORDE_SIM_SEED=7` it runs that one alone.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use horde_process::{Message, State, Stop};
use horde_sim::harness::{Child, Cluster, Context, Failure, Faults, Handle, Process, Run, explore};
use serde::{Deserialize, Serialize};

/// Adds to the count; the answer is the new one.
#[derive(Serialize, Deserialize, Message)]
#[message(reply = u64, crate = "horde_process")]
struct Add {
    by: u64,
}

/// What is under test. It is plain data and plain functions: a real process wraps the same type.
struct Counter {
    count: u64,
}

impl Process for Counter {
    const KIND: &'static str = "counter";
    type Args = u64;
    type Messages = (Add,);

    fn init(count: u64, _: &mut Context<Self>) -> Result<Self, Stop> {
        Ok(Self { count })
    }

    fn handoff(&mut self, _: &mut Context<Self>) -> Option<State> {
        State::encode(1, &self.count)
    }

    fn resume(_: u64, state: State, cx: &mut Context<Self>) -> Result<Self, Stop> {
        let count = state.decode(1)?;
        cx.note(format!("goes on from {count}"));
        Ok(Self { count })
    }
}

impl Handle<Add> for Counter {
    fn handle(&mut self, message: Add, _: &mut Context<Self>) -> u64 {
        self.count += message.by;
        self.count
    }
}

/// A user of `node` adds one. Whether or not it is answered, the counter may have counted it.
fn add(cluster: &mut Cluster, node: usize, asked: &Cell<u64>) -> Result<Option<u64>, Failure> {
    asked.set(asked.get() + 1);
    let answer = cluster.call::<Counter, _>(node, "visits", Add { by: 1 });
    Ok(cluster.wait(&answer)?.ok())
}

fn script(run: Run) -> Result<(), Failure> {
    let mut cluster = run.cluster(4).runs::<Counter>().build()?;
    let asked = Rc::new(Cell::new(0));
    // What must hold at each moment: nothing is counted that nobody asked for.
    let most = asked.clone();
    cluster.always("no copy counts more than was asked", move |look| {
        let over = look.processes::<Counter>().find(|(_, counter)| counter.count > most.get());
        over.map_or(Ok(()), |(pid, counter)| Err(format!("{pid} is at {} of {}", counter.count, most.get())))
    });

    let start = cluster.start(0, Child::of::<Counter>(0).id("visits"));
    let pid = cluster.wait(&start)?;
    cluster.expect(pid.is_ok(), || format!("the start was answered {pid:?}"))?;
    cluster.run_for(Duration::from_secs(1))?;
    for node in 0..4 {
        let count = add(&mut cluster, node, &asked)?;
        let right = count == Some(asked.get());
        cluster.expect(right, || format!("after {} calls it is at {count:?}", asked.get()))?;
    }

    // Its node leaves in good order: the count moves with it.
    let host = cluster.look().copies("visits")[0].node;
    cluster.leave(host);
    cluster.run_until(Duration::from_secs(10), "it has moved", |look| {
        let copies = look.copies("visits");
        copies.len() == 1 && copies[0].node != host && copies[0].started
    })?;
    let node = (host + 1) % 4;
    cluster.run_for(Duration::from_secs(1))?;
    let count = add(&mut cluster, node, &asked)?;
    cluster.expect(count == Some(5), || format!("it moved, and is at {count:?} after 5 calls"))?;

    // Its node dies: the count is lost, since a counter keeps it in memory alone; but nothing is made up.
    let host = cluster.look().copies("visits")[0].node;
    cluster.kill(host);
    cluster.run_until(Duration::from_secs(10), "it runs again", |look| look.copies("visits").len() == 1)?;
    // Then the network splits, and nodes stand still: there may be two counters for a while, each with less.
    let faults = Faults::none().splits(10).pauses(10).loss(5);
    for _ in 0..8 {
        cluster.storm(&faults, Duration::from_secs(1))?;
        for node in 0..4 {
            if cluster.look().is_up(node) {
                asked.set(asked.get() + 1);
                cluster.cast::<Counter, _>(node, "visits", Add { by: 1 });
            }
        }
    }
    // In the end it runs once, and everybody finds it.
    cluster.settle()?;
    let copies = cluster.look().copies("visits");
    cluster.expect(copies.len() == 1, || format!("it runs as {copies:?}"))
}

/// Fifty seeds.
pub fn main() {
    explore(1..=50, script);
}
