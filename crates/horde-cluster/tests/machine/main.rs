//! The machine, one input at a time.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod any;
mod bench;
mod forgetting;
mod joining;
mod large;
mod names;
mod suspicion;
