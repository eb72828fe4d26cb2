//! How a node proves who it is, and whom it believes.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, TrustAnchor, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::files::{FileError, read};
use super::{AuthorityError, CertName, ClusterKey};
use crate::dispatch::lock;
use crate::{NodeName, Role};

/// Files of a PKI are looked at again at most this often, when a handshake needs them.
const LOOK: Duration = Duration::from_secs(1);
/// A certificate that expires within this many days is warned of.
const WARN_DAYS: u64 = 30;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a certificate that a node issues itself is valid; it is renewed in place after half of it.
const LEAF: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The PEM files of a PKI. They are read again when they change, before the next handshake; files that are of no use
/// then are logged, and what was read before stays in use. A certificate that expires within 30 days is warned of.
#[derive(Debug, Clone)]
pub struct PkiFiles {
    /// The cluster that the certificate names.
    pub cluster: NodeName,
    /// The CA certificates that peers' certificates must come from; one or more.
    pub ca: PathBuf,
    /// This node's certificate, then any intermediate ones. It carries the URI name `horde://CLUSTER/ROLE/NAME`.
    pub cert: PathBuf,
    /// Its private key; only its owner may be able to read the file.
    pub key: PathBuf,
}

/// How a node proves who it is to the others, and which others it believes.
#[derive(Debug, Clone)]
pub struct Identity(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Secret(ClusterKey),
    Pki(PkiFiles),
}

/// An identity cannot be used. Nothing was bound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file holds something else than it should.
    #[error("{}: {why}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The certificate is of somebody else.
    #[error("the certificate names {found}; this node is {wanted}")]
    Name {
        /// The name this node needs.
        wanted: String,
        /// The name in the certificate.
        found: String,
    },
    /// No certificate could be issued.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

impl Identity {
    /// A certificate of one's own making, from the cluster's shared secret.
    #[must_use]
    pub fn secret(key: &ClusterKey) -> Self {
        Self(Kind::Secret(key.clone()))
    }

    /// The certificate of a PKI.
    #[must_use]
    pub fn pki(files: PkiFiles) -> Self {
        Self(Kind::Pki(files))
    }

    /// The cluster it is for.
    #[must_use]
    pub fn cluster(&self) -> &NodeName {
        match &self.0 {
            Kind::Secret(key) => key.cluster(),
            Kind::Pki(files) => &files.cluster,
        }
    }

    /// What TLS needs of it, for a node of this name and role.
    pub(crate) fn credentials(&self, name: &NodeName, role: Role) -> Result<Arc<Credentials>, IdentityError> {
        let (source, name) = (self.0.clone(), name.clone());
        let current = source.load(&name, role)?;
        Ok(Arc::new(Credentials { source, name, role, current: Mutex::new(current) }))
    }
}

/// What TLS needs of an identity, renewed in place.
pub(crate) struct Credentials {
    source: Kind,
    name: NodeName,
    role: Role,
    current: Mutex<Current>,
}

/// What is shown and believed now.
struct Current {
    roots: Arc<[TrustAnchor<'static>]>,
    leaf: Arc<CertifiedKey>,
    /// When to look again.
    due: SystemTime,
    /// The files as they were read.
    stamps: Vec<Option<SystemTime>>,
}

impl Credentials {
    /// The authorities whose certificates are believed.
    pub(crate) fn roots(&self) -> Arc<[TrustAnchor<'static>]> {
        self.refreshed().0
    }

    fn refreshed(&self) -> (Arc<[TrustAnchor<'static>]>, Arc<CertifiedKey>) {
        let mut current = lock(&self.current);
        let now = SystemTime::now();
        if now >= current.due {
            let changed = match &self.source {
                Kind::Secret(_) => true,
                Kind::Pki(files) => files.stamps() != current.stamps,
            };
            let node = &self.name;
            match if changed { Some(self.source.load(&self.name, self.role)) } else { None } {
                Some(Ok(fresh)) => {
                    tracing::info!(%node, "the certificate was renewed");
                    *current = fresh;
                }
                Some(Err(error)) => {
                    tracing::warn!(%node, %error, "the certificate could not be renewed; the one before stays");
                    current.due = now + LOOK;
                }
                None => current.due = now + LOOK,
            }
        }
        (current.roots.clone(), current.leaf.clone())
    }
}

impl ResolvesServerCert for Credentials {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.refreshed().1)
    }
}

impl ResolvesClientCert for Credentials {
    fn resolve(&self, _issuers: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.refreshed().1)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("name", &self.name).finish_non_exhaustive()
    }
}

fn anchor(certificate: &CertificateDer<'_>) -> Result<TrustAnchor<'static>, String> {
    webpki::anchor_from_trusted_cert(certificate)
        .map(|anchor| anchor.to_owned())
        .map_err(|error| error.to_string())
}

impl Kind {
    fn load(&self, name: &NodeName, role: Role) -> Result<Current, IdentityError> {
        match self {
            Self::Secret(key) => Ok(own(key, name, role)?),
            Self::Pki(files) => files.load(name, role),
        }
    }
}

/// A certificate of our own making.
fn own(key: &ClusterKey, name: &NodeName, role: Role) -> Result<Current, AuthorityError> {
    let all = std::iter::once(&key.current).chain(&key.previous);
    let roots = all.map(|authority| anchor(authority.certificate())).collect::<Result<_, _>>();
    let roots = roots.map_err(AuthorityError::Bad)?;
    let (certificate, private) = key.current.leaf(name, role, LEAF)?;
    let private = PrivateKeyDer::Pkcs8(private.serialize_der().into());
    let leaf = CertifiedKey::from_der(vec![certificate.der().clone()], private, &default_provider());
    let leaf = Arc::new(leaf.map_err(|error| AuthorityError::Bad(error.to_string()))?);
    Ok(Current { roots, leaf, due: SystemTime::now() + LEAF / 2, stamps: Vec::new() })
}

impl PkiFiles {
    /// When each file was last written.
    fn stamps(&self) -> Vec<Option<SystemTime>> {
        let written = |path: &PathBuf| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
        [&self.ca, &self.cert, &self.key].map(written).into()
    }

    fn load(&self, name: &NodeName, role: Role) -> Result<Current, IdentityError> {
        let content = |path: &PathBuf, why: String| IdentityError::Content { path: path.clone(), why };
        let certificates = |path: &PathBuf| -> Result<Vec<CertificateDer<'static>>, IdentityError> {
            let text = read(path, false)?;
            let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
            let all = all.map_err(|error| content(path, error.to_string()))?;
            if all.is_empty() { Err(content(path, "no certificate in it".into())) } else { Ok(all) }
        };
        let stamps = self.stamps();
        let roots = certificates(&self.ca)?;
        let roots = roots
            .iter()
            .map(anchor)
            .collect::<Result<Arc<[_]>, _>>()
            .map_err(|why| content(&self.ca, why))?;
        let chain = certificates(&self.cert)?;
        let wanted = CertName { cluster: self.cluster.clone(), role, name: name.clone() };
        let found = chain.first().and_then(CertName::of);
        if found.as_ref() != Some(&wanted) {
            let none = || "no node (no URI name horde://CLUSTER/ROLE/NAME)".to_owned();
            let found = found.map_or_else(none, |found| found.to_string());
            return Err(IdentityError::Name { wanted: wanted.to_string(), found });
        }
        check_time(&roots, &chain).map_err(|why| content(&self.cert, why))?;
        let key = PrivateKeyDer::from_pem_slice(read(&self.key, true)?.as_bytes());
        let key = key.map_err(|error| content(&self.key, error.to_string()))?;
        let leaf = CertifiedKey::from_der(chain, key, &default_provider());
        let leaf = Arc::new(leaf.map_err(|error| content(&self.key, error.to_string()))?);
        Ok(Current { roots, leaf, due: SystemTime::now() + LOOK, stamps })
    }
}

/// Refuses a chain that nobody would believe today, and warns of one that nobody will believe soon.
fn check_time(roots: &[TrustAnchor<'_>], chain: &[CertificateDer<'_>]) -> Result<(), String> {
    let Some((leaf, rest)) = chain.split_first() else { return Ok(()) };
    let leaf = webpki::EndEntityCert::try_from(leaf).map_err(|error| error.to_string())?;
    let algorithms = default_provider().signature_verification_algorithms;
    let in_days = |days: u64| {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let then = UnixTime::since_unix_epoch(since_1970 + DAY * u32::try_from(days).unwrap_or(u32::MAX));
        let usage = webpki::KeyUsage::client_auth();
        leaf.verify_for_usage(algorithms.all, roots, rest, then, usage, None, None).map(drop)
    };
    in_days(0).map_err(|error| format!("peers would refuse this certificate: {error}"))?;
    if let Some(days) = [1, 7, WARN_DAYS].into_iter().find(|&days| in_days(days).is_err()) {
        tracing::warn!("the node's certificate expires within {days} days; put a new one in its place");
    }
    Ok(())
}
