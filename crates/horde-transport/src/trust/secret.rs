//! The shared secret of a cluster, and the keys that come of it.

use std::fmt;
use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};

use super::authority::{Authority, AuthorityError};
use crate::{NameError, NodeName};

/// The shortest secret accepted, in characters.
pub const MIN_SECRET: usize = 32;

/// What a cluster's shared secret makes: the authority that all its nodes derive alike.
///
/// Who knows the secret is that authority and can pose as any node: keep it like a private key, or use a PKI of your own
/// ([`crate::PkiFiles`]). Cheap to clone; the costly derivation (Argon2id, 19 MiB, 2 passes: RFC 9106 by way of
/// OWASP's least) is done once, when it is made.
#[derive(Clone)]
pub struct ClusterKey {
    pub(crate) current: Arc<Authority>,
    pub(crate) previous: Vec<Arc<Authority>>,
}

/// Why a secret was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// Fewer characters than [`MIN_SECRET`].
    #[error(
        "the secret has {0} characters; it needs at least {MIN_SECRET} (make one with `horde secret new`)"
    )]
    Short(usize),
    /// The cluster's name breaks the rule of names.
    #[error("the cluster's name: {0}")]
    Name(#[from] NameError),
    /// The derivation failed.
    #[error("the cluster's key cannot be derived: {0}")]
    Derivation(String),
    /// The keys are of different clusters.
    #[error("the previous secret belongs to cluster {0}, not to {1}")]
    OtherCluster(NodeName, NodeName),
}

impl From<AuthorityError> for SecretError {
    fn from(error: AuthorityError) -> Self {
        Self::Derivation(error.to_string())
    }
}

impl ClusterKey {
    /// Derives the keys of `cluster` from its secret. Takes tens of milliseconds; call it once and clone.
    ///
    /// White space around the secret is not part of it.
    ///
    /// # Errors
    /// [`SecretError`]: the secret is too short or the name is not one.
    pub fn from_secret(cluster: &str, secret: &str) -> Result<Self, SecretError> {
        let cluster = NodeName::new(cluster)?;
        let secret = secret.trim();
        let length = secret.chars().count();
        if length < MIN_SECRET {
            return Err(SecretError::Short(length));
        }
        let failed = |error: argon2::Error| SecretError::Derivation(error.to_string());
        let params = Params::new(19 * 1024, 2, 1, Some(32)).map_err(failed)?;
        let mut seed = [0; 32];
        // Argon2 wants 8 bytes of salt at least; a cluster's name may be shorter.
        let salt = format!("horde cluster {cluster}");
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon.hash_password_into(secret.as_bytes(), salt.as_bytes(), &mut seed).map_err(failed)?;
        Ok(Self { current: Arc::new(Authority::from_seed(&cluster, &seed)?), previous: Vec::new() })
    }

    /// Also accepts nodes whose certificates come of `previous`. Own certificates are still issued with this one.
    ///
    /// To rotate a secret without a stop, restart the nodes one by one, in three rounds: with
    /// `old.with_previous(&new)`, so that all accept the new one; with `new.with_previous(&old)`, so that all use it;
    /// with `new` alone, so that nobody accepts the old one.
    ///
    /// # Errors
    /// [`SecretError::OtherCluster`] when the keys are of different clusters.
    pub fn with_previous(mut self, previous: &Self) -> Result<Self, SecretError> {
        if previous.cluster() != self.cluster() {
            return Err(SecretError::OtherCluster(previous.cluster().clone(), self.cluster().clone()));
        }
        self.previous.push(previous.current.clone());
        Ok(self)
    }

    /// The cluster it is for.
    #[must_use]
    pub fn cluster(&self) -> &NodeName {
        self.current.cluster()
    }
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterKey").field("cluster", self.cluster()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_short_secret_is_refused() {
        assert_eq!(ClusterKey::from_secret("shop", " short ").err(), Some(SecretError::Short(5)));
    }

    #[test]
    fn every_node_derives_the_same_authority_and_other_clusters_another() {
        let key = |cluster: &str, secret: &str| ClusterKey::from_secret(cluster, secret).unwrap().current;
        let one = key("shop", SECRET);
        assert_eq!(one.certificate(), key("shop", &format!("{SECRET}\n")).certificate());
        assert_ne!(one.certificate(), key("bank", SECRET).certificate());
        assert_ne!(one.certificate(), key("shop", &SECRET.replace('0', "x")).certificate());
    }
}
