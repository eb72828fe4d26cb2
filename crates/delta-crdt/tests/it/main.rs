//! The engine from outside, as its users see it.

mod abort;
mod api;
#[expect(unreachable_pub, reason = "the fuzz package has this file too, where these functions are public")]
mod decoders;
mod extremes;
mod frozen;
mod many;
mod memory;
mod replication;
mod storage;
mod support;
mod topology;
mod visitors;
mod warnings;
mod wire;
