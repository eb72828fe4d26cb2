//! How a node proves who it is, and whom it believes.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, TrustAnchor};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::expiry::{Expiry, believed_until};
use super::files::{FileError, read};
use super::{AuthorityError, CertName, ClusterKey};
use crate::dispatch::lock;
use crate::{NodeName, Role};

/// Files of a PKI are looked at again at most this often, when a handshake needs them.
const LOOK: Duration = Duration::from_secs(1);
/// A file that was written less than this before it was read is read once more: its time of writing may be too coarse
/// to tell a second write from the first.
const SETTLED: Duration = Duration::from_secs(2);
/// They are looked at this often when no handshake comes, and the end of the certificate with them.
const WATCH: Duration = Duration::from_secs(60);

/// How long a certificate that a node issues itself is valid; it is renewed in place after half of it.
const LEAF: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The PEM files of a PKI. They are read again when they change, before the next handshake and within a minute; files
/// that are of no use then are logged, and what was read before stays in use. The end of the certificate (of the
/// earliest in its chain) is warned of in the log 30, 14 and 7 days before, then daily, then 12, 6 and 1 hours before,
/// then each hour.
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
        let credentials = Credentials { source, name, role, current: Mutex::new(current) };
        credentials.warn(&mut lock(&credentials.current), SystemTime::now());
        Ok(Arc::new(credentials))
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
    /// The files as they were read; none if they may have changed since without a trace.
    stamps: Option<Vec<Stamp>>,
    /// When peers stop believing the leaf. Without warnings for a certificate of our own making, which is renewed.
    expiry: Expiry,
}

/// When a file was last written, and its length.
type Stamp = Option<(SystemTime, u64)>;

impl Credentials {
    /// The authorities whose certificates are believed.
    pub(crate) fn roots(&self) -> Arc<[TrustAnchor<'static>]> {
        self.refreshed().0
    }

    /// When peers stop believing what is shown now; none when there is no end in sight.
    pub(crate) fn expires(&self) -> Option<SystemTime> {
        lock(&self.current).expiry.until
    }

    /// Looks at the files and at the end of the certificate, for ever.
    pub(crate) async fn watch(self: Arc<Self>) {
        loop {
            tokio::time::sleep(WATCH).await;
            self.look(&mut lock(&self.current), SystemTime::now());
        }
    }

    fn refreshed(&self) -> (Arc<[TrustAnchor<'static>]>, Arc<CertifiedKey>) {
        let mut current = lock(&self.current);
        let now = SystemTime::now();
        if now >= current.due {
            self.look(&mut current, now);
        }
        (current.roots.clone(), current.leaf.clone())
    }

    /// Renews what is due or has changed, and warns of an end.
    fn look(&self, current: &mut Current, now: SystemTime) {
        let changed = match &self.source {
            Kind::Secret(_) => now >= current.due,
            Kind::Pki(files) => Some(files.stamps()) != current.stamps,
        };
        let node = &self.name;
        match if changed { Some(self.source.load(&self.name, self.role)) } else { None } {
            Some(Ok(mut fresh)) => {
                if fresh.leaf.cert == current.leaf.cert {
                    // What was warned of is not warned of again.
                    fresh.expiry = current.expiry.clone();
                } else {
                    tracing::info!(%node, "the certificate was renewed");
                }
                *current = fresh;
            }
            Some(Err(error)) => {
                tracing::warn!(%node, %error, "the certificate could not be renewed; the one before stays");
                current.due = now + LOOK;
            }
            None => current.due = current.due.max(now + LOOK),
        }
        self.warn(current, now);
    }

    fn warn(&self, current: &mut Current, now: SystemTime) {
        let Kind::Pki(files) = &self.source else { return };
        if let Some(warning) = current.expiry.warning(now) {
            let (node, file) = (&self.name, files.cert.display());
            tracing::warn!(%node, "the certificate {file} {warning}: put a new one in its place, no restart is needed");
        }
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
    let now = SystemTime::now();
    let expiry = Expiry::new(Some(now + LEAF));
    Ok(Current { roots, leaf, due: now + LEAF / 2, stamps: None, expiry })
}

impl PkiFiles {
    fn stamps(&self) -> Vec<Stamp> {
        let stamp = |path: &PathBuf| {
            let meta = std::fs::metadata(path).ok()?;
            Some((meta.modified().ok()?, meta.len()))
        };
        [&self.ca, &self.cert, &self.key].map(stamp).into()
    }

    fn load(&self, name: &NodeName, role: Role) -> Result<Current, IdentityError> {
        let content = |path: &PathBuf, why: String| IdentityError::Content { path: path.clone(), why };
        let certificates = |path: &PathBuf| -> Result<Vec<CertificateDer<'static>>, IdentityError> {
            let text = read(path, false)?;
            let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
            let all = all.map_err(|error| content(path, error.to_string()))?;
            if all.is_empty() { Err(content(path, "no certificate in it".into())) } else { Ok(all) }
        };
        let now = SystemTime::now();
        let stamps = self.stamps();
        let settled = stamps.iter().flatten().all(|(written, _)| *written + SETTLED < now);
        let stamps = settled.then_some(stamps);
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
        let until = believed_until(&roots, &chain, now)
            .map_err(|why| content(&self.cert, format!("peers would refuse this certificate: {why}")))?;
        let key = PrivateKeyDer::from_pem_slice(read(&self.key, true)?.as_bytes());
        let key = key.map_err(|error| content(&self.key, error.to_string()))?;
        let leaf = CertifiedKey::from_der(chain, key, &default_provider());
        let leaf = Arc::new(leaf.map_err(|error| content(&self.key, error.to_string()))?);
        Ok(Current { roots, leaf, due: now + LOOK, stamps, expiry: Expiry::new(until) })
    }
}
