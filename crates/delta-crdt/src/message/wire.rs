//! The wire form: one version byte, then postcard.

use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Message, Shared};

/// The wire version that `encode` writes, and the only one that `decode` takes so far.
const VERSION: u8 = 1;

/// Why bytes are not a message. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// There is not even a version byte.
    #[error("the message is empty; nothing was changed")]
    Empty,
    /// A newer program wrote it, or it is not a message at all.
    #[error("the message has wire version {0}, this program reads {VERSION}; nothing was changed")]
    Version(u8),
    /// It does not follow the form.
    #[error("the message is malformed; nothing was changed")]
    Malformed,
    /// It goes on after its end.
    #[error("the message has {0} bytes too many; nothing was changed")]
    Trailing(usize),
}

impl<K: Serialize, V: Serialize> Message<K, V> {
    /// The wire form: a version byte, then postcard.
    ///
    /// # Errors
    /// Only what `Serialize` of a key or value refuses, as it comes from postcard.
    pub fn try_encode(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_extend(self, Vec::from([VERSION]))
    }

    /// The wire form: a version byte, then postcard.
    ///
    /// # Panics
    /// If `Serialize` of a key or a value refuses; derived implementations do not. [`Message::try_encode`] returns it instead.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self.try_encode() {
            Ok(bytes) => bytes,
            Err(error) => panic!("a key or value refused to be serialised: {error}"),
        }
    }
}

impl<K: for<'de> Deserialize<'de>, V: for<'de> Deserialize<'de>> Message<K, V> {
    /// Reads the wire form. Never panics, and never allocates more than a small multiple of `bytes`.
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong with the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (&version, body) = bytes.split_first().ok_or(DecodeError::Empty)?;
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        match postcard::take_from_bytes(body) {
            Ok((message, [])) => Ok(message),
            Ok((_, rest)) => Err(DecodeError::Trailing(rest.len())),
            Err(_) => Err(DecodeError::Malformed),
        }
    }
}

impl<T: Serialize> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(|inner| Self(Arc::new(inner)))
    }
}
