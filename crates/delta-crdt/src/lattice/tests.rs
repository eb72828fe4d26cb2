//! The laws of every type, and every type against an executable specification over a graph of events.

mod alone;
mod deltas;
mod laws;
mod spec;
