//! What the registry holds of one name.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use delta_crdt::Stamp;
use horde_process::{Claim, Pid};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A name as the registry sees it: the bytes of an encoded key. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<[u8]>);

impl Key {
    /// A key of these bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The encoded key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0.escape_ascii())
    }
}

impl delta_crdt::Key for Key {
    fn stable_hash(&self) -> u64 {
        delta_crdt::Key::stable_hash(&self.0)
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        blob::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        blob::deserialize(deserializer).map(Self)
    }
}

/// Who holds a name, since when, and with which value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The process that holds the name.
    pub pid: Pid,
    /// The encoded value.
    #[serde(with = "blob")]
    pub value: Arc<[u8]>,
    /// When the name was first registered: kept through updates, re-assertion and moves of one child.
    pub registered_at: Stamp,
    /// What the supervisor that runs the process knows of it, if one does.
    pub claim: Option<Box<Claim>>,
}

impl Entry {
    /// Whether both are registered by copies of one child.
    #[must_use]
    pub fn same_child(&self, other: &Entry) -> bool {
        match (&self.claim, &other.claim) {
            (Some(a), Some(b)) => a.same_child(b),
            _ => false,
        }
    }

    /// This entry with the age of `other`, an older copy of the same child: a move keeps the age.
    pub(super) fn aged(&self, other: &Entry) -> Arc<Entry> {
        Arc::new(Entry { registered_at: self.registered_at.min(other.registered_at), ..self.clone() })
    }

    /// Whether this is a copy of the same child with a higher claim: it takes the name from the living `other`.
    #[must_use]
    pub fn supersedes(&self, other: &Entry) -> bool {
        match (&self.claim, &other.claim) {
            (Some(a), Some(b)) => a.same_child(b) && a.rank > b.rank,
            _ => false,
        }
    }
}

/// Bytes on the wire as one block, not as a sequence of numbers.
mod blob {
    use std::fmt;
    use std::sync::Arc;

    use serde::de::{SeqAccess, Visitor};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &Arc<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<[u8]>, D::Error> {
        deserializer.deserialize_bytes(Bytes)
    }

    struct Bytes;

    impl<'de> Visitor<'de> for Bytes {
        type Value = Arc<[u8]>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes")
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
            Ok(bytes.into())
        }

        // Self-describing formats without bytes of their own; the length they announce is not believed.
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut bytes = Vec::new();
            while let Some(byte) = seq.next_element::<u8>()? {
                bytes.push(byte);
            }
            Ok(bytes.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use horde_process::ClaimRank;
    use horde_transport::{NodeId, NodeName};

    use super::*;

    #[test]
    fn the_bytes_of_an_entry_are_frozen() {
        let node = NodeId::new(NodeName::new("one").unwrap(), 7);
        let rank = ClaimRank { life: 1, config_epoch: 2, generation: 3, stamp: 4, owner: node.clone() };
        let claim = Claim { supervisor: "s".into(), child: "c".into(), rank };
        let entry = Entry {
            pid: Pid::new(node, 9),
            value: [0xc0].as_slice().into(),
            registered_at: Stamp::from_bits(300),
            claim: Some(Box::new(claim)),
        };
        let bytes = postcard::to_stdvec(&entry).unwrap();
        let frozen = b"\x03one\x07\x09\x01\xc0\xac\x02\x01\x01s\x01c\x01\x02\x03\x04\x03one\x07";
        assert_eq!(bytes, frozen);
        assert_eq!(postcard::from_bytes::<Entry>(&bytes).unwrap(), entry);
        let key = postcard::to_stdvec(&Key::new(b"ada")).unwrap();
        assert_eq!(key, b"\x03ada");
    }

    #[test]
    fn bytes_cut_short_are_refused_and_cost_no_more_memory_than_they_have() {
        assert!(postcard::from_bytes::<Key>(b"\xff\xff\xff\xff\x0fad").is_err());
        assert!(postcard::from_bytes::<Entry>(b"\x03one\x07\x09").is_err());
    }
}
