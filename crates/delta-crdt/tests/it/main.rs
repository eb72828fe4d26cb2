//! The engine from outside, as its users see it.

mod replication;
mod storage;
mod support;
mod wire;
