//! The lease machine at work.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use horde_transport::{Event, Lane, Network, NodeId, SendError, Subscriber, Topic};
use tokio::sync::Notify;

use crate::View;
use crate::machine::{LeaseOutput, Leases, Standing};
use crate::watch::lock;

/// The topic of lease frames.
pub(crate) const TOPIC: &str = "quorum";

/// Feeds the lease machine, and tells those whose work rests on the lease.
pub(crate) struct LeaseDriver {
    network: Arc<dyn Network>,
    topic: Topic,
    core: Mutex<Core>,
    standing: ArcSwap<Standing>,
    /// Until when this node may act, in microseconds of [`clock`]; 0 while it may not.
    until: AtomicU64,
    wake: Notify,
}

struct Core {
    machine: Leases,
    tenants: BTreeMap<u64, Resting>,
    last: u64,
    armed: Option<Duration>,
}

struct Resting {
    idle: bool,
    changed: Arc<dyn Fn() + Send + Sync>,
}

impl LeaseDriver {
    pub(crate) fn new(machine: Leases, network: Arc<dyn Network>, topic: Topic) -> Arc<Self> {
        Arc::new(Self {
            network,
            topic,
            standing: ArcSwap::new(machine.standing().clone()),
            core: Mutex::new(Core { machine, tenants: BTreeMap::new(), last: 0, armed: None }),
            until: AtomicU64::new(0),
            wake: Notify::new(),
        })
    }

    pub(crate) fn standing(&self) -> Arc<Standing> {
        self.standing.load_full()
    }

    pub(crate) fn may_act(&self) -> bool {
        micros(clock()) < self.until.load(Ordering::Acquire)
    }

    pub(crate) fn members(&self, view: &View) {
        self.with(|machine, now| machine.members(now, view));
    }

    /// Whoever calls this has work that rests on the lease: `changed` is called after each change of the standing.
    pub(crate) fn rest(self: &Arc<Self>, changed: impl Fn() + Send + Sync + 'static) -> LeaseTenant {
        let number = {
            let mut core = lock(&self.core);
            core.last += 1;
            let number = core.last;
            core.tenants.insert(number, Resting { idle: true, changed: Arc::new(changed) });
            number
        };
        self.with(|machine, now| machine.want(now));
        LeaseTenant { driver: self.clone(), number }
    }

    /// Gives the machine one thing to do; publishes under the lock, sends and tells after it.
    fn with(&self, step: impl FnOnce(&mut Leases, Duration)) {
        let (mut frames, mut callbacks) = (Vec::new(), Vec::new());
        let wake = {
            let mut core = lock(&self.core);
            let core = &mut *core;
            let now = clock();
            step(&mut core.machine, now);
            while let Some(output) = core.machine.poll_output() {
                match output {
                    LeaseOutput::Send { to, frame } => frames.push((to, frame)),
                    LeaseOutput::Changed(standing) => {
                        let lost = self.standing.swap(standing.clone()).held && !standing.held;
                        callbacks = core.tenants.values().map(|tenant| tenant.changed.clone()).collect();
                        if lost {
                            core.tenants.values_mut().for_each(|tenant| tenant.idle = false);
                            core.settle(now);
                        }
                    }
                    LeaseOutput::Warn(text) => {
                        tracing::warn!(node = %self.network.local(), topic = TOPIC, "{text}");
                    }
                }
            }
            self.until.store(core.machine.held_until().map_or(0, micros), Ordering::Release);
            let due = core.machine.poll_timeout();
            due.is_some_and(|due| core.armed.is_none_or(|armed| due < armed))
        };
        for (to, frame) in frames {
            self.send(&to, frame);
        }
        for changed in callbacks {
            changed();
        }
        if wake {
            self.wake.notify_one();
        }
    }

    fn send(&self, to: &NodeId, frame: Bytes) {
        match self.network.send(to, &self.topic, Lane::Control, frame) {
            Ok(()) | Err(SendError::NotConnected(_)) => {}
            Err(error) => {
                tracing::warn!(node = %self.network.local(), topic = TOPIC, %error, "heartbeats will heal it");
            }
        }
    }

    /// Keeps time for the machine.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let due = {
                let mut core = lock(&self.core);
                core.armed = core.machine.poll_timeout();
                core.armed
            };
            let pause = due.map(|due| due.saturating_sub(clock()));
            match pause {
                Some(Duration::ZERO) => self.with(|machine, now| machine.handle_timeout(now)),
                // The clock of leases runs through suspend, the timer may not: looked at again once it has fired.
                Some(pause) => drop(tokio::time::timeout(pause, self.wake.notified()).await),
                None => self.wake.notified().await,
            }
        }
    }
}

impl Core {
    /// Tells the machine when nothing that rests on the lease runs any more.
    fn settle(&mut self, now: Duration) {
        if self.tenants.values().all(|tenant| tenant.idle) {
            self.machine.set_idle(now, true);
        }
    }
}

impl Subscriber for LeaseDriver {
    fn event(&self, event: Event) {
        // Requests get no answer here: the responder is dropped, and the asker is told so.
        if let Event::Frame { from, frame, .. } = event {
            self.with(|machine, now| machine.frame(now, &from, &frame));
        }
    }
}

impl fmt::Debug for LeaseDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseDriver").field("standing", &self.standing()).finish_non_exhaustive()
    }
}

/// The part that rests on this node's lease: it hears of changes, stops when the lease is lost, and says when it has.
#[must_use = "dropping it says that nothing rests on the lease"]
#[derive(Debug)]
pub struct LeaseTenant {
    driver: Arc<LeaseDriver>,
    number: u64,
}

impl LeaseTenant {
    /// Nothing that rests on the lease runs here any more. Until all tenants have said so after a loss, the node gets
    /// no new lease.
    pub fn stopped(&self) {
        if let Some(tenant) = lock(&self.driver.core).tenants.get_mut(&self.number) {
            tenant.idle = true;
        }
        self.settle();
    }

    /// Something rests on a life that this node never saw as a member: is it given up? The standing will say.
    pub fn doubt(&self, id: &NodeId) {
        self.driver.with(|machine, now| machine.doubt(now, id));
    }

    fn settle(&self) {
        let all = lock(&self.driver.core).tenants.values().all(|tenant| tenant.idle);
        if all {
            self.driver.with(|machine, now| machine.set_idle(now, true));
        }
    }
}

impl Drop for LeaseTenant {
    fn drop(&mut self) {
        lock(&self.driver.core).tenants.remove(&self.number);
        self.settle();
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The time since boot, suspended time included: a lease must not outlive a sleep that its holder did not notice.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn clock() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
}

/// The wall clock, for want of a monotonic one that runs through suspend: set back, it makes leases longer.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn clock() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}
