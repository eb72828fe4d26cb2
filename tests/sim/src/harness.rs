//! Your own processes in the simulated cluster: the same nodes, machines and network as the seeds' runs, and a script.
//!
//! A process is written as for `horde_process`, without tokio: [`Process`] and [`Handle`] have the same names, the same
//! messages, states and reasons, and their functions return at once instead of being `async`. So what a process decides can
//! stand in one plain type that the real process and the one here both wrap; what waits for the outside stays in the real one.
//!
//! [`explore`] runs a script for many seeds. Each seed has its own delays, faults and order of events; the same seed is the
//! same run. A script starts children, calls them by name from a node of its choice, kills nodes, cuts links, and looks at
//! everything from above; what you say with [`Cluster::always`] is checked after each step. A failure says the seed, how to
//! run it again, and what happened, a column for each node.
//!
//! ```
//! use std::time::Duration;
//!
//! use horde_process::{Message, Stop};
//! use horde_sim::harness::{Child, Context, Failure, Handle, Process, Run, explore};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, Message)]
//! #[message(reply = String, crate = "horde_process")]
//! struct Greet {
//!     name: String,
//! }
//!
//! struct Greeter {
//!     greeting: String,
//! }
//!
//! impl Process for Greeter {
//!     const KIND: &'static str = "greeter";
//!     type Args = String;
//!     type Messages = (Greet,);
//!
//!     fn init(greeting: String, _: &mut Context<Self>) -> Result<Self, Stop> {
//!         Ok(Self { greeting })
//!     }
//! }
//!
//! impl Handle<Greet> for Greeter {
//!     fn handle(&mut self, message: Greet, _: &mut Context<Self>) -> String {
//!         format!("{} {}!", self.greeting, message.name)
//!     }
//! }
//!
//! fn script(run: Run) -> Result<(), Failure> {
//!     let mut cluster = run.cluster(3).runs::<Greeter>().build()?;
//!     let hello = cluster.start(0, Child::of::<Greeter>("Hello".to_owned()).id("hello"));
//!     let pid = cluster.wait(&hello)?.expect("a quiet cluster starts what it is asked to");
//!     cluster.run_for(Duration::from_secs(1))?;
//!     let host = cluster.look().node_of(&pid).expect("it lives");
//!     cluster.kill(host);
//!     // Within ten seconds another node has it.
//!     cluster.run_until(Duration::from_secs(10), "it runs again", |look| look.copies("hello").len() == 1)?;
//!     cluster.run_for(Duration::from_secs(1))?;
//!     let other = (host + 1) % 3;
//!     let answer = cluster.call::<Greeter, _>(other, "hello", Greet { name: "world".into() });
//!     let answer = cluster.wait(&answer)?;
//!     cluster.expect(answer.as_deref() == Ok("Hello world!"), || format!("it said {answer:?}"))
//! }
//!
//! explore(1..=3, script);
//! ```

mod child;
mod cluster;
mod context;
mod faults;
mod look;
mod process;
mod promise;
mod room;
mod run;

pub use child::Child;
pub use cluster::{Builder, Cluster};
pub use context::{Context, TimerRef};
pub use faults::Faults;
pub use look::{Copy, Look};
pub use process::{Handle, Messages, Process};
pub use promise::Promise;
pub use run::{Failure, Run, SEED_VARIABLE, explore};
