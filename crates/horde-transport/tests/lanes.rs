//! Lanes: limits, back-pressure, what a bulk transfer does to a heartbeat; and what a node tells of its connections.
#![cfg(feature = "quic")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "common/mesh.rs"]
mod mesh;
#[path = "common/recorder.rs"]
#[expect(dead_code, reason = "shared by several test binaries")]
mod recorder;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use horde_transport::{BindError, Event, Lane, Network, Quic, RequestError, SendError};
use mesh::{config, connect, node, until};
use recorder::{Recorder, SOON, ask, reverser, topic};

/// A node that keeps few frames.
fn small(name: &str) -> Arc<Quic> {
    let mut config = config(name);
    config.limits.queued_frames = 32;
    config.limits.queued_bytes = 4 << 20;
    config.limits.requests = 4;
    config.timing.idle_timeout = Duration::from_secs(5);
    config.timing.keep_alive = Duration::from_secs(1);
    Quic::bind(config).unwrap()
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_what_was_taken_arrives_in_order() {
    let (one, two) = (small("one"), small("two"));
    connect(&one, &two).await;
    let mut heard = Recorder::on(&*two, "in");
    heard.up().await;
    for (lane, size) in
        [(Lane::Control, 60_000), (Lane::Sync, 200_000), (Lane::Calls, 200_000), (Lane::Bulk, 900_000)]
    {
        // Nothing gets through, so that the lane fills up.
        one.cut(two.local_addr(), true);
        let mut taken = 0u32;
        let refused = loop {
            let mut frame = vec![7; size];
            frame[..4].copy_from_slice(&taken.to_le_bytes());
            match one.send(two.local(), &topic("in"), lane, frame.into()) {
                Ok(()) => taken += 1,
                Err(refused) => break refused,
            }
            assert!(taken < 1000, "{lane:?} takes without end");
        };
        assert_eq!(refused, SendError::Full(two.local().clone()), "{lane:?}");
        assert!(refused.to_string().contains("was not sent"));
        one.cut(two.local_addr(), false);
        let mut numbers = Vec::new();
        for _ in 0..taken {
            let (_, on, frame) = heard.frame().await;
            assert_eq!((on, frame.len()), (lane, size));
            numbers.push(u32::from_le_bytes(frame[..4].try_into().unwrap()));
        }
        if lane == Lane::Bulk {
            numbers.sort_unstable();
        }
        assert_eq!(numbers, (0..taken).collect::<Vec<_>>(), "{lane:?}");
        until(&one, "nothing waits", |one| one.stats()[0].queued_bytes == 0).await;
        // There is room again.
        one.send(two.local(), &topic("in"), lane, Bytes::from_static(b"last")).unwrap();
        assert_eq!(&heard.frame().await.2[..], b"last");
    }
}

#[tokio::test]
async fn more_requests_than_may_wait_are_refused_at_once() {
    let (one, two) = (small("one"), small("two"));
    connect(&one, &two).await;
    let (kept, mut keeps) = tokio::sync::mpsc::unbounded_channel();
    let keeper = Arc::new(move |event| {
        if let Event::Request { responder, .. } = event {
            let _test_over = kept.send(responder);
        }
    });
    let _keeper = two.subscribe(&topic("keeps"), keeper).unwrap();
    let waiting = (0..4).map(|_| ask(&*one, two.local(), "keeps", b"", SOON));
    let mut waiting: Vec<_> = waiting.map(Box::pin).collect();
    let mut responders = Vec::new();
    for asked in &mut waiting {
        tokio::select! {
            biased;
            outcome = asked => panic!("{outcome:?}"),
            responder = keeps.recv() => responders.push(responder.unwrap()),
        }
    }
    let refused = ask(&*one, two.local(), "keeps", b"", SOON).await;
    assert_eq!(refused, Err(RequestError::NotSent(SendError::Full(two.local().clone()))));
    for (asked, responder) in waiting.into_iter().zip(responders) {
        responder.send(Bytes::from_static(b"ok"));
        assert_eq!(asked.await, Ok(Bytes::from_static(b"ok")));
    }
}

/// A node on a thread of its own, as a control plane runs it.
fn apart(name: &'static str) -> (Arc<Quic>, tokio::sync::oneshot::Sender<()>) {
    let (started, start) = std::sync::mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            started.send(node(name)).unwrap();
            let _test_over = stopped.await;
        });
    });
    (start.recv().unwrap(), stop)
}

/// Round trips of a heartbeat on the control lane, until `enough`.
async fn beats(
    one: &Quic,
    two: &Quic,
    heard: &mut Recorder,
    mut enough: impl FnMut(usize) -> bool,
) -> Vec<Duration> {
    let mut times = Vec::new();
    while !enough(times.len()) {
        let start = Instant::now();
        one.send(two.local(), &topic("beat"), Lane::Control, Bytes::from_static(&[7; 64])).unwrap();
        heard.frame().await;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times
}

#[expect(clippy::print_stdout, reason = "the figure is what the test is for")]
fn line(what: &str, times: &[Duration]) {
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    let (p50, p99, max) = (at(0.5), at(0.99), at(1.0));
    println!(
        "heartbeat round trip {what}: p50 {p50:.0} us, p99 {p99:.0} us, longest {max:.0} us, of {}",
        times.len()
    );
}

#[tokio::test]
async fn heartbeats_go_on_beside_a_bulk_transfer_and_their_delay_is_printed() {
    let ((one, _stop_one), (two, _stop_two)) = (apart("one"), apart("two"));
    connect(&one, &two).await;
    let back = Arc::downgrade(&two);
    let pong = Arc::new(move |event| {
        if let (Event::Frame { from, lane, frame }, Some(two)) = (event, back.upgrade()) {
            let _gone = two.send(&from, &topic("beat"), lane, frame);
        }
    });
    let _pong = two.subscribe(&topic("beat"), pong).unwrap();
    let mut heard = Recorder::on(&*one, "beat");
    let idle = beats(&one, &two, &mut heard, |count| count >= 200).await;
    line("idle", &idle);
    let mut bulk = Recorder::on(&*two, "bulk");
    let frame = Bytes::from(vec![7; 8_000_000]);
    let start = Instant::now();
    for _ in 0..10 {
        one.send(two.local(), &topic("bulk"), Lane::Bulk, frame.clone()).unwrap();
    }
    let busy = beats(&one, &two, &mut heard, |_| one.stats()[0].queued_bytes < 10_000_000).await;
    for _ in 0..10 {
        assert_eq!(bulk.frame().await.2.len(), frame.len());
    }
    let rate = 80.0 / start.elapsed().as_secs_f64();
    line(&format!("beside a bulk transfer of {rate:.0} MB/s"), &busy);
    // No time is judged, but one thing holds at any speed: a beat does not wait for the transfer.
    assert!(busy.len() > 10, "{} beats went round while 70 MB were sent", busy.len());
}

#[tokio::test]
async fn without_segmentation_offload_and_with_small_buffers_all_arrives() {
    let slow = |name: &str| {
        let mut config = config(name);
        (config.segmentation_offload, config.socket_buffer) = (false, 64 << 10);
        Quic::bind(config).unwrap()
    };
    let (one, two) = (slow("one"), slow("two"));
    connect(&one, &two).await;
    let mut heard = Recorder::on(&*two, "bulk");
    let frame: Bytes = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    one.send(two.local(), &topic("bulk"), Lane::Bulk, frame.clone()).unwrap();
    assert!(heard.frame().await.2 == frame);
}

#[tokio::test]
async fn each_connection_has_its_figures() {
    let (one, two) = (node("one"), node("two"));
    connect(&one, &two).await;
    let _echo = reverser(&*two, "echo");
    assert!(ask(&*one, two.local(), "echo", &[7; 10_000], SOON).await.is_ok());
    let stats = one.stats();
    assert_eq!(stats.len(), 1);
    let stats = &stats[0];
    assert_eq!(stats.peer.id, *two.local());
    assert!(
        stats.sent_bytes > 10_000 && stats.received_bytes > 10_000 && stats.sent_packets > 8,
        "{stats:?}"
    );
    assert!(stats.round_trip > Duration::ZERO && stats.up > Duration::ZERO && stats.queued_bytes == 0);
}

#[tokio::test]
async fn times_that_cannot_work_are_refused_at_the_start() {
    let mut hasty = config("hasty");
    hasty.timing.keep_alive = hasty.timing.idle_timeout;
    assert!(matches!(Quic::bind(hasty), Err(BindError::Timing(why)) if why.contains("keep-alive")));
}

#[tokio::test]
async fn a_quiet_connection_stands_by_its_keep_alive() {
    let (one, two) = (node("one"), node("two"));
    connect(&one, &two).await;
    let mut heard = Recorder::on(&*one, "watch");
    heard.up().await;
    // Three times as long as a connection without a sign of life stands.
    let lost = tokio::time::timeout(Duration::from_millis(1800), heard.down()).await;
    assert!(lost.is_err(), "{lost:?}");
    assert!(one.stats()[0].up > Duration::from_millis(1800));
}

#[tokio::test]
async fn a_dozen_nodes_in_one_process_make_one_connection_for_each_pair() {
    let nodes: Vec<_> = (0..12).map(|number| node(&format!("node-{number}"))).collect();
    for from in &nodes {
        for to in nodes.iter().filter(|to| to.local() != from.local()) {
            from.dial(to.local_addr());
        }
    }
    for node in &nodes {
        until(node, "all others", |node| node.peers().len() == 11).await;
    }
    let _echoes: Vec<_> = nodes.iter().map(|node| reverser(&**node, "echo")).collect();
    for from in &nodes {
        let to = nodes[0].local();
        assert!(ask(&**from, to, "echo", b"ab", SOON).await.is_ok());
    }
}
