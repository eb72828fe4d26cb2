//! Addresses that are dialled until they are undialled.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::close::{Ended, ended};
use super::endpoint::Inner;
use super::greeting::Greeted;
use super::link::Link;
use super::status::{DialFailure, DialState, DialStatus};
use crate::NodeId;
use crate::dispatch::lock;

/// How long a connection that the peer says stands may take to be seen here.
const SEEN: Duration = Duration::from_secs(1);

/// The addresses and how it goes with them.
#[derive(Debug)]
pub(crate) struct Dials {
    all: Mutex<BTreeMap<SocketAddr, Dial>>,
    changed: watch::Sender<u64>,
}

#[derive(Debug)]
struct Dial {
    state: DialState,
    task: Option<AbortHandle>,
}

impl Default for Dials {
    fn default() -> Self {
        Self { all: Mutex::default(), changed: watch::channel(0).0 }
    }
}

impl Dials {
    pub(crate) fn status(&self) -> Vec<DialStatus> {
        lock(&self.all)
            .iter()
            .map(|(&address, dial)| DialStatus { address, state: dial.state.clone() })
            .collect()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// True when the state is another one than before.
    fn set(&self, address: SocketAddr, state: DialState) -> bool {
        let mut all = lock(&self.all);
        let Some(dial) = all.get_mut(&address) else { return false };
        let news = match (&dial.state, &state) {
            (DialState::Failing { last: before, .. }, DialState::Failing { last, .. }) => before != last,
            (before, now) => before != now,
        };
        dial.state = state;
        drop(all);
        self.changed.send_modify(|count| *count += 1);
        news
    }

    pub(crate) fn remove(&self, address: SocketAddr) {
        let gone = lock(&self.all).remove(&address);
        if let Some(task) = gone.and_then(|dial| dial.task) {
            task.abort();
        }
    }

    pub(crate) fn clear(&self) {
        for (_, dial) in std::mem::take(&mut *lock(&self.all)) {
            if let Some(task) = dial.task {
                task.abort();
            }
        }
    }
}

/// Starts to dial `address`, if it is not dialled already.
pub(crate) fn start(inner: &Arc<Inner>, address: SocketAddr) {
    let mut all = lock(&inner.dials.all);
    if all.contains_key(&address) {
        return;
    }
    let task = inner.runtime.spawn(run(inner.clone(), address)).abort_handle();
    all.insert(address, Dial { state: DialState::Trying, task: Some(task) });
}

async fn run(inner: Arc<Inner>, address: SocketAddr) {
    let (mut attempts, mut insist) = (0, false);
    loop {
        let standing = inner.links.at(address);
        let outcome = match standing {
            Some(link) => Ok(Greeted::Up(link)),
            None => attempt(&inner, address, insist).await,
        };
        insist = false;
        let failure = match outcome {
            Ok(Greeted::Up(link)) => {
                attempts = 0;
                stay(&inner, address, &link).await;
                continue;
            }
            Ok(Greeted::Duplicate(id)) => match seen(&inner, &id).await {
                Some(link) => {
                    attempts = 0;
                    stay(&inner, address, &link).await;
                    continue;
                }
                None => {
                    insist = true;
                    DialFailure::from(Ended::Duplicate)
                }
            },
            Err(Ended::Yourself) => {
                inner.dials.set(address, DialState::Yourself);
                tracing::debug!(%address, "this node dialled itself");
                return;
            }
            Err(ended) => DialFailure::from(ended),
        };
        attempts += 1;
        let text = failure.to_string();
        let node = inner.dispatch.local();
        if inner.dials.set(address, DialState::Failing { attempts, last: failure }) {
            tracing::warn!(%node, "peer {address} {text}");
        } else {
            tracing::debug!(%node, attempts, "peer {address} {text}");
        }
        tokio::time::sleep(pause(&inner, attempts)).await;
    }
}

async fn attempt(inner: &Arc<Inner>, address: SocketAddr, insist: bool) -> Result<Greeted, Ended> {
    let dialled = async {
        let connecting = inner.endpoint.connect(address, "horde.invalid");
        let connecting = connecting.map_err(|error| Ended::Lost(error.to_string()))?;
        let connection = connecting.await.map_err(|error| ended(&error))?;
        inner.greet(connection, insist).await
    };
    tokio::time::timeout(inner.timing.handshake, dialled).await.unwrap_or(Err(Ended::NoAnswer))
}

/// Waits until a connection is over.
async fn stay(inner: &Inner, address: SocketAddr, link: &Link) {
    inner.dials.set(address, DialState::Connected(link.peer.id.clone()));
    link.finished().await;
    inner.dials.set(address, DialState::Trying);
    tokio::time::sleep(pause(inner, 1)).await;
}

/// The connection to `id`, which the peer says stands.
async fn seen(inner: &Inner, id: &NodeId) -> Option<Arc<Link>> {
    let mut changes = inner.links.changes();
    let wait = async {
        loop {
            if let Some(link) = inner.links.get(id).filter(|link| link.is_live()) {
                return Some(link);
            }
            changes.changed().await.ok()?;
        }
    };
    tokio::time::timeout(SEEN, wait).await.ok().flatten()
}

/// Full jitter: a random pause below a bound that doubles with each attempt.
fn pause(inner: &Inner, attempts: u32) -> Duration {
    let (min, max) = (inner.timing.redial_min, inner.timing.redial_max);
    let bound = min.saturating_mul(1u32 << (attempts - 1).min(20)).min(max);
    bound.mul_f64(inner.jitter.share())
}

/// Random shares from one seed (splitmix64): good enough to keep dials apart, and the same again in a simulation.
#[derive(Debug)]
pub(crate) struct Jitter(AtomicU64);

impl Jitter {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// The next share, at least 0 and below 1.
    fn share(&self) -> f64 {
        let step = 0x9e37_79b9_7f4a_7c15_u64;
        let mut mixed = self.0.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 11) as f64 / (1u64 << 53) as f64
    }
}
