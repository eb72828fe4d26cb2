//! The harness, used as from outside: by what is public alone.

#[path = "../examples/counter.rs"]
#[expect(unreachable_pub, reason = "a program by itself")]
mod counter;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use horde_process::{CallError, ExitReason, Message, Restart, Stop};
use horde_sim::harness::{Child, Cluster, Context, Failure, Handle, Process, Run, explore};
use horde_supervisor::StartError;
use serde::{Deserialize, Serialize};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize, Message)]
#[message(reply = u64, crate = "horde_process")]
struct Ticks;

#[derive(Serialize, Deserialize, Message)]
#[message(crate = "horde_process")]
struct Break;

#[derive(Serialize, Deserialize, Message)]
#[message(crate = "horde_process")]
struct Leave {
    as_error: bool,
}

#[derive(Serialize, Deserialize, Message)]
#[message(crate = "horde_process")]
struct Unlisted;

/// Ticks ten times a second; what it is started with says what its `init` does.
struct Clock {
    ticks: u64,
    first: bool,
}

impl Process for Clock {
    const KIND: &'static str = "clock";
    type Args = String;
    type Messages = (Ticks, Break, Leave);

    fn init(how: String, cx: &mut Context<Self>) -> Result<Self, Stop> {
        match how.as_str() {
            "fails" => return Err(Stop::because(ExitReason::Error("no".to_owned()))),
            "has nothing to do" => return Err(Stop::ignore()),
            "panics" => panic!("in init"),
            "takes long" => cx.takes(SECOND * 2),
            _ => {}
        }
        cx.every(Duration::from_millis(100), Self::tick);
        cx.next(|clock, _| clock.first = true);
        Ok(Self { ticks: 0, first: false })
    }
}

impl Clock {
    fn tick(&mut self, _: &mut Context<Self>) {
        assert!(self.first, "the step ran before");
        self.ticks += 1;
    }
}

impl Handle<Ticks> for Clock {
    fn handle(&mut self, _: Ticks, _: &mut Context<Self>) -> u64 {
        self.ticks
    }
}

impl Handle<Break> for Clock {
    fn handle(&mut self, _: Break, _: &mut Context<Self>) {
        panic!("as it was told");
    }
}

impl Handle<Leave> for Clock {
    fn handle(&mut self, message: Leave, cx: &mut Context<Self>) {
        cx.stop(if message.as_error { ExitReason::Error("told".to_owned()) } else { ExitReason::Normal });
    }
}

impl Handle<Unlisted> for Clock {
    fn handle(&mut self, _: Unlisted, _: &mut Context<Self>) {}
}

fn clock(how: &str, id: &str) -> Child {
    Child::of::<Clock>(how.to_owned()).id(id)
}

fn three(run: &Run) -> Result<Cluster, Failure> {
    run.cluster(3).runs::<Clock>().build()
}

#[test]
fn the_example_holds() {
    counter::main();
}

#[test]
fn timers_and_steps_run_in_virtual_time() {
    explore(1..=3, |run| {
        let mut cluster = three(&run)?;
        let start = cluster.start(0, clock("", "c").named("the clock"));
        cluster.wait(&start)?.expect("it starts");
        cluster.run_for(SECOND * 10)?;
        for node in 0..3 {
            let call = cluster.call_named::<Clock, _>(node, "the clock", Ticks);
            let ticks = cluster.wait(&call)?.expect("it is found everywhere");
            cluster.expect((99..=101).contains(&ticks), || format!("{ticks} ticks in ten seconds"))?;
        }
        Ok(())
    });
}

#[test]
fn an_init_may_fail_panic_take_long_or_have_nothing_to_do() {
    explore([1], |run| {
        let mut cluster = three(&run)?;
        for (how, fits) in [
            (
                "fails",
                (|error| matches!(error, StartError::Init(ExitReason::Error(_)))) as fn(&StartError) -> bool,
            ),
            ("panics", |error| matches!(error, StartError::Init(ExitReason::Panicked(_)))),
            ("has nothing to do", |error| matches!(error, StartError::Ignored)),
        ] {
            let start = cluster.start(0, clock(how, how).restart(Restart::Temporary));
            let answer = cluster.wait(&start)?;
            cluster.expect(answer.as_ref().is_err_and(fits), || format!("{how}: {answer:?}"))?;
        }
        let start = cluster.start(0, clock("takes long", "slow"));
        cluster.run_for(SECOND)?;
        cluster.expect(cluster.kept(&start).is_none(), || "it started at once".to_owned())?;
        let answer = cluster.wait(&start)?;
        cluster.expect(answer.is_ok(), || format!("{answer:?}"))
    });
}

#[test]
fn a_process_that_panics_or_ends_is_started_again_as_its_restart_says() {
    explore(1..=3, |run| {
        let mut cluster = three(&run)?;
        for (id, restart) in [("permanent", Restart::Permanent), ("transient", Restart::Transient)] {
            let start = cluster.start(0, clock("", id).restart(restart));
            let first = cluster.wait(&start)?.expect("it starts");
            cluster.run_for(SECOND)?;
            let call = cluster.call::<Clock, _>(1, id, Break);
            let answer = cluster.wait(&call)?;
            let exited = matches!(answer, Err(CallError::Exited(ExitReason::Panicked(_))));
            cluster.expect(exited, || format!("the call was answered {answer:?}"))?;
            cluster.run_until(SECOND * 5, "it runs again", |look| {
                look.copies(id).iter().any(|copy| copy.pid != first && copy.started)
            })?;
            cluster.run_for(SECOND)?;
            let call = cluster.call::<Clock, _>(2, id, Leave { as_error: false });
            cluster.wait(&call)?.expect("an answer is sent before the end");
            cluster.run_for(SECOND * 3)?;
            let runs = cluster.look().copies(id).len();
            let right = usize::from(restart == Restart::Permanent);
            cluster.expect(runs == right, || format!("{id}: {runs} copies after a normal end"))?;
        }
        cluster.settle().map(drop)
    });
}

#[test]
fn what_a_process_does_not_take_is_refused() {
    explore([1], |run| {
        let mut cluster = three(&run)?;
        let start = cluster.start(0, clock("", "c"));
        cluster.wait(&start)?.expect("it starts");
        cluster.run_for(SECOND)?;
        let call = cluster.call::<Clock, _>(1, "c", Unlisted);
        let answer = cluster.wait(&call)?;
        let unknown = matches!(answer, Err(CallError::UnknownMessage { .. }));
        cluster.expect(unknown, || format!("{answer:?}"))?;
        let call = cluster.call::<Clock, _>(1, "nobody", Ticks);
        let answer = cluster.wait(&call)?;
        cluster.expect(matches!(answer, Err(CallError::NoProcess(_))), || format!("{answer:?}"))
    });
}

#[test]
fn a_split_without_a_quorum_runs_a_child_on_both_sides_and_once_after_it() {
    explore(1..=3, |run| {
        let mut cluster = three(&run)?;
        let start = cluster.start(0, clock("", "c"));
        cluster.wait(&start)?.expect("it starts");
        cluster.split(&[2]);
        cluster.run_until(SECOND * 20, "both sides run it", |look| look.copies("c").len() == 2)?;
        cluster.settle()?;
        let copies = cluster.look().copies("c");
        cluster.expect(copies.len() == 1, || format!("{copies:?}"))
    });
}

#[test]
fn under_a_quorum_the_minority_of_a_split_runs_nothing() {
    explore(1..=3, |run| {
        let mut cluster = run.cluster(3).runs::<Clock>().quorum().build()?;
        let start = cluster.start(0, clock("", "c"));
        let pid = cluster.wait(&start)?.expect("it starts");
        cluster.run_for(SECOND)?;
        let host = cluster.look().node_of(&pid).expect("it runs");
        cluster.always("never two copies", |look| match look.copies("c").len() {
            0 | 1 => Ok(()),
            more => Err(format!("{more} copies")),
        });
        cluster.split(&[host]);
        cluster.run_until(SECOND * 20, "the majority runs it", |look| {
            look.copies("c").iter().any(|copy| copy.node != host && copy.started)
        })?;
        cluster.expect(!cluster.look().holds_lease(host), || "the minority holds its lease".to_owned())?;
        cluster.settle().map(drop)
    });
}

/// What a failing run says.
fn failure_of(script: impl Fn(Run) -> Result<(), Failure>) -> String {
    let panic = catch_unwind(AssertUnwindSafe(|| explore([7], script))).expect_err("the run fails");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn a_failure_says_the_seed_the_command_and_what_happened() {
    let text = failure_of(|run| {
        let mut cluster = three(&run)?;
        cluster.always("the clock stands", |look| {
            match look.processes::<Clock>().find(|(_, clock)| clock.ticks > 5) {
                Some((pid, clock)) => Err(format!("{pid} is at {}", clock.ticks)),
                None => Ok(()),
            }
        });
        let start = cluster.start(1, clock("", "c"));
        cluster.wait(&start)?.expect("it starts");
        cluster.run_for(SECOND * 10)
    });
    let test = "a_failure_says_the_seed_the_command_and_what_happened";
    for part in [
        "seed 7: the clock stands: <n".to_owned(),
        "is at 6".to_owned(),
        format!("REPRODUCE WITH: HORDE_SIM_SEED=7 cargo test {test}"),
        "start c Permanent".to_owned(),
    ] {
        assert!(text.contains(&part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn a_bound_that_is_not_kept_is_a_failure() {
    let text = failure_of(|run| {
        three(&run)?.run_until(SECOND, "a fourth node is there", |look| look.nodes() == 4).map(drop)
    });
    assert!(text.contains("not within 1s: a fourth node is there"), "{text}");
}

#[test]
fn a_run_that_is_another_each_time_is_found() {
    let runs = Rc::new(Cell::new(0));
    let text = failure_of(move |run| {
        runs.set(runs.get() + 1);
        let mut cluster = three(&run)?;
        cluster.run_for(SECOND * runs.get())
    });
    assert!(text.contains("two runs of seed 7 differ"), "{text}");
}
