//! Supervisors of one node: OTP's `Supervisor` and `DynamicSupervisor`, usable without any cluster.
//!
//! A static supervisor ([`Supervisor::builder`]) has children in an order, starts them one after the other, stops them in reverse, and
//! starts them again alone, all, or with those after. A dynamic one ([`Supervisor::dynamic`]) has children that come and go. Both are
//! processes: they can be named, linked, monitored, and be children themselves ([`ChildSpec::supervisor`]).
//!
//! ```
//! use horde_process::local::{ChildSpec, Strategy, Supervisor};
//! # use horde_process::Node;
//! # use horde_transport::{NodeId, NodeName};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let node = Node::builder(NodeId::new(NodeName::new("one")?, 1)).start()?;
//! let workers = Supervisor::dynamic().max_children(10);
//! let tree = Supervisor::builder()
//!     .strategy(Strategy::RestForOne)
//!     .child(ChildSpec::run(|| std::future::pending()).id("clock"))
//!     .child(ChildSpec::supervisor(workers).named("workers"));
//! let tree = tree.start(&node).await?;
//! assert_eq!(tree.count_children().await?.active, 2);
//!
//! let workers = Supervisor::at(&node, "workers");
//! workers.start_child(ChildSpec::run(|| async { Ok(()) })).await?;
//! # Ok(())
//! # }
//! ```

mod builder;
mod ear;
mod spec;
mod supervisor;
mod tree;

pub use crate::closure::Task;
pub use crate::machine::{AutoShutdown, ChildInfo, ChildState, Counts, Refusal, Role, Strategy, Which};
pub use builder::SupervisorBuilder;
pub use spec::{ChildSpec, Spec};
pub use supervisor::{Supervisor, SupervisorError};
pub use tree::{
    CountChildren, DeleteChild, RestartChild, StartChild, Started, TerminateChild, Tree, WhichChildren,
};
