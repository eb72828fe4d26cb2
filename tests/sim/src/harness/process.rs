//! What a process is here.

use horde_process::{CallError, ExitReason, Message, State, Stop, decode, encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Context;

/// A process as the simulator runs it: as `horde_process::Process`, without tokio.
///
/// Each function returns at once, in virtual time too, except for what [`Context::takes`] says of an `init`. A panic in one of
/// them ends the process as it ends a real one. Nothing in it may come from outside, such as a clock or a random number: ask
/// the [`Context`], or two runs of one seed differ, which [`explore`](super::explore) reports.
pub trait Process: Sized + 'static {
    /// As that of the real process: it stands in child specs, and nodes tell each other what they run.
    const KIND: &'static str;
    /// What a child is started with.
    type Args: Serialize + DeserializeOwned;
    /// The messages it takes: a tuple of up to eight, each of which it handles.
    type Messages: Messages<Self>;

    /// Starts. It already has its name; calls that come meanwhile wait.
    ///
    /// # Errors
    /// A [`Stop`]: the process does not run. `?` makes one from any error.
    fn init(args: Self::Args, cx: &mut Context<Self>) -> Result<Self, Stop>;

    /// Runs on every orderly end; not after a panic or a kill.
    fn terminate(&mut self, reason: &ExitReason, cx: &mut Context<Self>) {
        let _ = (reason, cx);
    }

    /// State for the copy that takes over, when this one ends to run elsewhere, before `terminate`. `None` hands over nothing.
    fn handoff(&mut self, cx: &mut Context<Self>) -> Option<State> {
        let _ = cx;
        None
    }

    /// Starts with the state of the copy before. An error means a fresh `init`.
    ///
    /// # Errors
    /// A [`Stop`]: `init` is asked next.
    fn resume(args: Self::Args, state: State, cx: &mut Context<Self>) -> Result<Self, Stop> {
        let _ = state;
        Self::init(args, cx)
    }
}

/// Answers a message by returning.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle `{M}`",
    note = "write `impl Handle<{M}> for {Self}`, and put `{M}` into its `Messages`"
)]
pub trait Handle<M: Message>: Process {
    /// Handles the message; what it returns is the answer.
    fn handle(&mut self, message: M, cx: &mut Context<Self>) -> M::Reply;
}

/// A list of messages: a tuple of up to eight.
pub trait Messages<P> {
    #[doc(hidden)]
    fn handle(process: &mut P, name: &str, bytes: &[u8], cx: &mut Context<P>) -> Result<Vec<u8>, CallError>
    where
        P: Process;
}

fn serve<P: Handle<M>, M: Message>(
    process: &mut P,
    bytes: &[u8],
    cx: &mut Context<P>,
) -> Result<Vec<u8>, CallError> {
    let message: M = decode(bytes)
        .map_err(|error| CallError::BadPayload { message: M::NAME.to_owned(), why: error.to_string() })?;
    let answer = process.handle(message, cx);
    encode(&answer).map_err(|error| CallError::BadReply(error.to_string()))
}

macro_rules! lists {
    ($($message:ident)*) => {
        impl<P: Process $(+ Handle<$message>)*, $($message: Message),*> Messages<P> for ($($message,)*) {
            fn handle(process: &mut P, name: &str, bytes: &[u8], cx: &mut Context<P>) -> Result<Vec<u8>, CallError> {
                $(if name == $message::NAME {
                    return serve::<P, $message>(process, bytes, cx);
                })*
                let _ = (process, bytes, cx);
                Err(CallError::UnknownMessage { message: name.to_owned() })
            }
        }
    };
}

lists!();
lists!(A);
lists!(A B);
lists!(A B C);
lists!(A B C D);
lists!(A B C D E);
lists!(A B C D E F);
lists!(A B C D E F G);
lists!(A B C D E F G H);
