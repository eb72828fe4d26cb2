//! Supervised children across the cluster.

#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(feature = "tokio")]
mod builder;
#[cfg(feature = "tokio")]
mod child_spec;
mod config;
#[cfg(feature = "tokio")]
mod core;
mod error;
mod frame;
#[cfg(feature = "tokio")]
mod hosting;
pub mod machine;
mod record;
mod spec;
#[cfg(feature = "tokio")]
mod supervisor;

#[cfg(feature = "tokio")]
pub use builder::{Builder, SupervisorError};
#[cfg(feature = "tokio")]
pub use child_spec::ChildSpec;
pub use config::{Options, Quorum, Redistribution};
pub use error::{StartError, TerminateError};
pub use frame::{FrameError, Launch, LaunchKind, Request, Response, Wish};
#[cfg(feature = "tokio")]
pub use hosting::{MAX_SUPERVISORS, host, hosted};
pub use machine::PlannedMove;
pub use record::{ByClaim, ChildId, ChildState, End, Record, RequestId, Wanted};
pub use spec::{Restart, Spec};
#[cfg(feature = "tokio")]
pub use supervisor::{Child, Status, Supervisor};
