//! What a member tells the others of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything a member announces about itself: where it stands, what it can run, which hordes it hosts.
///
/// It travels whole at each change, so keep it small: `ClusterConfig::max_meta` bounds its encoded size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Where the node stands, such as `eu-west-1a`; placement spreads over zones.
    pub zone: Option<String>,
    /// Its share of keys, relative to the others. 1 unless told; 0 places nothing here.
    pub weight: u32,
    /// The user's own labels.
    pub labels: BTreeMap<String, String>,
    /// The version of the program.
    pub version: String,
    /// The process kinds it can run: the first and the last version of their arguments that it reads.
    pub kinds: BTreeMap<String, (u32, u32)>,
    /// The hordes it hosts, by their topic, such as `registry/names`.
    pub hordes: BTreeMap<String, HordeMeta>,
}

impl Default for Meta {
    fn default() -> Self {
        Self {
            zone: None,
            weight: 1,
            labels: BTreeMap::new(),
            version: String::new(),
            kinds: BTreeMap::new(),
            hordes: BTreeMap::new(),
        }
    }
}

/// One horde that a member hosts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HordeMeta {
    /// Whether the member's replica has synced: before, it places and answers nothing.
    pub ready: bool,
    /// The horde's configuration as the layer above encodes it.
    pub config: Vec<u8>,
}

/// A meta is too large to announce: nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the meta takes {size} bytes encoded and the limit is {limit}; nothing was changed")]
pub struct MetaTooBig {
    /// Its encoded size in bytes.
    pub size: usize,
    /// The limit in bytes, `ClusterConfig::max_meta`.
    pub limit: usize,
}
