//! User payloads: MessagePack with field names, so that adding an optional field is compatible.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value did not encode, or bytes did not decode; the text says where. Nothing else happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CodecError(String);

impl CodecError {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// Encodes a user's value as MessagePack with field names.
///
/// # Errors
/// [`CodecError`] when the value's own `Serialize` refuses.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::with_capacity(64);
    encode_into(&mut bytes, value)?;
    Ok(bytes)
}

/// Encodes a value behind what `bytes` holds.
pub(crate) fn encode_into<T: Serialize + ?Sized>(bytes: &mut Vec<u8>, value: &T) -> Result<(), CodecError> {
    rmp_serde::encode::write_named(bytes, value).map_err(|error| CodecError::new(error.to_string()))
}

/// Decodes a user's value. The bytes must hold it and nothing more.
///
/// # Errors
/// [`CodecError`] when they do not.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let mut rest = bytes;
    let value = rmp_serde::from_read(&mut rest).map_err(|error| CodecError::new(error.to_string()))?;
    match rest.len() {
        0 => Ok(value),
        more => Err(CodecError::new(format!("{more} bytes are left over"))),
    }
}
