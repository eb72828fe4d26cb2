//! Addresses that are dialled until they are undialled.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::close::{Ended, ended};
use super::config::Timing;
use super::endpoint::Inner;
use super::greeting::Greeted;
use super::link::Link;
use super::status::{DialFailure, DialState, DialStatus};
use crate::NodeId;
use crate::dispatch::lock;

/// How long a connection that the peer says stands may take to be seen here.
const SEEN: Duration = Duration::from_secs(1);
/// How long after the end of a connection its address is dialled in quick succession: most outages are short.
const RECENT: Duration = Duration::from_secs(60);
/// Pauses in that time are bounded by so many times the first bound.
const QUICK: u32 = 4;
/// An attempt in that time takes no longer than this or so many round trips, whichever is more: the handshake's own
/// repetitions come ever later, and a new attempt begins anew.
const ATTEMPT: (Duration, u32) = (Duration::from_millis(600), 12);

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
    let mut lost = None;
    loop {
        let standing = inner.links.at(address);
        let outcome = match standing {
            Some(link) => Ok(Greeted::Up(link)),
            None => attempt(&inner, address, insist, recent(lost)).await,
        };
        insist = false;
        let failure = match outcome {
            Ok(Greeted::Up(link)) => {
                attempts = 0;
                lost = Some(stay(&inner, address, &link).await);
                continue;
            }
            Ok(Greeted::Duplicate(id)) => match seen(&inner, &id).await {
                Some(link) => {
                    // The peer is there, and in this life.
                    link.doubt(false);
                    attempts = 0;
                    lost = Some(stay(&inner, address, &link).await);
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
        let attempts = if recent(lost).is_some() { attempts.min(QUICK.ilog2() + 1) } else { attempts };
        tokio::time::sleep(pause(&inner, attempts)).await;
    }
}

/// How long an attempt may take, if a connection to the address ended lately.
fn recent(lost: Option<Lost>) -> Option<Duration> {
    let lost = lost.filter(|lost| lost.at.elapsed() < RECENT)?;
    Some(ATTEMPT.0.max(lost.round_trip * ATTEMPT.1))
}

/// The end of a connection.
#[derive(Debug, Clone, Copy)]
struct Lost {
    at: Instant,
    round_trip: Duration,
}

async fn attempt(
    inner: &Arc<Inner>,
    address: SocketAddr,
    insist: bool,
    limit: Option<Duration>,
) -> Result<Greeted, Ended> {
    let dialled = async {
        let connecting = inner.endpoint.connect(address, "horde.invalid");
        let connecting = connecting.map_err(|error| Ended::Lost(error.to_string()))?;
        let connection = connecting.await.map_err(|error| ended(&error))?;
        inner.greet(connection, insist).await
    };
    let limit = limit.map_or(inner.timing.handshake, |limit| limit.min(inner.timing.handshake));
    tokio::time::timeout(limit, dialled).await.unwrap_or(Err(Ended::NoAnswer))
}

/// Waits until a connection is over, or something speaks against its peer being there.
async fn stay(inner: &Inner, address: SocketAddr, link: &Link) -> Lost {
    inner.dials.set(address, DialState::Connected(link.peer.id.clone()));
    tokio::select! {
        () = link.finished() => {}
        () = link.doubted() => {}
    }
    inner.dials.set(address, DialState::Trying);
    tokio::time::sleep(pause(inner, 1)).await;
    Lost { at: Instant::now(), round_trip: link.connection.rtt() }
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
    bound(&inner.timing, attempts).mul_f64(inner.jitter.share())
}

fn bound(timing: &Timing, attempts: u32) -> Duration {
    timing.redial_min.saturating_mul(1u32 << attempts.saturating_sub(1).min(20)).min(timing.redial_max)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound_and_are_spread_below_it() {
        let bounds = [1, 2, 3, 7, 8, 40, u32::MAX].map(|attempts| bound(&Timing::default(), attempts));
        assert_eq!(bounds.map(|bound| bound.as_millis()), [50, 100, 200, 3200, 5000, 5000, 5000]);
        let jitter = Jitter::new(7);
        let mut tenths = [0; 10];
        for _ in 0..1000 {
            tenths[(jitter.share() * 10.0) as usize] += 1;
        }
        assert!(tenths.iter().all(|&count| (60..140).contains(&count)), "{tenths:?}");
    }
}
