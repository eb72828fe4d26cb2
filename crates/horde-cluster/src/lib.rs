//! Who is here: discovery, membership, failure detection.

#[cfg(feature = "tokio")]
mod alarm;
#[cfg(feature = "tokio")]
mod cluster;
mod config;
#[cfg(feature = "tokio")]
mod control;
#[cfg(feature = "tokio")]
mod discovery;
#[cfg(feature = "tokio")]
mod driver;
#[cfg(feature = "tokio")]
mod lag;
#[cfg(feature = "tokio")]
mod lease;
pub mod machine;
mod member;
mod meta;
mod view;
#[cfg(feature = "tokio")]
mod watch;

#[cfg(feature = "tokio")]
pub use cluster::{Cluster, ClusterError};
pub use config::ClusterConfig;
#[cfg(feature = "tokio")]
pub use control::Control;
#[cfg(feature = "tokio")]
pub use discovery::{Discovering, Discovery, Found, HostsFile, Running, StaticList};
pub use horde_ring::LeaseTerms;
#[cfg(feature = "tokio")]
pub use lag::LagWatch;
#[cfg(feature = "tokio")]
pub use lease::LeaseTenant;
pub use machine::{ForgetError, Standing};
pub use member::{Member, MemberEvent, MemberStatus, Stopped};
pub use meta::{HordeMeta, Meta, MetaTooBig};
pub use view::View;
#[cfg(feature = "tokio")]
pub use watch::Watch;

#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../README.md")]
struct Readme;
