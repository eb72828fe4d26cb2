//! Suite `transport`: two nodes on loopback, each on a thread of its own; raw quinn beside it.

mod kills;
mod raw;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use horde_transport::{
    ClusterKey, Event, Identity, Lane, Network, NodeName, Quic, QuicConfig, Subscription, Topic,
};
use tokio::runtime::Runtime;

use crate::harness::{Figure, Options, rounds};

/// How long anything may take before the suite gives up.
const PATIENCE: Duration = Duration::from_secs(30);

fn key() -> ClusterKey {
    ClusterKey::from_secret("bench", "a secret of the benchmarks, long enough").expect("a key")
}

fn topic(text: &str) -> Topic {
    Topic::new(text).expect("a topic")
}

/// A node on a thread of its own, as a control plane runs it.
struct Node {
    quic: Arc<Quic>,
    runtime: tokio::runtime::Handle,
    _stop: tokio::sync::oneshot::Sender<()>,
}

fn current_thread() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn node(key: &ClusterKey, name: &str) -> Node {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (started, start) = mpsc::channel();
    let mut config = QuicConfig::new(
        NodeName::new(name).expect("a name"),
        ([127, 0, 0, 1], 0).into(),
        Identity::secret(key),
    );
    if let Some(bytes) = std::env::var("HORDE_BENCH_SOCKET_BUFFER").ok().and_then(|text| text.parse().ok()) {
        config.socket_buffer = bytes;
    }
    std::thread::spawn(move || {
        let runtime = current_thread();
        runtime.block_on(async {
            let quic = Quic::bind(config).expect("a free port");
            let _told = started.send((quic, tokio::runtime::Handle::current()));
            let _stopped = stopped.await;
        });
    });
    let (quic, runtime) = start.recv().expect("a node");
    Node { quic, runtime, _stop: stop }
}

/// Waits until `done`, looking every so often; never part of a figure.
fn until(done: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "nothing happened");
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn connect(from: &Node, to: &Node) {
    from.quic.dial(to.quic.local_addr());
    until(|| !from.quic.peers().is_empty() && !to.quic.peers().is_empty());
}

fn echo(node: &Node) -> Subscription {
    let subscriber = |event| {
        if let Event::Request { frame, responder, .. } = event {
            responder.send(frame);
        }
    };
    node.quic.subscribe(&topic("echo"), Arc::new(subscriber)).expect("a free topic")
}

/// Runs the suite.
pub fn run(options: &Options) -> io::Result<()> {
    if let Ok(address) = std::env::var(kills::CHILD) {
        kills::child(address.parse().map_err(io::Error::other)?);
    }
    let key = key();
    let (one, two) = (node(&key, "one"), node(&key, "two"));
    connect(&one, &two);
    let _echo = echo(&two);
    let raw = raw::Pair::new();
    let runs = if options.quick { 11 } else { 41 };

    let count = if options.quick { 1_000 } else { 4_000 };
    let udp = raw::Udp::new();
    let all = rounds(
        runs,
        &mut [
            Box::new(|| round_trip(&one, &two, count)),
            Box::new(|| raw.round_trip(count)),
            Box::new(|| udp.round_trip(count)),
        ],
    );
    let [ours, quinn, udp] = all.try_into().expect("three contestants");
    let figure = Figure::new("transport", "call_rtt", "us", ours).must(95.0);
    figure.peer("quinn", quinn).peer("udp", udp).print(options);

    let count = count * 20;
    let all = rounds(
        runs,
        &mut [Box::new(|| in_flight(&one, &two, 64, count)), Box::new(|| raw.pipelined(64, count))],
    );
    let [ours, peer] = two_of(all);
    Figure::new("transport", "calls_64_in_flight", "k/s", ours)
        .higher()
        .must(300.0)
        .peer("quinn", peer)
        .print(options);

    let frames = if options.quick { 50 } else { 200 };
    let all = rounds(runs, &mut [Box::new(|| bulk(&one, &two, frames)), Box::new(|| raw.bulk(frames))]);
    let [ours, peer] = two_of(all);
    Figure::new("transport", "bulk", "MB/s", ours).higher().must(500.0).peer("quinn", peer).print(options);

    let delays = rounds(runs, &mut [Box::new(|| beside_bulk(&one, &two))]);
    Figure::new("transport", "control_rtt_beside_bulk", "us", delays.concat()).print(options);

    let handshakes: Vec<_> = (0..runs).map(|n| handshake(&key, &two, n)).collect();
    Figure::new("transport", "handshake", "ms", handshakes).must(2.0).print(options);

    let kills = kills::run(&key, if options.quick { 20 } else { 100 })?;
    for (name, times) in [("crash_hint", kills.hints), ("crash_verdict", kills.verdicts)] {
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        Figure::new("transport", &format!("{name}_p50"), "ms", vec![at(0.5)]).print(options);
        let p99 = Figure::new("transport", &format!("{name}_p99"), "ms", vec![at(0.99)]);
        (if name == "crash_hint" { p99.must(3.0) } else { p99.must(10.0) }).print(options);
    }
    Ok(())
}

fn two_of(all: Vec<Vec<f64>>) -> [Vec<f64>; 2] {
    all.try_into().expect("two contestants")
}

/// The median time of one call of 128 bytes, one in flight, asked from a task on the node's own thread, in us.
fn round_trip(one: &Node, two: &Node, count: usize) -> f64 {
    let (quic, to) = (one.quic.clone(), two.quic.local().clone());
    let (done, times) = mpsc::channel();
    one.runtime.spawn(async move {
        let (on, frame) = (topic("echo"), Bytes::from(vec![7; 128]));
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let (sender, outcome) = tokio::sync::oneshot::channel();
            let start = Instant::now();
            let on_reply = Box::new(move |outcome| drop(sender.send(outcome)));
            quic.request(&to, &on, frame.clone(), PATIENCE, on_reply);
            outcome.await.expect("an outcome").expect("an answer");
            times.push(start.elapsed());
        }
        times.sort_unstable();
        let _told = done.send(times[count / 2].as_secs_f64() * 1e6);
    });
    times.recv().expect("a figure")
}

/// Thousands of calls of 64 bytes a second, with so many in flight: each answer sends the next request.
fn in_flight(one: &Node, two: &Node, window: usize, count: usize) -> f64 {
    struct Run {
        quic: Arc<Quic>,
        to: horde_transport::NodeId,
        on: Topic,
        left: AtomicUsize,
        open: AtomicUsize,
        done: mpsc::Sender<()>,
    }
    fn next(run: &Arc<Run>) {
        let taken = run.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if taken.is_err() {
            if run.open.fetch_sub(1, Ordering::Relaxed) == 1 {
                let _told = run.done.send(());
            }
            return;
        }
        let again = run.clone();
        let on_reply = Box::new(move |outcome: Result<Bytes, _>| {
            outcome.expect("an answer");
            next(&again);
        });
        run.quic.request(&run.to, &run.on, Bytes::from_static(&[7; 64]), PATIENCE, on_reply);
    }
    let (done, finished) = mpsc::channel();
    let run = Arc::new(Run {
        quic: one.quic.clone(),
        to: two.quic.local().clone(),
        on: topic("echo"),
        left: AtomicUsize::new(count),
        open: AtomicUsize::new(window),
        done,
    });
    let start = Instant::now();
    for _ in 0..window {
        next(&run);
    }
    finished.recv().expect("an end");
    count as f64 / start.elapsed().as_secs_f64() / 1e3
}

/// Megabytes a second in frames of a megabyte.
fn bulk(one: &Node, two: &Node, frames: usize) -> f64 {
    let (done, finished) = mpsc::channel();
    let left = AtomicUsize::new(frames);
    let subscriber = move |event| {
        if let Event::Frame { .. } = event
            && left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            let _told = done.send(());
        }
    };
    let _subscription = two.quic.subscribe(&topic("bulk"), Arc::new(subscriber)).expect("a free topic");
    let (frame, on) = (Bytes::from(vec![7; 1_000_000]), topic("bulk"));
    let start = Instant::now();
    for _ in 0..frames {
        while one.quic.send(two.quic.local(), &on, Lane::Bulk, frame.clone()).is_err() {
            std::thread::yield_now();
        }
    }
    finished.recv().expect("an end");
    frames as f64 / start.elapsed().as_secs_f64()
}

/// The longest of some round trips on the control lane while a bulk transfer keeps the connection busy, in us.
fn beside_bulk(one: &Node, two: &Node) -> f64 {
    let (quic, back) = (two.quic.clone(), one.quic.local().clone());
    let _pong = two.quic.subscribe(
        &topic("beat"),
        Arc::new(move |event| {
            if let Event::Frame { frame, .. } = event {
                let _gone = quic.send(&back, &topic("beat"), Lane::Control, frame);
            }
        }),
    );
    let (pong, pongs) = mpsc::channel();
    let _ping = one.quic.subscribe(
        &topic("beat"),
        Arc::new(move |event| {
            if let Event::Frame { .. } = event {
                let _over = pong.send(());
            }
        }),
    );
    let frame = Bytes::from(vec![7; 1_000_000]);
    for _ in 0..60 {
        let _full = one.quic.send(two.quic.local(), &topic("nobody"), Lane::Bulk, frame.clone());
    }
    let mut longest = Duration::ZERO;
    while one.quic.stats()[0].queued_bytes > 4_000_000 {
        let start = Instant::now();
        one.quic
            .send(two.quic.local(), &topic("beat"), Lane::Control, Bytes::from_static(b"x"))
            .expect("sent");
        pongs.recv().expect("a pong");
        longest = longest.max(start.elapsed());
    }
    longest.as_secs_f64() * 1e6
}

/// From the dial of a fresh node to its first connection, in ms.
fn handshake(key: &ClusterKey, to: &Node, n: usize) -> f64 {
    let fresh = node(key, &format!("fresh-{n}"));
    let (up, ups) = mpsc::channel();
    let subscriber = move |event| {
        if let Event::Up(_) = event {
            let _over = up.send(Instant::now());
        }
    };
    let _watch = fresh.quic.subscribe(&topic("watch"), Arc::new(subscriber)).expect("a free topic");
    let start = Instant::now();
    fresh.quic.dial(to.quic.local_addr());
    ups.recv().expect("a connection").duration_since(start).as_secs_f64() * 1e3
}
