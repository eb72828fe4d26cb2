//! What every [`Network`] must do: run against each implementation by [`everything`].

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::recorder::{Recorder, SOON, ask, id, reverser, topic};
use bytes::Bytes;
use horde_transport::{DownReason, Event, Lane, Network, RequestError, Responder, SendError};

/// Two connected nodes.
pub(crate) struct Pair {
    pub(crate) one: Arc<dyn Network>,
    pub(crate) two: Arc<dyn Network>,
    /// Breaks their connection without a word.
    pub(crate) cut: Box<dyn Fn() + Send>,
}

pub(crate) type Made = Pin<Box<dyn Future<Output = Pair>>>;

pub(crate) async fn frames_of_a_lane_arrive_in_order(make: fn() -> Made) {
    let pair = make().await;
    for lane in [Lane::Control, Lane::Sync, Lane::Calls] {
        let mut two = Recorder::on(&*pair.two, "order");
        for n in 0..2000u32 {
            pair.one.send(pair.two.local(), &topic("order"), lane, n.to_le_bytes().to_vec().into()).unwrap();
        }
        for n in 0..2000u32 {
            let (from, on, frame) = two.frame().await;
            assert_eq!((&from, on, &frame[..]), (pair.one.local(), lane, &n.to_le_bytes()[..]));
        }
    }
}

pub(crate) async fn a_bulk_frame_arrives_whole(make: fn() -> Made) {
    let pair = make().await;
    let mut two = Recorder::on(&*pair.two, "bulk");
    let big: Bytes = (0..5_000_000u32).map(|n| (n % 251) as u8).collect();
    pair.one.send(pair.two.local(), &topic("bulk"), Lane::Bulk, big.clone()).unwrap();
    let (from, lane, frame) = two.frame().await;
    assert_eq!((&from, lane), (pair.one.local(), Lane::Bulk));
    assert!(frame == big);
}

pub(crate) async fn a_request_is_answered(make: fn() -> Made) {
    let pair = make().await;
    let _echo = reverser(&*pair.two, "echo");
    assert_eq!(ask(&*pair.one, pair.two.local(), "echo", b"abc", SOON).await, Ok(Bytes::from_static(b"cba")));
}

pub(crate) async fn a_request_without_a_subscriber_says_so(make: fn() -> Made) {
    let pair = make().await;
    assert_eq!(ask(&*pair.one, pair.two.local(), "nobody", b"", SOON).await, Err(RequestError::NoSuchTopic));
}

pub(crate) async fn a_request_that_is_dropped_says_so(make: fn() -> Made) {
    let pair = make().await;
    let _drops = pair.two.subscribe(&topic("drops"), Arc::new(drop::<Event>)).unwrap();
    assert_eq!(ask(&*pair.one, pair.two.local(), "drops", b"", SOON).await, Err(RequestError::Unanswered));
}

/// Keeps the requests it gets, so that nobody answers them.
fn keeper(network: &dyn Network) -> (impl Sized, Arc<Mutex<Vec<Responder>>>, Arc<tokio::sync::Notify>) {
    let (kept, came) = (Arc::new(Mutex::new(Vec::new())), Arc::new(tokio::sync::Notify::new()));
    let (keep, notify) = (kept.clone(), came.clone());
    let subscriber = Arc::new(move |event| {
        if let Event::Request { responder, .. } = event {
            keep.lock().unwrap().push(responder);
            notify.notify_one();
        }
    });
    (network.subscribe(&topic("keeps"), subscriber).unwrap(), kept, came)
}

pub(crate) async fn a_request_without_an_answer_times_out_and_a_late_answer_is_nothing(make: fn() -> Made) {
    let pair = make().await;
    let (_keeper, kept, _) = keeper(&*pair.two);
    let outcome = ask(&*pair.one, pair.two.local(), "keeps", b"", Duration::from_millis(50)).await;
    assert_eq!(outcome, Err(RequestError::Timeout));
    for late in kept.lock().unwrap().drain(..) {
        late.send(Bytes::new());
    }
    let _echo = reverser(&*pair.two, "echo");
    assert!(ask(&*pair.one, pair.two.local(), "echo", b"abc", SOON).await.is_ok());
}

pub(crate) async fn a_broken_connection_interrupts_requests_and_is_told(make: fn() -> Made) {
    let pair = make().await;
    let (mut one, mut two) = (Recorder::on(&*pair.one, "watch"), Recorder::on(&*pair.two, "watch"));
    assert_eq!(one.up().await.id, *pair.two.local());
    assert_eq!(two.up().await.id, *pair.one.local());
    let (_keeper, _kept, came) = keeper(&*pair.two);
    let cut = async {
        came.notified().await;
        (pair.cut)();
    };
    let (outcome, ()) = tokio::join!(ask(&*pair.one, pair.two.local(), "keeps", b"", SOON), cut);
    assert_eq!(outcome, Err(RequestError::Interrupted));
    let (peer, reason) = one.down().await;
    assert_eq!(peer, *pair.two.local());
    assert!(matches!(reason, DownReason::Lost(_)), "{reason:?}");
    assert_eq!(two.down().await.0, *pair.one.local());
    let refused = pair.one.send(pair.two.local(), &topic("watch"), Lane::Calls, Bytes::new());
    assert_eq!(refused, Err(SendError::NotConnected(pair.two.local().clone())));
}

pub(crate) async fn another_incarnation_never_receives(make: fn() -> Made) {
    let pair = make().await;
    let other = id(pair.two.local().name().as_str(), pair.two.local().incarnation() + 1);
    let refused = pair.one.send(&other, &topic("watch"), Lane::Calls, Bytes::new());
    assert_eq!(refused, Err(SendError::NotConnected(other.clone())));
    let outcome = ask(&*pair.one, &other, "watch", b"", SOON).await;
    assert_eq!(outcome, Err(RequestError::NotSent(SendError::NotConnected(other))));
}

pub(crate) async fn a_frame_over_the_limit_is_not_sent(make: fn() -> Made) {
    let pair = make().await;
    let frame = Bytes::from(vec![0; (64 << 10) + 1]);
    let refused = pair.one.send(pair.two.local(), &topic("watch"), Lane::Control, frame);
    assert_eq!(refused, Err(SendError::TooBig { size: (64 << 10) + 1, limit: 64 << 10 }));
}

pub(crate) async fn a_node_sends_and_asks_itself(make: fn() -> Made) {
    let pair = make().await;
    let mut one = Recorder::on(&*pair.one, "self");
    let _echo = reverser(&*pair.one, "echo");
    pair.one.send(pair.one.local(), &topic("self"), Lane::Bulk, Bytes::from_static(b"me")).unwrap();
    let (from, lane, frame) = one.frame().await;
    assert_eq!((&from, lane, &frame[..]), (pair.one.local(), Lane::Bulk, &b"me"[..]));
    assert_eq!(ask(&*pair.one, pair.one.local(), "echo", b"abc", SOON).await, Ok(Bytes::from_static(b"cba")));
}

pub(crate) async fn a_topic_has_one_subscriber_until_it_is_dropped(make: fn() -> Made) {
    let pair = make().await;
    let first = Recorder::on(&*pair.one, "once");
    assert!(pair.one.subscribe(&topic("once"), Arc::new(drop::<Event>)).is_err());
    drop(first);
    let mut second = Recorder::on(&*pair.one, "once");
    assert_eq!(second.up().await.id, *pair.two.local(), "a late subscriber hears of the peers present");
}

pub(crate) async fn disconnecting_is_told_apart_from_a_loss(make: fn() -> Made) {
    let pair = make().await;
    let (mut one, mut two) = (Recorder::on(&*pair.one, "watch"), Recorder::on(&*pair.two, "watch"));
    one.up().await;
    two.up().await;
    pair.one.disconnect(pair.two.local(), "not wanted");
    assert_eq!(one.down().await, (pair.two.local().clone(), DownReason::Disconnected));
    let (_, reason) = two.down().await;
    assert!(matches!(&reason, DownReason::Lost(why) if why.contains("not wanted")), "{reason:?}");
}

pub(crate) async fn callbacks_may_send_and_ask(make: fn() -> Made) {
    let pair = make().await;
    let mut one = Recorder::on(&*pair.one, "relay");
    let back = Arc::downgrade(&pair.two);
    let relay = Arc::new(move |event| {
        if let (Event::Frame { from, lane, frame }, Some(two)) = (event, back.upgrade()) {
            two.send(&from, &topic("relay"), lane, frame).unwrap();
        }
    });
    let _relay = pair.two.subscribe(&topic("relay"), relay).unwrap();
    pair.one.send(pair.two.local(), &topic("relay"), Lane::Calls, Bytes::from_static(b"x")).unwrap();
    assert_eq!(&one.frame().await.2[..], b"x");
}

macro_rules! conform {
    ($test_in:meta, $make:path: $($test:ident)*) => {
        $(#[$test_in]
        async fn $test() {
            tokio::time::timeout(Duration::from_secs(60), conform::$test($make)).await.expect("the test to end");
        })*
    };
}

/// Every test, each on the pair that `make` makes; the module that calls it imports `conform`.
macro_rules! everything {
    ($test_in:meta, $make:path) => {
        conform! { $test_in, $make:
            frames_of_a_lane_arrive_in_order
            a_bulk_frame_arrives_whole
            a_request_is_answered
            a_request_without_a_subscriber_says_so
            a_request_that_is_dropped_says_so
            a_request_without_an_answer_times_out_and_a_late_answer_is_nothing
            a_broken_connection_interrupts_requests_and_is_told
            another_incarnation_never_receives
            a_frame_over_the_limit_is_not_sent
            a_node_sends_and_asks_itself
            a_topic_has_one_subscriber_until_it_is_dropped
            disconnecting_is_told_apart_from_a_loss
            callbacks_may_send_and_ask
        }
    };
}
