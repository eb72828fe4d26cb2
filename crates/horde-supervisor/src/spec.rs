//! What to start, as any member can start it.

pub use horde_process::Restart;
use horde_process::{Name, Shutdown};
use serde::{Deserialize, Serialize};

/// A child spec in the form that travels: a kind that members registered, and its arguments as bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The process kind.
    pub kind: String,
    /// The version of the arguments.
    pub version: u32,
    /// The arguments, encoded.
    pub args: Vec<u8>,
    /// The name it is registered under before its `init` has answered, with the value that the name carries.
    pub name: Option<(Name, Vec<u8>)>,
    /// When it is started again.
    pub restart: Restart,
    /// How it is stopped.
    pub shutdown: Shutdown,
    /// Redistribution leaves it where it runs. No call sets this yet.
    pub pinned: bool,
}

impl Spec {
    /// The bytes of its variable parts, for the size limit.
    #[must_use]
    pub fn size(&self) -> usize {
        let name = self.name.as_ref().map_or(0, |(name, value)| name_size(name) + value.len());
        self.kind.len() + self.args.len() + name
    }
}

fn name_size(name: &Name) -> usize {
    match name {
        Name::Registry { registry, key } => registry.len() + key.len(),
        Name::Child { supervisor, id } => supervisor.len() + id.len(),
        other => std::mem::size_of_val(other),
    }
}
