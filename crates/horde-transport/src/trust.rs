//! Who may join: certificates, the secret that makes them, and the check of a peer's.

pub(crate) mod authority;
mod certificate;
mod expiry;
mod files;
pub(crate) mod identity;
mod name;
mod secret;
pub(crate) mod verifier;

pub use authority::{Authority, AuthorityError, Issued};
pub use certificate::{Certificate, read_certificates};
pub(crate) use files::random;
pub use files::{FileError, generate_secret, read_secret_file, write_new_file};
pub use identity::{Identity, IdentityError, PkiFiles};
pub(crate) use name::CertName;
pub use secret::{ClusterKey, MIN_SECRET, SecretError};
