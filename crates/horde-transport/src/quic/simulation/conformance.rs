//! The conformance tests, over sockets in memory under the paused clock.

#[macro_use]
#[path = "../../../tests/common/conform.rs"]
mod conform;
#[path = "../../../tests/common/recorder.rs"]
#[expect(dead_code, reason = "shared with the tests of the outside")]
mod recorder;

use super::network::{SimNetwork, address};
use super::{meshed, start};
use crate::Network;

async fn pair(loss: u64) -> conform::Pair {
    let network = SimNetwork::new(7, loss);
    let nodes = [start(&network, 0, 7), start(&network, 1, 7)];
    nodes[0].quic.dial(address(1));
    super::until_meshed(&nodes, "both meet").await;
    assert!(meshed(&nodes));
    let [one, two] = nodes.map(|node| node.quic);
    conform::Pair { one, two, cut: Box::new(move || network.cut(true)) }
}

mod without_loss {
    use std::time::Duration;

    use super::conform::{self, Made};

    fn pair() -> Made {
        Box::pin(super::pair(0))
    }

    everything!(tokio::test(start_paused = true), pair);
}

mod with_a_twentieth_lost {
    use std::time::Duration;

    use super::conform::{self, Made};

    fn pair() -> Made {
        Box::pin(super::pair(5))
    }

    everything!(tokio::test(start_paused = true), pair);
}
