//! What goes wrong by itself.

use std::time::Duration;

use crate::Rng;
use crate::cluster::{Faults as Often, Plan};

/// What goes wrong by itself during a [`storm`](super::Cluster::storm), and how often; which node, when and for how long comes
/// from the run's seed.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    often: Often,
    loss: u64,
    delay: Option<(u64, u64)>,
    drift: u64,
    crashes: u64,
}

impl Faults {
    /// Nothing goes wrong.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// What a seed draws, with some faults switched off in each (swarm testing).
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let plan = Plan::new(&mut Rng::new(seed, 7), Some(5));
        let crashes = plan.processes.panic;
        Self { often: plan.faults, loss: plan.loss, delay: Some(plan.delay), drift: plan.drift, crashes }
    }

    /// Nodes that crash, times a minute; most start again within seconds.
    #[must_use]
    pub fn kills(mut self, times: u64) -> Self {
        self.often.kill = times;
        self
    }

    /// Nodes that stand still for a while, times a minute.
    #[must_use]
    pub fn pauses(mut self, times: u64) -> Self {
        self.often.pause = times;
        self
    }

    /// Splits of the network into two sides, and heals of it, times a minute.
    #[must_use]
    pub fn splits(mut self, times: u64) -> Self {
        (self.often.split, self.often.heal) = (times, times);
        self
    }

    /// Links that are cut both ways, one way alone, and that come and go, times a minute each.
    #[must_use]
    pub fn cuts(mut self, times: u64) -> Self {
        (self.often.link, self.often.one_way, self.often.flap) = (times, times, times / 4);
        self.often.heal = self.often.heal.max(times);
        self
    }

    /// Nodes that leave in good order, and nodes that join, times a minute.
    #[must_use]
    pub fn joins_and_leaves(mut self, times: u64) -> Self {
        (self.often.join, self.often.leave) = (times, times);
        self
    }

    /// Jumps of a node's wall clock, times a minute, and how far clocks go wrong, in parts per million.
    #[must_use]
    pub fn clocks(mut self, times: u64, drift: u64) -> Self {
        (self.often.clock, self.drift) = (times, drift.min(20_000));
        self
    }

    /// Frames that are late because one was lost, in a hundred.
    #[must_use]
    pub fn loss(mut self, percent: u64) -> Self {
        self.loss = percent.min(90);
        self
    }

    /// The least and the most that a frame is on its way.
    #[must_use]
    pub fn delay(mut self, least: Duration, most: Duration) -> Self {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.delay = Some((micros(least), micros(most.max(least))));
        self
    }

    /// Processes that panic within seconds of their start, in a hundred.
    #[must_use]
    pub fn crashes(mut self, percent: u64) -> Self {
        self.crashes = percent.min(100);
        self
    }

    pub(super) fn apply(&self, plan: &mut Plan) {
        plan.faults = self.often;
        plan.loss = self.loss;
        plan.delay = self.delay.unwrap_or(plan.delay);
        plan.drift = self.drift;
        plan.processes.panic = self.crashes;
    }
}
