//! What a user waits for.

use std::fmt;
use std::marker::PhantomData;

use horde_process::{CallError, Pid, decode};
use horde_supervisor::{StartError, TerminateError};
use serde::de::DeserializeOwned;

use crate::cluster::Answered;

/// What a user of the cluster was promised: the outcome of a start, an end or a call.
///
/// It is kept once the user has heard; see [`Cluster::kept`](super::Cluster::kept). A user whose node dies hears nothing.
pub struct Promise<T> {
    pub(super) number: u64,
    /// For whom reads a failure.
    pub(super) of: String,
    pub(super) read: fn(&Answered) -> Option<T>,
    pub(super) kind: PhantomData<T>,
}

impl<T> fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promise").field("of", &self.of).finish_non_exhaustive()
    }
}

pub(super) fn started(answered: &Answered) -> Option<Result<Pid, StartError>> {
    match answered {
        Answered::Started(outcome) => Some(outcome.clone()),
        _ => None,
    }
}

pub(super) fn terminated(answered: &Answered) -> Option<Result<(), TerminateError>> {
    match answered {
        Answered::Terminated(outcome) => Some(outcome.clone()),
        _ => None,
    }
}

pub(super) fn called<R: DeserializeOwned>(answered: &Answered) -> Option<Result<R, CallError>> {
    let Answered::Called(outcome) = answered else { return None };
    let read = |bytes: &Vec<u8>| decode(bytes).map_err(|error| CallError::BadReply(error.to_string()));
    Some(outcome.as_ref().map_err(Clone::clone).and_then(read))
}
