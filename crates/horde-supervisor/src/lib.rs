//! Supervised children across the cluster.

#[cfg(feature = "tokio")]
mod builder;
#[cfg(feature = "tokio")]
mod child_spec;
mod config;
#[cfg(feature = "tokio")]
mod core;
mod error;
mod frame;
pub mod machine;
mod record;
mod spec;
#[cfg(feature = "tokio")]
mod supervisor;

#[cfg(feature = "tokio")]
pub use builder::{Builder, Hosting, SupervisorError, host, hosted};
#[cfg(feature = "tokio")]
pub use child_spec::ChildSpec;
pub use config::{Options, Redistribution};
pub use error::{StartError, TerminateError};
pub use frame::{FrameError, Launch, LaunchKind, Request, Response, Wish};
pub use record::{ByClaim, ChildId, ChildState, End, Record, RequestId, Wanted};
pub use spec::{Restart, Spec};
#[cfg(feature = "tokio")]
pub use supervisor::{Child, Status, Supervisor};
