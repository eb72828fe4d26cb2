//! What a start answers beside the pid.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{CodecError, codec};

/// What a process told its starter from `init` ([`crate::Context::inform`]); OTP's third element of `{:ok, pid, info}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info(Vec<u8>);

impl Info {
    #[cfg(feature = "tokio")]
    pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Self, CodecError> {
        codec::encode(value).map(Self)
    }

    /// The value.
    ///
    /// # Errors
    /// [`CodecError`] when it is no `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, CodecError> {
        codec::decode(&self.0)
    }
}
