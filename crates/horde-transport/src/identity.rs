//! Who a node is.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest node or cluster name, in bytes.
pub const MAX_NAME: usize = 64;

/// The name of a node: 1 to 64 bytes of ASCII letters, digits, `.`, `_` and `-`.
///
/// Cheap to clone. Deserialising checks the rule, so a name from the network is as good as one made here.
#[derive(Clone)]
pub struct NodeName {
    /// The first eight bytes, the first one highest, zeros where the name is shorter: most names compare by it alone, without
    /// a look at the text, which is somewhere else in memory.
    head: u64,
    text: Arc<str>,
}

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
            None => {
                let mut head = [0; 8];
                for (to, from) in head.iter_mut().zip(name.bytes()) {
                    *to = from;
                }
                Ok(Self { head: u64::from_be_bytes(head), text: name.into() })
            }
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the head is all of it.
    fn is_short(&self) -> bool {
        self.text.len() <= 8
    }
}

impl PartialEq for NodeName {
    fn eq(&self, other: &Self) -> bool {
        self.head == other.head
            && self.text.len() == other.text.len()
            && (self.is_short() || self.text == other.text)
    }
}

impl Eq for NodeName {}

impl Ord for NodeName {
    /// As their texts.
    fn cmp(&self, other: &Self) -> Ordering {
        self.head.cmp(&other.head).then_with(|| match self.is_short() && other.is_short() {
            true => Ordering::Equal,
            false => self.text.cmp(&other.text),
        })
    }
}

impl PartialOrd for NodeName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for NodeName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Serialize for NodeName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct("NodeName", &*self.text)
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
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
    fn names_compare_as_their_texts() {
        let texts = [
            "a",
            "b",
            "ab",
            "n1",
            "n10",
            "n2",
            "12345678",
            "123456789",
            "12345678-b",
            "12345678-a",
            "12345678.",
            "zzzzzzzz",
        ];
        for a in texts {
            for b in texts {
                let (x, y) = (NodeName::new(a).unwrap(), NodeName::new(b).unwrap());
                assert_eq!((x.cmp(&y), x == y), (a.cmp(b), a == b), "{a} and {b}");
            }
        }
    }

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
