//! Requests between the members of a supervisor, and their answers.

use std::sync::Arc;

#[cfg(any(feature = "tokio", test))]
use bytes::Bytes;
use horde_process::{Pid, State};
use serde::{Deserialize, Serialize};

use crate::error::{StartError, TerminateError};
use crate::record::{ChildId, RequestId};
use crate::spec::Spec;

/// The version of the frames; another one is refused.
const VERSION: u8 = 1;

/// A child to be started because a user asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// The child's id.
    pub id: ChildId,
    /// What to start.
    pub spec: Arc<Spec>,
    /// Minted once by the requesting node.
    pub request: RequestId,
    /// Its start was acknowledged before, and lost with its host: a failing `init` is tried again, as after a takeover.
    pub again: bool,
}

/// A child that the receiver shall run, decided by the sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// What to start, for whom.
    pub wish: Wish,
    /// Its life.
    pub life: u64,
    /// Its generation in that life.
    pub generation: u64,
    /// How often in a row its node went down soon after its start.
    pub strikes: u32,
    /// What the copy before handed over.
    pub state: Option<State>,
    /// Why it is launched.
    pub kind: LaunchKind,
}

/// Why a child is launched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LaunchKind {
    /// A user wants it.
    Fresh,
    /// Its node is gone, or no member could run it before. The record that stands is replaced only once the copy runs.
    Takeover,
    /// Its owner has stopped it and hands it over. The record that stands is replaced only once the copy runs.
    Move,
}

/// What one member asks of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// To the child's coordinator: have it started.
    Start {
        /// What to start.
        wish: Wish,
        /// How often this was passed on.
        hops: u8,
    },
    /// To the host that the coordinator chose: start it.
    Launch(Launch),
    /// To the owner: end the child and say when it has ended.
    Terminate {
        /// Which child.
        id: ChildId,
    },
    /// To the owner: stop the child and start it again.
    Restart {
        /// Which child.
        id: ChildId,
    },
}

/// The answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// To `Start` and `Launch`: it runs, or why not.
    Started(Result<Pid, StartError>),
    /// To `Terminate`: it has ended, or why not.
    Terminated(Result<(), TerminateError>),
    /// The receiver cannot serve it now (not ready, leaving, no quorum, or not the coordinator in its view): ask again.
    NotNow,
}

/// Bytes that are no frame of this version; they were dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Another version of the protocol.
    #[error("frame version {0:?}, this node reads {VERSION}; the frame was dropped")]
    Version(Option<u8>),
    /// Not what a frame of this version looks like.
    #[error("not a frame: {0}; it was dropped")]
    Malformed(String),
}

#[cfg(any(feature = "tokio", test))]
pub(crate) fn encode<T: Serialize>(value: &T) -> Bytes {
    let buffer = vec![VERSION];
    // Serialising these types to memory cannot fail: they hold no maps of unknown length and no foreign serialisers.
    postcard::to_extend(value, buffer).map(Bytes::from).expect("frames serialise to memory")
}

#[cfg(any(feature = "tokio", test))]
pub(crate) fn decode<'a, T: Deserialize<'a>>(frame: &'a [u8]) -> Result<T, FrameError> {
    match frame.split_first() {
        Some((&VERSION, body)) => match postcard::take_from_bytes(body) {
            Ok((value, [])) => Ok(value),
            Ok((_, rest)) => Err(FrameError::Malformed(format!("{} bytes too many", rest.len()))),
            Err(error) => Err(FrameError::Malformed(error.to_string())),
        },
        first => Err(FrameError::Version(first.map(|(version, _)| *version))),
    }
}

#[cfg(test)]
mod tests {
    use horde_process::Shutdown;
    use horde_transport::{NodeId, NodeName};

    use super::*;
    use crate::spec::Restart;

    fn start() -> Request {
        let spec = Spec {
            kind: "echo".into(),
            version: 1,
            args: vec![0xc0],
            name: None,
            restart: Restart::Transient,
            shutdown: Shutdown::BrutalKill,
            pinned: false,
        };
        let request = RequestId { origin: 7, number: 300 };
        Request::Start { wish: Wish { id: "a".into(), spec: Arc::new(spec), request, again: false }, hops: 1 }
    }

    #[test]
    fn the_bytes_of_a_frame_stay_as_they_are() {
        let bytes = [1, 0, 1, b'a', 4, b'e', b'c', b'h', b'o', 1, 1, 0xc0, 0, 1, 1, 0, 7, 0xac, 2, 0, 1];
        assert_eq!(encode(&start())[..], bytes);
        assert_eq!(decode::<Request>(&bytes), Ok(start()));
        let pid = Pid::new(NodeId::new(NodeName::new("n").unwrap(), 2), 3);
        let response = Response::Started(Ok(pid));
        assert_eq!(encode(&response)[..], [1, 0, 0, 1, b'n', 2, 3]);
    }

    #[test]
    fn bytes_that_are_no_frame_are_refused_and_never_panic() {
        let whole = encode(&start());
        assert_eq!(decode::<Request>(&[]), Err(FrameError::Version(None)));
        assert_eq!(decode::<Request>(&[9, 0]), Err(FrameError::Version(Some(9))));
        for end in 1..whole.len() {
            assert!(
                matches!(decode::<Request>(&whole[..end]), Err(FrameError::Malformed(_))),
                "cut at {end}"
            );
        }
        let longer = [&whole[..], &[0]].concat();
        assert!(matches!(decode::<Request>(&longer), Err(FrameError::Malformed(_))));
        for at in 1..whole.len() {
            for byte in 0..=u8::MAX {
                let mut bytes = whole.to_vec();
                bytes[at] = byte;
                if let Ok(request) = decode::<Request>(&bytes) {
                    assert_eq!(decode::<Request>(&encode(&request)), Ok(request));
                }
            }
        }
    }
}
