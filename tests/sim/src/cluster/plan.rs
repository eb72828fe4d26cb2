//! What a run is like: every figure of it comes from the seed, and each run has some faults switched off.

use std::time::Duration;

use horde_cluster::ClusterConfig;
use horde_registry::machine::{Config as NamesConfig, Order};
use horde_supervisor::{Options, Quorum, Redistribution};
use horde_transport::NodeName;

use super::guest::Kinds;
use crate::{Broken, Rng};

/// The figures of one run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Nodes at the start.
    pub(crate) nodes: usize,
    /// Nodes there may be in the end.
    pub(crate) most: usize,
    /// How long faults last.
    pub(crate) busy: Duration,
    /// Frames keep their order and are sent again, as over QUIC; else each is on its own.
    pub(crate) streams: bool,
    /// Maps' messages travel as values, not as bytes.
    pub(crate) values: bool,
    /// Times in a hundred that a frame is lost; over streams, that it is late.
    pub(crate) loss: u64,
    /// Times in a hundred that a frame comes twice.
    pub(crate) twice: u64,
    /// The least and the most that a frame is on its way, in microseconds.
    pub(crate) delay: (u64, u64),
    /// Bytes per second of each link; none: no limit.
    pub(crate) bandwidth: Option<u64>,
    /// How late drivers are, in microseconds at most.
    pub(crate) lag: u64,
    /// How far each clock goes wrong, in parts per million at most.
    pub(crate) drift: u64,
    /// How far clocks are apart, in milliseconds at most.
    pub(crate) skew: u64,
    /// Crashes are noticed by their tethers.
    pub(crate) hints: bool,
    /// Every node is told of every other; else of the first alone.
    pub(crate) seeds_all: bool,
    pub(crate) faults: Faults,
    pub(crate) processes: Processes,
    /// What users do each second, in hundredths.
    pub(crate) deeds: u64,
    /// How many names and ids users choose from.
    pub(crate) names: u64,
    pub(crate) options: Options,
    pub(crate) names_config: NamesConfig,
    pub(crate) cluster_config: ClusterConfig,
    /// What must hold is looked at after each step; off in runs that measure.
    pub(crate) checked: bool,
    /// Kinds of processes that users brought.
    pub(crate) kinds: Kinds,
    /// The rule that is broken, in runs that must fail.
    pub(crate) broken: Option<Broken>,
}

/// How often each fault comes, each minute of the busy time; 0 is off.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    pub(crate) kill: u64,
    pub(crate) pause: u64,
    pub(crate) split: u64,
    pub(crate) one_way: u64,
    pub(crate) link: u64,
    pub(crate) flap: u64,
    pub(crate) heal: u64,
    pub(crate) clock: u64,
    pub(crate) leave: u64,
    pub(crate) join: u64,
    pub(crate) forget: u64,
    pub(crate) weather: u64,
}

/// What user processes do wrong, times in a hundred.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Processes {
    pub(crate) slow_init: u64,
    pub(crate) hang_init: u64,
    pub(crate) fail_init: u64,
    pub(crate) panic: u64,
    pub(crate) exit: u64,
    pub(crate) deaf: u64,
    pub(crate) stuck: u64,
}

impl Plan {
    /// Whether frames may be lost: over streams they are late at most.
    pub(crate) fn loses(&self) -> bool {
        !self.streams && (self.loss > 0 || self.faults.weather > 0)
    }

    /// A quiet network, right clocks, and nothing that goes wrong by itself.
    pub(crate) fn quiet(nodes: usize) -> Self {
        let plan = Self::new(&mut Rng::new(0, 0), Some(nodes));
        Self {
            most: nodes + 2,
            streams: true,
            loss: 0,
            twice: 0,
            delay: (50, 500),
            bandwidth: None,
            lag: 100,
            drift: 0,
            skew: 0,
            hints: true,
            seeds_all: true,
            faults: Faults::default(),
            processes: Processes::default(),
            deeds: 0,
            options: Options {
                max_restarts: 1_000,
                ended_retention: Duration::from_secs(5),
                ..Options::default()
            },
            names_config: NamesConfig {
                purge_after: Duration::from_secs(8),
                sweep_interval: Duration::from_secs(5),
                ..NamesConfig::default()
            },
            cluster_config: ClusterConfig {
                forget_left_after: Duration::from_secs(10),
                ..ClusterConfig::default()
            },
            ..plan
        }
    }

    /// The plan of a seed.
    pub(crate) fn new(rng: &mut Rng, nodes: Option<usize>) -> Self {
        let nodes = nodes.unwrap_or_else(|| usize::try_from(rng.between(1, 5)).unwrap_or(1));
        let streams = rng.chance(60);
        let lossy = rng.chance(60);
        let slow = rng.chance(15);
        let mut plan = Self {
            nodes,
            most: nodes + 2,
            busy: Duration::from_secs(rng.between(4, 20)),
            streams,
            values: false,
            loss: if lossy { rng.below(if streams { 20 } else { 30 }) } else { 0 },
            twice: if streams || rng.chance(50) { 0 } else { rng.below(10) },
            delay: if slow { (5_000, 40_000) } else { (50, rng.between(100, 5_000)) },
            bandwidth: rng.chance(15).then(|| rng.between(20_000, 2_000_000)),
            lag: if rng.chance(50) { 2_000 } else { 100 },
            drift: if rng.chance(30) { rng.below(20_000) } else { 0 },
            skew: if rng.chance(20) { rng.below(7_200_000) } else { rng.below(50) },
            hints: rng.chance(70),
            seeds_all: rng.chance(70),
            faults: Faults::new(rng),
            processes: Processes::new(rng),
            deeds: rng.between(50, 800),
            names: rng.between(2, 30),
            options: options(rng),
            names_config: names(rng),
            cluster_config: ClusterConfig {
                forget_left_after: Duration::from_secs(10),
                redial_down_for: Duration::from_secs(120),
                expect: rng.chance(30).then_some(nodes),
                ..ClusterConfig::default()
            },
            checked: true,
            kinds: Kinds::new(),
            broken: None,
        };
        if nodes > 2 && rng.chance(30) {
            plan.rest_on_leases();
        }
        plan
    }

    /// Children run only where a majority of the nodes of the start acknowledges the lease.
    pub(crate) fn rest_on_leases(&mut self) {
        self.options.quorum = Quorum::Majority;
        let voters = (0..self.nodes).map(|index| NodeName::new(format!("n{index}")).expect("a valid name"));
        self.cluster_config.quorum = voters.collect();
        // One that spins cannot be stopped by anybody.
        self.processes.stuck = 0;
        self.drift = self.drift.min(10_000);
    }
}

impl Faults {
    fn new(rng: &mut Rng) -> Self {
        let mut often = |percent: u64, most: u64| if rng.chance(percent) { 1 + rng.below(most) } else { 0 };
        Self {
            kill: often(50, 12),
            pause: often(30, 10),
            split: often(45, 10),
            one_way: often(25, 10),
            link: often(25, 10),
            flap: often(10, 4),
            heal: often(70, 20),
            clock: often(15, 10),
            leave: often(30, 6),
            join: often(30, 6),
            forget: often(25, 10),
            weather: often(20, 10),
        }
    }
}

impl Processes {
    fn new(rng: &mut Rng) -> Self {
        let mut often = |percent: u64, most: u64| if rng.chance(percent) { 1 + rng.below(most) } else { 0 };
        Self {
            slow_init: often(50, 20),
            hang_init: often(15, 3),
            fail_init: often(30, 5),
            panic: often(40, 30),
            exit: often(40, 30),
            deaf: often(30, 20),
            stuck: often(15, 5),
        }
    }
}

fn options(rng: &mut Rng) -> Options {
    Options {
        redistribution: if rng.chance(50) { Redistribution::Active } else { Redistribution::Passive },
        max_restarts: if rng.chance(30) { 3 } else { 1_000 },
        ended_retention: Duration::from_secs(5),
        max_starting: if rng.chance(20) { 2 } else { 512 },
        max_moves: if rng.chance(30) { 2 } else { 32 },
        max_waiting: if rng.chance(15) { 3 } else { 100_000 },
        ..Options::default()
    }
}

fn names(rng: &mut Rng) -> NamesConfig {
    NamesConfig {
        order: if rng.chance(70) { Order::KeepOldest } else { Order::KeepNewest },
        purge_after: Duration::from_secs(rng.between(2, 8)),
        sweep_interval: Duration::from_secs(5),
        ..NamesConfig::default()
    }
}
