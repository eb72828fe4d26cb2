//! Who owns a key, and may this side act: placement strategies and quorum policies.
//!
//! Pure values, `no_std` with `alloc`: no clock, no socket, no randomness. Two seams:
//!
//! - [`Placement`]: a function of the *set* of [`Members`] and a [`KeyHash`]. [`Rendezvous`] is the default,
//!   [`SlotTable`] for many members, [`BoundedSlots`] for evenness, [`Ring`] for who comes from libring.
//!   [`LivePlacement`] looks at load ([`BoundedLoad`], [`LeastLoaded`], [`Random`]) and is asked by one node only:
//!   [`Placer`] says which. [`Diff`] says exactly what moves.
//! - [`Quorum`]: a decision over the [`Agreed`] configuration, acknowledgements, reachability and the time since the
//!   view is stable. [`Heartbeats`] is a node's own lease, [`Accusation`] the end of another's, [`FencingToken`] what
//!   outside resources check.
//!
//! The README has an example of each alone.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

/// The examples of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;

mod candidate;
mod diff;
mod filter;
mod hash;
mod live;
mod member;
mod members;
mod mix;
mod names;
mod placement;
mod placer;
mod quorum;
mod region;
mod rendezvous;
mod replicas;
mod ring;
mod score;
mod slots;
mod spread;
mod strategy;

pub use candidate::Candidate;
pub use diff::{Diff, Move, MovedRange};
pub use filter::Filter;
pub use hash::{KEY_SEED, KeyHash, StableHash};
pub use live::LivePlacement;
pub use live::bounded_load::BoundedLoad;
pub use live::least_loaded::LeastLoaded;
pub use live::random::Random;
pub use member::{MAX_WEIGHT, Member};
pub use members::Members;
pub use names::NameFilter;
pub use placement::Placement;
pub use placer::{Decided, Placer, Target, Unplaced};
pub use quorum::accusation::{Accusation, Promises};
pub use quorum::agreed::{Agreed, Change, ChangeError, Expect, Voter};
pub use quorum::fencing::{FencingToken, TokenError};
pub use quorum::heartbeats::{Heartbeats, MAX_HEARTBEATS};
pub use quorum::policy::Policy;
pub use quorum::terms::LeaseTerms;
pub use quorum::view::{ExternalLease, LeaseHolder, QuorumView};
pub use quorum::{Decision, Quorum};
pub use region::{Region, shares};
pub use rendezvous::Rendezvous;
pub use replicas::Replicas;
pub use ring::{DEFAULT_POINTS, MAX_POINTS, Ring};
pub use slots::bounded::BoundedSlots;
pub use slots::count::{Slots, SlotsError};
pub use slots::table::{MAX_TABLE_MEMBERS, SlotTable};
pub use strategy::{Base, Strategy, StrategyError, recommended};
