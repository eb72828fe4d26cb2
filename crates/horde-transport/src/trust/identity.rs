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

use super::files::{FileError, read};
use super::{Authority, AuthorityError, CertName, ClusterKey};
use crate::dispatch::lock;
use crate::{NodeName, Role};

/// How long a certificate that a node issues itself is valid; it is renewed in place after half of it.
const LEAF: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The PEM files of a PKI.
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
    pub(crate) fn credentials(&self, name: &NodeName, role: Role) -> Result<Credentials, IdentityError> {
        match &self.0 {
            Kind::Secret(key) => {
                let all = std::iter::once(&key.current).chain(&key.previous);
                let roots = all.map(|authority| anchor(authority.certificate())).collect::<Result<_, _>>();
                let roots = roots.map_err(AuthorityError::Bad)?;
                let leaf = own_leaf(&key.current, name, role)?;
                let renew = Some((key.current.clone(), name.clone(), role));
                Ok(Credentials { roots, leaf: Leaf { renew, current: Mutex::new(leaf) } })
            }
            Kind::Pki(files) => files.credentials(name, role),
        }
    }
}

/// What TLS needs of an identity.
pub(crate) struct Credentials {
    pub(crate) roots: Vec<TrustAnchor<'static>>,
    pub(crate) leaf: Leaf,
}

/// The certificate shown to peers, renewed when half of its time is over if it is of our own making.
pub(crate) struct Leaf {
    renew: Option<(Arc<Authority>, NodeName, Role)>,
    current: Mutex<(Arc<CertifiedKey>, SystemTime)>,
}

impl Leaf {
    fn key(&self) -> Arc<CertifiedKey> {
        let mut current = lock(&self.current);
        if let Some((authority, name, role)) = &self.renew
            && SystemTime::now() >= current.1
        {
            match own_leaf(authority, name, *role) {
                Ok(leaf) => *current = leaf,
                Err(error) => tracing::warn!(node = %name, %error, "the certificate could not be renewed"),
            }
        }
        current.0.clone()
    }
}

impl ResolvesServerCert for Leaf {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key())
    }
}

impl ResolvesClientCert for Leaf {
    fn resolve(&self, _issuers: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.key())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf").finish_non_exhaustive()
    }
}

fn anchor(certificate: &CertificateDer<'_>) -> Result<TrustAnchor<'static>, String> {
    webpki::anchor_from_trusted_cert(certificate)
        .map(|anchor| anchor.to_owned())
        .map_err(|error| error.to_string())
}

/// A certificate of our own, and when to renew it.
fn own_leaf(
    authority: &Authority,
    name: &NodeName,
    role: Role,
) -> Result<(Arc<CertifiedKey>, SystemTime), AuthorityError> {
    let (certificate, key) = authority.leaf(name, role, LEAF)?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let chain = vec![certificate.der().clone()];
    let certified = CertifiedKey::from_der(chain, key, &default_provider());
    let certified = certified.map_err(|error| AuthorityError::Bad(error.to_string()))?;
    Ok((Arc::new(certified), SystemTime::now() + LEAF / 2))
}

impl PkiFiles {
    fn credentials(&self, name: &NodeName, role: Role) -> Result<Credentials, IdentityError> {
        let content = |path: &PathBuf, why: String| IdentityError::Content { path: path.clone(), why };
        let certificates = |path: &PathBuf| -> Result<Vec<CertificateDer<'static>>, IdentityError> {
            let text = read(path, false)?;
            let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
            let all = all.map_err(|error| content(path, error.to_string()))?;
            if all.is_empty() { Err(content(path, "no certificate in it".into())) } else { Ok(all) }
        };
        let roots = certificates(&self.ca)?;
        let roots =
            roots.iter().map(anchor).collect::<Result<_, _>>().map_err(|why| content(&self.ca, why))?;
        let chain = certificates(&self.cert)?;
        let wanted = CertName { cluster: self.cluster.clone(), role, name: name.clone() };
        let found = chain.first().and_then(CertName::of);
        if found.as_ref() != Some(&wanted) {
            let found = found
                .map_or_else(|| "no node (no URI name horde://CLUSTER/ROLE/NAME)".into(), |n| n.to_string());
            return Err(IdentityError::Name { wanted: wanted.to_string(), found });
        }
        let key = PrivateKeyDer::from_pem_slice(read(&self.key, true)?.as_bytes());
        let key = key.map_err(|error| content(&self.key, error.to_string()))?;
        let certified = CertifiedKey::from_der(chain, key, &default_provider());
        let certified = certified.map_err(|error| content(&self.key, error.to_string()))?;
        let current = Mutex::new((Arc::new(certified), SystemTime::now()));
        Ok(Credentials { roots, leaf: Leaf { renew: None, current } })
    }
}
