//! Whether a node's user code runs: watched from the control thread, told to all members.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use horde_transport::NodeId;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::{Cluster, Member, Meta, View};

/// The label under which a member tells its lag, in milliseconds. Reserved: a label of the user's under this name is
/// overwritten.
const LABEL: &str = "horde.lag_ms";
/// A probe is sent this long after the one before came back.
const PERIOD: Duration = Duration::from_millis(200);
/// A lag from here on is told to all members: the node is degraded.
const DEGRADED: Duration = Duration::from_secs(1);
/// It is told anew when it has grown by this share, so that a long one costs few messages.
const GROWN: f64 = 1.25;

/// Probes a runtime of user code from the control thread, and tells all members when it does not answer.
///
/// A task that only notes the time is spawned onto the runtime every 200 ms. When all its workers are blocked by user code
/// no probe comes back: the time since then is the *lag*. Heartbeats go on, since they run on a thread of their own; but
/// from 1 s of lag on the members are told that this node is alive and stuck ([`Member::lag`]), until a probe comes back.
/// It travels with the node's meta, whose version each heartbeat carries, so that no member misses it for long.
///
/// Dropped, it stops; what was told last stays.
pub struct LagWatch {
    task: AbortHandle,
    lag_us: Arc<AtomicU64>,
}

impl LagWatch {
    /// Watches `user` on behalf of the local node of `cluster`, until it is dropped or that runtime is shut down.
    #[must_use]
    pub fn start(cluster: &Cluster, user: &Handle) -> Self {
        let lag_us = Arc::new(AtomicU64::new(0));
        let watch = watch(cluster.clone(), user.clone(), lag_us.clone());
        Self { task: cluster.control().handle().spawn(watch).abort_handle(), lag_us }
    }

    /// How long the last probe took, or has taken so far.
    #[must_use]
    pub fn lag(&self) -> Duration {
        Duration::from_micros(self.lag_us.load(Ordering::Relaxed))
    }
}

impl Drop for LagWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for LagWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LagWatch").field("lag", &self.lag()).finish()
    }
}

async fn watch(cluster: Cluster, user: Handle, lag_us: Arc<AtomicU64>) {
    let mut told = None;
    loop {
        let (probe, mut back) = oneshot::channel();
        let sent = Instant::now();
        user.spawn(async move {
            let _watch_ended = probe.send(());
        });
        loop {
            let answer = timeout(PERIOD, &mut back).await;
            let lag = sent.elapsed();
            lag_us.store(u64::try_from(lag.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
            match answer {
                Ok(Ok(())) => break,
                // The runtime is shut down: there is no user code any more.
                Ok(Err(_dropped)) => return,
                Err(_late) => grow(&cluster, &mut told, lag),
            }
        }
        recover(&cluster, &mut told, sent.elapsed());
        sleep(PERIOD).await;
    }
}

fn grow(cluster: &Cluster, told: &mut Option<Duration>, lag: Duration) {
    if lag < told.map_or(DEGRADED, |told| told.mul_f64(GROWN)) {
        return;
    }
    if told.is_none() {
        let node = cluster.local();
        tracing::warn!(%node, ?lag, "the runtime of user code does not run: does a process block its threads? Members are told");
    }
    *told = Some(lag);
    cluster.update_meta(|meta| set(meta, Some(lag)));
}

fn recover(cluster: &Cluster, told: &mut Option<Duration>, lag: Duration) {
    if told.take().is_some() {
        tracing::info!(node = %cluster.local(), ?lag, "the runtime of user code runs again");
        cluster.update_meta(|meta| set(meta, None));
    }
}

fn set(meta: &mut Meta, lag: Option<Duration>) {
    match lag {
        Some(lag) => _ = meta.labels.insert(LABEL.to_owned(), lag.as_millis().to_string()),
        None => _ = meta.labels.remove(LABEL),
    }
}

impl Member {
    /// How long the member's user code had not run when it told so last; none while it runs. See [`LagWatch`].
    #[must_use]
    pub fn lag(&self) -> Option<Duration> {
        let lag = self.meta.labels.get(LABEL)?;
        lag.parse().ok().map(Duration::from_millis)
    }

    /// Whether the member is alive and stuck: nothing new should be placed there.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.lag().is_some()
    }
}

impl View {
    /// The alive members whose user code does not run, and for how long.
    pub fn degraded(&self) -> impl Iterator<Item = (&NodeId, Duration)> {
        self.alive().filter_map(|member| Some((&member.id, member.lag()?)))
    }
}
