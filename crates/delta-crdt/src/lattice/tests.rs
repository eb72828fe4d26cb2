//! The laws of every type, and every type against an executable specification over a graph of events.

mod laws;
mod spec;
