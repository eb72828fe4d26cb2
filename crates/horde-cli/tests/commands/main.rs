//! `horde node`, and the commands that look into a running cluster and steer it: real OS processes over loopback QUIC.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod certificates;
mod driver;
mod look;
mod node;
mod refuse;
mod scene;
mod settings;
mod steer;
