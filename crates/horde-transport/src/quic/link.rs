//! One connection that is up, from its `Up` to its `Down`.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, SendStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::bulk::Bulk;
use super::close::{Code, ended};
use super::endpoint::Inner;
use super::greeting::{Messages, NoMessage};
use super::lane::{Refused, Sending};
use super::wire::{Header, Message, encode, encode_message, lane_byte};
use super::{reader, tether};
use crate::dispatch::{Item, lock};
use crate::{DownReason, Lane, Limits, Peer, RequestError};

/// Answers over this many bytes take a stream of their own, so that they delay no other call.
const LARGE_ANSWER: usize = 256 << 10;
/// How long a connection that said goodbye may take to be closed by the other side.
const LINGER: Duration = Duration::from_secs(1);

/// One connection that is up.
#[derive(Debug)]
pub(crate) struct Link {
    /// Told from other connections to the same node; never used twice.
    pub(crate) number: u64,
    pub(crate) peer: Peer,
    /// The port of the peer's tether listener.
    pub(crate) tether: Option<u16>,
    pub(crate) connection: Connection,
    pub(crate) since: Instant,
    dialled: bool,
    lanes: [Sending; 3],
    bulk: Bulk,
    pub(crate) tethered: AtomicBool,
    /// Whether the tether ended and was not bound again: the peer may be gone, and another life of it there.
    doubted: watch::Sender<bool>,
    claimed: AtomicU8,
    leaving: AtomicBool,
    /// Whether it was said that answers are dropped: once is enough for a peer that reads none.
    dropping: AtomicBool,
    ending: Mutex<Option<DownReason>>,
    words: mpsc::Sender<Message>,
    finished: watch::Sender<bool>,
}

/// What the task of a link needs besides it.
pub(crate) struct Ends {
    pub(crate) send: SendStream,
    pub(crate) messages: Messages,
    words: mpsc::Receiver<Message>,
}

/// Heartbeats first, bulk last.
pub(crate) fn priority(lane: Lane) -> i32 {
    match lane {
        Lane::Control => 3,
        Lane::Calls => 2,
        Lane::Sync => 1,
        Lane::Bulk => 0,
    }
}

impl Link {
    /// Opens the lanes. Nothing is sent yet.
    pub(crate) async fn open(
        inner: &Inner,
        connection: &Connection,
        peer: Peer,
        tether: Option<u16>,
        (send, messages): (SendStream, Messages),
        dialled: bool,
    ) -> Result<(Arc<Self>, Ends), quinn::ConnectionError> {
        let _closed_meanwhile = send.set_priority(4);
        let mut lanes = Vec::with_capacity(3);
        for lane in [Lane::Control, Lane::Sync, Lane::Calls] {
            let stream = connection.open_uni().await?;
            let _closed_meanwhile = stream.set_priority(priority(lane));
            lanes.push(Sending::new(lane, stream));
        }
        let lanes = <[Sending; 3]>::try_from(lanes).expect("three lanes were opened");
        let (words, from_others) = mpsc::channel(16);
        let link = Self {
            number: inner.links.number(),
            peer,
            tether,
            connection: connection.clone(),
            since: Instant::now(),
            dialled,
            lanes,
            bulk: Bulk::default(),
            tethered: AtomicBool::new(false),
            doubted: watch::channel(false).0,
            claimed: AtomicU8::new(0),
            leaving: AtomicBool::new(false),
            dropping: AtomicBool::new(false),
            ending: Mutex::default(),
            words,
            finished: watch::channel(false).0,
        };
        Ok((Arc::new(link), Ends { send, messages, words: from_others }))
    }

    pub(crate) fn is_live(&self) -> bool {
        lock(&self.ending).is_none() && self.connection.close_reason().is_none()
    }

    /// Queues a frame; does not wait.
    pub(crate) fn push(
        &self,
        lane: Lane,
        header: &Header<'_>,
        payload: Bytes,
        limits: &Limits,
    ) -> Result<(), Refused> {
        let frame = encode(header, payload);
        match lane {
            Lane::Bulk => self.bulk.push(frame, limits),
            lane => self.lanes[usize::from(lane_byte(lane))].push(frame, limits),
        }
    }

    /// Sends the outcome of request `id` back; if it cannot be sent the asker's time runs out.
    pub(crate) fn answer(&self, inner: &Inner, id: u64, outcome: Result<Bytes, RequestError>) {
        let limits = inner.limits();
        let (header, payload) = match outcome {
            Ok(payload) if payload.len() <= limits.calls_frame => (Header::Reply { id }, payload),
            Err(RequestError::NoSuchTopic) => (Header::NoSuchTopic { id }, Bytes::new()),
            Ok(_too_big) => (Header::Unanswered { id }, Bytes::new()),
            Err(_unanswered) => (Header::Unanswered { id }, Bytes::new()),
        };
        let bulk = payload.len() > LARGE_ANSWER && payload.len() <= limits.bulk_frame;
        let lane = if bulk { Lane::Bulk } else { Lane::Calls };
        let full = self.push(lane, &header, payload, limits) == Err(Refused::Full);
        if full && !self.dropping.swap(true, Ordering::Relaxed) {
            tracing::warn!(peer = ?self.peer.id, "the queue is full: answers are dropped");
        }
    }

    /// Marks a lane as received on; false if it was already.
    pub(crate) fn claim(&self, lane: Lane) -> bool {
        let bit = 1 << lane_byte(lane);
        self.claimed.fetch_or(bit, Ordering::Relaxed) & bit == 0
    }

    /// Says something on the link stream, unless too much waits there already.
    pub(crate) fn say(&self, message: Message) -> bool {
        self.words.try_send(message).is_ok()
    }

    /// Bytes that wait to be sent, in all lanes.
    pub(crate) fn queued(&self) -> usize {
        self.bulk.queued() + self.lanes.iter().map(Sending::queued).sum::<usize>()
    }

    /// Ends the connection; `reason` is what our own subscribers hear.
    pub(crate) fn end(&self, reason: DownReason) {
        lock(&self.ending).get_or_insert(reason);
        Code::Replaced.close(&self.connection, "a newer connection took its place");
    }

    /// Ends the connection and tells the peer why.
    pub(crate) fn disconnect(&self, why: &str) {
        lock(&self.ending).get_or_insert(DownReason::Disconnected);
        Code::Disconnected.close(&self.connection, why);
    }

    /// Ends the connection because the peer does not follow the protocol.
    pub(crate) fn violated(&self, why: &str) {
        let why = format!("protocol error: {why}");
        tracing::warn!(peer = ?self.peer.id, %why, "closing the connection");
        Code::Protocol.close(&self.connection, &why);
        lock(&self.ending).get_or_insert(DownReason::Lost(why));
    }

    /// Takes no more frames, sends what waits, and says goodbye. The peer's farewell ends the connection.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
        self.lanes.iter().for_each(Sending::close);
        self.bulk.close();
    }

    /// Notes whether something speaks against the peer being there.
    pub(crate) fn doubt(&self, doubted: bool) {
        self.doubted.send_replace(doubted);
    }

    pub(crate) fn is_doubted(&self) -> bool {
        *self.doubted.borrow()
    }

    /// Ready when it is doubted.
    pub(crate) async fn doubted(&self) {
        let mut doubted = self.doubted.subscribe();
        let _sender_lives_in_self = doubted.wait_for(|doubted| *doubted).await;
    }

    /// Ready when its `Down` is queued.
    pub(crate) async fn finished(&self) {
        let mut finished = self.finished.subscribe();
        let _sender_lives_in_self = finished.wait_for(|finished| *finished).await;
    }

    async fn flush(&self) {
        let lanes = poll_fn(|cx| {
            let ready = self.lanes.iter().filter(|lane| lane.poll_flush(cx).is_ready()).count();
            if ready == self.lanes.len() { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::join!(lanes, self.bulk.run(&self.connection));
    }
}

/// Runs a link that was installed, to its end. `before`: the link it took the place of.
pub(crate) async fn run(inner: Arc<Inner>, link: Arc<Link>, mut ends: Ends, before: Option<Arc<Link>>) {
    if let Some(old) = before {
        old.finished().await;
    }
    let (told, up) = oneshot::channel();
    inner.dispatch.push(Item::Up(link.peer.clone(), Some(told)));
    let _network_closed = up.await;
    tracing::info!(node = %inner.dispatch.local(), peer = ?link.peer.id, address = %link.connection.remote_address(), "connected");

    let mut helpers = JoinSet::new();
    let (goodbye, goodbyes) = watch::channel(None);
    let mut reading = tokio::spawn(reader::run(inner.clone(), link.clone(), goodbyes));
    let flushed = link.clone();
    let flushing = helpers.spawn(async move { flushed.flush().await }).id();
    if !link.dialled && inner.tethers.is_some() && link.tether.is_some() {
        helpers.spawn(tether::offer(inner.clone(), link.clone()));
    }
    let reason = loop {
        tokio::select! {
            biased;
            error = link.connection.closed() => break ended(&error).down(),
            message = ends.messages.next() => match message {
                Ok(Some(Message::Goodbye { streams })) => {
                    goodbye.send_replace(Some(streams));
                }
                Ok(Some(Message::Farewell)) if link.leaving.load(Ordering::Acquire) => break DownReason::Disconnected,
                Ok(Some(Message::Tether(token))) if link.dialled => {
                    // The flusher is one of them. More offers at once than an honest peer makes are not followed.
                    if helpers.len() <= tether::TAKEN {
                        helpers.spawn(tether::take(inner.clone(), link.clone(), token));
                    }
                }
                Ok(Some(_)) => link.violated("a message out of place"),
                Ok(None) => link.violated("the link stream ended"),
                Err(NoMessage::Bad(why)) => link.violated(&why),
                Err(NoMessage::Lost) => break ended(&link.connection.closed().await).down(),
            },
            Some(word) = ends.words.recv() => {
                let _closed_is_seen_above = ends.send.write_all(&encode_message(&word)).await;
            }
            _ = &mut reading => {
                // Without a goodbye the connection is gone, which the first branch sees.
                if goodbye.borrow().is_some() {
                    let _closed_is_seen_above = ends.send.write_all(&encode_message(&Message::Farewell)).await;
                    break DownReason::Goodbye;
                }
                break ended(&link.connection.closed().await).down();
            }
            Some(done) = helpers.join_next_with_id() => {
                let id = done.map_or_else(|error| error.id(), |(id, ())| id);
                if id == flushing && link.leaving.load(Ordering::Acquire) {
                    let message = Message::Goodbye { streams: 3 + link.bulk.opened() };
                    let _closed_is_seen_above = ends.send.write_all(&encode_message(&message)).await;
                }
            }
        }
    };
    inner.links.remove(&link);
    link.leave();
    helpers.shutdown().await;
    drop(goodbye);
    if !reading.is_finished() {
        let _ended = reading.await;
    }
    finish(&inner, &link, reason).await;
}

/// Tells the end. The order matters: by now no frame and no hint of this link can follow its `Down`.
async fn finish(inner: &Inner, link: &Link, seen: DownReason) {
    let reason = lock(&link.ending).get_or_insert(seen).clone();
    inner.dispatch.interrupt(link.number);
    tracing::info!(node = %inner.dispatch.local(), peer = ?link.peer.id, ?reason, "disconnected");
    inner.dispatch.push(Item::Down(link.peer.id.clone(), reason.clone()));
    link.finished.send_replace(true);
    match reason {
        DownReason::Goodbye => {
            let closed = link.connection.closed();
            if tokio::time::timeout(LINGER, closed).await.is_err() {
                Code::Goodbye.close(&link.connection, "goodbye");
            }
        }
        _ => Code::Goodbye.close(&link.connection, "goodbye"),
    }
}
