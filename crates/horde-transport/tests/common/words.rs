//! What the two ends of a connection say to each other, as the frozen bytes of version 1 have it.

use std::time::Duration;

use horde_transport::{Issued, Network, Quic};
use quinn::{Connection, ConnectionError, RecvStream, SendStream};

use crate::mesh::until;
use crate::recorder::{SOON, id};
use crate::stranger::Stranger;

pub(crate) const ALPN: &str = "horde/1";

/// What a peer says of itself. The names are not checked here.
type Hello<'a> = (&'a str, (&'a str, u64), u8, std::net::SocketAddr, Option<u16>, bool);

fn of<'a>(cluster: &'a str, name: &'a str, role: u8, tether: Option<u16>) -> Hello<'a> {
    (cluster, (name, 5u64), role, ([127, 0, 0, 1], 9).into(), tether, false)
}

/// A message behind its length.
pub(crate) fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_le_bytes();
    [&length[..], body].concat()
}

/// A hello behind the version.
pub(crate) fn hello_with(cluster: &str, name: &str, role: u8, tether: Option<u16>) -> Vec<u8> {
    let body = postcard::to_stdvec(&(0u8, of(cluster, name, role, tether))).unwrap();
    [&[1][..], &framed(&body)].concat()
}

pub(crate) fn hello(cluster: &str, name: &str, role: u8) -> Vec<u8> {
    hello_with(cluster, name, role, None)
}

/// The answer to a hello, behind the version.
pub(crate) fn welcome(name: &str, role: u8, tether: Option<u16>, taken: Option<bool>) -> Vec<u8> {
    let body = postcard::to_stdvec(&(1u8, of("tests", name, role, tether), false, taken)).unwrap();
    [&[1][..], &framed(&body)].concat()
}

/// The smaller node takes the connection.
pub(crate) const GO: &[u8] = b"\x01\0\0\0\x02";

/// The reason that the member closed the connection with.
pub(crate) async fn reason(connection: &Connection) -> String {
    let closed = tokio::time::timeout(SOON, connection.closed()).await.unwrap();
    match closed {
        ConnectionError::ApplicationClosed(close) => String::from_utf8_lossy(&close.reason).into_owned(),
        other => other.to_string(),
    }
}

pub(crate) async fn says(connection: &Connection, bytes: &[u8]) -> (SendStream, RecvStream) {
    let (mut send, receive) = connection.open_bi().await.unwrap();
    send.write_all(bytes).await.unwrap();
    (send, receive)
}

/// A stranger that is let in under its own name, and then does as it likes.
pub(crate) struct Inside {
    pub(crate) connection: Connection,
    pub(crate) send: SendStream,
    pub(crate) receive: RecvStream,
    _endpoint: Stranger,
}

/// Dials `member` as `name`, and waits until it is a peer.
pub(crate) async fn let_in(member: &Quic, issued: &Issued, name: &str, tether: Option<u16>) -> Inside {
    let stranger = Stranger::new(Some(issued), ALPN);
    let connection = stranger.connect(member.local_addr()).await.unwrap();
    let (mut send, receive) = says(&connection, &hello_with("tests", name, 0, tether)).await;
    // The smaller id decides: a name below the member's says go, one above is told.
    if name < member.local().name().as_str() {
        send.write_all(GO).await.unwrap();
    }
    until(member, "let in", |member| member.peers().iter().any(|peer| peer.id == id(name, 5))).await;
    Inside::new(connection, send, receive, stranger)
}

impl Inside {
    pub(crate) fn new(
        connection: Connection,
        send: SendStream,
        receive: RecvStream,
        endpoint: Stranger,
    ) -> Self {
        Self { connection, send, receive, _endpoint: endpoint }
    }

    /// The next message of the link stream, without its length.
    pub(crate) async fn message(&mut self) -> Vec<u8> {
        let read = async {
            let mut length = [0; 4];
            self.receive.read_exact(&mut length).await.unwrap();
            let mut body = vec![0; u32::from_le_bytes(length) as usize];
            self.receive.read_exact(&mut body).await.unwrap();
            body
        };
        tokio::time::timeout(SOON, read).await.expect("a message in time")
    }

    /// Reads the version that comes before all messages.
    pub(crate) async fn version(&mut self) {
        let mut version = [0];
        tokio::time::timeout(SOON, self.receive.read_exact(&mut version)).await.unwrap().unwrap();
        assert_eq!(version, [1]);
    }

    /// The token of the next offer of a tether.
    pub(crate) async fn token(&mut self) -> [u8; 16] {
        loop {
            let message = self.message().await;
            if let [3, token @ ..] = &message[..] {
                return token.try_into().unwrap();
            }
        }
    }
}

/// That nothing comes of a read within `time`.
pub(crate) async fn silent<T>(time: Duration, read: impl Future<Output = T>) -> bool {
    tokio::time::timeout(time, read).await.is_err()
}
