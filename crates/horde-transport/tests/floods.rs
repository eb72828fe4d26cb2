//! What floods and slow peers cost: the heap is counted, printed, and bounded by what the limits say.
#![cfg(feature = "quic")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "common/mesh.rs"]
#[expect(dead_code, reason = "shared by several test binaries")]
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

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use horde_transport::{Authority, Identity, Network, Quic, Role};
use mesh::{config, connect, until};
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use recorder::{SOON, ask, reverser};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use stranger::{Directory, Stranger, authority, issue, member_of};
use words::{ALPN, let_in};

#[global_allocator]
static HEAP: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// One flood at a time: all count one heap.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Bytes of the heap in use, of all that runs here: the attacker's are counted too.
fn heap() -> usize {
    let stats = HEAP.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// How far the heap grows.
struct Growth {
    start: usize,
    peak: usize,
}

impl Growth {
    fn start() -> Self {
        Self { start: heap(), peak: 0 }
    }

    fn look(&mut self) -> usize {
        let grown = heap().saturating_sub(self.start);
        self.peak = self.peak.max(grown);
        grown
    }

    #[expect(clippy::print_stdout, reason = "the figure is what the test is for")]
    fn print(&mut self, what: &str, bound: usize) {
        let after = self.look();
        println!("heap: {what}: at most {} kB more, {} kB after", self.peak >> 10, after >> 10);
        assert!(self.peak < bound, "{what}: {} bytes where {bound} are the bound", self.peak);
    }
}

/// A socket that hears nothing, and keeps what is sent.
#[derive(Debug, Default)]
struct Deaf(Mutex<Vec<Vec<u8>>>);

#[derive(Debug)]
struct Writable;

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncUdpSocket for Deaf {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.0.lock().unwrap().push(transmit.contents.to_vec());
        Ok(())
    }

    fn poll_recv(
        &self,
        _: &mut Context<'_>,
        _: &mut [IoSliceMut<'_>],
        _: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(([127, 0, 0, 1], 1).into())
    }
}

/// The first packets of so many handshakes that nobody goes on with.
async fn first_packets(count: usize, to: SocketAddr) -> Vec<Vec<u8>> {
    let deaf = Arc::new(Deaf::default());
    let stranger = Stranger::on(deaf.clone(), ALPN);
    let mut kept = Vec::new();
    for begun in 1..=count {
        kept.push(stranger.begin(to));
        while deaf.0.lock().unwrap().len() < begun {
            tokio::task::yield_now().await;
        }
    }
    let mut packets = deaf.0.lock().unwrap();
    std::mem::take(&mut *packets)
}

#[tokio::test]
async fn handshakes_that_nobody_goes_on_with_cost_little_and_keep_nobody_out() {
    let _alone = ALONE.lock().await;
    let authority = authority();
    let member = member_of(&authority, "member", "half-open");
    let packets = first_packets(1000, member.local_addr()).await;
    let friend = member_of(&authority, "friend", "half-open");
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut growth = Growth::start();
    for _ in 0..2 {
        for packet in &packets {
            socket.send_to(packet, member.local_addr()).await.unwrap();
            tokio::task::yield_now().await;
            growth.look();
        }
    }
    connect(&friend, &member).await;
    let _echo = reverser(&*member, "still");
    assert!(ask(&*friend, member.local(), "still", b"ab", SOON).await.is_ok());
    growth.print("2000 first packets of 1000 handshakes, and a friend that gets in", 16 << 20);
}

#[tokio::test]
async fn strangers_that_are_silent_after_the_handshake_cost_little() {
    let _alone = ALONE.lock().await;
    let authority = authority();
    let member = member_of(&authority, "member", "mute");
    let stranger = Stranger::new(Some(&issue(&authority, "mute", Role::Node)), ALPN);
    let mut growth = Growth::start();
    let mut connections = Vec::new();
    for _ in 0..60 {
        connections.push(stranger.connect(member.local_addr()).await.unwrap());
        growth.look();
    }
    for connection in &connections {
        let why = words::reason(connection).await;
        assert!(why.contains("in time"), "{why}");
        growth.look();
    }
    drop(connections);
    growth.print("60 strangers that never greet, both ends", 24 << 20);
}

#[tokio::test]
async fn a_frame_that_trickles_in_costs_what_has_come_of_it() {
    let _alone = ALONE.lock().await;
    let authority = authority();
    let member = member_of(&authority, "member", "trickle");
    let inside = let_in(&member, &issue(&authority, "zeta", Role::Node), "zeta", None).await;
    let mut growth = Growth::start();
    let mut streams = Vec::new();
    for lane in [0u8, 1, 2, 3, 3] {
        let mut stream = inside.connection.open_uni().await.unwrap();
        let promised = if lane == 0 { 60u32 << 10 } else { 1 << 20 };
        stream.write_all(&[&[1, lane][..], &promised.to_le_bytes()].concat()).await.unwrap();
        streams.push(stream);
    }
    // A byte at a time, each in a packet of its own.
    for _ in 0..2000 {
        for stream in &mut streams {
            stream.write_all(&[7]).await.unwrap();
            tokio::task::yield_now().await;
        }
        growth.look();
    }
    assert_eq!(member.peers().len(), 1, "slow is not wrong");
    growth.print("five frames of up to 1 MB that trickle in, 2000 bytes of each, both ends", 4 << 20);
}

/// A member with small queues.
fn narrow(authority: &Authority, test: &str) -> Arc<Quic> {
    let directory = Directory::new(test);
    let mut config = config("member");
    let issued = issue(authority, "member", Role::Node);
    config.identity = Identity::pki(directory.pki("tests", authority.certificate_pem(), &issued));
    config.limits.queued_bytes = 4 << 20;
    Quic::bind(config).unwrap()
}

fn frame(header: &[u8], payload: usize) -> Vec<u8> {
    let length = u32::try_from(header.len() + payload).unwrap().to_le_bytes();
    [&length[..], header, &vec![7; payload]].concat()
}

#[tokio::test]
async fn frames_that_nobody_wants_cost_a_window() {
    let _alone = ALONE.lock().await;
    let authority = authority();
    let member = narrow(&authority, "unwanted");
    let inside = let_in(&member, &issue(&authority, "zeta", Role::Node), "zeta", None).await;
    let mut stream = inside.connection.open_uni().await.unwrap();
    stream.write_all(&[1, 2]).await.unwrap();
    let unwanted = bytes::Bytes::from(frame(b"\x00\x06nobody", 60_000));
    let mut growth = Growth::start();
    for _ in 0..500 {
        stream.write_chunk(unwanted.clone()).await.unwrap();
        growth.look();
    }
    growth.print("30 MB of frames for a topic without a subscriber, both ends", 6 << 20);
    assert_eq!(member.peers().len(), 1);
}

#[tokio::test]
async fn a_peer_that_asks_and_never_reads_the_answers_costs_a_queue() {
    let _alone = ALONE.lock().await;
    let authority = authority();
    let member = narrow(&authority, "unread");
    let _echo = reverser(&*member, "echo");
    let inside = let_in(&member, &issue(&authority, "zeta", Role::Node), "zeta", None).await;
    let mut stream = inside.connection.open_uni().await.unwrap();
    stream.write_all(&[1, 2]).await.unwrap();
    // Request 1 of topic `echo`, within a second.
    let asks = bytes::Bytes::from(frame(b"\x01\x01\xc0\x84\x3d\x04echo", 16_000));
    let mut growth = Growth::start();
    for _ in 0..2000 {
        stream.write_chunk(asks.clone()).await.unwrap();
        growth.look();
    }
    until(&member, "all were asked", |member| member.stats()[0].queued_bytes > 3 << 20).await;
    growth.print("32 MB of requests whose answers are not read, queue of 4 MB, both ends", 16 << 20);
    assert!(member.stats()[0].queued_bytes <= 4 << 20);
}

#[tokio::test]
async fn messages_about_the_connection_without_end_cost_nothing() {
    let _alone = ALONE.lock().await;
    let authority = authority();
    let member = narrow(&authority, "chatter");
    let mut inside = let_in(&member, &issue(&authority, "zeta", Role::Node), "zeta", None).await;
    let mut growth = Growth::start();
    let goodbye = words::framed(&[4, 200, 1]);
    for _ in 0..10_000 {
        inside.send.write_all(&goodbye).await.unwrap();
        growth.look();
    }
    tokio::time::timeout(Duration::from_millis(100), std::future::pending::<()>()).await.unwrap_err();
    growth.print("10000 goodbyes that are none, both ends", 4 << 20);
}
