//! Cuts, kills and silence of the in-memory network.
#![cfg(feature = "memory")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "common/recorder.rs"]
#[expect(dead_code, reason = "shared by several test binaries")]
mod recorder;

use std::time::Duration;

use bytes::Bytes;
use horde_transport::{DownReason, Event, Lane, MemoryNetwork, Network, RequestError};
use recorder::{Recorder, ask, id, reverser, topic};

#[tokio::test]
async fn a_killed_node_is_hinted_and_then_lost_to_all_others() {
    let network = MemoryNetwork::new();
    let [one, two, three] = ["one", "two", "three"].map(|name| network.attach(id(name, 1)));
    let mut seen = [Recorder::on(&*one, "watch"), Recorder::on(&*two, "watch")];
    let mut dead = Recorder::on(&*three, "watch");
    for _ in 0..2 {
        dead.up().await;
    }
    network.kill(three.local());
    for node in &mut seen {
        assert_eq!(node.hint().await, *three.local());
        assert_eq!(node.down().await, (three.local().clone(), DownReason::Lost("killed".into())));
    }
    assert!(dead.heard().is_empty(), "the dead hear nothing");
    assert!(three.send(one.local(), &topic("watch"), Lane::Control, Bytes::new()).is_err());
    assert_eq!(one.peers().len(), 1);
}

#[tokio::test]
async fn a_cut_heals() {
    let network = MemoryNetwork::new();
    let (one, two) = (network.attach(id("one", 1)), network.attach(id("two", 1)));
    let mut seen = Recorder::on(&*one, "watch");
    seen.up().await;
    network.isolate(two.local());
    assert_eq!(seen.down().await.0, *two.local());
    network.rejoin(two.local());
    assert_eq!(seen.up().await.id, *two.local());
}

#[tokio::test]
async fn two_lives_of_one_name_are_connected_at_once_and_a_third_to_nobody() {
    let network = MemoryNetwork::new();
    let (one, new, old) =
        (network.attach(id("one", 1)), network.attach(id("two", 2)), network.attach(id("two", 1)));
    let mut seen = Recorder::on(&*one, "watch");
    let ups = [seen.up().await.id, seen.up().await.id];
    assert_eq!(ups, [old.local().clone(), new.local().clone()]);
    assert_eq!(old.peers().len(), 2);
    let third = network.attach(id("two", 3));
    assert!(third.peers().is_empty());
    assert!(seen.heard().is_empty());
    network.kill(old.local());
    network.rejoin(third.local());
    assert_eq!(seen.down().await.0, *old.local());
    assert_eq!(seen.up().await.id, *third.local());
}

#[tokio::test]
async fn the_same_life_attached_again_takes_its_own_place() {
    let network = MemoryNetwork::new();
    let (one, old) = (network.attach(id("one", 1)), network.attach(id("two", 1)));
    let mut seen = Recorder::on(&*one, "watch");
    seen.up().await;
    let new = network.attach(id("two", 1));
    assert_eq!(seen.down().await, (old.local().clone(), DownReason::Replaced));
    assert_eq!(seen.up().await.id, *new.local());
    drop(old);
    assert_eq!(one.peers().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_answers_nothing_and_nobody_is_told() {
    let network = MemoryNetwork::new();
    let (one, two) = (network.attach(id("one", 1)), network.attach(id("two", 1)));
    let _echo = reverser(&*two, "echo");
    let mut seen = Recorder::on(&*one, "watch");
    seen.up().await;
    network.silence(two.local(), true);
    assert_eq!(
        ask(&*one, two.local(), "echo", b"", Duration::from_secs(5)).await,
        Err(RequestError::Timeout)
    );
    network.silence(two.local(), false);
    assert!(ask(&*one, two.local(), "echo", b"", Duration::from_secs(5)).await.is_ok());
    assert!(!seen.heard().iter().any(|event| matches!(event, Event::Down { .. })));
}

#[tokio::test]
async fn dropping_a_node_takes_it_out() {
    let network = MemoryNetwork::new();
    let (one, two) = (network.attach(id("one", 1)), network.attach(id("two", 1)));
    let mut seen = Recorder::on(&*one, "watch");
    seen.up().await;
    drop(two);
    assert_eq!(seen.down().await, (id("two", 1), DownReason::Lost("dropped".into())));
}
