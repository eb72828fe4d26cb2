//! How a process is addressed.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Pid;

/// How a process is addressed: by pid, or by a name that is looked up at each use.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Name {
    /// This very process.
    Pid(Pid),
    /// Whoever holds a key of a registry.
    Registry {
        /// The registry's name.
        registry: Arc<str>,
        /// The key, encoded as the registry does.
        key: Vec<u8>,
    },
    /// Whatever copy of a child runs.
    Child {
        /// The supervisor's name.
        supervisor: Arc<str>,
        /// The child's id.
        id: Arc<str>,
    },
    /// Whoever holds this name on the node that looks it up; sent elsewhere, it means another process.
    Local(Arc<str>),
}

impl Name {
    /// A name on the node that looks it up.
    #[must_use]
    pub fn local(name: impl AsRef<str>) -> Self {
        Self::Local(name.as_ref().into())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pid(pid) => fmt::Display::fmt(pid, f),
            Self::Registry { registry, key } => match std::str::from_utf8(key) {
                Ok(text) if !text.chars().any(char::is_control) => write!(f, "{registry}/{text}"),
                _ => {
                    write!(f, "{registry}/0x")?;
                    key.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
                }
            },
            Self::Child { supervisor, id } => write!(f, "{supervisor}/{id}"),
            Self::Local(name) => f.write_str(name),
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Pid> for Name {
    fn from(pid: Pid) -> Self {
        Self::Pid(pid)
    }
}

impl From<&Pid> for Name {
    fn from(pid: &Pid) -> Self {
        Self::Pid(pid.clone())
    }
}

impl From<&Name> for Name {
    fn from(name: &Name) -> Self {
        name.clone()
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Self::local(name)
    }
}

/// Which names a resolver answers for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// [`Name::Registry`] of this registry.
    Registry(Arc<str>),
    /// [`Name::Child`] of this supervisor.
    Child(Arc<str>),
}
