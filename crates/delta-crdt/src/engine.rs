//! The engine layer: a replicated map and its sync machine, without input or output of its own.

pub(crate) mod few;

mod dictionary;
mod groups;
mod index;
mod line;
mod origins;
mod park;
mod peer;
mod replica;
mod rules;
mod session;
mod shard;
pub(crate) mod store;

pub use replica::Replica;
#[cfg(any(test, feature = "rule-switches"))]
pub use rules::Rule;
