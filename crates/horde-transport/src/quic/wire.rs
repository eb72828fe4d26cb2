//! What travels on the streams of a connection.
//!
//! ```text
//! lane stream   VERSION lane ( length:u32 header payload )*       unidirectional, one for each lane and side
//! bulk stream   VERSION 3      length:u32 header payload          unidirectional, one for each frame
//! link stream   VERSION      ( length:u32 message )*              bidirectional, opened by the dialler
//! ```
//! Lengths are little-endian and count what follows them; headers and messages are postcard.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::{Lane, NodeId, NodeName, Role};

/// The version of everything in here; the first byte of each stream, and part of the ALPN name.
pub(crate) const VERSION: u8 = 1;
/// The protocol that both sides must speak: checked by TLS before anything else.
pub(crate) const ALPN: &[u8] = b"horde/1";
/// The largest header of a frame, in bytes: a topic and two numbers.
pub(crate) const MAX_HEADER: usize = 192;
/// The largest message on the link stream, in bytes.
pub(crate) const MAX_MESSAGE: usize = 1024;
/// Payloads up to this many bytes are copied behind their header; larger ones are sent as they are.
const COPIED: usize = 8 << 10;

/// What a frame is, before its payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Header<'a> {
    /// For the topic's subscriber.
    Frame { topic: &'a str },
    /// For the topic's subscriber, who answers within so many microseconds.
    Request { id: u64, timeout_us: u64, topic: &'a str },
    /// The answer.
    Reply { id: u64 },
    /// There is no subscriber; nothing ran.
    NoSuchTopic { id: u64 },
    /// The subscriber dropped the request.
    Unanswered { id: u64 },
}

/// What the two ends of a connection say to each other about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Message {
    /// The dialler's first word.
    Hello(Hello),
    /// The other's answer.
    Welcome(Welcome),
    /// The smaller node takes this connection.
    Go,
    /// Connect to my TCP listener and show this there.
    Tether([u8; 16]),
    /// I send nothing more; I opened so many unidirectional streams.
    Goodbye {
        /// Streams opened, lanes and bulk.
        streams: u64,
    },
    /// I have read them all.
    Farewell,
}

/// Who is speaking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) cluster: NodeName,
    pub(crate) id: NodeId,
    pub(crate) role: Role,
    /// Where it listens; an unspecified address stands for the one it is seen at.
    pub(crate) listen: SocketAddr,
    /// The port of its tether listener.
    pub(crate) tether: Option<u16>,
    /// It was told twice that a connection stands, and has none: the standing one is dead.
    pub(crate) insist: bool,
}

/// The answer to a hello.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Welcome {
    pub(crate) hello: Hello,
    /// Whether it holds another live connection to the dialler.
    pub(crate) linked: bool,
    /// Whether this connection is taken; none if the dialler has to say.
    pub(crate) taken: Option<bool>,
}

/// The byte that names a lane.
pub(crate) fn lane_byte(lane: Lane) -> u8 {
    match lane {
        Lane::Control => 0,
        Lane::Sync => 1,
        Lane::Calls => 2,
        Lane::Bulk => 3,
    }
}

pub(crate) fn lane_of(byte: u8) -> Option<Lane> {
    [Lane::Control, Lane::Sync, Lane::Calls, Lane::Bulk].into_iter().find(|&lane| lane_byte(lane) == byte)
}

/// A frame as it goes out: its head, and its payload unless that was copied behind the head.
pub(crate) struct Encoded {
    pub(crate) head: Bytes,
    pub(crate) payload: Option<Bytes>,
}

impl Encoded {
    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.payload.as_ref().map_or(0, Bytes::len)
    }
}

/// Encodes a frame. The payload is below every lane's limit, far from the reach of its 32-bit length.
pub(crate) fn encode(header: &Header<'_>, payload: Bytes) -> Encoded {
    let mut scratch = [0; MAX_HEADER];
    let header: &[u8] = postcard::to_slice(header, &mut scratch).expect("a topic has at most 128 bytes");
    let length = u32::try_from(header.len() + payload.len()).unwrap_or(u32::MAX);
    let copied = payload.len() <= COPIED;
    let mut head = BytesMut::with_capacity(4 + header.len() + if copied { payload.len() } else { 0 });
    head.put_u32_le(length);
    head.put_slice(header);
    if copied {
        head.put_slice(&payload);
    }
    Encoded { head: head.freeze(), payload: (!copied).then_some(payload) }
}

/// Reads the header of a frame's body; the payload begins behind so many bytes.
pub(crate) fn decode(body: &[u8]) -> Result<(Header<'_>, usize), postcard::Error> {
    let (header, payload) = postcard::take_from_bytes(body)?;
    Ok((header, body.len() - payload.len()))
}

/// Encodes a message of the link stream, with its length.
pub(crate) fn encode_message(message: &Message) -> Vec<u8> {
    let body = postcard::to_stdvec(message).expect("a message of short names encodes");
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes()[..], &body].concat()
}

pub(crate) fn decode_message(body: &[u8]) -> Result<Message, postcard::Error> {
    let (message, rest) = postcard::take_from_bytes(body)?;
    if rest.is_empty() { Ok(message) } else { Err(postcard::Error::DeserializeBadEncoding) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frozen: another build of version 1 must write and read the same bytes.
    #[test]
    fn the_bytes_of_version_1_do_not_change() {
        let frame = encode(&Header::Frame { topic: "ab" }, Bytes::from_static(b"xyz"));
        assert_eq!(&frame.head[..], b"\x07\0\0\0\x00\x02abxyz");
        let request =
            encode(&Header::Request { id: 300, timeout_us: 5, topic: "t" }, Bytes::from_static(b"q"));
        assert_eq!(&request.head[..], b"\x07\0\0\0\x01\xac\x02\x05\x01tq");
        let reply = encode(&Header::Reply { id: 1 }, Bytes::from_static(b"a"));
        assert_eq!(&reply.head[..], b"\x03\0\0\0\x02\x01a");
        assert_eq!(&encode(&Header::NoSuchTopic { id: 1 }, Bytes::new()).head[..], b"\x02\0\0\0\x03\x01");
        assert_eq!(&encode(&Header::Unanswered { id: 1 }, Bytes::new()).head[..], b"\x02\0\0\0\x04\x01");
        let name = |text: &str| NodeName::new(text).unwrap();
        let hello = Hello {
            cluster: name("c"),
            id: NodeId::new(name("n"), 7),
            role: Role::Client,
            listen: ([127, 0, 0, 1], 80).into(),
            tether: Some(81),
            insist: false,
        };
        let bytes = encode_message(&Message::Hello(hello.clone()));
        assert_eq!(bytes, b"\x10\0\0\0\0\x01c\x01n\x07\x01\0\x7f\0\0\x01\x50\x01\x51\0");
        assert_eq!(decode_message(&bytes[4..]), Ok(Message::Hello(hello)));
        assert_eq!(encode_message(&Message::Goodbye { streams: 3 }), b"\x02\0\0\0\x04\x03");
    }

    #[test]
    fn a_large_payload_is_not_copied() {
        let payload = Bytes::from(vec![1; COPIED + 1]);
        let encoded = encode(&Header::Frame { topic: "t" }, payload.clone());
        assert_eq!(encoded.payload.as_ref().map(|p| p.as_ptr()), Some(payload.as_ptr()));
        assert_eq!(encoded.len(), 4 + 3 + payload.len());
    }
}
