//! What the fuzz targets call. Each body is a function that the crate's ordinary tests run too, over bytes near its frozen
//! forms: what a target checks is checked on each change, without a fuzzing engine.

/// The decoders of delta-crdt.
#[path = "../../crates/delta-crdt/tests/it/decoders.rs"]
pub mod crdt;

/// The decoders of horde-transport.
pub use horde_transport::fuzzing as transport;
