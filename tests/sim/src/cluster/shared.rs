//! What nodes share in runs that measure: frames that say the same are read and sized once.

use std::sync::Arc;

use bytes::Bytes;
use delta_crdt::Message;
use horde_cluster::machine::Frame;
use serde::Serialize;

use super::net::{ChildrenMessage, NamesMessage, Sync};

/// The last frame of each kind.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) said: Option<(Bytes, Arc<Frame>)>,
    pub(crate) names: Sized<NamesMessage>,
    pub(crate) children: Sized<ChildrenMessage>,
}

/// A message and its size on the wire.
#[derive(Debug)]
pub(crate) struct Sized<M>(Option<(M, usize)>);

impl<M> Default for Sized<M> {
    fn default() -> Self {
        Self(None)
    }
}

impl<K: Serialize + Clone, V: Serialize + Clone> Sized<Message<K, V>> {
    /// A message as it is, with its size.
    pub(crate) fn wrap(&mut self, message: Message<K, V>) -> Sync<Message<K, V>> {
        let size = match &self.0 {
            Some((last, size)) if last.is_as_long_as(&message) => *size,
            _ => {
                let size = message.encode().len();
                self.0 = Some((message.clone(), size));
                size
            }
        };
        Sync::Value(Box::new(message), size)
    }
}
