//! The check of a peer's certificate: webpki's chain check as it is, and horde's names instead of DNS names.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring::default_provider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use webpki::KeyUsage;

use super::CertName;
use super::identity::Credentials;
use crate::NodeName;

/// Checks that a certificate comes of the cluster's authority, is valid now and names the cluster.
///
/// That its name is the one the peer claims is checked after the handshake, when the peer has said its name.
#[derive(Debug)]
pub(crate) struct Verifier {
    cluster: NodeName,
    credentials: Arc<Credentials>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Why a certificate was refused; the text reaches the peer too.
#[derive(Clone)]
struct Refusal(String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

/// Takes our own text out of what TLS made of it.
pub(crate) fn plain(text: &str) -> &str {
    let mut inner = text.split_once("OtherError(").map_or(text, |(_, rest)| rest);
    // Our own text may end in a parenthesis too: only those that nothing opened are not ours.
    while inner.ends_with(')') && inner.matches(')').count() > inner.matches('(').count() {
        inner = &inner[..inner.len() - 1];
    }
    inner.trim_start_matches("invalid peer certificate: ")
}

impl Verifier {
    pub(crate) fn new(cluster: NodeName, credentials: Arc<Credentials>) -> Arc<Self> {
        let algorithms = default_provider().signature_verification_algorithms;
        Arc::new(Self { cluster, credentials, algorithms })
    }

    fn check(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), Error> {
        let refuse = |text: String| {
            Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Refusal(text)))))
        };
        let parsed = webpki::EndEntityCert::try_from(leaf).map_err(|_| CertificateError::BadEncoding)?;
        let name = CertName::of(leaf);
        if let Some(name) = &name
            && name.cluster != self.cluster
        {
            let text =
                format!("certificate of cluster {}, but this is cluster {}", name.cluster, self.cluster);
            return Err(refuse(text));
        }
        let algorithms = self.algorithms.all;
        let roots = self.credentials.roots();
        let checked =
            parsed.verify_for_usage(algorithms, &roots, intermediates, now, usage, None, None).map(drop);
        checked.map_err(|error| match error {
            webpki::Error::UnknownIssuer => {
                refuse("certificate not signed by this cluster's secret or CA (wrong secret?)".into())
            }
            webpki::Error::CertExpired { .. } => refuse("certificate expired (or a clock is wrong)".into()),
            webpki::Error::CertNotValidYet { .. } => {
                refuse("certificate not valid yet (or a clock is wrong)".into())
            }
            other => refuse(format!("certificate refused: {other}")),
        })?;
        if name.is_none() {
            return Err(refuse("certificate names no node (no URI name horde://CLUSTER/ROLE/NAME)".into()));
        }
        Ok(())
    }
}

/// What both sides' verifiers do alike once the certificate itself was checked: TLS 1.3 and nothing older.
macro_rules! signatures_of_tls13 {
    () => {
        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _cert: &CertificateDer<'_>,
            _dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::General("TLS 1.2 is not spoken here".into()))
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, cert, dss, &self.algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.algorithms.supported_schemes()
        }
    };
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(leaf, intermediates, now, KeyUsage::server_auth())?;
        Ok(ServerCertVerified::assertion())
    }

    signatures_of_tls13!();
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(leaf, intermediates, now, KeyUsage::client_auth())?;
        Ok(ClientCertVerified::assertion())
    }

    signatures_of_tls13!();
}
