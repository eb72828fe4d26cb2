//! Processes on tokio: typed messages, links, monitors, exit reasons.
//!
//! A [`Process`] is one tokio task with one bounded mailbox and one [`ExitReason`]. A [`Node`] holds what its processes share; a [`Ref`]
//! is how they are called, by pid or by name, on this node or through a `Network` on another. Nothing is process-global.
//! The README shows a whole one.

#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../README.md")]
mod readme {}

mod claim;
mod codec;
mod error;
mod info;
pub mod machine;
mod message;
mod name;
mod pid;
mod reason;
mod resolve;
mod restart;
mod start;
mod state;
mod stop;

#[cfg(feature = "tokio")]
mod address;
#[cfg(feature = "tokio")]
mod answer;
#[cfg(feature = "tokio")]
mod builder;
#[cfg(feature = "tokio")]
mod call;
#[cfg(feature = "tokio")]
mod cell;
#[cfg(feature = "tokio")]
mod closure;
#[cfg(feature = "tokio")]
mod context;
#[cfg(feature = "tokio")]
mod control;
#[cfg(feature = "tokio")]
mod frame;
#[cfg(feature = "tokio")]
mod helper;
#[cfg(feature = "tokio")]
mod kind;
#[cfg(feature = "tokio")]
mod learned;
#[cfg(feature = "tokio")]
pub mod local;
#[cfg(feature = "tokio")]
mod local_names;
#[cfg(feature = "tokio")]
mod mailbox;
#[cfg(feature = "tokio")]
mod messages;
#[cfg(feature = "tokio")]
mod method;
#[cfg(all(test, feature = "tokio"))]
mod model;
#[cfg(feature = "tokio")]
mod moved;
#[cfg(feature = "tokio")]
mod names;
#[cfg(feature = "tokio")]
mod node;
#[cfg(feature = "tokio")]
mod process;
#[cfg(feature = "tokio")]
mod reaper;
#[cfg(feature = "tokio")]
mod remote;
#[cfg(feature = "tokio")]
mod reply;
#[cfg(feature = "tokio")]
mod run;
#[cfg(all(test, feature = "tokio"))]
mod schedule;
#[cfg(feature = "tokio")]
mod send;
#[cfg(feature = "tokio")]
mod signals;
#[cfg(feature = "tokio")]
mod table;
#[cfg(feature = "tokio")]
mod timer;
#[cfg(feature = "tokio")]
mod waits;

pub use claim::{Claim, ClaimRank, FencingToken};
pub use codec::{CodecError, decode, encode};
pub use error::{CallError, NodeError, SpawnError, StartError, StartFailure};
pub use horde_derive::Message;
pub use info::Info;
pub use message::Message;
pub use name::{Name, Scheme};
pub use pid::Pid;
pub use reason::ExitReason;
pub use resolve::{NameTaken, Resolve};
pub use restart::Restart;
pub use start::{Shutdown, Start, Watcher};
pub use state::{State, Versions};
pub use stop::Stop;

#[cfg(feature = "tokio")]
pub use {
    address::{NotSent, Ref},
    builder::NodeBuilder,
    call::Call,
    context::Context,
    messages::{Lists, Messages},
    method::{Method, MethodWith},
    node::Node,
    process::{Down, Exit, Handle, Process, Serve},
    reply::Reply,
    send::Sending,
    signals::MonitorRef,
    timer::TimerRef,
};

#[doc(hidden)]
pub mod __private {
    //! What the derive writes.
    pub use crate::message::MessageValue;
}
