//! What nodes say to each other about processes: a version byte, a postcard head, and a user's payload as the rest.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{CodecError, ExitReason, codec};

/// The version of these frames.
pub(crate) const VERSION: u8 = 1;

/// A message, a request, or a signal to a process of the node that receives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Head<'a> {
    /// A request; the payload is the rest. The time left travels with the request itself.
    Call { target: u64, message: &'a str },
    /// A message without an answer; the payload is the rest.
    Cast { target: u64, message: &'a str },
    /// `from`, of the sender, links itself to `to`.
    Link { from: u64, to: u64 },
    /// `from`, of the sender, is linked to `to` no more.
    Unlink { from: u64, to: u64 },
    /// `from`, of the sender, ended: `to` was linked to it.
    Exit { from: u64, to: u64, reason: ExitReason },
    /// `watcher`, of the sender, monitors `target` as `reference`.
    Monitor { watcher: u64, reference: u64, target: u64 },
    /// `watcher`, of the sender, monitors `target` no more.
    Demonitor { watcher: u64, reference: u64, target: u64 },
    /// What `watcher` monitors as `reference` ended.
    Down { watcher: u64, reference: u64, reason: ExitReason },
}

/// The answer to a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// The answer's payload is the rest.
    Ok,
    /// No process of that number.
    NoProcess,
    /// Its mailbox stayed full.
    Full,
    /// It does not take a message of that name.
    UnknownMessage,
    /// The payload does not decode.
    BadPayload(String),
    /// It ended first.
    Exited(ExitReason),
    /// It dropped the right to answer.
    NoReply,
    /// Its answer did not encode.
    BadReply(String),
    /// The deadline had passed before the message was taken; it was dropped unhandled.
    Expired,
    /// It has ended to move to another node.
    Moved,
}

/// A frame does not read; the text says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// It is of a version that this build does not know.
    #[error("a frame of version {0}; this build reads {VERSION}")]
    Version(u8),
    /// Its head does not decode.
    #[error("a frame that does not decode")]
    Head,
}

/// `head` and `payload` as one frame.
pub(crate) fn write<T: Serialize>(head: &T, payload: &[u8]) -> Bytes {
    let mut frame = begin(head, payload.len());
    frame.extend_from_slice(payload);
    frame.into()
}

/// `head` and `value`, encoded as a payload, as one frame.
pub(crate) fn write_value<T: Serialize, V: Serialize>(head: &T, value: &V) -> Result<Bytes, CodecError> {
    let mut frame = begin(head, size_of::<V>());
    codec::encode_into(&mut frame, value)?;
    Ok(frame.into())
}

fn begin<T: Serialize>(head: &T, payload: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload + 64);
    frame.push(VERSION);
    // A head holds numbers, texts and enums: postcard refuses none of them, and a vector does not run full.
    postcard::to_extend(head, frame).unwrap_or_default()
}

/// The head of a frame, and how many bytes it and the version take: the payload is the rest.
pub(crate) fn read<'a, T: Deserialize<'a>>(frame: &'a [u8]) -> Result<(T, usize), FrameError> {
    match frame.split_first() {
        Some((&VERSION, rest)) => {
            let (head, payload) = postcard::take_from_bytes(rest).map_err(|_| FrameError::Head)?;
            Ok((head, frame.len() - payload.len()))
        }
        Some((&version, _)) => Err(FrameError::Version(version)),
        None => Err(FrameError::Head),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_frames_of_version_1_are_frozen() {
        let call = write(&Head::Call { target: 300, message: "greet" }, &[0xc0]);
        assert_eq!(&call[..], [1, 0, 0xac, 2, 5, b'g', b'r', b'e', b'e', b't', 0xc0]);
        let down = Head::Down { watcher: 1, reference: 2, reason: ExitReason::Error("x".into()) };
        assert_eq!(&write(&down, &[])[..], [1, 7, 1, 2, 5, 1, b'x']);
        assert_eq!(&write(&Answer::Ok, &[7])[..], [1, 0, 7]);
        assert_eq!(&write(&Answer::Exited(ExitReason::Killed), &[])[..], [1, 5, 3]);
    }

    #[test]
    fn another_version_is_refused_with_its_number() {
        assert_eq!(read::<Head<'_>>(&[9, 0, 0]), Err(FrameError::Version(9)));
        assert_eq!(read::<Head<'_>>(&[]), Err(FrameError::Head));
    }

    proptest! {
        #[test]
        fn bad_bytes_are_an_error_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read::<Head<'_>>(&bytes);
            let _ = read::<Answer>(&bytes);
        }

        #[test]
        fn what_is_written_is_read(target in any::<u64>(), message in ".{0,20}", payload in prop::collection::vec(any::<u8>(), 0..64)) {
            let frame = write(&Head::Cast { target, message: &message }, &payload);
            let (head, at) = read::<Head<'_>>(&frame).unwrap();
            prop_assert_eq!(head, Head::Cast { target, message: &message });
            prop_assert_eq!(&frame[at..], &payload[..]);
        }
    }
}
