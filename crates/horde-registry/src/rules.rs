//! The part of a registry's configuration that all its hosts share, as members announce it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::machine::{Config, Order};

const VERSION: u8 = 1;

/// What every host of one registry keeps to. Announced by each; the first to start a registry decides it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rules {
    pub(crate) order: Order,
    pub(crate) max_key: u32,
    pub(crate) max_value: u32,
    pub(crate) max_names_per_process: u32,
    pub(crate) purge_after: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        let config = Config::default();
        let limit = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
        Self {
            order: config.order,
            max_key: limit(config.max_key),
            max_value: limit(config.max_value),
            max_names_per_process: limit(config.max_names_per_process),
            purge_after: config.purge_after,
        }
    }
}

impl Rules {
    pub(crate) fn config(&self) -> Config {
        let default = Config::default();
        Config {
            order: self.order,
            max_key: self.max_key as usize,
            max_value: self.max_value as usize,
            max_names_per_process: self.max_names_per_process as usize,
            purge_after: self.purge_after,
            crdt: delta_crdt::Config { shards: 16, ..default.crdt },
            ..default
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        // Fixed-size fields and a plain enum into a growing vector: there is nothing to fail.
        postcard::to_extend(self, vec![VERSION]).unwrap_or_default()
    }

    /// What `encode` wrote, in this version or none.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&[VERSION])?;
        postcard::from_bytes(rest).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_announced_bytes_are_frozen() {
        let bytes = Rules::default().encode();
        assert_eq!(bytes, [1, 0, 128, 8, 128, 128, 1, 144, 78, 60, 0]);
        assert_eq!(Rules::decode(&bytes), Some(Rules::default()));
    }

    #[test]
    fn bytes_of_another_version_or_cut_short_are_refused() {
        assert_eq!(Rules::decode(&[2, 0]), None);
        assert_eq!(Rules::decode(&[]), None);
        assert_eq!(Rules::decode(&[1, 0, 128]), None);
    }
}
