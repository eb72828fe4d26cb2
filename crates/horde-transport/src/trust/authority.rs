//! The certificate authority of a cluster.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ED25519, SanType, SerialNumber,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use super::{CertName, name::cluster_of};
use crate::{NodeName, Role};

/// Certificates are valid from this long before they are issued, for clocks that disagree.
const BACK_DATED: Duration = Duration::from_secs(24 * 60 * 60);

/// A certificate authority: it issues the certificates that a cluster's nodes accept. Ed25519, X.509 v3.
///
/// Whoever holds its key can pose as any node of the cluster.
pub struct Authority {
    cluster: NodeName,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

/// A certificate and its private key, as PEM. The key is a secret: write it for its owner only.
#[derive(Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS#8.
    pub key: String,
}

/// A certificate could not be made or read. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// The key or certificate could not be made or read; the text says why.
    #[error("{0}")]
    Bad(String),
    /// The CA was not made by this library: it cannot issue with it.
    #[error(
        "not a CA certificate of a horde cluster (issue node certificates with the tool that made the CA)"
    )]
    Foreign,
    /// Key and certificate do not belong together.
    #[error("the CA's key does not belong to its certificate")]
    WrongKey,
}

impl From<rcgen::Error> for AuthorityError {
    fn from(error: rcgen::Error) -> Self {
        Self::Bad(error.to_string())
    }
}

/// The PKCS#8 (RFC 8410) frame of an Ed25519 seed.
const ED25519_PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

impl Authority {
    /// A new authority with a random key.
    ///
    /// # Errors
    /// [`AuthorityError`] when the system gives no randomness.
    pub fn generate(cluster: &NodeName) -> Result<Self, AuthorityError> {
        Self::with_key(cluster.clone(), KeyPair::generate_for(&PKCS_ED25519)?)
    }

    /// The authority of a seed: the same seed and cluster always make the same certificate.
    pub(crate) fn from_seed(cluster: &NodeName, seed: &[u8; 32]) -> Result<Self, AuthorityError> {
        let pkcs8 = [&ED25519_PKCS8[..], seed].concat();
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(pkcs8), &PKCS_ED25519)?;
        Self::with_key(cluster.clone(), key)
    }

    /// Reads what [`Authority::certificate_pem`] and [`Authority::key_pem`] wrote.
    ///
    /// # Errors
    /// [`AuthorityError`] says what is wrong with the files.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, AuthorityError> {
        let bad = |error: rustls::pki_types::pem::Error| AuthorityError::Bad(error.to_string());
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(bad)?;
        let cluster = cluster_of(&der).ok_or(AuthorityError::Foreign)?;
        let authority = Self::with_key(cluster, KeyPair::from_pem(key)?)?;
        if authority.certificate == der { Ok(authority) } else { Err(AuthorityError::WrongKey) }
    }

    fn with_key(cluster: NodeName, key: KeyPair) -> Result<Self, AuthorityError> {
        let mut params = CertificateParams::default();
        let id = params.key_identifier(&key);
        let short: String = id.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, format!("horde CA {cluster} {short}"));
        params.subject_alt_names = vec![SanType::URI(format!("horde://{cluster}").try_into()?)];
        params.serial_number = Some(serial(&id));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        let (der, pem) = (certificate.der().clone(), certificate.pem());
        Ok(Self { cluster, issuer: Issuer::new(params, key), certificate: der, pem })
    }

    /// Issues a certificate for `name` in `role`, valid from a day ago until `lifetime` from now.
    ///
    /// # Errors
    /// [`AuthorityError`] when the system gives no randomness.
    pub fn issue(&self, name: &NodeName, role: Role, lifetime: Duration) -> Result<Issued, AuthorityError> {
        let (certificate, key) = self.leaf(name, role, lifetime)?;
        Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    pub(crate) fn leaf(
        &self,
        name: &NodeName,
        role: Role,
        lifetime: Duration,
    ) -> Result<(rcgen::Certificate, KeyPair), AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let mut params = CertificateParams::default();
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        params.not_before = epoch + now.saturating_sub(BACK_DATED);
        params.not_after = epoch + now + lifetime;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name.as_str());
        let uri = CertName { cluster: self.cluster.clone(), role, name: name.clone() }.to_string();
        params.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
        params.serial_number = Some(serial(&params.key_identifier(&key)));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        Ok((params.signed_by(&key, &self.issuer)?, key))
    }

    /// The cluster it issues for.
    #[must_use]
    pub fn cluster(&self) -> &NodeName {
        &self.cluster
    }

    /// The CA certificate as PEM: every node needs it.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// The CA's private key as PEM. A secret.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }
}

/// A positive serial of 16 bytes from a key's identifier: one key, one certificate.
fn serial(key: &[u8]) -> SerialNumber {
    let mut bytes: Vec<u8> = key.iter().copied().take(16).collect();
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x3f) | 0x40;
    }
    SerialNumber::from(bytes)
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_makes_the_same_authority() {
        let cluster = NodeName::new("shop").unwrap();
        let [one, two] = [(); 2].map(|()| Authority::from_seed(&cluster, &[7; 32]).unwrap());
        assert_eq!(one.certificate(), two.certificate());
        let other = Authority::from_seed(&cluster, &[8; 32]).unwrap();
        assert_ne!(one.certificate(), other.certificate());
    }

    #[test]
    fn an_authority_reads_back_from_its_files_and_refuses_a_foreign_key() {
        let cluster = NodeName::new("shop").unwrap();
        let [one, two] = [(); 2].map(|()| Authority::generate(&cluster).unwrap());
        let read = Authority::from_pem(one.certificate_pem(), &one.key_pem()).unwrap();
        assert_eq!(read.certificate(), one.certificate());
        let mixed = Authority::from_pem(one.certificate_pem(), &two.key_pem());
        assert_eq!(mixed.err(), Some(AuthorityError::WrongKey));
    }
}
