//! The crash hint: what binds a tether, what does not, and that nothing depends on it.
#![cfg(feature = "quic")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "common/mesh.rs"]
mod mesh;
#[path = "common/recorder.rs"]
#[expect(dead_code, reason = "shared by several test binaries")]
mod recorder;
#[path = "common/stranger.rs"]
#[expect(dead_code, reason = "shared by several test binaries")]
mod stranger;
#[path = "common/words.rs"]
#[expect(dead_code, reason = "shared by several test binaries")]
mod words;

use std::net::SocketAddr;
use std::time::Duration;

use horde_transport::{DownReason, Event, Network, Quic, Role};
use mesh::{config, connect, node, until};
use recorder::{Recorder, SOON, ask, id, reverser};
use stranger::{Stranger, authority, issue, member_of};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use words::{Inside, framed, let_in, silent, welcome};

/// Shows a token where tethers are taken; whether it was good, and the connection.
async fn show(at: SocketAddr, token: [u8; 16]) -> (bool, TcpStream) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(&token).await.unwrap();
    let mut answer = [0];
    let bound = tokio::time::timeout(SOON, stream.read_exact(&mut answer)).await.unwrap().is_ok();
    assert_eq!(answer, [u8::from(bound)]);
    (bound, stream)
}

fn tethered(quic: &Quic) -> bool {
    quic.stats().iter().all(|stats| stats.tethered)
}

/// What a welcome begins with: its kind, then cluster, id, role, the address for QUIC, and the port for tethers.
type Welcome = (u8, String, (String, u64), u8, SocketAddr, Option<u16>);

/// A peer that says it takes tethers, and where the member takes them: at the port of QUIC, if it was free for TCP too.
async fn inside(member: &Quic, authority: &horde_transport::Authority) -> (Inside, SocketAddr) {
    let mut inside = let_in(member, &issue(authority, "zeta", Role::Node), "zeta", Some(9)).await;
    inside.version().await;
    let welcome = inside.message().await;
    let ((kind, .., listen, port), _): (Welcome, _) = postcard::take_from_bytes(&welcome).unwrap();
    assert_eq!((kind, listen.port()), (1, member.local_addr().port()), "{welcome:?}");
    (inside, SocketAddr::new(member.local_addr().ip(), port.expect("it takes tethers")))
}

#[tokio::test]
async fn a_token_is_good_once_and_for_its_time_and_no_other_is() {
    let authority = authority();
    let member = member_of(&authority, "member", "token");
    let mut heard = Recorder::on(&*member, "watch");
    let (mut peer, at) = inside(&member, &authority).await;
    assert!(!show(at, [0; 16]).await.0, "a guess");
    let late = peer.token().await;
    let token = peer.token().await;
    assert_ne!(late, token, "each offer has a token of its own");
    assert!(!show(at, late).await.0, "a token whose time is over");
    let (bound, tether) = show(at, token).await;
    assert!(bound);
    until(&member, "tethered", tethered).await;
    let (again, replayed) = show(at, token).await;
    assert!(!again, "a token that was shown before");
    drop(replayed);
    assert!(tethered(&member), "the end of a replay says nothing");
    assert!(!heard.heard().iter().any(|event| matches!(event, Event::CrashHint { .. })));
    drop(tether);
    assert_eq!(heard.hint().await, id("zeta", 5));
}

#[tokio::test]
async fn a_reset_tether_of_a_live_peer_is_a_hint_and_nothing_more() {
    let authority = authority();
    let member = member_of(&authority, "member", "reset");
    let mut heard = Recorder::on(&*member, "watch");
    let (mut peer, at) = inside(&member, &authority).await;
    for round in 0..3 {
        let (bound, tether) = show(at, peer.token().await).await;
        assert!(bound, "round {round}: a tether that ended is offered again");
        until(&member, "tethered", tethered).await;
        // Without lingering the kernel sends a reset, as for a process that was killed.
        tether.set_zero_linger().unwrap();
        drop(tether);
        assert_eq!(heard.hint().await, id("zeta", 5));
    }
    // Longer than a connection without a sign of life would stand.
    assert!(silent(Duration::from_secs(1), heard.down()).await, "the peer lives");
    assert!(member.peers().iter().any(|peer| peer.id == id("zeta", 5)));
    drop(peer);
}

/// A TCP port that answers nobody: its queue of newcomers is full, so that the kernel drops what more come.
fn black_hole() -> (socket2::Socket, Vec<socket2::Socket>, u16) {
    let stream = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let listener = stream();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let waiting = (0..8).map(|_| {
        let socket = stream();
        socket.set_nonblocking(true).unwrap();
        let _under_way = socket.connect(&address);
        socket
    });
    let waiting = waiting.collect();
    let port = address.as_socket().unwrap().port();
    (listener, waiting, port)
}

/// A stranger that `member` dials and takes for the node `zeta`, whose tethers are taken at `port`.
async fn dialled(member: &Quic, authority: &horde_transport::Authority, port: u16) -> (Stranger, Inside) {
    let stranger = Stranger::listening(&issue(authority, "zeta", Role::Node));
    member.dial(stranger.local_addr());
    let connection = stranger.accept().await.unwrap();
    let (mut send, receive) = connection.accept_bi().await.unwrap();
    send.write_all(&welcome("zeta", 0, Some(port), None)).await.unwrap();
    until(member, "taken for a node", |member| member.peers().iter().any(|peer| peer.id == id("zeta", 5)))
        .await;
    let endpoint = Stranger::new(None, words::ALPN);
    (stranger, Inside::new(connection, send, receive, endpoint))
}

fn offer(number: u8) -> Vec<u8> {
    framed(&[&[3][..], &[number; 16]].concat())
}

#[tokio::test]
async fn where_tcp_is_blocked_there_is_no_hint_and_all_else_is_as_ever() {
    let authority = authority();
    let member = member_of(&authority, "member", "blocked");
    let mut heard = Recorder::on(&*member, "watch");
    let (_listener, _waiting, port) = black_hole();
    let (stranger, mut peer) = dialled(&member, &authority, port).await;
    peer.send.write_all(&offer(1)).await.unwrap();
    // Longer than the attempt to bind the tether takes.
    assert!(silent(Duration::from_millis(2500), heard.down()).await, "the peer stays");
    assert!(!tethered(&member));
    member.cut(stranger.local_addr(), true);
    let (lost, why) = heard.down().await;
    assert_eq!((lost, why), (id("zeta", 5), DownReason::Lost("no sign of life".into())));
    assert!(!heard.heard().iter().any(|event| matches!(event, Event::CrashHint { .. })));
}

#[tokio::test]
async fn a_node_without_tcp_is_a_peer_like_any_other_and_lost_by_its_silence() {
    let mut without = config("without");
    without.tether = false;
    let without = Quic::bind(without).unwrap();
    let member = node("member");
    let mut heard = Recorder::on(&*member, "watch");
    connect(&member, &without).await;
    let _echo = reverser(&*without, "echo");
    assert!(ask(&*member, without.local(), "echo", b"ab", SOON).await.is_ok());
    assert!(!tethered(&member));
    member.cut(without.local_addr(), true);
    assert_eq!(heard.down().await.1, DownReason::Lost("no sign of life".into()));
    assert!(!heard.heard().iter().any(|event| matches!(event, Event::CrashHint { .. })));
}

#[tokio::test]
async fn a_peer_that_offers_tethers_without_end_makes_few_connections() {
    let authority = authority();
    let member = member_of(&authority, "member", "offers");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (_stranger, mut peer) = dialled(&member, &authority, port).await;
    for number in 0..200 {
        peer.send.write_all(&offer(number)).await.unwrap();
    }
    let mut taken = Vec::new();
    while let Ok(Ok(one)) = tokio::time::timeout(Duration::from_millis(300), listener.accept()).await {
        taken.push(one);
    }
    assert!((1..=4).contains(&taken.len()), "{} connections for 200 offers", taken.len());
    assert_eq!(member.peers().len(), 1);
}

#[tokio::test]
async fn silent_tcp_connections_keep_nobody_out_and_are_closed_in_time() {
    let authority = authority();
    let (one, two) = (member_of(&authority, "one", "silent"), member_of(&authority, "two", "silent"));
    let (_peer, at) = inside(&two, &authority).await;
    let mut silent_ones = Vec::new();
    for _ in 0..100 {
        silent_ones.push(TcpStream::connect(at).await.unwrap());
    }
    connect(&one, &two).await;
    let _echo = reverser(&*two, "echo");
    assert!(ask(&*one, two.local(), "echo", b"ab", SOON).await.is_ok());
    // The node closes them by itself; then there is room for the tether.
    for stream in &mut silent_ones {
        let end = tokio::time::timeout(SOON, stream.read(&mut [0])).await.expect("an end in time");
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }
    until(&one, "tethered", tethered).await;
}
