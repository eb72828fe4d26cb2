//! What is to be placed, as a strategy sees it.

use alloc::collections::BTreeMap;
use alloc::string::String;

use crate::hash::KeyHash;

static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();

/// What is to be placed. The built-in strategies use the key, and the live ones the weight.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Candidate<'a> {
    /// The hash of its name.
    pub key: KeyHash,
    /// What kind of process it is; empty if unknown.
    pub kind: &'a str,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
    /// How much load it brings, in the unit of the loads; 1 by default.
    pub weight: u32,
}

impl<'a> Candidate<'a> {
    /// A candidate of weight 1 without kind and labels.
    #[must_use]
    pub fn new(key: KeyHash) -> Self {
        Self { key, kind: "", labels: &NO_LABELS, weight: 1 }
    }

    /// Names its kind.
    #[must_use]
    pub fn kind(mut self, kind: &'a str) -> Self {
        self.kind = kind;
        self
    }

    /// Gives its labels.
    #[must_use]
    pub fn labels(mut self, labels: &'a BTreeMap<String, String>) -> Self {
        self.labels = labels;
        self
    }

    /// Says how much load it brings.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }
}
