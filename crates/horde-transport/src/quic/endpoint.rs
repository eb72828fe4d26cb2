//! A node's end of the mesh.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use quinn::{Endpoint, EndpointConfig, TokioRuntime, VarInt};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::close::Code;
use super::config::{BindError, QuicConfig, Timing};
use super::dial::{self, Dials, Jitter};
use super::lane::Refused as LaneRefused;
use super::links::Links;
use super::socket::{self, Faults};
use super::status::{DialStatus, PeerStats, Refusals, Refused};
use super::tether::{self, Tethers};
use super::tls::Configs;
use super::wire::Header;
use super::{accept, tls};
use crate::dispatch::{Dispatch, Item, lock};
use crate::trust::identity::Credentials;
use crate::trust::random;
use crate::{
    Lane, Limits, Network, NodeId, NodeName, OnReply, Peer, Role, SendError, Subscriber, Subscription, Topic,
    TopicTaken,
};

/// The link number of a node's requests to itself.
const SELF: u64 = 0;

/// A node's end of an authenticated mesh over QUIC. See the crate's documentation for what it does.
///
/// All its tasks run on the runtime that [`Quic::bind`] was called in, and callbacks are called there: give it one
/// of its own, so that nothing else delays it. Dropped, it closes all connections without a word: peers see `Lost`.
#[derive(Debug)]
pub struct Quic {
    pub(super) inner: Arc<Inner>,
    tasks: Vec<AbortHandle>,
}

/// What the tasks share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) dispatch: Arc<Dispatch>,
    pub(crate) runtime: Handle,
    pub(crate) endpoint: Endpoint,
    pub(crate) cluster: NodeName,
    pub(crate) role: Role,
    pub(crate) timing: Timing,
    pub(crate) handshakes: usize,
    /// What others are told.
    pub(crate) listen: SocketAddr,
    pub(crate) links: Links,
    pub(crate) dials: Dials,
    pub(crate) refusals: Refusals,
    pub(crate) faults: Arc<Faults>,
    pub(crate) tethers: Option<Tethers>,
    pub(crate) jitter: Jitter,
    pub(crate) banned: Mutex<BTreeSet<NodeName>>,
    credentials: Arc<Credentials>,
}

/// What a node is put together from.
struct Parts {
    runtime: Handle,
    endpoint: Endpoint,
    local: SocketAddr,
    faults: Arc<Faults>,
    listener: Option<(u16, tokio::net::TcpListener)>,
    jitter: Jitter,
    credentials: Arc<Credentials>,
}

impl Inner {
    pub(crate) fn limits(&self) -> &Limits {
        self.dispatch.limits()
    }
}

impl Quic {
    /// Starts a node's network on the current tokio runtime, which needs its clock and its I/O driver.
    ///
    /// # Errors
    /// [`BindError`]: nothing is bound.
    pub fn bind(config: QuicConfig) -> Result<Arc<Self>, BindError> {
        let runtime = Handle::try_current().map_err(|_| BindError::NoRuntime)?;
        let Configs { server, client, credentials } = tls::configs(&config)?;
        let io = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::AddrInUse => BindError::InUse(config.listen),
            _ => BindError::Io { address: config.listen, source },
        };
        let socket = socket::bind(config.listen, config.socket_buffer).map_err(io)?;
        let local = socket.local_addr().map_err(io)?;
        let faults = Arc::new(Faults::default());
        let socket = socket::wrap(socket, faults.clone()).map_err(io)?;
        let settings = EndpointConfig::default();
        let endpoint =
            Endpoint::new_with_abstract_socket(settings, Some(server), socket, Arc::new(TokioRuntime));
        let mut endpoint = endpoint.map_err(io)?;
        endpoint.set_default_client_config(client);
        let listener = if config.tether { tether_listener(local) } else { None };
        let mut seed = [0; 8];
        random(&mut seed);
        let jitter = Jitter::new(u64::from_le_bytes(seed));
        let parts = Parts { runtime, endpoint, local, faults, listener, jitter, credentials };
        Ok(Self::assemble(config, parts))
    }

    fn assemble(config: QuicConfig, parts: Parts) -> Arc<Self> {
        let Parts { runtime, endpoint, local, faults, listener, jitter, credentials } = parts;
        let dispatch = Dispatch::start(config.id(), config.limits.clone(), runtime.clone());
        let inner = Arc::new(Inner {
            dispatch,
            runtime,
            endpoint,
            cluster: config.identity.cluster().clone(),
            role: config.role,
            timing: config.timing,
            handshakes: config.handshakes.max(1),
            listen: config.advertise.unwrap_or(local),
            links: Links::new(config.peers),
            dials: Dials::default(),
            refusals: Refusals::default(),
            faults,
            tethers: listener.as_ref().map(|(port, _)| Tethers::new(*port)),
            jitter,
            banned: Mutex::new(config.banned),
            credentials: credentials.clone(),
        });
        let mut tasks = vec![
            tokio::spawn(accept::run(inner.clone())).abort_handle(),
            tokio::spawn(credentials.watch()).abort_handle(),
        ];
        if let Some((_, listener)) = listener {
            tasks.push(tokio::spawn(tether::listen(inner.clone(), listener)).abort_handle());
        }
        Arc::new(Self { inner, tasks })
    }

    /// A network on a socket of the simulation, with all that is random drawn from `seed`. No tether.
    #[cfg(test)]
    pub(super) fn simulated(
        config: QuicConfig,
        socket: Arc<dyn quinn::AsyncUdpSocket>,
        seed: u64,
    ) -> Arc<Self> {
        let Configs { server, client, credentials } = tls::configs(&config).unwrap();
        let local = socket.local_addr().unwrap();
        let mut settings = EndpointConfig::default();
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        settings.rng_seed(Some(bytes));
        let endpoint =
            Endpoint::new_with_abstract_socket(settings, Some(server), socket, Arc::new(TokioRuntime));
        let mut endpoint = endpoint.unwrap();
        endpoint.set_default_client_config(client);
        let (runtime, faults, jitter) = (Handle::current(), Arc::default(), Jitter::new(seed));
        Self::assemble(
            config,
            Parts { runtime, endpoint, local, faults, listener: None, jitter, credentials },
        )
    }

    /// Where it listens, with the port that was bound.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.inner.endpoint.local_addr().unwrap_or(self.inner.listen)
    }

    /// The cluster it belongs to.
    #[must_use]
    pub fn cluster(&self) -> &NodeName {
        &self.inner.cluster
    }

    /// How it goes with each address that is dialled. Each prints as a sentence for the user.
    #[must_use]
    pub fn dial_status(&self) -> Vec<DialStatus> {
        self.inner.dials.status()
    }

    /// A receiver that ticks whenever [`Quic::dial_status`] changes.
    #[must_use]
    pub fn dial_changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.inner.dials.changes()
    }

    /// The last strangers that were not let in, or would not come in; at most 32. Each prints as a sentence.
    #[must_use]
    pub fn refused(&self) -> Vec<Refused> {
        self.inner.refusals.all()
    }

    /// Figures of each connection.
    #[must_use]
    pub fn stats(&self) -> Vec<PeerStats> {
        let links = self.inner.links.all();
        let stats = links.iter().map(|link| {
            let stats = link.connection.stats();
            PeerStats {
                peer: link.peer.clone(),
                up: link.since.elapsed(),
                round_trip: stats.path.rtt,
                sent_bytes: stats.udp_tx.bytes,
                received_bytes: stats.udp_rx.bytes,
                sent_packets: stats.path.sent_packets,
                lost_packets: stats.path.lost_packets,
                queued_bytes: link.queued(),
                tethered: link.tethered.load(Ordering::Relaxed),
            }
        });
        stats.collect()
    }

    /// When peers stop believing this node's certificate, unless a new one takes its place; none without an end in sight.
    ///
    /// Of a PKI it is the earliest end in the chain; the log warns of it in time. One that came of a secret is renewed
    /// by itself.
    #[must_use]
    pub fn certificate_expires(&self) -> Option<SystemTime> {
        self.inner.credentials.expires()
    }

    /// Lets these nodes in no more, and only these, whatever their certificates say; those connected are disconnected.
    pub fn set_banned(&self, banned: BTreeSet<NodeName>) {
        *lock(&self.inner.banned) = banned.clone();
        for link in self.inner.links.all() {
            if banned.contains(link.peer.id.name()) {
                link.disconnect("banned here");
            }
        }
    }

    /// Loses everything to and from `address` from now on, or no longer: for tests and demonstrations of a partition.
    ///
    /// Datagrams vanish below QUIC and the tether says nothing; nobody is told, as on a cut cable.
    pub fn cut(&self, address: SocketAddr, lost: bool) {
        self.inner.faults.set(address, lost);
    }

    /// Says goodbye to all peers: sends what waits, lets them read it, and closes. Takes no longer than `deadline`;
    /// what was not read by then is lost. Peers that answered see `Goodbye`.
    pub async fn close(&self, deadline: Duration) {
        let until = Instant::now() + deadline;
        self.inner.dials.clear();
        let links = self.inner.links.leave();
        links.iter().for_each(|link| link.leave());
        let goodbyes = async {
            for link in &links {
                link.finished().await;
            }
        };
        let _late = tokio::time::timeout_at(until, goodbyes).await;
        self.shut(Code::Goodbye, "goodbye");
        let _late = tokio::time::timeout_at(until, self.inner.endpoint.wait_idle()).await;
    }

    fn shut(&self, code: Code, why: &str) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.inner.dials.clear();
        self.inner.endpoint.close(VarInt::from_u32(code as u32), why.as_bytes());
        self.inner.dispatch.close();
    }

    fn not_sent(to: &NodeId, refused: LaneRefused) -> SendError {
        match refused {
            LaneRefused::Full => SendError::Full(to.clone()),
            LaneRefused::Closed => SendError::NotConnected(to.clone()),
        }
    }

    fn ask_self(&self, topic: &Topic, frame: Bytes, timeout: Duration, on_reply: OnReply) {
        let dispatch = &self.inner.dispatch;
        let Some(id) = dispatch.expect(dispatch.local(), SELF, timeout, on_reply) else { return };
        let asker = dispatch.clone();
        let answer = Box::new(move |outcome| {
            if let Some(on_reply) = asker.pending.take(id, SELF) {
                asker.push(Item::Reply(on_reply, outcome));
            }
        });
        let (from, topic) = (dispatch.local().clone(), topic.clone());
        if dispatch.push_bounded(Item::Request { from, topic, frame, timeout, answer }).is_err()
            && let Some(on_reply) = dispatch.pending.take(id, SELF)
        {
            dispatch.refuse(on_reply, SendError::Full(dispatch.local().clone()));
        }
    }
}

/// A tether listener and its port; none where TCP cannot be had, which costs only the hint.
fn tether_listener(udp: SocketAddr) -> Option<(u16, tokio::net::TcpListener)> {
    let bound = tether::bind(udp).and_then(|listener| {
        let port = listener.local_addr()?.port();
        Ok((port, tokio::net::TcpListener::from_std(listener)?))
    });
    bound.map_err(|error| tracing::warn!(%error, "no tether: crashes of peers are noticed later")).ok()
}

impl Network for Quic {
    fn local(&self) -> &NodeId {
        self.inner.dispatch.local()
    }

    fn peers(&self) -> Vec<Peer> {
        self.inner.links.all().iter().map(|link| link.peer.clone()).collect()
    }

    fn send(&self, to: &NodeId, topic: &Topic, lane: Lane, frame: Bytes) -> Result<(), SendError> {
        let dispatch = &self.inner.dispatch;
        dispatch.check_size(lane, &frame)?;
        if to == dispatch.local() {
            let item = Item::Frame { from: to.clone(), topic: topic.clone(), lane, frame };
            return dispatch.push_bounded(item).map_err(|_back| SendError::Full(to.clone()));
        }
        let link = self.inner.links.get(to).ok_or_else(|| SendError::NotConnected(to.clone()))?;
        let header = Header::Frame { topic: topic.as_str() };
        link.push(lane, &header, frame, dispatch.limits()).map_err(|refused| Self::not_sent(to, refused))
    }

    fn request(&self, to: &NodeId, topic: &Topic, frame: Bytes, timeout: Duration, on_reply: OnReply) {
        let dispatch = &self.inner.dispatch;
        if let Err(error) = dispatch.check_size(Lane::Calls, &frame) {
            return dispatch.refuse(on_reply, error);
        }
        if to == dispatch.local() {
            return self.ask_self(topic, frame, timeout, on_reply);
        }
        let Some(link) = self.inner.links.get(to) else {
            return dispatch.refuse(on_reply, SendError::NotConnected(to.clone()));
        };
        let Some(id) = dispatch.expect(to, link.number, timeout, on_reply) else { return };
        let timeout_us = u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX);
        let header = Header::Request { id, timeout_us, topic: topic.as_str() };
        if let Err(refused) = link.push(Lane::Calls, &header, frame, dispatch.limits())
            && let Some(on_reply) = dispatch.pending.take(id, link.number)
        {
            dispatch.refuse(on_reply, Self::not_sent(to, refused));
        }
    }

    fn subscribe(&self, topic: &Topic, subscriber: Arc<dyn Subscriber>) -> Result<Subscription, TopicTaken> {
        self.inner.dispatch.subscribe(topic, subscriber)
    }

    fn dial(&self, address: SocketAddr) {
        dial::start(&self.inner, address);
    }

    fn undial(&self, address: SocketAddr) {
        self.inner.dials.remove(address);
    }

    fn disconnect(&self, peer: &NodeId, why: &str) {
        if let Some(link) = self.inner.links.get(peer) {
            link.disconnect(why);
        }
    }
}

impl Drop for Quic {
    fn drop(&mut self) {
        self.shut(Code::Dropped, "dropped");
    }
}
