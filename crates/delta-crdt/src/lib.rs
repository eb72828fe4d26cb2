//! Delta-state CRDTs and their sync machine: embeds alone, any transport.
#![cfg_attr(not(any(feature = "std", test)), no_std)]

extern crate alloc;

mod change;
mod clock;
mod config;
mod engine;
mod id;
mod key;
mod message;
mod output;
mod winner;

pub use change::Change;
pub use clock::{Now, Stamp};
pub use config::Config;
pub use engine::Replica;
#[cfg(any(test, feature = "rule-switches"))]
#[doc(hidden)]
pub use engine::Rule;
pub use id::{Dot, ReplicaId};
pub use key::Key;
#[cfg(feature = "serde")]
pub use message::DecodeError;
pub use message::Message;
pub use output::{Output, Stats, Warning};
pub use winner::{LastWriter, Sibling, Winner};
