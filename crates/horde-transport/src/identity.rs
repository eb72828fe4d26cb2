//! Who a node is.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

/// The longest node or cluster name, in bytes.
pub const MAX_NAME: usize = 64;

/// The name of a node: 1 to 64 bytes of ASCII letters, digits, `.`, `_` and `-`.
///
/// Cheap to clone. Deserialising checks the rule, so a name from the network is as good as one made here.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct NodeName(Arc<str>);

impl NodeName {
    /// Checks `name` and makes it a node name.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong; nothing was changed.
    pub fn new(name: impl AsRef<str>) -> Result<Self, NameError> {
        let name = name.as_ref();
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(NameError::Length(name.len()));
        }
        match name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
            Some(character) => Err(NameError::Character(character)),
            None => Ok(Self(name.into())),
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for NodeName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(text).map_err(serde::de::Error::custom)
    }
}

/// Why a text is not a node name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name is empty or longer than [`MAX_NAME`] bytes.
    #[error("a node name has 1 to {MAX_NAME} bytes, this one has {0}")]
    Length(usize),
    /// The name holds a character outside the rule.
    #[error("a node name holds ASCII letters, digits, '.', '_' and '-'; {0:?} is none of them")]
    Character(char),
}

/// One life of a node: its name, and the incarnation it took when its OS process started.
///
/// Fixed for the life of the OS process. A higher incarnation of a name is the end of the lower one.
/// `Display` prints the name alone, `Debug` prints `name@incarnation`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId {
    name: NodeName,
    incarnation: u64,
}

impl NodeId {
    /// The node `name` in its life `incarnation` (Unix milliseconds at its start, by convention).
    #[must_use]
    pub fn new(name: NodeName, incarnation: u64) -> Self {
        Self { name, incarnation }
    }

    /// The node's name, the same in each of its lives.
    #[must_use]
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// Which life of the node this is.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.name, f)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.incarnation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_refused_with_the_reason() {
        assert_eq!(NodeName::new(""), Err(NameError::Length(0)));
        assert_eq!(NodeName::new("a".repeat(65)), Err(NameError::Length(65)));
        assert_eq!(NodeName::new("a b"), Err(NameError::Character(' ')));
        assert_eq!(NodeName::new("web-1.eu_west").map(|n| n.to_string()), Ok("web-1.eu_west".to_owned()));
    }

    #[test]
    fn a_later_life_of_a_name_orders_after_the_earlier_one() {
        let name = NodeName::new("one").unwrap();
        assert!(NodeId::new(name.clone(), 2) > NodeId::new(name, 1));
    }
}
