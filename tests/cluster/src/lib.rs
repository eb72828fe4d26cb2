//! Real OS processes over loopback QUIC with mutual TLS: what the tests need to start members, to give them orders,
//! to stop them in every way that an operating system knows, and to compare what really runs with what was started.
//!
//! A member is an OS process of its own (`src/bin/member.rs`). It notes each run of each child itself, in a census
//! that no replicated record has a part in.

mod census;
mod check;
mod cluster;
mod counter;
mod member;
mod order;
mod program;
mod serve;
mod signal;
mod wait;

pub use census::{Census, Entry, Presence};
pub use check::{Faults, check, check_names};
pub use cluster::{Cluster, RECOVERY, ids, on, spread};
pub use counter::{Add, Counter, Where, Whereabouts};
pub use member::Member;
pub use order::{Answer, Answered, Asked, Be, By, Calls, Order, Seen};
pub use program::Program;
pub use serve::run_member;
pub use signal::Signal;
pub use wait::{PATIENCE, until};
