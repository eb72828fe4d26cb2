//! A subscriber that keeps what it hears, and a test that waits for it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use horde_transport::{
    DownReason, Event, Lane, Network, NodeId, NodeName, Peer, RequestError, Subscription, Topic,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// How long a test waits for an event that must come.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) fn id(name: &str, incarnation: u64) -> NodeId {
    NodeId::new(NodeName::new(name).unwrap(), incarnation)
}

pub(crate) fn topic(text: &str) -> Topic {
    Topic::new(text).unwrap()
}

pub(crate) struct Recorder {
    events: UnboundedReceiver<Event>,
    _subscription: Subscription,
}

impl Recorder {
    pub(crate) fn on(network: &dyn Network, on: &str) -> Self {
        let (sender, events) = unbounded_channel();
        let subscriber = Arc::new(move |event| {
            let _test_over = sender.send(event);
        });
        Self { events, _subscription: network.subscribe(&topic(on), subscriber).unwrap() }
    }

    pub(crate) async fn next(&mut self) -> Event {
        tokio::time::timeout(SOON, self.events.recv())
            .await
            .expect("an event in time")
            .expect("a subscription")
    }

    pub(crate) async fn up(&mut self) -> Peer {
        loop {
            if let Event::Up(peer) = self.next().await {
                return peer;
            }
        }
    }

    pub(crate) async fn down(&mut self) -> (NodeId, DownReason) {
        loop {
            if let Event::Down { peer, reason } = self.next().await {
                return (peer, reason);
            }
        }
    }

    pub(crate) async fn hint(&mut self) -> NodeId {
        loop {
            if let Event::CrashHint { peer } = self.next().await {
                return peer;
            }
        }
    }

    pub(crate) async fn frame(&mut self) -> (NodeId, Lane, Bytes) {
        loop {
            if let Event::Frame { from, lane, frame } = self.next().await {
                return (from, lane, frame);
            }
        }
    }

    /// What has come already, without waiting.
    pub(crate) fn heard(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }
}

/// Asks, and waits for the outcome.
pub(crate) async fn ask(
    network: &dyn Network,
    to: &NodeId,
    on: &str,
    frame: &[u8],
    timeout: Duration,
) -> Result<Bytes, RequestError> {
    let (sender, outcome) = tokio::sync::oneshot::channel();
    let on_reply = Box::new(move |outcome| {
        let _test_over = sender.send(outcome);
    });
    network.request(to, &topic(on), Bytes::copy_from_slice(frame), timeout, on_reply);
    tokio::time::timeout(SOON, outcome).await.expect("an outcome in time").expect("an outcome")
}

/// Answers every request on `on` with its own bytes reversed.
pub(crate) fn reverser(network: &dyn Network, on: &str) -> Subscription {
    let subscriber = Arc::new(|event| {
        if let Event::Request { frame, responder, .. } = event {
            responder.send(frame.iter().rev().copied().collect());
        }
    });
    network.subscribe(&topic(on), subscriber).unwrap()
}
