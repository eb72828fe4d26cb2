//! Links, monitors, trapped exits, timers and helper tasks on one node.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/common.rs"]
mod common;

use std::time::Duration;

use common::{Sees, Watch, Watchdog, alone, within};
use horde_process::{CallError, Context, ExitReason, Handle, Message, Process, Shutdown, Stop};
use serde::{Deserialize, Serialize};

#[tokio::test]
async fn a_linked_process_ends_with_the_other_unless_that_ended_normally() {
    let node = alone(|builder| builder.runs::<Watchdog>(()));
    for (reason, ends) in [(ExitReason::Normal, false), (ExitReason::Error("x".into()), true)] {
        let first = node.spawn::<Watchdog>(()).await.unwrap();
        let second = node.spawn::<Watchdog>(()).await.unwrap();
        let third = node.spawn::<Watchdog>(()).await.unwrap();
        let first_pid = first.pid().unwrap();
        within(second.call(Watch::link(&first_pid))).await.unwrap();
        within(third.call(Watch::link(&second.pid().unwrap()))).await.unwrap();
        let (gone, last) = (first.ended(), third.ended());
        node.stop(&first_pid, reason.clone(), Shutdown::Infinity);
        assert_eq!(within(gone).await, reason);
        if ends {
            // The whole chain names the first that ended.
            assert_eq!(within(last).await, reason.linked(&first_pid));
        } else {
            assert_eq!(within(third.call(common::Seen)).await, Ok(vec![]));
            assert_eq!(within(second.call(common::Seen)).await, Ok(vec![]));
        }
    }
}

#[tokio::test]
async fn a_trapped_exit_is_a_callback_and_an_unlinked_one_is_nothing() {
    let node = alone(|builder| builder.runs::<Watchdog>(()));
    let dog = node.spawn::<Watchdog>(()).await.unwrap();
    let linked = node.spawn::<Watchdog>(()).await.unwrap().pid().unwrap();
    let unlinked = node.spawn::<Watchdog>(()).await.unwrap().pid().unwrap();
    within(dog.call(Watch::trap())).await.unwrap();
    for pid in [&linked, &unlinked] {
        within(dog.call(Watch::link(pid))).await.unwrap();
    }
    within(dog.call(Watch::unlink(&unlinked))).await.unwrap();
    for pid in [&unlinked, &linked] {
        node.stop(pid, ExitReason::Normal, Shutdown::Infinity);
    }
    assert_eq!(dog.seen(1).await, [format!("exit {linked}: {}", ExitReason::Normal)]);
    let pid = dog.pid().unwrap();
    let lost = ExitReason::NameConflict { registry: "r".into(), key: "k".into(), winner: linked };
    node.signal(&pid, &lost);
    assert_eq!(dog.seen(2).await[1], format!("exit {pid}: {lost}"));
}

#[tokio::test]
async fn a_monitor_hears_of_one_end_once() {
    let node = alone(|builder| builder.runs::<Watchdog>(()));
    let dog = node.spawn::<Watchdog>(()).await.unwrap();
    let other = node.spawn::<Watchdog>(()).await.unwrap().pid().unwrap();
    within(dog.call(Watch::monitor(&other))).await.unwrap();
    within(dog.call(Watch::monitor(&other))).await.unwrap();
    node.stop(&other, ExitReason::Shutdown, Shutdown::Infinity);
    let line = format!("down {other}: {}", ExitReason::Shutdown);
    assert_eq!(dog.seen(2).await, [line.clone(), line.clone()]);
    within(dog.call(Watch::monitor(&other))).await.unwrap();
    assert_eq!(dog.seen(3).await[2], format!("down {other}: {}", ExitReason::NoProcess));
}

/// Counts what its timers and helpers bring.
#[derive(Default)]
struct Clock {
    log: Vec<String>,
    waits: Option<horde_process::Reply<Vec<String>>>,
}

#[derive(Serialize, Deserialize, Message)]
#[message(crate = "horde_process")]
enum Set {
    Timers,
    Helper,
    PanicInHelper,
    StopAndAnswer,
}

#[derive(Serialize, Deserialize, Message)]
#[message(reply = Vec<String>, crate = "horde_process")]
struct Enough;

impl Process for Clock {
    const KIND: &'static str = "clock";
    type Args = ();
    type Deps = ();
    type Messages = (Set, Enough);

    async fn init((): (), _: &mut Context<Self>) -> Result<Self, Stop> {
        Ok(Self::default())
    }
}

impl Clock {
    async fn tick(&mut self, _: &mut Context<Self>) {
        self.note("tick".into());
    }

    async fn once(&mut self, _: &mut Context<Self>) {
        self.note("once".into());
    }

    async fn never(&mut self, _: &mut Context<Self>) {
        self.note("never".into());
    }

    async fn fetched(&mut self, what: String, _: &mut Context<Self>) {
        self.note(what);
    }

    fn note(&mut self, what: String) {
        self.log.push(what);
        if self.log.iter().filter(|line| *line == "tick").count() >= 3 || self.log.contains(&"page".into()) {
            self.waits.take().into_iter().for_each(|reply| reply.send(self.log.clone()));
        }
    }
}

impl Handle<Set> for Clock {
    async fn handle(&mut self, set: Set, cx: &mut Context<Self>) {
        match set {
            Set::Timers => {
                cx.every(Duration::from_secs(10), Self::tick);
                cx.after(Duration::from_secs(15), Self::once);
                cx.after(Duration::from_secs(5), Self::never).cancel();
            }
            Set::Helper => cx.spawn_then(async { "page".to_owned() }, Self::fetched),
            Set::PanicInHelper => cx.spawn(async { panic!("helper") }),
            Set::StopAndAnswer => cx.stop(ExitReason::Normal),
        }
    }
}

impl horde_process::Serve<Enough> for Clock {
    async fn serve(&mut self, _: Enough, reply: horde_process::Reply<Vec<String>>, _: &mut Context<Self>) {
        self.waits = Some(reply);
    }
}

#[tokio::test(start_paused = true)]
async fn timers_run_in_their_order_and_a_cancelled_one_does_not() {
    let node = alone(|builder| builder.runs::<Clock>(()));
    let clock = node.spawn::<Clock>(()).await.unwrap();
    clock.call(Set::Timers).await.unwrap();
    let log = clock.call(Enough).timeout(Duration::from_secs(100)).await;
    assert_eq!(log.unwrap(), ["tick", "once", "tick", "tick"]);
}

#[tokio::test]
async fn a_helper_brings_its_result_and_its_panic_ends_the_process() {
    let node = alone(|builder| builder.runs::<Clock>(()));
    let clock = node.spawn::<Clock>(()).await.unwrap();
    let call = clock.call(Enough);
    let asks = tokio::spawn(call);
    within(clock.call(Set::Helper)).await.unwrap();
    assert_eq!(within(asks).await.unwrap().unwrap(), ["page"]);
    let ended = clock.ended();
    clock.cast(Set::PanicInHelper).unwrap();
    assert_eq!(within(ended).await, ExitReason::Panicked("helper".into()));
}

#[tokio::test]
async fn a_process_that_stops_itself_still_answers() {
    let node = alone(|builder| builder.runs::<Clock>(()));
    let clock = node.spawn::<Clock>(()).await.unwrap();
    assert_eq!(within(clock.call(Set::StopAndAnswer)).await, Ok(()));
    assert_eq!(within(clock.ended()).await, ExitReason::Normal);
    assert!(matches!(within(clock.call(Enough)).await, Err(CallError::NoProcess(_))));
}

#[tokio::test]
async fn a_future_is_a_process_that_ends_as_it_ends() {
    let node = alone(|builder| builder.runs::<Watchdog>(()));
    let dog = node.spawn::<Watchdog>(()).await.unwrap();
    let (go, ahead) = tokio::sync::oneshot::channel::<()>();
    let fails = node
        .run(async {
            ahead.await.map_err(|_| Stop::because(ExitReason::Killed))?;
            std::fs::read("/no such file")?;
            Ok(())
        })
        .await
        .unwrap();
    let waits = node.run(std::future::pending()).await.unwrap();
    for pid in [&fails, &waits] {
        within(dog.call(Watch::monitor(pid))).await.unwrap();
    }
    go.send(()).unwrap();
    assert!(dog.seen(1).await[0].starts_with(&format!("down {fails}: it failed: No such file")));
    node.stop(&waits, ExitReason::Shutdown, Shutdown::Infinity);
    assert_eq!(dog.seen(2).await[1], format!("down {waits}: {}", ExitReason::Shutdown));
}
