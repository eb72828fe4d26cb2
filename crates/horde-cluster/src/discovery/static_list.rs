//! Addresses known beforehand.

use std::net::SocketAddr;

use super::{Discovery, Found, Running};

/// A fixed list of addresses; each is dialled until a node answers, and again when its connection ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticList(Vec<SocketAddr>);

impl StaticList {
    /// These addresses. This node's own may be among them.
    #[must_use]
    pub fn new(addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self(addresses.into_iter().collect())
    }
}

impl Discovery for StaticList {
    fn name(&self) -> &str {
        "static list"
    }

    fn run<'a>(&'a self, found: &'a Found) -> Running<'a> {
        found.set(self.0.iter().copied());
        Box::pin(std::future::ready(()))
    }
}
