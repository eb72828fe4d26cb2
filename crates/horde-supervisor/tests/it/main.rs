//! The supervisor's machine, by hand: who hears what, and when.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod acknowledged;
mod learning;
mod moves;
mod pair;
mod queued;
mod quorum;
