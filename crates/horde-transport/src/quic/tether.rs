//! The tether: one idle TCP connection beside QUIC, which the kernel closes when the peer's OS process dies.
//!
//! The node that was dialled offers a single-use token over QUIC; the dialler connects to its TCP listener, shows the
//! token, and gets one byte back. From then on neither writes: the end of the stream is the hint. It is a hint only;
//! a tether that ends while QUIC lives is offered again, and where TCP is blocked there is none.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::endpoint::Inner;
use super::link::Link;
use super::wire::Message;
use crate::dispatch::{Item, lock};
use crate::trust::random;

/// TCP connections that have not shown their token yet; beyond, newcomers are closed.
const UNKNOWN: usize = 64;
/// Offers of one peer that are followed at once: one that is held or just ended, and its successor.
pub(crate) const TAKEN: usize = 4;
/// How long a tether may take to be bound.
const BINDING: Duration = Duration::from_secs(2);
/// Pauses before a tether is offered again: they double from the first to the last.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// The byte that says that the token was good.
const BOUND: u8 = 1;

type Token = [u8; 16];

/// The tokens that were offered and not yet shown.
#[derive(Debug)]
pub(crate) struct Tethers {
    pub(crate) port: u16,
    offered: Mutex<BTreeMap<Token, oneshot::Sender<TcpStream>>>,
}

impl Tethers {
    pub(crate) fn new(port: u16) -> Self {
        Self { port, offered: Mutex::default() }
    }
}

/// Binds the listener, on the same port as UDP if it is free.
pub(crate) fn bind(udp: SocketAddr) -> std::io::Result<StdListener> {
    let listener =
        StdListener::bind(udp).or_else(|_taken| StdListener::bind(SocketAddr::new(udp.ip(), 0)))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Takes TCP connections in; each has little time to show a token.
pub(crate) async fn listen(inner: Arc<Inner>, listener: TcpListener) {
    let free = Arc::new(Semaphore::new(UNKNOWN));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "the tether listener");
                tokio::time::sleep(AGAIN.0).await;
                continue;
            }
        };
        let Ok(permit) = free.clone().try_acquire_owned() else { continue };
        let inner = inner.clone();
        tokio::spawn(async move {
            let _late_or_strange = timeout(BINDING, admit(&inner, stream)).await;
            drop(permit);
        });
    }
}

async fn admit(inner: &Inner, mut stream: TcpStream) -> Option<()> {
    let mut token = Token::default();
    stream.read_exact(&mut token).await.ok()?;
    let offered = lock(&inner.tethers.as_ref()?.offered).remove(&token)?;
    stream.write_all(&[BOUND]).await.ok()?;
    offered.send(stream).ok()
}

/// Removes a token that was not shown.
struct Offer<'a>(&'a Tethers, Token);

impl Drop for Offer<'_> {
    fn drop(&mut self) {
        lock(&self.0.offered).remove(&self.1);
    }
}

/// Offers a tether to the peer that dialled us, again and again, while the link lives.
pub(crate) async fn offer(inner: Arc<Inner>, link: Arc<Link>) {
    let Some(tethers) = &inner.tethers else { return };
    let mut pause = AGAIN.0;
    loop {
        let mut token = Token::default();
        random(&mut token);
        let (shown, bound) = oneshot::channel();
        lock(&tethers.offered).insert(token, shown);
        let offer = Offer(tethers, token);
        let bound = if link.say(Message::Tether(token)) { timeout(BINDING, bound).await.ok() } else { None };
        drop(offer);
        if let Some(Ok(stream)) = bound {
            hold(&inner, &link, stream).await;
            pause = AGAIN.0;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(AGAIN.1);
    }
}

/// Takes the tether that the peer we dialled offers.
pub(crate) async fn take(inner: Arc<Inner>, link: Arc<Link>, token: Token) {
    let Some(port) = link.tether else { return };
    let address = SocketAddr::new(link.connection.remote_address().ip(), port);
    let binding = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&token).await?;
        let bound = stream.read_u8().await?;
        std::io::Result::Ok((bound == BOUND).then_some(stream))
    };
    match timeout(BINDING, binding).await {
        Ok(Ok(Some(stream))) => hold(&inner, &link, stream).await,
        other => tracing::debug!(peer = ?link.peer.id, ?other, "no tether"),
    }
}

/// Waits for the end of a tether. It ends with the link's helpers when the link ends first.
async fn hold(inner: &Inner, link: &Link, mut stream: TcpStream) {
    link.tethered.store(true, Ordering::Relaxed);
    link.doubt(false);
    let ended = stream.read_u8().await;
    link.tethered.store(false, Ordering::Relaxed);
    if ended.is_ok() || !link.is_live() || inner.faults.hit(link.connection.remote_address()) {
        return;
    }
    tracing::debug!(peer = ?link.peer.id, "the tether ended");
    inner.dispatch.push(Item::Hint(link.peer.id.clone()));
    link.doubt(true);
}
