//! The wire form of everything here: one version byte, then postcard.

mod fragment;
mod list;

use alloc::sync::Arc;
use alloc::vec::Vec;

use postcard::ser_flavors::Flavor;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Message;
use crate::message::{Body, Shared};

pub(crate) use list::list;

/// The wire version that is written, and the only one that is read so far.
const VERSION: u8 = 1;

/// Why bytes are not what they should be. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// There is not even a version byte.
    #[error("the message is empty; nothing was changed")]
    Empty,
    /// A newer program wrote it, or it is something else.
    #[error("the message has wire version {0}, this program reads {VERSION}; nothing was changed")]
    Version(u8),
    /// It does not follow the form.
    #[error("the message is malformed; nothing was changed")]
    Malformed,
    /// It goes on after its end.
    #[error("the message has {0} bytes too many; nothing was changed")]
    Trailing(usize),
}

/// The wire form of a state, a delta or a [`Message`]: a version byte, then postcard.
///
/// # Panics
/// If `Serialize` of a key or value inside refuses, as derived implementations never do.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    encode_into(value, 64)
}

/// `room`: bytes that it will probably take.
fn encode_into<T: Serialize + ?Sized>(value: &T, room: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(room);
    bytes.push(VERSION);
    put(&mut bytes, value);
    bytes
}

/// Appends the wire form of a value.
#[inline]
fn put<T: Serialize + ?Sized>(bytes: &mut Vec<u8>, value: &T) {
    if let Err(error) = postcard::serialize_with_flavor(value, End(bytes)) {
        refused(&error);
    }
}

#[cold]
fn refused(error: &postcard::Error) -> ! {
    panic!("a key or value refused to be serialised: {error}")
}

/// The end of the bytes so far: they come one by one, or many at once.
struct End<'a>(&'a mut Vec<u8>);

impl Flavor for End<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        // Most numbers take one byte: no need for the call that copies many.
        if let [byte] = bytes {
            self.0.push(*byte);
        } else {
            self.0.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Reads what [`encode`] wrote. Never panics, and allocates at most a fixed number of bytes for each byte of input.
///
/// With `k` and `v` for the sizes in memory (`size_of`) of keys, or elements, and of values, that number is 2 × (64 + k + v) for a
/// [`Message`] or [`Record`](crate::Record), and 6 × (48 + k + v) for a type of the lattice layer. What keys and values allocate for
/// themselves comes on top. What an input promises and does not hold costs at most 128 bytes for each byte that is left of it. What it
/// holds takes its size in memory however few bytes it takes in the input, and a removal takes the room of a value: so keep values
/// that are large where they lie, such as arrays, behind a pointer.
///
/// Sets and maps must rise, as [`encode`] writes them, so that each state has one form: of elements and keys that take no bytes, such as
/// `()`, only one is read, whatever number is promised. Lists that keys and values bring along are serde's: one of `()` is as long as it
/// says, so do not let strangers send such.
///
/// # Errors
/// [`DecodeError`] says what is wrong with the bytes.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    whole(postcard::take_from_bytes(body(bytes)?))
}

fn body(bytes: &[u8]) -> Result<&[u8], DecodeError> {
    match bytes.split_first() {
        None => Err(DecodeError::Empty),
        Some((&VERSION, body)) => Ok(body),
        Some((&version, _)) => Err(DecodeError::Version(version)),
    }
}

/// What was read, if nothing is left.
fn whole<T>(read: postcard::Result<(T, &[u8])>) -> Result<T, DecodeError> {
    match read {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(DecodeError::Trailing(rest.len())),
        Err(_) => Err(DecodeError::Malformed),
    }
}

impl<K: Serialize, V: Serialize> Message<K, V> {
    /// The wire form: a version byte, then postcard.
    ///
    /// # Panics
    /// As [`encode`](crate::encode).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let room = |writes: usize| 64 + writes * (size_of::<K>() + size_of::<V>() + 8);
        match &self.body {
            Body::Fragment(fragment) => fragment::write(self.shards, fragment),
            Body::Ops(batch) => encode_into(self, room(batch.0.ops.len())),
            _ => encode(self),
        }
    }
}

impl<K: DeserializeOwned, V: DeserializeOwned> Message<K, V> {
    /// Reads the wire form. Never panics, and allocates at most 2 × (64 + `size_of::<K>()` + `size_of::<V>()`) bytes for each byte of
    /// input, beside what keys and values allocate for themselves: see [`decode`](crate::decode).
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong with the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let body = body(bytes)?;
        if body.get(1) == Some(&fragment::KIND) {
            return whole(fragment::read(body));
        }
        whole(postcard::take_from_bytes(body))
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
