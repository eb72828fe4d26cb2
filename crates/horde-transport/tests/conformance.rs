//! What every [`Network`] must do, run against each implementation.
#![cfg(any(feature = "memory", feature = "quic"))]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[macro_use]
#[path = "common/conform.rs"]
mod conform;
#[path = "common/recorder.rs"]
#[expect(dead_code, reason = "shared by several test binaries")]
mod recorder;

#[cfg(feature = "quic")]
#[path = "common/mesh.rs"]
mod mesh;

#[cfg(feature = "memory")]
mod memory {
    use std::time::Duration;

    use super::conform::{self, Made, Pair};
    use crate::recorder::id;

    fn pair() -> Made {
        Box::pin(async {
            let network = horde_transport::MemoryNetwork::new();
            let (one, two) = (network.attach(id("one", 1)), network.attach(id("two", 1)));
            let cut = Box::new(move || network.cut(&id("one", 1), &id("two", 1)));
            Pair { one, two, cut }
        })
    }

    everything!(tokio::test, pair);
}

#[cfg(feature = "quic")]
mod quic {
    use std::sync::Arc;
    use std::time::Duration;

    use super::conform::{self, Made, Pair};
    use crate::mesh::{connect, node};

    fn pair() -> Made {
        Box::pin(async {
            let (one, two) = (node("one"), node("two"));
            connect(&one, &two).await;
            let (from, address) = (Arc::downgrade(&one), two.local_addr());
            let cut = Box::new(move || {
                if let Some(one) = from.upgrade() {
                    one.cut(address, true);
                }
            });
            Pair { one, two, cut }
        })
    }

    everything!(tokio::test, pair);

    /// On a runtime of two threads: readers, writers and the node's task run at once.
    mod on_two_threads {
        use std::time::Duration;

        use super::super::conform;
        use super::pair;

        everything!(tokio::test(flavor = "multi_thread", worker_threads = 2), pair);
    }
}
