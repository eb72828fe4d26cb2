//! Process names across the cluster: register here, found everywhere, gone with its process or its node.
//!
//! [`Registry`] is what users hold; [`host`] makes a node carry the registries that others start; [`machine`] holds the
//! rules as a pure machine, all that is left without the feature `tokio`.

#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(feature = "tokio")]
mod builder;
#[cfg(feature = "tokio")]
mod codec;
#[cfg(feature = "tokio")]
mod driver;
#[cfg(feature = "tokio")]
mod error;
#[cfg(feature = "tokio")]
mod events;
#[cfg(feature = "tokio")]
mod hosting;
pub mod machine;
#[cfg(feature = "tokio")]
mod members;
#[cfg(feature = "tokio")]
mod readers;
#[cfg(feature = "tokio")]
mod registry;
#[cfg(feature = "tokio")]
mod rules;
#[cfg(feature = "tokio")]
mod untyped;

#[cfg(feature = "tokio")]
pub use builder::RegistryBuilder;
#[cfg(feature = "tokio")]
pub use error::StartError;
#[cfg(feature = "tokio")]
pub use events::{Event, Events, EventsError};
#[cfg(feature = "tokio")]
pub use hosting::{MAX_REGISTRIES, host, hosted, registries};
pub use machine::{Entry, Key, Order, OwnerError, Part, RegisterError};
#[cfg(feature = "tokio")]
pub use registry::Registry;
#[cfg(feature = "tokio")]
pub use untyped::RegistryCore;
