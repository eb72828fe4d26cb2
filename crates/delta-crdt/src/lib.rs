//! Delta-state CRDTs and their sync machine: embeds alone, any transport.
//!
//! Two layers. The lattice layer is a set of types that merge, each a plain value: [`GCounter`], [`AWSet`], [`ORMap`] and so on,
//! under the traits [`Lattice`] and [`Decompose`]. The engine layer is one replicated map with its sync machine, [`Replica`]:
//! it says what to send to whom, and the caller carries it. Neither reads clocks, opens sockets or starts threads.
//!
//! The README shows both at work, `docs/types.md` helps to choose a type, `docs/protocol.md` explains how replicas agree.
#![cfg_attr(not(any(feature = "std", test)), no_std)]

extern crate alloc;

mod change;
mod clock;
mod config;
mod engine;
mod id;
mod key;
mod lattice;
mod message;
mod output;
mod storage;
mod view;
mod winner;
#[cfg(feature = "serde")]
mod wire;

pub use change::Change;
pub use clock::{Now, Stamp};
pub use config::Config;
pub use engine::Replica;
#[cfg(any(test, feature = "rule-switches"))]
#[doc(hidden)]
pub use engine::Rule;
pub use id::{Dot, ReplicaId};
pub use key::Key;
pub use lattice::{
    AWLWWMap, AWSet, Causal, CausalContext, DWFlag, Decompose, DotFun, DotMap, DotSet, DotStore, EWFlag,
    Embed, GCounter, GMap, GSet, LWWRegister, Lattice, MVRegister, MaxRegister, MinRegister, ORMap,
    PNCounter, RWSet,
};
pub use message::Message;
pub use output::{Output, Stats, Warning};
pub use storage::{Record, RestoreError, Storage};
#[cfg(feature = "redb")]
pub use storage::{RedbError, RedbStorage};
#[cfg(feature = "serde")]
pub use storage::{append_frame, read_frames};
pub use view::View;
pub use winner::{Contender, LastWriter, Sibling, Winner};
#[cfg(feature = "serde")]
pub use wire::{DecodeError, decode, encode};

/// The examples of the README are compiled and run; one of them sends messages as bytes.
#[cfg(all(doctest, feature = "serde"))]
#[doc = include_str!("../README.md")]
struct Readme;
