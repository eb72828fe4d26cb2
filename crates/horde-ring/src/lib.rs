//! Who owns a key, and may this side act: placement strategies and quorum policies.
//!
//! Pure values: no clock, no socket, no randomness, no allocation on the paths that answer `owner`.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod hash;
mod member;
mod members;
mod mix;
mod placement;
mod rendezvous;
mod replicas;
mod score;
mod spread;

pub use hash::{KEY_SEED, KeyHash, StableHash};
pub use member::{MAX_WEIGHT, Member};
pub use members::Members;
pub use placement::Placement;
pub use rendezvous::Rendezvous;
pub use replicas::Replicas;
