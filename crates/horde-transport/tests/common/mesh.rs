//! QUIC nodes on loopback.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use horde_transport::{ClusterKey, Identity, Network, NodeName, Quic, QuicConfig};

use crate::recorder::SOON;

/// The key of the tests' cluster, derived once.
pub(crate) fn key() -> ClusterKey {
    static KEY: OnceLock<ClusterKey> = OnceLock::new();
    KEY.get_or_init(|| ClusterKey::from_secret("tests", "a secret of the tests, long enough").unwrap())
        .clone()
}

/// A node with short timeouts, on a free port.
pub(crate) fn config(name: &str) -> QuicConfig {
    let identity = Identity::secret(&key());
    let mut config = QuicConfig::new(NodeName::new(name).unwrap(), ([127, 0, 0, 1], 0).into(), identity);
    config.incarnation = 1;
    config.timing.idle_timeout = Duration::from_millis(600);
    config.timing.keep_alive = Duration::from_millis(200);
    config
}

pub(crate) fn node(name: &str) -> Arc<Quic> {
    Quic::bind(config(name)).unwrap()
}

/// Waits until `condition` holds of `quic`'s peers.
pub(crate) async fn until(quic: &Quic, what: &str, condition: impl Fn(&Quic) -> bool) {
    let deadline = SOON;
    let wait = async {
        while !condition(quic) {
            tokio::time::sleep(Duration::from_millis(2)).await; // tidy: sleep, a status has no event
        }
    };
    assert!(
        tokio::time::timeout(deadline, wait).await.is_ok(),
        "{what}: {:?} {:?}",
        quic.peers(),
        quic.dial_status()
    );
}

/// Dials, and waits until both sides are connected.
pub(crate) async fn connect(from: &Quic, to: &Quic) {
    from.dial(to.local_addr());
    let linked = |one: &Quic, other: &Quic| one.peers().iter().any(|peer| peer.id == *other.local());
    until(from, "the dialler is connected", |from| linked(from, to)).await;
    until(to, "the dialled is connected", |to| linked(to, from)).await;
}
