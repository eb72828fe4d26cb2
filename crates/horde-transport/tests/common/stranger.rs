//! A peer that holds a certificate and otherwise does as it likes.

use std::net::SocketAddr;
use std::sync::Arc;

use horde_transport::{Authority, Identity, Issued, NodeName, PkiFiles, Quic, Role};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

/// Believes everybody.
#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

pub(crate) struct Stranger {
    endpoint: quinn::Endpoint,
}

impl Stranger {
    /// A stranger with this certificate, or none, that speaks `protocol`.
    pub(crate) fn new(issued: Option<&Issued>, protocol: &str) -> Self {
        let mut endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
        endpoint.set_default_client_config(client(issued, protocol));
        Self { endpoint }
    }

    /// A stranger without a certificate on a socket of its own.
    pub(crate) fn on(socket: Arc<dyn quinn::AsyncUdpSocket>, protocol: &str) -> Self {
        let (config, runtime) = (quinn::EndpointConfig::default(), Arc::new(quinn::TokioRuntime));
        let endpoint = quinn::Endpoint::new_with_abstract_socket(config, None, socket, runtime);
        let mut endpoint = endpoint.unwrap();
        endpoint.set_default_client_config(client(None, protocol));
        Self { endpoint }
    }

    /// Begins a handshake.
    pub(crate) fn begin(&self, to: SocketAddr) -> quinn::Connecting {
        self.endpoint.connect(to, "anybody").unwrap()
    }

    /// A stranger with this certificate that others dial; it asks for none.
    pub(crate) fn listening(issued: &Issued) -> Self {
        let certificate = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
        let mut config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        config.alpn_protocols = vec!["horde/1".into()];
        let config = quinn::crypto::rustls::QuicServerConfig::try_from(config).unwrap();
        let config = quinn::ServerConfig::with_crypto(Arc::new(config));
        Self { endpoint: quinn::Endpoint::server(config, ([127, 0, 0, 1], 0).into()).unwrap() }
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.endpoint.local_addr().unwrap()
    }

    /// The next connection that somebody makes.
    pub(crate) async fn accept(&self) -> Result<quinn::Connection, quinn::ConnectionError> {
        let incoming = tokio::time::timeout(crate::recorder::SOON, self.endpoint.accept()).await;
        incoming.expect("somebody in time").expect("an endpoint").await
    }

    /// A connection, if it cannot carry early data.
    pub(crate) async fn early(&self, to: SocketAddr) -> Option<quinn::Connection> {
        match self.endpoint.connect(to, "anybody").unwrap().into_0rtt() {
            Ok(_early) => None,
            Err(connecting) => Some(connecting.await.unwrap()),
        }
    }

    pub(crate) async fn connect(&self, to: SocketAddr) -> Result<quinn::Connection, quinn::ConnectionError> {
        self.endpoint.connect(to, "anybody").unwrap().await
    }
}

fn client(issued: Option<&Issued>, protocol: &str) -> quinn::ClientConfig {
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(Credulous));
    let mut config = match issued {
        None => config.with_no_client_auth(),
        Some(issued) => {
            let certificate = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
            config.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    };
    config.alpn_protocols = vec![protocol.into()];
    config.enable_early_data = true;
    quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()))
}

/// A directory that is removed when dropped.
pub(crate) struct Directory(std::path::PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("horde-transport-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        path
    }

    pub(crate) fn pki(&self, cluster: &str, ca: &str, issued: &Issued) -> PkiFiles {
        PkiFiles {
            cluster: NodeName::new(cluster).unwrap(),
            ca: self.write("ca.pem", ca),
            cert: self.write("node.pem", &issued.certificate),
            key: self.write("node.key.pem", &issued.key),
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _already_gone = std::fs::remove_dir_all(&self.0);
    }
}

/// An authority of the tests' cluster.
pub(crate) fn authority() -> Authority {
    Authority::generate(&NodeName::new("tests").unwrap()).unwrap()
}

pub(crate) fn issue(authority: &Authority, name: &str, role: Role) -> Issued {
    authority.issue(&NodeName::new(name).unwrap(), role, std::time::Duration::from_secs(3600)).unwrap()
}

/// A node of that authority.
pub(crate) fn member_of(authority: &Authority, name: &str, test: &str) -> Arc<Quic> {
    let issued = issue(authority, name, Role::Node);
    let directory = Directory::new(&format!("{test}-{name}"));
    let mut config = crate::mesh::config(name);
    config.identity = Identity::pki(directory.pki("tests", authority.certificate_pem(), &issued));
    config.timing.handshake = std::time::Duration::from_millis(500);
    Quic::bind(config).unwrap()
}
