//! The TLS and transport settings of every connection.

use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, Connection, IdleTimeout, ServerConfig, TransportConfig, ValidationTokenConfig, VarInt,
};
use rustls::client::Resumption;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;

use super::bulk::PARALLEL;
use super::config::{BindError, QuicConfig};
use super::wire::ALPN;
use crate::trust::CertName;
use crate::trust::identity::Credentials;
use crate::trust::verifier::Verifier;

/// Unidirectional streams that a peer has open at once: its lanes and its bulk frames.
const UNI_STREAMS: u32 = 3 + PARALLEL;

/// What both sides need.
pub(crate) struct Configs {
    pub(crate) server: ServerConfig,
    pub(crate) client: ClientConfig,
    pub(crate) credentials: Arc<Credentials>,
}

/// Both sides' settings. Mutual TLS 1.3, no early data, no tickets.
pub(crate) fn configs(config: &QuicConfig) -> Result<Configs, BindError> {
    let credentials = config.identity.credentials(&config.name, config.role)?;
    let verifier = Verifier::new(config.identity.cluster().clone(), credentials.clone());
    let provider = Arc::new(default_provider());
    let bad = |error: &dyn std::fmt::Display| BindError::Tls(error.to_string());

    let server = rustls::ServerConfig::builder_with_provider(provider.clone());
    let server = server.with_protocol_versions(&[&TLS13]).map_err(|e| bad(&e))?;
    let mut server =
        server.with_client_cert_verifier(verifier.clone()).with_cert_resolver(credentials.clone());
    server.alpn_protocols = vec![ALPN.to_vec()];
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    server.max_early_data_size = 0;

    let client = rustls::ClientConfig::builder_with_provider(provider);
    let client = client.with_protocol_versions(&[&TLS13]).map_err(|e| bad(&e))?;
    let client = client.dangerous().with_custom_certificate_verifier(verifier);
    let mut client = client.with_client_cert_resolver(credentials.clone());
    client.alpn_protocols = vec![ALPN.to_vec()];
    client.resumption = Resumption::disabled();
    client.enable_sni = false;

    let transport = Arc::new(transport(config)?);
    let server = QuicServerConfig::try_from(server).map_err(|e| bad(&e))?;
    let mut server = ServerConfig::with_crypto(Arc::new(server));
    server.transport_config(transport.clone());
    server.max_incoming(config.handshakes.saturating_mul(4));
    server.incoming_buffer_size(64 << 10).incoming_buffer_size_total(4 << 20);
    let mut tokens = ValidationTokenConfig::default();
    server.validation_token_config(tokens.sent(0).clone());
    let client = QuicClientConfig::try_from(client).map_err(|e| bad(&e))?;
    let mut client = ClientConfig::new(Arc::new(client));
    client.transport_config(transport);
    Ok(Configs { server, client, credentials })
}

fn transport(config: &QuicConfig) -> Result<TransportConfig, BindError> {
    let timing = &config.timing;
    let idle = IdleTimeout::try_from(timing.idle_timeout)
        .map_err(|_| BindError::Timing("the idle timeout is out of range"))?;
    if timing.keep_alive * 2 > timing.idle_timeout {
        return Err(BindError::Timing("the keep-alive must be below half of the idle timeout"));
    }
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(UNI_STREAMS))
        .stream_receive_window(VarInt::from_u32(config.stream_window))
        // Above all streams' windows together: else a bulk frame could fill it and hold up a heartbeat.
        .send_window(u64::from(config.stream_window) * u64::from(UNI_STREAMS + 2))
        // One bulk frame after another: the first is whole earlier, and none is later.
        .send_fairness(false)
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(timing.keep_alive))
        .initial_rtt(timing.initial_rtt)
        .datagram_receive_buffer_size(None)
        .enable_segmentation_offload(config.segmentation_offload);
    Ok(transport)
}

/// The name in the certificate that the other side proved to hold.
pub(crate) fn peer_name(connection: &Connection) -> Option<CertName> {
    let identity = connection.peer_identity()?;
    let chain = identity.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    CertName::of(chain.first()?)
}
