//! What a history has from its start to its end.

use std::time::Duration;

use super::super::random::Random;
use crate::Config;

/// Whether restarts happen, and what they keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Storage {
    NoRestarts,
    Forgets,
    /// A log that has all that the replica did and took in.
    Keeps,
    /// A log that lags behind what was pushed.
    Lags,
}

impl Storage {
    pub(in super::super) const ALL: [Self; 4] = [Self::NoRestarts, Self::Forgets, Self::Keeps, Self::Lags];

    pub(in super::super) fn of(seed: u64) -> Self {
        Self::ALL[(seed % 4) as usize]
    }

    /// No write may get lost in a history.
    pub(super) fn loses_nothing(self) -> bool {
        matches!(self, Self::NoRestarts | Self::Keeps)
    }

    pub(super) fn has_log(self) -> bool {
        matches!(self, Self::Keeps | Self::Lags)
    }
}

/// What a history has from its start to its end.
#[derive(Clone, Debug)]
pub(in super::super) struct Shape {
    pub(in super::super) nodes: usize,
    /// Each reaches the next and the last one alone, to the end: what others write comes through them, who write too.
    pub(in super::super) in_line: bool,
    pub(in super::super) storage: Storage,
    pub(in super::super) config: Config,
    pub(in super::super) keys: u64,
    /// Messages that arrive at one step, at most. Where it is 1 they pile up, and few sessions come to their end.
    pub(in super::super) most_at_once: u64,
    /// Some hear of a new life before they are told that the one before is down.
    pub(in super::super) hears_early: bool,
    /// Of the steps that may be a restart, one in so many is one.
    pub(in super::super) restarts_one_in: u64,
    /// After one step in so many the replica checks itself.
    pub(in super::super) checks_one_in: u64,
    /// After one step in so many a replica is compared with the specification; 0: at the end alone.
    pub(in super::super) compares_one_in: u64,
}

impl Shape {
    /// That of a short history. A fifth of them stand in a line; a tenth have up to 16 shards.
    pub(super) fn drawn(random: &mut Random, storage: Storage) -> Self {
        let in_line = random.one_in(5);
        let nodes = if in_line { 3 + random.pick(2) } else { 2 + random.pick(3) };
        let (shards, keys) = if random.one_in(10) {
            (1 << random.below(5), 1 + random.below(16))
        } else {
            (1 + random.below(2) as u16, 1 + random.below(4))
        };
        let config = Config {
            shards,
            session_timeout: Duration::from_millis(200),
            max_batch_ops: 1 + random.pick(3),
            max_fragment_keys: 1 + random.pick(2),
            session_window: 2,
            max_parked: if random.one_in(3) { 2 } else { 64 },
            max_tombstones: [0, 2, 64, 64][random.pick(4)],
            max_sessions: 1 + random.pick(3),
            max_told: [32, 1, 0][random.pick(3)],
            ..Config::default()
        };
        Self {
            nodes,
            in_line,
            storage,
            config,
            keys,
            most_at_once: if random.one_in(2) { 1 } else { 4 },
            hears_early: random.one_in(2),
            restarts_one_in: 3,
            checks_one_in: 8,
            compares_one_in: 32,
        }
    }
}
