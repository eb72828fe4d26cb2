//! Why the registry refuses.

use horde_process::Pid;

/// Why a name was not registered. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// A living process holds the name, perhaps this one.
    #[error("{0} holds the name; nothing was registered")]
    AlreadyRegistered(Pid),
    /// The process runs on another node: a name is registered where its process runs.
    #[error(
        "{0} runs on another node; a name is registered on the node of its process; nothing was registered"
    )]
    NotLocal(Pid),
    /// The process has ended.
    #[error("{0} has ended; nothing was registered")]
    NoProcess(Pid),
    /// The encoded key or value is over its limit.
    #[error("the {what} has {size} bytes and the limit is {limit}; nothing was registered")]
    TooBig {
        /// Which of them.
        what: Part,
        /// Its encoded size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The process holds as many names as one may.
    #[error("the process holds {limit} names, as many as one may; nothing was registered")]
    TooManyNames {
        /// The limit.
        limit: usize,
    },
    /// The key or the value cannot be encoded: serde says why.
    #[error("the {what} cannot be encoded: {why}; nothing was registered")]
    Unencodable {
        /// Which of them.
        what: Part,
        /// What serde says.
        why: String,
    },
}

/// Why a name was not taken from a process, or its value not changed. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OwnerError {
    /// Nobody holds the name.
    #[error("nobody holds the name; nothing was changed")]
    NotRegistered,
    /// Another process holds the name.
    #[error("{0} holds the name, and only a name's owner changes it; nothing was changed")]
    NotOwner(Pid),
    /// The new value is over the limit.
    #[error("the value has {size} bytes and the limit is {limit}; nothing was changed")]
    TooBig {
        /// Its encoded size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The key or the value cannot be encoded: serde says why.
    #[error("the {what} cannot be encoded: {why}; nothing was changed")]
    Unencodable {
        /// Which of them.
        what: Part,
        /// What serde says.
        why: String,
    },
}

/// One of the two things that a registration carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The key.
    Key,
    /// The value.
    Value,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Key => "key",
            Self::Value => "value",
        })
    }
}
