//! Full mailboxes and late calls across nodes; large answers over real QUIC.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/common.rs"]
mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{id, within};
use horde_process::{CallError, Context, Handle, Message, Node, Process, Ref, Stop};
use horde_transport::{ClusterKey, Identity, MemoryNetwork, Network, NodeName, Quic, QuicConfig};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

/// Waits for a permit, then counts itself.
#[derive(Serialize, Deserialize, Message)]
#[message(reply = u32, crate = "horde_process")]
struct Count;

#[derive(Serialize, Deserialize, Message)]
#[message(reply = String, crate = "horde_process")]
struct Fill {
    bytes: usize,
}

struct Gate {
    counted: u32,
}

impl Process for Gate {
    const KIND: &'static str = "gate";
    const MAILBOX: usize = 2;
    type Args = ();
    type Deps = Arc<Semaphore>;
    type Messages = (Count, Fill);

    async fn init((): (), _: &mut Context<Self>) -> Result<Self, Stop> {
        Ok(Self { counted: 0 })
    }
}

impl Handle<Count> for Gate {
    async fn handle(&mut self, _: Count, cx: &mut Context<Self>) -> u32 {
        cx.deps().acquire().await.unwrap().forget();
        self.counted += 1;
        self.counted
    }
}

impl Handle<Fill> for Gate {
    async fn handle(&mut self, fill: Fill, _: &mut Context<Self>) -> String {
        "x".repeat(fill.bytes)
    }
}

fn on(network: Arc<dyn Network>, permits: &Arc<Semaphore>) -> Node {
    let id = network.local().clone();
    Node::builder(id).network(network).runs::<Gate>(Arc::clone(permits)).start().unwrap()
}

#[tokio::test]
async fn a_late_call_of_another_node_is_dropped_unhandled_and_those_in_time_wait_for_room() {
    let (network, permits) = (MemoryNetwork::new(), Arc::new(Semaphore::new(0)));
    let [one, two] = ["one", "two"].map(|name| on(network.attach(id(name)), &permits));
    let gate = Ref::<Gate>::new(&one, two.spawn::<Gate>(()).await.unwrap());
    gate.cast(Count).unwrap();
    // The gate holds the first; this one finds its time over when its turn comes.
    let patience = Duration::from_millis(20);
    assert_eq!(within(gate.call(Count).timeout(patience)).await, Err(CallError::Timeout(patience)));
    // Two have room, two wait for it, the fifth finds the line as long as the mailbox.
    let waits: Vec<_> = (0..5).map(|_| tokio::spawn(gate.call(Count))).collect();
    let mut outcomes = Vec::new();
    while !waits.iter().any(tokio::task::JoinHandle::is_finished) {
        tokio::task::yield_now().await;
    }
    permits.add_permits(10);
    for wait in waits {
        outcomes.push(within(wait).await.unwrap());
    }
    let full = outcomes.iter().filter(|outcome| matches!(outcome, Err(CallError::Full(_)))).count();
    let mut counted: Vec<u32> = outcomes.iter().flatten().copied().collect();
    counted.sort_unstable();
    assert!(full >= 1, "{outcomes:?}");
    // Each that was handled was handled once; the late one was not.
    assert_eq!(counted, (2..2 + counted.len() as u32).collect::<Vec<_>>());
    let handled = 1 + counted.len();
    assert_eq!(permits.available_permits(), 10 - handled);
}

fn quic(key: &ClusterKey, name: &str) -> Arc<Quic> {
    let config =
        QuicConfig::new(NodeName::new(name).unwrap(), ([127, 0, 0, 1], 0).into(), Identity::secret(key));
    Quic::bind(config).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_answer_comes_on_a_stream_of_its_own_and_one_over_the_limit_is_said_not_to_come() {
    let key = ClusterKey::from_secret("test", "a secret of the tests, long enough").unwrap();
    let [from, to] = ["one", "two"].map(|name| quic(&key, name));
    from.dial(to.local_addr());
    within(async {
        while from.peers().is_empty() || to.peers().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let permits = Arc::new(Semaphore::new(1000));
    let (one, two) = (on(from, &permits), on(to, &permits));
    let [big, small] = [(), ()].map(|()| two.spawn::<Gate>(()));
    let (big, small) = (big.await.unwrap(), small.await.unwrap());
    let (big, small) = (Ref::<Gate>::new(&one, &big), Ref::<Gate>::new(&one, &small));
    let bytes = 12 << 20;
    let large = tokio::spawn(big.call(Fill { bytes }).timeout(Duration::from_secs(60)));
    assert_eq!(within(small.call(Count)).await, Ok(1));
    let text = large.await.unwrap().unwrap();
    assert_eq!(text.len(), bytes);
    // Beyond the network's limit, 16 MiB, there is no answer, and it is said.
    let over = big.call(Fill { bytes: 17 << 20 }).timeout(Duration::from_secs(60)).await;
    assert_eq!(over, Err(CallError::NoReply));
    assert_eq!(within(small.call(Count)).await, Ok(2));
}
