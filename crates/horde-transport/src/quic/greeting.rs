//! The first words on a connection: who is who, and whether this connection is the one.
//!
//! ```text
//! dialler                              accepter
//!    Hello ------------------------------->   checks name, cluster, role against the certificate
//!    <------------------------------ Welcome  the smaller id says whether the connection is taken
//!    Go (if the dialler is smaller) ------>
//! ```
//! One connection stays for each pair because only the node with the smaller id decides: it takes the first that
//! gets so far, and refuses every other while that one lives. The other node holds a connection for good only when
//! told so. When both dial at once neither ever gives up a connection that carries frames.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, RecvStream, SendStream};

use super::close::{Code, Ended, ended};
use super::decoder::Decoder;
use super::endpoint::Inner;
use super::link::{self, Link};
use super::links::{NotTaken, Rule};
use super::tls::peer_name;
use super::wire::{Hello, MAX_MESSAGE, Message, VERSION, Welcome, decode_message, encode_message};
use crate::dispatch::lock;
use crate::{NodeId, Peer, Role};

/// How long a duplicate connection may take to be closed by its dialler.
const LINGER: Duration = Duration::from_secs(1);

/// Messages of a link stream, one after another.
#[derive(Debug)]
pub(crate) struct Messages {
    stream: RecvStream,
    decoder: Decoder,
    begun: bool,
}

/// Why there is no message.
#[derive(Debug)]
pub(crate) enum NoMessage {
    /// The connection is gone.
    Lost,
    /// The peer wrote something else.
    Bad(String),
}

impl Messages {
    pub(crate) fn new(stream: RecvStream) -> Self {
        Self { stream, decoder: Decoder::new(MAX_MESSAGE), begun: false }
    }

    /// The next message; `None` at the end of the stream. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Option<Message>, NoMessage> {
        loop {
            if !self.begun
                && let Some(version) = self.decoder.preamble(1)
            {
                if version[0] != VERSION {
                    return Err(NoMessage::Bad(format!("version {} where {VERSION} was agreed", version[0])));
                }
                self.begun = true;
            }
            if self.begun
                && let Some(body) = self.decoder.next().map_err(|error| NoMessage::Bad(error.to_string()))?
            {
                let message = decode_message(&body);
                return message
                    .map(Some)
                    .map_err(|_| NoMessage::Bad("a message that does not decode".into()));
            }
            match self.stream.read_chunk(MAX_MESSAGE, true).await {
                Ok(Some(chunk)) => self.decoder.push(chunk.bytes),
                Ok(None) => return Ok(None),
                Err(_gone) => return Err(NoMessage::Lost),
            }
        }
    }
}

/// What came of dialling.
#[derive(Debug)]
pub(crate) enum Greeted {
    /// The connection is up.
    Up(Arc<Link>),
    /// Another one stands between us and this node.
    Duplicate(NodeId),
}

async fn lost(connection: &Connection) -> Ended {
    ended(&connection.closed().await)
}

/// Turns the peer away, with a reason that it will log too.
fn refuse(connection: &Connection, why: String) -> Ended {
    Code::Refused.close(connection, &why);
    Ended::Refused(why)
}

async fn message(connection: &Connection, messages: &mut Messages) -> Result<Message, Ended> {
    match messages.next().await {
        Ok(Some(message)) => Ok(message),
        Err(NoMessage::Lost) => Err(lost(connection).await),
        Ok(None) => Err(refuse(connection, "the greeting ended early".into())),
        Err(NoMessage::Bad(why)) => Err(refuse(connection, format!("a greeting that is none: {why}"))),
    }
}

async fn write(connection: &Connection, send: &mut SendStream, message: Message) -> Result<(), Ended> {
    match send.write_all(&encode_message(&message)).await {
        Ok(()) => Ok(()),
        Err(_gone) => Err(lost(connection).await),
    }
}

impl Inner {
    fn hello(&self, insist: bool) -> Hello {
        Hello {
            cluster: self.cluster.clone(),
            id: self.dispatch.local().clone(),
            role: self.role,
            listen: self.listen,
            tether: self.tethers.as_ref().map(|tethers| tethers.port),
            insist,
        }
    }

    /// Checks what a peer says of itself against its certificate and against us.
    fn check(&self, connection: &Connection, hello: &Hello) -> Result<Peer, Ended> {
        let local = self.dispatch.local();
        if hello.id == *local {
            Code::Yourself.close(connection, "this is yourself");
            return Err(Ended::Yourself);
        }
        let proved = peer_name(connection);
        let why = match proved {
            None => "certificate names no node".to_owned(),
            Some(proved) if proved.cluster != self.cluster || hello.cluster != self.cluster => {
                format!("{} is of cluster {}, but this is cluster {}", hello.id, hello.cluster, self.cluster)
            }
            Some(proved) if proved.name != *hello.id.name() => {
                format!("the certificate is {}'s, but the peer says it is {}", proved.name, hello.id)
            }
            Some(proved) if proved.role != hello.role => {
                format!("the certificate is for {:?}, but the peer says it is {:?}", proved.role, hello.role)
            }
            Some(_)
                if hello.id.name() == local.name() && (hello.role, self.role) != (Role::Node, Role::Node) =>
            {
                format!("the name {} is taken (give each node a name of its own)", local.name())
            }
            Some(_) if lock(&self.banned).contains(hello.id.name()) => format!("{} is banned here", hello.id),
            Some(_) if self.links.is_leaving() => NotTaken::Leaving.text(&hello.id),
            Some(_) => {
                let address = located(hello.listen, connection.remote_address());
                return Ok(Peer { id: hello.id.clone(), address: Some(address), role: hello.role });
            }
        };
        Err(refuse(connection, why))
    }

    /// Greets as the dialler.
    pub(crate) async fn greet(
        self: &Arc<Self>,
        connection: Connection,
        insist: bool,
    ) -> Result<Greeted, Ended> {
        let Ok((mut send, receive)) = connection.open_bi().await else { return Err(lost(&connection).await) };
        let hello = [&[VERSION][..], &encode_message(&Message::Hello(self.hello(insist)))].concat();
        if send.write_chunk(Bytes::from(hello)).await.is_err() {
            return Err(lost(&connection).await);
        }
        let mut messages = Messages::new(receive);
        let Message::Welcome(welcome) = message(&connection, &mut messages).await? else {
            return Err(refuse(&connection, "a greeting without a welcome".into()));
        };
        let peer = self.check(&connection, &welcome.hello)?;
        let (id, ours) = (peer.id.clone(), *self.dispatch.local() < peer.id);
        if ours == welcome.taken.is_some() {
            return Err(refuse(&connection, "the two disagree who decides".into()));
        }
        if welcome.taken == Some(false) {
            Code::Duplicate.close(&connection, "another connection stands");
            return Ok(Greeted::Duplicate(id));
        }
        let rule = match (ours, welcome.linked) {
            (false, _) => Rule::Replace,
            (true, true) => Rule::Keep,
            (true, false) => Rule::KeepYoung,
        };
        let opened = Link::open(self, &connection, peer, welcome.hello.tether, (send, messages), true).await;
        let Ok((link, ends)) = opened else { return Err(lost(&connection).await) };
        match self.links.install(&link, rule) {
            Ok(before) => {
                if ours {
                    link.say(Message::Go);
                }
                tokio::spawn(link::run(self.clone(), link.clone(), ends, before));
                Ok(Greeted::Up(link))
            }
            Err(NotTaken::Duplicate) => {
                Code::Duplicate.close(&connection, "another connection stands");
                Ok(Greeted::Duplicate(id))
            }
            Err(why) => Err(refuse(&connection, why.text(&id))),
        }
    }

    /// Greets as the one who was dialled.
    pub(crate) async fn answer(self: &Arc<Self>, connection: Connection) -> Result<(), Ended> {
        let Ok((mut send, receive)) = connection.accept_bi().await else {
            return Err(lost(&connection).await);
        };
        let mut messages = Messages::new(receive);
        let Message::Hello(hello) = message(&connection, &mut messages).await? else {
            return Err(refuse(&connection, "a greeting without a hello".into()));
        };
        let peer = self.check(&connection, &hello)?;
        let (id, ours) = (peer.id.clone(), *self.dispatch.local() < peer.id);
        let linked = self.links.get(&id).is_some_and(|link| link.is_live());
        let welcome = |taken| Message::Welcome(Welcome { hello: self.hello(false), linked, taken });
        if send.write_all(&[VERSION]).await.is_err() {
            return Err(lost(&connection).await);
        }
        if !ours {
            write(&connection, &mut send, welcome(None)).await?;
            match message(&connection, &mut messages).await? {
                Message::Go => {}
                _ => return Err(refuse(&connection, "a greeting without an end".into())),
            }
        }
        let rule = if !ours || hello.insist { Rule::Replace } else { Rule::Keep };
        let opened = Link::open(self, &connection, peer, hello.tether, (send, messages), false).await;
        let Ok((link, mut ends)) = opened else { return Err(lost(&connection).await) };
        match self.links.install(&link, rule) {
            Ok(before) => {
                if ours {
                    link.say(welcome(Some(true)));
                }
                tokio::spawn(link::run(self.clone(), link, ends, before));
                Ok(())
            }
            Err(NotTaken::Duplicate) => {
                write(&connection, &mut ends.send, welcome(Some(false))).await?;
                let _closed = tokio::time::timeout(LINGER, connection.closed()).await;
                Code::Duplicate.close(&connection, "another connection stands");
                Err(Ended::Duplicate)
            }
            Err(why) => Err(refuse(&connection, why.text(&id))),
        }
    }
}

impl NotTaken {
    fn text(&self, id: &NodeId) -> String {
        match self {
            Self::Duplicate => "another connection stands".to_owned(),
            Self::Lives => format!("two lives of {id} are connected already"),
            Self::Full => "no more peers are taken".to_owned(),
            Self::Leaving => "this node is leaving".to_owned(),
        }
    }
}

/// Where a peer listens, when it says a port alone: at the address it is seen at.
fn located(says: SocketAddr, seen: SocketAddr) -> SocketAddr {
    if says.ip().is_unspecified() { SocketAddr::new(seen.ip(), says.port()) } else { says }
}
