//! The list of messages of a process: a tuple, and the mailbox slot that it becomes.

use std::future::Future;

use crate::codec;
use crate::reply::WireReply;
use crate::{CodecError, Context, Message, Process, Reply, Serve};

/// The messages a process takes: a tuple of up to 16. Sealed in practice (hidden items).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a list of messages that `{P}` takes",
    label = "not a list of messages",
    note = "a list is a tuple of up to 16 messages, with the comma even when it holds one: `type Messages = (Greet,);`",
    note = "`{P}` implements `Handle` for each of them"
)]
pub trait Messages<P: Process>: 'static {
    #[doc(hidden)]
    type Slot: Send + 'static;
    #[doc(hidden)]
    const NAMES: &'static [&'static str];
    #[doc(hidden)]
    fn serve(slot: Self::Slot, process: &mut P, cx: &mut Context<P>) -> impl Future<Output = ()> + Send;
    #[doc(hidden)]
    fn is_abandoned(slot: &Self::Slot) -> bool;
    #[doc(hidden)]
    fn decode(index: usize, payload: &[u8], reply: Wired) -> Result<Self::Slot, (Wired, CodecError)>;
}

/// `M` is in the list of `P`. Solved by the compiler; `At` is the place in the tuple and is never written.
#[diagnostic::on_unimplemented(
    message = "`{P}` does not take `{M}`",
    label = "not in `<{P} as Process>::Messages`",
    note = "put `{M}` into `type Messages` of `{P}` and write `impl Handle<{M}> for {P}`"
)]
pub trait Lists<P: Process, M: Message, At>: Messages<P> {
    #[doc(hidden)]
    fn slot(message: M, reply: Reply<M::Reply>) -> Self::Slot;
}

/// Who waits for the answer to a message in bytes; nobody for a cast.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "hidden: users never name it")]
pub struct Wired(pub(crate) Option<WireReply>);

/// True if no two of `names` are alike and each has 1 to 64 bytes.
pub(crate) const fn are_names(names: &[&str]) -> bool {
    let mut at = 0;
    while at < names.len() {
        if names[at].is_empty() || names[at].len() > 64 {
            return false;
        }
        let mut other = at + 1;
        while other < names.len() {
            if same(names[at].as_bytes(), names[other].as_bytes()) {
                return false;
            }
            other += 1;
        }
        at += 1;
    }
    true
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// No messages: a process of timers and helpers, or a future.
#[diagnostic::do_not_recommend]
impl<P: Process> Messages<P> for () {
    type Slot = std::convert::Infallible;

    const NAMES: &'static [&'static str] = &[];

    async fn serve(slot: Self::Slot, _: &mut P, _: &mut Context<P>) {
        match slot {}
    }

    fn is_abandoned(slot: &Self::Slot) -> bool {
        match *slot {}
    }

    fn decode(_: usize, _: &[u8], reply: Wired) -> Result<Self::Slot, (Wired, CodecError)> {
        Err((reply, CodecError::new("no such message")))
    }
}

macro_rules! tuple {
    ($Slot:ident: $($M:ident $At:literal),+) => {
        #[doc(hidden)]
        #[expect(missing_debug_implementations, reason = "hidden: users never name it")]
        pub enum $Slot<$($M: Message),+> {
            $($M($M, Reply<$M::Reply>)),+
        }

        // Recommended, unlike the others: else rustc says less of a missing handler.
        impl<P: Process, $($M: Message),+> Messages<P> for ($($M,)+)
        where
            $(P: Serve<$M>),+
        {
            type Slot = $Slot<$($M),+>;

            const NAMES: &'static [&'static str] = {
                let names = &[$($M::NAME),+];
                assert!(are_names(names), "two messages of one process have the same NAME, or one has none or over 64 bytes");
                names
            };

            async fn serve(slot: Self::Slot, process: &mut P, cx: &mut Context<P>) {
                match slot {
                    $($Slot::$M(message, reply) => process.serve(message, reply, cx).await),+
                }
            }

            fn is_abandoned(slot: &Self::Slot) -> bool {
                match slot {
                    $($Slot::$M(_, reply) => reply.is_abandoned()),+
                }
            }

            fn decode(index: usize, payload: &[u8], reply: Wired) -> Result<Self::Slot, (Wired, CodecError)> {
                match index {
                    $($At => match codec::decode(payload) {
                        Ok(message) => Ok($Slot::$M(message, Reply::wire(reply.0))),
                        Err(error) => Err((reply, error)),
                    },)+
                    // The index comes from NAMES, which is as long.
                    _ => Err((reply, CodecError::new("no such message"))),
                }
            }
        }

        tuple!(@lists $Slot [$($M),+] $($M $At),+);
    };
    (@lists $Slot:ident $all:tt $($M:ident $At:literal),+) => {
        $(tuple!(@one $Slot $all $M $At);)+
    };
    (@one $Slot:ident [$($All:ident),+] $M:ident $At:literal) => {
        #[diagnostic::do_not_recommend]
        impl<P: Process, $($All: Message),+> Lists<P, $M, At<$At>> for ($($All,)+)
        where
            $(P: Serve<$All>),+
        {
            fn slot(message: $M, reply: Reply<$M::Reply>) -> Self::Slot {
                $Slot::$M(message, reply)
            }
        }
    };
}

/// A place in a list.
#[doc(hidden)]
#[derive(Debug)]
pub struct At<const PLACE: usize>;

tuple!(Slot1: A 0);
tuple!(Slot2: A 0, B 1);
tuple!(Slot3: A 0, B 1, C 2);
tuple!(Slot4: A 0, B 1, C 2, D 3);
tuple!(Slot5: A 0, B 1, C 2, D 3, E 4);
tuple!(Slot6: A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(Slot7: A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(Slot8: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuple!(Slot9: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuple!(Slot10: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuple!(Slot11: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuple!(Slot12: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
tuple!(Slot13: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12);
tuple!(Slot14: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13);
tuple!(Slot15: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14);
tuple!(Slot16: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14, Q 15);
