//! The engine from outside, as its users see it.

mod replication;
mod support;
