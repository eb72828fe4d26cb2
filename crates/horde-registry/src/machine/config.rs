//! The limits and times of one registry.

use std::time::Duration;

use super::Order;

/// What a [`Names`](super::Names) machine keeps to. The same on all nodes but for `crdt`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who keeps a name that two hold. Default [`Order::KeepOldest`].
    pub order: Order,
    /// The longest encoded key in bytes. Default 1 KiB, sane 16 B to 16 KiB; a longer one is refused with `TooBig`.
    pub max_key: usize,
    /// The longest encoded value in bytes. Default 16 KiB, sane up to 256 KiB; a longer one is refused with `TooBig`.
    pub max_value: usize,
    /// Names that one process may hold. Default 10,000; one more is refused with `TooManyNames`.
    pub max_names_per_process: usize,
    /// How long the names of a node that is down are kept, hidden, for its return. Default 60 s, sane 1 s to 1 h.
    pub purge_after: Duration,
    /// How long after that a node removes what the coordinator of a name left undone, and how often it looks for
    /// more. Default 60 s, sane 1 s to 1 h.
    pub sweep_interval: Duration,
    /// Names looked at in one step while a dead node's are removed; the rest follow in the next step. Default 4,096.
    pub purge_batch: usize,
    /// How long the name of a process that moves to another node leads to where it was, unless its new copy takes it
    /// sooner. Default 5 s, sane 1 s to 1 min; then it is removed.
    pub move_patience: Duration,
    /// The replica below.
    pub crdt: delta_crdt::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            order: Order::default(),
            max_key: 1024,
            max_value: 16 * 1024,
            max_names_per_process: 10_000,
            purge_after: Duration::from_secs(60),
            sweep_interval: Duration::from_secs(60),
            purge_batch: 4096,
            move_patience: Duration::from_secs(5),
            crdt: delta_crdt::Config::default(),
        }
    }
}
