//! Suite `process`: one node's processes beside ractor, kameo and a bare tokio channel; two nodes on loopback for the remote call.
//!
//! Every local figure is taken from inside a task of a runtime with two workers. Starts and memory are measured in a child process
//! each, so that no tear-down of an earlier run overlaps.

mod alone;
mod ours;
mod peers;
mod remote;

use std::future::Future;
use std::io;
use std::time::Instant;

use tokio::runtime::{Builder, Runtime};

use crate::harness::{Figure, Options, Timed, rounds};

/// Who takes part, ours first.
const CONTESTANTS: [&str; 4] = ["horde", "ractor", "kameo", "tokio_mpsc"];

/// A runtime as a service has it.
fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// Runs `work` in a task of `runtime`, off the thread that waits.
fn inside<T: Send + 'static>(runtime: &Runtime, work: impl Future<Output = T> + Send + 'static) -> T {
    runtime.block_on(runtime.spawn(work)).expect("no panic")
}

/// Nanoseconds each of `count` things took.
fn each(start: Instant, count: usize) -> f64 {
    start.elapsed().as_nanos() as f64 / count as f64
}

/// Runs the suite.
pub fn run(options: &Options) -> io::Result<()> {
    alone::child_if_asked();
    let runtime = &runtime();
    let runs = if options.quick { 7 } else { 21 };

    let count = if options.quick { 50_000 } else { 300_000 };
    let all = rounds(runs, &mut contestants(runtime, |runtime, who| calls(runtime, who, count)));
    print(options, "call_local", "us", all, |figure| figure.must(0.45).stretch(0.25));

    let count = if options.quick { 200_000 } else { 1_000_000 };
    let all = rounds(runs, &mut contestants(runtime, |runtime, who| casts(runtime, who, count)));
    print(options, "cast_local", "M/s", all, |figure| figure.higher().must(6.0).stretch(12.0));

    let runs = if options.quick { 5 } else { 11 };
    let (spawns, bytes) = alone::starts(runs)?;
    print(options, "spawn", "k/s", spawns, |figure| figure.higher().must(480.0).stretch(800.0));
    print(options, "bytes_per_process", "B", bytes, |figure| figure.must(1200.0).stretch(700.0));

    let count = if options.quick { 300_000 } else { 1_000_000 };
    let lookups = &inside(runtime, ours::names(10_000));
    inside(runtime, peers::ractor_names(10_000));
    inside(runtime, peers::kameo_names(10_000));
    let runs = if options.quick { 7 } else { 21 };
    let names = rounds(
        runs,
        &mut [
            Box::new(|| ours::lookups(lookups, count)),
            Box::new(|| peers::ractor_lookups(10_000, count)),
            Box::new(|| peers::kameo_lookups(10_000, count)),
        ],
    );
    print(options, "lookup_name", "M/s", names, |figure| figure.higher().must(20.0).stretch(35.0));

    let pair = remote::Pair::start()?;
    let count = if options.quick { 1_000 } else { 4_000 };
    let all = rounds(runs, &mut [Box::new(|| pair.call(count))]);
    print(options, "call_remote", "us", all, |figure| figure.must(115.0));
    Ok(())
}

fn print(
    options: &Options,
    name: &str,
    unit: &'static str,
    all: Vec<Vec<f64>>,
    target: impl FnOnce(Figure) -> Figure,
) {
    let mut all = all.into_iter();
    let figure = Figure::new("process", name, unit, all.next().expect("ours"));
    let with_peers =
        CONTESTANTS[1..].iter().zip(all).fold(figure, |figure, (peer, runs)| figure.peer(*peer, runs));
    target(with_peers).print(options);
}

fn contestants<'a>(runtime: &'a Runtime, run: impl Fn(&Runtime, &str) -> f64 + Copy + 'a) -> Vec<Timed<'a>> {
    CONTESTANTS.into_iter().map(|who| Box::new(move || run(runtime, who)) as Timed<'a>).collect()
}

/// Microseconds of one call, one in flight, of one task.
fn calls(runtime: &Runtime, who: &str, count: usize) -> f64 {
    1e-3 * match who {
        "horde" => inside(runtime, ours::calls(count)),
        "ractor" => inside(runtime, peers::ractor_calls(count)),
        "kameo" => inside(runtime, peers::kameo_calls(count)),
        _ => inside(runtime, peers::tokio_calls(count)),
    }
}

/// Millions of casts a second to one process from one task, until the last is handled.
fn casts(runtime: &Runtime, who: &str, count: usize) -> f64 {
    1e3 / match who {
        "horde" => inside(runtime, ours::casts(count)),
        "ractor" => inside(runtime, peers::ractor_casts(count)),
        "kameo" => inside(runtime, peers::kameo_casts(count)),
        _ => inside(runtime, peers::tokio_casts(count)),
    }
}
