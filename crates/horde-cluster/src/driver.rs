//! Feeds the membership machine and does what it says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use horde_transport::{Event, Lane, Network, SendError, Subscriber, Topic};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::alarm::Alarm;
use crate::machine::{Input, Membership, Output};
use crate::watch::{Watchers, lock};
use crate::{MemberEvent, View};

/// The topic of membership frames.
pub(crate) const TOPIC: &str = "membership";

/// One node's membership at work.
///
/// ```text
///   network's thread --- event ---+
///   handles --- local change -----+--> machine (locked for one input) --> frames, dials: at once, unlocked
///   driver's task --- time -------+                 |
///                                                   +--> view: published at once; events: the driver's task tells
///                                                        the watchers, on the control thread
/// ```
#[derive(Debug)]
pub(crate) struct Driver {
    me: Weak<Driver>,
    network: Arc<dyn Network>,
    topic: Topic,
    epoch: Instant,
    core: Mutex<Core>,
    wake: Notify,
    alarm: Option<Alarm>,
    view: ArcSwap<View>,
    versions: watch::Sender<u64>,
    pub(crate) watchers: Arc<Watchers>,
    max_events: usize,
}

#[derive(Debug)]
struct Core {
    machine: Membership,
    /// When the driver's task will look again by itself.
    armed: Option<Duration>,
    events: VecDeque<(MemberEvent, Arc<View>)>,
}

impl Driver {
    /// `machine` was made at time zero.
    pub(crate) fn new(
        machine: Membership,
        network: Arc<dyn Network>,
        topic: Topic,
        max_events: usize,
    ) -> Arc<Self> {
        let view = ArcSwap::new(machine.view().clone());
        let driver = Arc::new_cyclic(|me| Self {
            me: me.clone(),
            network,
            topic,
            epoch: Instant::now(),
            core: Mutex::new(Core { machine, armed: None, events: VecDeque::new() }),
            wake: Notify::new(),
            alarm: Alarm::start(Self::woken(me.clone())),
            view,
            versions: watch::Sender::new(0),
            watchers: Arc::default(),
            max_events,
        });
        driver.with(|_, _| ());
        driver
    }

    /// Lets the driver's task look again.
    fn woken(driver: Weak<Self>) -> impl Fn() + Send + 'static {
        move || {
            if let Some(driver) = driver.upgrade() {
                driver.wake.notify_one();
            }
        }
    }

    pub(crate) fn network(&self) -> &Arc<dyn Network> {
        &self.network
    }

    pub(crate) fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// Changes when a view is published.
    pub(crate) fn versions(&self) -> watch::Receiver<u64> {
        self.versions.subscribe()
    }

    pub(crate) fn input(&self, input: Input) {
        self.with(|machine, now| machine.handle(now, input));
    }

    /// Gives the machine one thing to do, publishes, unlocks, and performs the rest.
    pub(crate) fn with<T>(&self, step: impl FnOnce(&mut Membership, Duration) -> T) -> T {
        let mut outputs = Vec::new();
        let (result, wake) = {
            let mut core = lock(&self.core);
            let core = &mut *core;
            let result = step(&mut core.machine, self.epoch.elapsed());
            let mut wake = false;
            while let Some(output) = core.machine.poll_output() {
                match output {
                    Output::Publish { view, events } => {
                        self.publish(core, view, events);
                        wake = true;
                    }
                    other => outputs.push(other),
                }
            }
            let due = core.machine.poll_timeout();
            wake |= due.is_some_and(|due| core.armed.is_none_or(|armed| due < armed));
            (result, wake)
        };
        for output in outputs {
            self.perform(output);
        }
        if wake {
            self.wake.notify_one();
        }
        result
    }

    fn publish(&self, core: &mut Core, view: Arc<View>, events: Vec<MemberEvent>) {
        self.view.store(view.clone());
        self.versions.send_replace(view.version);
        core.events.extend(events.into_iter().map(|event| (event, view.clone())));
        let over = core.events.len().saturating_sub(self.max_events);
        if over > 0 {
            core.events.drain(..over);
            tracing::error!(node = %view.local, dropped = over, "watchers are too slow: their oldest events are dropped");
        }
    }

    fn perform(&self, output: Output) {
        match output {
            Output::Send { to, frame } => match self.network.send(&to, &self.topic, Lane::Control, frame) {
                Ok(()) | Err(SendError::NotConnected(_)) => {}
                Err(error) => {
                    tracing::warn!(node = %self.network.local(), topic = TOPIC, %error, "heartbeats will heal it")
                }
            },
            Output::Probe { to, probe, frame, timeout } => {
                let driver = self.me.clone();
                let on_reply = Box::new(move |reply: Result<bytes::Bytes, _>| {
                    if let Some(driver) = driver.upgrade() {
                        driver.input(Input::Probed { probe, answered: reply.is_ok() });
                    }
                });
                self.network.request(&to, &self.topic, frame, timeout, on_reply);
            }
            Output::Dial(address) => self.network.dial(address),
            Output::Undial(address) => self.network.undial(address),
            Output::Disconnect { peer, why } => self.network.disconnect(&peer, &why),
            Output::Warn(warning) => tracing::warn!(node = %self.network.local(), topic = TOPIC, "{warning}"),
            Output::Publish { .. } => debug_assert!(false, "views are published under the lock, in order"),
        }
    }

    /// The driver's task: tell the watchers, then wait for time or for news.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            self.tell_watchers();
            let (due, urgent) = {
                let mut core = lock(&self.core);
                core.armed = core.machine.poll_timeout();
                (core.armed, core.machine.is_urgent())
            };
            match due {
                Some(due) => {
                    let due = self.epoch + due;
                    if let Some(alarm) = self.alarm.as_ref().filter(|_| urgent) {
                        alarm.set(due.into_std());
                    }
                    if tokio::time::timeout_at(due, self.wake.notified()).await.is_err()
                        || Instant::now() >= due
                    {
                        self.with(|machine, now| machine.handle_timeout(now));
                    }
                }
                None => self.wake.notified().await,
            }
        }
    }

    fn tell_watchers(&self) {
        loop {
            let next = lock(&self.core).events.pop_front();
            let Some((event, view)) = next else { return };
            self.watchers.tell(&[event], &view);
        }
    }
}

impl Subscriber for Driver {
    fn event(&self, event: Event) {
        match event {
            Event::Up(peer) => self.input(Input::PeerUp(peer)),
            Event::Down { peer, reason } => self.input(Input::PeerDown { peer, reason }),
            Event::CrashHint { peer } => self.input(Input::CrashHint { peer }),
            Event::Frame { from, lane: _, frame } => self.input(Input::Frame { from, frame }),
            Event::Request { from: _, frame, timeout: _, responder } => {
                let answer = lock(&self.core).machine.answer(&frame);
                // Without an answer the responder is dropped, and the asker is told so.
                if let Some(answer) = answer {
                    responder.send(answer);
                }
            }
            other => {
                tracing::debug!(node = %self.network.local(), ?other, "an event that membership does not know")
            }
        }
    }
}
