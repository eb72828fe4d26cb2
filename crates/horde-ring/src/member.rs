//! One member: its id, weight, zone, labels and capabilities.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;

use crate::hash::{KeyHash, StableHash};

/// The greatest weight that has an effect; a greater one counts as this one.
pub const MAX_WEIGHT: u32 = 1 << 20;

/// A member that may own keys.
///
/// Id, weight, zone and hash decide where keys go. Labels, capabilities and draining only matter to filters.
/// All nodes must describe a member alike, else they place keys differently.
///
/// ```
/// use horde_ring::Member;
///
/// let member = Member::new("node-1").weight(4).zone("eu-1").label("disk", "ssd").capability("video");
/// assert_eq!(*member.id(), "node-1");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<Id> {
    id: Id,
    hash: KeyHash,
    weight: u32,
    zone: Option<Arc<str>>,
    labels: BTreeMap<String, String>,
    capabilities: BTreeSet<String>,
    draining: bool,
}

impl<Id> Member<Id> {
    /// A member of weight 1, in no zone, with no labels, hashed over the bytes its id defines.
    #[must_use]
    pub fn new(id: Id) -> Self
    where
        Id: StableHash,
    {
        let hash = id.stable_hash();
        Self::hashed(id, hash)
    }

    /// The same with the hash given, for ids that do not implement [`StableHash`].
    ///
    /// A member's keys follow its hash: hash the node's name alone, without its incarnation, and a node that
    /// restarts has the same keys as before.
    #[must_use]
    pub fn hashed(id: Id, hash: KeyHash) -> Self {
        Self {
            id,
            hash,
            weight: 1,
            zone: None,
            labels: BTreeMap::new(),
            capabilities: BTreeSet::new(),
            draining: false,
        }
    }

    /// Sets the share of keys relative to the others' weights, at most [`MAX_WEIGHT`].
    ///
    /// A member of weight 0 owns a key only where no member of a positive weight may.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight.min(MAX_WEIGHT);
        self
    }

    /// Sets the zone: replicas of a key go to different zones first.
    #[must_use]
    pub fn zone(mut self, zone: impl Into<Arc<str>>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    /// Adds a label for filters; a second value of a name replaces the first.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// Adds something the member can do, for filters: a process kind, a device, a licence.
    #[must_use]
    pub fn capability(mut self, capability: impl Into<String>) -> Self {
        self.capabilities.insert(capability.into());
        self
    }

    /// Says whether the member is about to leave and should get nothing new.
    #[must_use]
    pub fn draining(mut self, draining: bool) -> Self {
        self.draining = draining;
        self
    }

    /// The member's id.
    #[must_use]
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// The hash that places the member.
    #[must_use]
    pub fn key_hash(&self) -> KeyHash {
        self.hash
    }

    /// The weight, 0 to [`MAX_WEIGHT`].
    #[must_use]
    pub fn weight_of(&self) -> u32 {
        self.weight
    }

    /// The zone, if the member is in one.
    #[must_use]
    pub fn zone_of(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    /// The value of the label `name`.
    #[must_use]
    pub fn label_of(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    /// Whether the member has this capability.
    #[must_use]
    pub fn can(&self, capability: &str) -> bool {
        self.capabilities.contains(capability)
    }

    /// Whether the member is about to leave.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining
    }
}
