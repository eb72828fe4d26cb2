//! A command-line client's, or a tool's, side.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use horde_transport::{
    BindError, DialFailure, DialState, Identity, NameError, Network as _, NodeId, NodeName, Quic, QuicConfig,
    RequestError, Role, Topic, TopicTooLong,
};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::TOPIC;
use super::page::{Cursor, MAX_ROWS, Page};
use super::report::{
    ChildFilter, ChildReport, Drained, Forgotten, Listing, MemberReport, MoveReport, NameReport, StatusReport,
};
use super::rights::Refusal;
use super::wire::{Request, Response};

/// How much longer than a drain its answer may take.
const SLACK: Duration = Duration::from_secs(10);
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_millis(500);

/// An authenticated connection to one node of a running cluster: looks into the cluster, and steers it.
///
/// It is never a member: no member lists it, heartbeats it, or runs anything for it. A [`Role::Client`] looks; to drain
/// and to forget takes [`Role::Operator`]. Needs a tokio runtime with its clock and its I/O driver.
#[derive(Debug)]
pub struct Client {
    quic: Arc<Quic>,
    node: NodeId,
    topic: Topic,
    timeout: Duration,
}

/// Settings of a client that is not connected yet.
#[derive(Debug, Clone)]
#[must_use = "a builder connects to nobody until `connect` is called"]
pub struct ClientBuilder {
    identity: Identity,
    name: Option<String>,
    role: Role,
    timeout: Duration,
}

/// Why a client has no answer. Where nothing else is said, nothing was done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The name is not one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The own end does not start: the identity is of no use, most likely.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The topic's name is refused.
    #[error(transparent)]
    Topic(#[from] TopicTooLong),
    /// Nobody answers there.
    #[error("nobody answers at {0} (is a node running there, and is its UDP port open?)")]
    NoAnswer(SocketAddr),
    /// The node there does not let this client in.
    #[error("the node at {address} refuses this client: {why}")]
    RefusedUs {
        /// Where.
        address: SocketAddr,
        /// Its reason.
        why: String,
    },
    /// Whoever is there is not what this client believes.
    #[error("this client refuses the node at {address}: {why}")]
    Refused {
        /// Where.
        address: SocketAddr,
        /// The reason.
        why: String,
    },
    /// There is no connection for another reason.
    #[error("cannot connect to {address}: {why}")]
    Failed {
        /// Where.
        address: SocketAddr,
        /// The reason.
        why: String,
    },
    /// The node does not do it, and says why.
    #[error(transparent)]
    Denied(#[from] Refusal),
    /// The connection broke before the answer: what was asked for may have been done.
    #[error("the connection to {0} broke before its answer; it may have done what was asked")]
    Interrupted(NodeId),
    /// No answer in time: what was asked for may have been done, or may still be.
    #[error("{node} gave no answer within {after:?}; it may have done what was asked, or may still do it")]
    Timeout {
        /// Which node.
        node: NodeId,
        /// The time.
        after: Duration,
    },
    /// The node is there, and answers no such requests.
    #[error("{0} answers no requests of this kind (a program of another version?)")]
    NoSuchTopic(NodeId),
    /// The answer is none that this client reads.
    #[error("the answer of {node} does not read: {why}")]
    Unreadable {
        /// Which node.
        node: NodeId,
        /// Why.
        why: String,
    },
}

impl Client {
    /// A client that proves who it is by `identity`: the cluster's secret, or certificate files.
    pub fn builder(identity: Identity) -> ClientBuilder {
        ClientBuilder { identity, name: None, role: Role::Client, timeout: Duration::from_secs(10) }
    }

    /// The node it is connected to.
    #[must_use]
    pub fn node(&self) -> &NodeId {
        &self.node
    }

    /// How that node, and the cluster as it sees it, stand.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn status(&self) -> Result<StatusReport, ClientError> {
        match self.ask(&Request::Status, self.timeout).await? {
            Response::Status(status) => Ok(status),
            other => Err(self.odd(&other)),
        }
    }

    /// The members as that node sees them, those that are Down or have left lately included.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn members(&self) -> Result<Vec<MemberReport>, ClientError> {
        let request = |after, limit| Request::Members { after, limit };
        let page = |response| match response {
            Response::Members(page) => Ok(page),
            other => Err(Box::new(other)),
        };
        Ok(self.list(usize::MAX, request, page).await?.rows)
    }

    /// The first `limit` children that pass the filter, by supervisor and id, on all members.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn children(
        &self,
        filter: &ChildFilter,
        limit: usize,
    ) -> Result<Listing<ChildReport>, ClientError> {
        let request = |after, limit| Request::Children { filter: filter.clone(), after, limit };
        let page = |response| match response {
            Response::Children(page) => Ok(page),
            other => Err(Box::new(other)),
        };
        self.list(limit, request, page).await
    }

    /// The first `limit` names, by registry and key; of `registry` alone when one is given.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn names(
        &self,
        registry: Option<&str>,
        limit: usize,
    ) -> Result<Listing<NameReport>, ClientError> {
        let request = |after, limit| Request::Names { registry: registry.map(str::to_owned), after, limit };
        let page = |response| match response {
            Response::Names(page) => Ok(page),
            other => Err(Box::new(other)),
        };
        self.list(limit, request, page).await
    }

    /// The first `limit` moves that a rebalance would make now; nothing moves. Of `supervisor` alone when one is given.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn plan(
        &self,
        supervisor: Option<&str>,
        limit: usize,
    ) -> Result<Listing<MoveReport>, ClientError> {
        let request =
            |after, limit| Request::Plan { supervisor: supervisor.map(str::to_owned), after, limit };
        let page = |response| match response {
            Response::Plan(page) => Ok(page),
            other => Err(Box::new(other)),
        };
        self.list(limit, request, page).await
    }

    /// Has the member `node` (a name, or `name@incarnation`) move its children away, leave the cluster and end, within
    /// `within`. Answered when it has left: with what did not move, if anything.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::Denied`] without the role of an operator.
    pub async fn drain(&self, node: &str, within: Duration) -> Result<Drained, ClientError> {
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        let request = Request::Drain { node: node.to_owned(), within_ms };
        match self.ask(&request, within.saturating_add(SLACK)).await? {
            Response::Drained(drained) => Ok(drained),
            other => Err(self.odd(&other)),
        }
    }

    /// Has the member `node` (a name, or `name@incarnation`), which is Down, forgotten on all members: it is in no view
    /// any more, nobody dials it, and nothing waits for it. Should that life return, it is turned away and stops.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::Denied`] without the role of an operator, and while any member hears it.
    pub async fn forget(&self, node: &str) -> Result<Forgotten, ClientError> {
        match self.ask(&Request::Forget { node: node.to_owned() }, self.timeout).await? {
            Response::Forgotten(forgotten) => Ok(forgotten),
            other => Err(self.odd(&other)),
        }
    }

    /// Says goodbye. Dropped without it, a client is gone just as well.
    pub async fn close(self) {
        self.quic.close(GOODBYE).await;
    }

    /// Reads pages until there are `limit` rows or no more.
    async fn list<T>(
        &self,
        limit: usize,
        request: impl Fn(Option<Cursor>, u32) -> Request,
        page: impl Fn(Response) -> Result<Page<T>, Box<Response>>,
    ) -> Result<Listing<T>, ClientError> {
        let (mut rows, mut after) = (Vec::new(), None);
        loop {
            let want = u32::try_from(limit - rows.len()).unwrap_or(MAX_ROWS).min(MAX_ROWS);
            let answer = self.ask(&request(after.take(), want), self.timeout).await?;
            let Page { rows: more, left, next } = page(answer).map_err(|other| self.odd(&other))?;
            let left_out = left.saturating_sub(more.len() as u64);
            rows.extend(more);
            if next.is_none() || rows.len() >= limit {
                // A limit of nothing still asks for one row, to know how many there are.
                let over = rows.len().saturating_sub(limit);
                rows.truncate(limit);
                return Ok(Listing { rows, left_out: left_out + over as u64 });
            }
            after = next;
        }
    }

    async fn ask(&self, request: &Request, timeout: Duration) -> Result<Response, ClientError> {
        let (sender, answer) = oneshot::channel();
        let on_reply = move |outcome| {
            // Who asked may have given up.
            drop(sender.send(outcome));
        };
        self.quic.request(&self.node, &self.topic, request.encode(), timeout, Box::new(on_reply));
        let node = || self.node.clone();
        let frame = match answer.await.unwrap_or(Err(RequestError::Interrupted)) {
            Ok(frame) => frame,
            Err(RequestError::Timeout) => return Err(ClientError::Timeout { node: node(), after: timeout }),
            Err(RequestError::NoSuchTopic) => return Err(ClientError::NoSuchTopic(node())),
            Err(RequestError::NotSent(error)) => {
                return Err(ClientError::Unreadable { node: node(), why: error.to_string() });
            }
            Err(_broken) => return Err(ClientError::Interrupted(node())),
        };
        match Response::decode(&frame) {
            Ok(Response::Refused(refusal)) => Err(refusal.into()),
            Ok(response) => Ok(response),
            Err(error) => Err(ClientError::Unreadable { node: node(), why: error.to_string() }),
        }
    }

    fn odd(&self, response: &Response) -> ClientError {
        let why = format!("not what was asked for: {response:?}");
        ClientError::Unreadable { node: self.node.clone(), why: why.chars().take(200).collect() }
    }
}

impl ClientBuilder {
    /// Its role: what its certificate says, for a PKI; whatever is asked for, for a secret, whose holder may be anything.
    /// Default [`Role::Client`]. A node is no client.
    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// Its name: what its certificate says, for a PKI. Default: one of its own.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How long connecting may take, and each answer. Default 10 s; a drain takes longer by what it is given.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Connects to the node that listens at `address`.
    ///
    /// # Errors
    /// [`ClientError`] says which side refused the other and why, or that nobody answers.
    pub async fn connect(self, address: SocketAddr) -> Result<Client, ClientError> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = match self.name {
            Some(name) => NodeName::new(name)?,
            None => NodeName::new(format!("client-{}-{:x}", std::process::id(), since.as_nanos()))?,
        };
        let any: SocketAddr = match address {
            SocketAddr::V4(to) if to.ip().is_loopback() => ([127, 0, 0, 1], 0).into(),
            SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
            SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
        };
        let mut config = QuicConfig::new(name, any, self.identity);
        config.role = self.role;
        config.tether = false;
        config.timing.handshake = config.timing.handshake.min(self.timeout);
        let quic = Quic::bind(config)?;
        let node = connected(&quic, address, self.timeout).await?;
        Ok(Client { quic, node, topic: Topic::new(TOPIC)?, timeout: self.timeout })
    }
}

/// Dials `address`, once: a client that is refused does not try again.
async fn connected(quic: &Quic, address: SocketAddr, timeout: Duration) -> Result<NodeId, ClientError> {
    let mut changes = quic.dial_changes();
    let until = Instant::now() + timeout;
    quic.dial(address);
    loop {
        let status = quic.dial_status().into_iter().find(|status| status.address == address);
        match status.map(|status| status.state) {
            Some(DialState::Connected(id)) => return Ok(id),
            Some(DialState::Failing { last, .. }) => {
                return Err(match last {
                    DialFailure::NoAnswer => ClientError::NoAnswer(address),
                    DialFailure::RefusedUs(why) => ClientError::RefusedUs { address, why },
                    DialFailure::Refused(why) => ClientError::Refused { address, why },
                    other => ClientError::Failed { address, why: other.to_string() },
                });
            }
            Some(DialState::Yourself) => {
                return Err(ClientError::Failed { address, why: "it is this client itself".to_owned() });
            }
            _ => {}
        }
        if tokio::time::timeout_at(until, changes.changed()).await.is_err() {
            return Err(ClientError::NoAnswer(address));
        }
    }
}
