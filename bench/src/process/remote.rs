//! A call to a process of another node: loopback QUIC, each node's network on a thread of its own.

use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use horde_process::{Node, Ref};
use horde_transport::{ClusterKey, Identity, Network, NodeName, Quic, QuicConfig};
use tokio::runtime::Runtime;

use super::ours::{Ask, Sum};
use super::{inside, runtime};

/// A caller's node and another that runs one process.
pub(super) struct Pair {
    runtime: Runtime,
    caller: Ref<Sum>,
    _nodes: [Node; 2],
}

fn network(key: &ClusterKey, name: &str) -> io::Result<Arc<Quic>> {
    let name = NodeName::new(name).map_err(io::Error::other)?;
    let config = QuicConfig::new(name, ([127, 0, 0, 1], 0).into(), Identity::secret(key));
    let (started, start) = mpsc::channel();
    std::thread::spawn(move || {
        let control = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        control.block_on(async {
            let _told = started.send(Quic::bind(config));
            std::future::pending::<()>().await;
        });
    });
    start.recv().map_err(io::Error::other)?.map_err(io::Error::other)
}

impl Pair {
    pub(super) fn start() -> io::Result<Self> {
        let secret = "a secret of the benchmarks, long enough";
        let key = ClusterKey::from_secret("bench", secret).map_err(io::Error::other)?;
        let (one, two) = (network(&key, "one")?, network(&key, "two")?);
        one.dial(two.local_addr());
        let deadline = Instant::now() + Duration::from_secs(30);
        while one.peers().is_empty() || two.peers().is_empty() {
            assert!(Instant::now() < deadline, "not connected");
            std::thread::sleep(Duration::from_millis(1));
        }
        let runtime = runtime();
        let (nodes, caller) = inside(&runtime, async move {
            let node = |network: Arc<Quic>| {
                Node::builder(network.local().clone())
                    .network(network)
                    .runs::<Sum>(())
                    .start()
                    .expect("a node")
            };
            let nodes = [node(one), node(two)];
            let far = nodes[1].spawn::<Sum>(()).await.expect("a process");
            let caller = Ref::<Sum>::new(&nodes[0], &far);
            (nodes, caller)
        });
        Ok(Self { runtime, caller, _nodes: nodes })
    }

    /// The median time of one call, one in flight, from a task of the caller's runtime, in us.
    pub(super) fn call(&self, count: usize) -> f64 {
        let caller = self.caller.clone();
        inside(&self.runtime, async move {
            let mut times = Vec::with_capacity(count);
            for _ in 0..count {
                let start = Instant::now();
                caller.call(Ask(1)).await.expect("an answer");
                times.push(start.elapsed());
            }
            times.sort_unstable();
            times[count / 2].as_secs_f64() * 1e6
        })
    }
}
