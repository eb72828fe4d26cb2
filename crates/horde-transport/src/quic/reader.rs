//! The receiving end: streams of a peer, read straight into subscribers.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use quinn::{ReadError, RecvStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::decoder::{Decoder, TooLong};
use super::endpoint::Inner;
use super::link::Link;
use super::wire::{Header, MAX_HEADER, VERSION, decode, lane_of};
use crate::dispatch::{Entry, deliver_request};
use crate::{Event, Lane, RequestError};

/// Pieces taken from a stream at a time; each is what one packet brought.
const PIECES: usize = 32;

/// Frames read in a row before other tasks run. What they were answered leaves then, and the peer works on it meanwhile: with all of
/// a batch answered in one go, the two sides would wait for each other in turn.
const ROW: usize = 16;

/// Why a stream is not read on.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("{0}")]
    Lost(#[from] ReadError),
    #[error("{0}")]
    TooLong(#[from] TooLong),
    #[error("a stream of version {0} where {VERSION} was agreed")]
    Version(u8),
    #[error("a stream for lane {0}, which is none")]
    NoLane(u8),
    #[error("two streams for one lane")]
    TwoLanes,
    #[error("a frame that does not decode")]
    Frame(#[from] postcard::Error),
    #[error("a stream that ends inside a frame")]
    Cut,
}

/// Reads all streams of a peer until the connection ends, or until as many as the peer's goodbye says are read.
///
/// Ends as well when the sender of `goodbye` is dropped. Once it has ended nothing of the peer is delivered any more.
pub(crate) async fn run(inner: Arc<Inner>, link: Arc<Link>, mut goodbye: watch::Receiver<Option<u64>>) {
    let mut streams = JoinSet::new();
    let mut accepted = 0;
    loop {
        while streams.try_join_next().is_some() {}
        let last = *goodbye.borrow_and_update();
        if last.is_some_and(|last| accepted >= last) && streams.is_empty() {
            return;
        }
        tokio::select! {
            biased;
            changed = goodbye.changed() => if changed.is_err() { break },
            stream = link.connection.accept_uni() => {
                let Ok(stream) = stream else { break };
                accepted += 1;
                let (inner, link) = (inner.clone(), link.clone());
                streams.spawn(async move {
                    if let Err(broken) = read(&inner, &link, stream).await {
                        broken.report(&link);
                    }
                });
            }
            Some(_) = streams.join_next() => {}
        }
    }
    streams.shutdown().await;
}

impl Broken {
    /// A peer that breaks the protocol is closed; a lost connection is its link's business.
    fn report(&self, link: &Link) {
        if !matches!(self, Self::Lost(_)) {
            link.violated(&self.to_string());
        }
    }
}

async fn read(inner: &Arc<Inner>, link: &Arc<Link>, mut stream: RecvStream) -> Result<(), Broken> {
    let mut decoder = Decoder::new(0);
    let preamble = loop {
        if let Some(preamble) = decoder.preamble(2) {
            break preamble;
        }
        if !fill(&mut decoder, &mut stream).await? {
            return Err(Broken::Cut);
        }
    };
    if preamble[0] != VERSION {
        return Err(Broken::Version(preamble[0]));
    }
    let lane = lane_of(preamble[1]).ok_or(Broken::NoLane(preamble[1]))?;
    if lane != Lane::Bulk && !link.claim(lane) {
        return Err(Broken::TwoLanes);
    }
    decoder.set_limit(inner.limits().frame(lane) + MAX_HEADER);
    loop {
        let mut row = 0;
        while let Some(body) = decoder.next()? {
            deliver(inner, link, lane, body).await?;
            row += 1;
            if row % ROW == 0 {
                tokio::task::yield_now().await;
            }
        }
        if !fill(&mut decoder, &mut stream).await? {
            return if decoder.is_empty() { Ok(()) } else { Err(Broken::Cut) };
        }
    }
}

/// Reads what is there; false at the stream's end.
async fn fill(decoder: &mut Decoder, stream: &mut RecvStream) -> Result<bool, ReadError> {
    let mut pieces = [const { Bytes::new() }; PIECES];
    let Some(count) = stream.read_chunks(&mut pieces).await? else { return Ok(false) };
    for piece in pieces.into_iter().take(count) {
        decoder.push(piece);
    }
    Ok(true)
}

/// What a frame is, once its topic was looked up.
enum Incoming {
    Frame(Option<Arc<Entry>>),
    Request(u64, Duration, Option<Arc<Entry>>),
    Reply(u64, Result<(), RequestError>),
}

fn incoming(inner: &Inner, link: &Link, header: &Header<'_>) -> Incoming {
    let subscriber = |topic| inner.dispatch.admitting(topic, Some(link.peer.role));
    match *header {
        Header::Frame { topic } => Incoming::Frame(subscriber(topic)),
        Header::Request { id, timeout_us, topic } => {
            Incoming::Request(id, Duration::from_micros(timeout_us), subscriber(topic))
        }
        Header::Reply { id } => Incoming::Reply(id, Ok(())),
        Header::NoSuchTopic { id } => Incoming::Reply(id, Err(RequestError::NoSuchTopic)),
        Header::Unanswered { id } => Incoming::Reply(id, Err(RequestError::Unanswered)),
    }
}

async fn deliver(inner: &Arc<Inner>, link: &Arc<Link>, lane: Lane, mut body: Bytes) -> Result<(), Broken> {
    let (header, length) = decode(&body)?;
    let what = incoming(inner, link, &header);
    // What is left is the payload: no second owner of its bytes, which would cost an allocation.
    body.advance(length);
    match what {
        Incoming::Frame(Some(entry)) => {
            entry.ready().await;
            entry.tell(Event::Frame { from: link.peer.id.clone(), lane, frame: body });
        }
        Incoming::Frame(None) => {}
        Incoming::Request(id, timeout, entry) => {
            if let Some(entry) = &entry {
                entry.ready().await;
            }
            let (inner, asker) = (inner.clone(), link.clone());
            let answer = Box::new(move |outcome| asker.answer(&inner, id, outcome));
            deliver_request(entry, link.peer.id.clone(), body, timeout, answer);
        }
        Incoming::Reply(id, outcome) => {
            if let Some(on_reply) = inner.dispatch.pending.take(id, link.number) {
                crate::dispatch::guarded(|| on_reply(outcome.map(|()| body)));
            }
        }
    }
    Ok(())
}
