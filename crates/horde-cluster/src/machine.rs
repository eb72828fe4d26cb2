//! Membership as a pure machine: no clock, socket, task or thread, and no randomness but its seed.
//!
//! ```text
//!   PeerUp, PeerDown, CrashHint  ---+                        +---> Send (topic `membership`, control lane), Probe
//!   Frame, Probed                ---+---> Membership --------+---> Dial, Undial, Disconnect
//!   Found (discovery)            ---+    handle_timeout      +---> Publish (view and events)
//!   Meta, Leaving, Leave         ---+                        +---> Warn
//! ```
//!
//! Time is a `Duration` since any fixed start, given with each input; it never runs backwards.
//!
//! - Every member connects to every other one (up to 64) and hears it each heartbeat. A heartbeat carries a digest of
//!   all members and the versions of the sender's own record; what differs is pulled.
//! - A member that is silent, or whose process is hinted to be gone, is probed, and the others are asked. Down needs
//!   silence here, silence at `min(2, others)` of the others, and nobody who has proof that it is alive. Proof is an
//!   answer to something sent after the question, so what a dead member left on the way counts for nothing.
//! - A crash hint makes the own probe last milliseconds. Who has no hint of its own probes for a heartbeat before it agrees.
//! - The member itself refutes a verdict by raising its own counter; the same life that is heard again is Up again.
//! - In a cluster of more than [`ClusterConfig::eager_members`](crate::ClusterConfig::eager_members) what one node says to all,
//!   and what all say to one, is kept within bounds: see there.
//! - A member that is Down is forgotten when an operator says so; that life is never a member again.
//! - A name belongs to the life that has it while that life answers; a newcomer under it is refused, and told why.

mod beats;
mod dialing;
mod faults;
mod forgetting;
mod health;
mod inquiry;
mod jitter;
mod joining;
mod leases;
mod leaving;
mod membership;
mod pace;
mod peers;
mod publish;
mod records;
mod state;
mod suspicion;
mod wire;

#[cfg(any(test, feature = "faults"))]
pub use faults::{Fault, LeaseFault};
pub use forgetting::{ForgetError, MAX_FORGOTTEN};
pub use leases::{
    LeaseFrame, LeaseFrameError, LeaseOutput, Leases, MAX_GIVEN_UP, MAX_VOTERS, Promise, Promised, Standing,
};
pub use membership::{Input, Membership, Output, Warning};
pub use wire::{Answer, Beat, Frame, FrameError, Lifecycle, MAX_FRAME, Record, Refusal, Told, VERSION};
