//! What can be sent.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A message and the type of its answer. `#[derive(Message)] #[message(reply = String, name = "greet")]` writes this impl;
/// the name defaults to the type's in snake_case, the answer to `()`.
///
/// Two messages of one process with the same name do not build:
///
/// ```compile_fail
/// # use horde_process::{Context, Handle, Message, Node, Process, Stop};
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize, Message)]
/// #[message(name = "greet", crate = "horde_process")]
/// struct Greet;
///
/// #[derive(Serialize, Deserialize, Message)]
/// #[message(name = "greet", crate = "horde_process")]
/// struct Welcome;
///
/// # struct Greeter;
/// # impl Process for Greeter {
/// #     const KIND: &'static str = "greeter";
/// #     type Args = ();
/// #     type Deps = ();
/// type Messages = (Greet, Welcome);
/// #     async fn init((): (), _: &mut Context<Self>) -> Result<Self, Stop> {
/// #         Ok(Self)
/// #     }
/// # }
/// # impl Handle<Greet> for Greeter {
/// #     async fn handle(&mut self, _: Greet, _: &mut Context<Self>) {}
/// # }
/// # impl Handle<Welcome> for Greeter {
/// #     async fn handle(&mut self, _: Welcome, _: &mut Context<Self>) {}
/// # }
/// # let id = horde_transport::NodeId::new(horde_transport::NodeName::new("one").unwrap(), 1);
/// let node = Node::builder(id).runs::<Greeter>(());
/// ```
///
/// A message lies in its mailbox slot as it is, and a slot is as big as the largest message of the process: box what is big.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message",
    label = "not a message",
    note = "write `#[derive(Serialize, Deserialize, Message)]` on it, and `#[message(reply = ..)]` if it has an answer",
    note = "a list of messages is a tuple, with the comma even when it holds one: `type Messages = (Greet,);`"
)]
pub trait Message: Serialize + DeserializeOwned + Send + 'static {
    /// The name on the wire: stable, and unique within a process (two alike do not build).
    const NAME: &'static str;
    /// What a call is answered with.
    type Reply: Serialize + DeserializeOwned + Send + 'static;
}

/// What every message is; the bound that the derive puts on a generic one.
pub trait MessageValue: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> MessageValue for T {}
