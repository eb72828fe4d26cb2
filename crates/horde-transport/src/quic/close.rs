//! Why connections are closed, in the words that both sides log.

use quinn::{Connection, ConnectionError, VarInt};

use crate::DownReason;
use crate::trust::verifier::plain;

/// The application's close codes. Frozen: they are part of protocol version 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// The network was dropped without a word.
    Dropped = 0,
    /// All was said, and read.
    Goodbye = 1,
    /// The peer was disconnected on purpose.
    Disconnected = 2,
    /// The peer is not let in; the text says why.
    Refused = 3,
    /// Another connection between the two stands.
    Duplicate = 4,
    /// The peer does not follow the protocol.
    Protocol = 5,
    /// A newer connection took its place.
    Replaced = 6,
    /// The node dialled itself.
    Yourself = 7,
}

impl Code {
    pub(crate) fn close(self, connection: &Connection, why: &str) {
        // A close frame must fit a datagram: the end of a long reason is dropped.
        let mut end = why.len().min(512);
        while !why.is_char_boundary(end) {
            end -= 1;
        }
        connection.close(VarInt::from_u32(self as u32), &why.as_bytes()[..end]);
    }

    fn is(self, code: VarInt) -> bool {
        code.into_inner() == self as u64
    }
}

/// How a connection ended, from this side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Nobody answered.
    NoAnswer,
    /// The peer turned us away.
    RefusedUs(String),
    /// We turned the peer away.
    Refused(String),
    /// Another connection to it stands.
    Duplicate,
    /// We dialled ourselves.
    Yourself,
    /// It said goodbye.
    Goodbye,
    /// Anything else.
    Lost(String),
}

const TLS_NO_PROTOCOL: u64 = 0x100 + 120;

/// Says in words why `error` ended a connection.
pub(crate) fn ended(error: &ConnectionError) -> Ended {
    let tls = |code: u64, reason: &str| {
        if code == TLS_NO_PROTOCOL {
            "the two speak different versions of the protocol".to_owned()
        } else {
            plain(reason).to_owned()
        }
    };
    match error {
        ConnectionError::TimedOut => Ended::NoAnswer,
        ConnectionError::TransportError(error) => {
            let code = u64::from(error.code);
            if (0x100..0x200).contains(&code) {
                Ended::Refused(tls(code, &error.reason))
            } else {
                Ended::Lost(error.to_string())
            }
        }
        ConnectionError::ConnectionClosed(close) => {
            let code = u64::from(close.error_code);
            let reason = String::from_utf8_lossy(&close.reason);
            if (0x100..0x200).contains(&code) {
                Ended::RefusedUs(tls(code, &reason))
            } else {
                Ended::Lost(close.to_string())
            }
        }
        ConnectionError::ApplicationClosed(close) => {
            let reason = String::from_utf8_lossy(&close.reason).into_owned();
            match close.error_code {
                code if Code::Goodbye.is(code) => Ended::Goodbye,
                code if Code::Refused.is(code) => Ended::RefusedUs(reason),
                code if Code::Duplicate.is(code) => Ended::Duplicate,
                code if Code::Yourself.is(code) => Ended::Yourself,
                code if Code::Disconnected.is(code) => {
                    Ended::Lost(format!("the peer disconnected us: {reason}"))
                }
                code if Code::Dropped.is(code) => Ended::Lost("the peer went away without a goodbye".into()),
                _ => Ended::Lost(format!("closed by the peer: {reason}")),
            }
        }
        ConnectionError::Reset => Ended::Lost("the peer restarted".into()),
        other => Ended::Lost(other.to_string()),
    }
}

impl Ended {
    /// What subscribers hear when a connection that was up ends so.
    pub(crate) fn down(self) -> DownReason {
        match self {
            Self::Goodbye => DownReason::Goodbye,
            Self::NoAnswer => DownReason::Lost("no sign of life".into()),
            Self::RefusedUs(why) | Self::Refused(why) | Self::Lost(why) => DownReason::Lost(why),
            Self::Duplicate => DownReason::Lost("another connection took its place".into()),
            Self::Yourself => DownReason::Lost("the peer is this node".into()),
        }
    }
}
