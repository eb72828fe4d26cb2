//! The sockets of the simulation, and what becomes of their datagrams.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use quinn::udp::{EcnCodepoint, RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::dispatch::lock;

/// When, from which port, to which port, how many bytes.
pub(super) type Packet = (Duration, u16, u16, usize);

/// Where node `number` is.
pub(super) fn address(number: u16) -> SocketAddr {
    ([127, 0, 0, 1], 2000 + number).into()
}

/// A network of sockets with delay, loss and a cut between odd and even ports.
#[derive(Debug, Clone)]
pub(super) struct SimNetwork {
    state: Arc<Mutex<State>>,
    sent: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    random: u64,
    loss: u64,
    cut: bool,
    start: Instant,
    last: u64,
    flying: BTreeMap<(Instant, u64), (SocketAddr, Datagram)>,
    inboxes: BTreeMap<SocketAddr, Inbox>,
    trace: Vec<Packet>,
    /// Where those are now that have moved.
    moved: BTreeMap<SocketAddr, SocketAddr>,
}

#[derive(Debug, Default)]
struct Inbox {
    arrived: VecDeque<Datagram>,
    reader: Option<Waker>,
}

#[derive(Debug)]
struct Datagram {
    from: SocketAddr,
    bytes: Vec<u8>,
    ecn: Option<EcnCodepoint>,
}

impl SimNetwork {
    /// A network that loses `loss` percent; its task runs on the current runtime.
    pub(super) fn new(seed: u64, loss: u64) -> Self {
        let state = State {
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            loss,
            cut: false,
            start: Instant::now(),
            last: 0,
            flying: BTreeMap::new(),
            inboxes: BTreeMap::new(),
            trace: Vec::new(),
            moved: BTreeMap::new(),
        };
        let network = Self { state: Arc::new(Mutex::new(state)), sent: Arc::new(Notify::new()) };
        tokio::spawn(network.clone().fly());
        network
    }

    pub(super) fn socket(&self, number: u16) -> Arc<SimSocket> {
        let address = address(number);
        lock(&self.state).inboxes.entry(address).or_default();
        Arc::new(SimSocket { address, network: self.clone() })
    }

    pub(super) fn cut(&self, cut: bool) {
        lock(&self.state).cut = cut;
    }

    /// Node `number` is seen at the address of number `to` from now on, and is not at its own any more.
    pub(super) fn moves(&self, number: u16, to: u16) {
        lock(&self.state).moved.insert(address(number), address(to));
    }

    pub(super) fn trace(&self) -> Vec<Packet> {
        lock(&self.state).trace.clone()
    }

    async fn fly(self) {
        loop {
            let next = {
                let mut state = lock(&self.state);
                let now = Instant::now();
                while let Some(entry) = state.flying.first_entry().filter(|entry| entry.key().0 <= now) {
                    let (to, datagram) = entry.remove();
                    if state.moved.contains_key(&to) {
                        continue;
                    }
                    let home = state.moved.iter().find(|(_, at)| **at == to).map(|(home, _)| *home);
                    let inbox = state.inboxes.entry(home.unwrap_or(to)).or_default();
                    inbox.arrived.push_back(datagram);
                    if let Some(reader) = inbox.reader.take() {
                        reader.wake();
                    }
                }
                state.flying.keys().next().map(|key| key.0)
            };
            match next {
                Some(at) => drop(timeout_at(at, self.sent.notified()).await),
                None => self.sent.notified().await,
            }
        }
    }
}

impl State {
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

#[derive(Debug)]
pub(super) struct SimSocket {
    address: SocketAddr,
    network: SimNetwork,
}

#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncUdpSocket for SimSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let mut state = lock(&self.network.state);
        let from = state.moved.get(&self.address).copied().unwrap_or(self.address);
        let to = transmit.destination;
        let now = Instant::now();
        let packet = (now - state.start, from.port(), to.port(), transmit.contents.len());
        state.trace.push(packet);
        let lost = state.random() % 100 < state.loss;
        if lost || (state.cut && from.port() % 2 != to.port() % 2) {
            return Ok(());
        }
        let delay = Duration::from_micros(200 + state.random() % 3000);
        state.last += 1;
        let key = (now + delay, state.last);
        let datagram = Datagram { from, bytes: transmit.contents.to_vec(), ecn: transmit.ecn };
        state.flying.insert(key, (to, datagram));
        drop(state);
        self.network.sent.notify_one();
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.network.state);
        let inbox = state.inboxes.entry(self.address).or_default();
        let mut count = 0;
        for (buffer, meta) in bufs.iter_mut().zip(meta) {
            let Some(datagram) = inbox.arrived.pop_front() else { break };
            let size = datagram.bytes.len();
            buffer[..size].copy_from_slice(&datagram.bytes);
            *meta = RecvMeta::default();
            (meta.addr, meta.len, meta.stride, meta.ecn) = (datagram.from, size, size, datagram.ecn);
            count += 1;
        }
        if count == 0 {
            inbox.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    fn may_fragment(&self) -> bool {
        false
    }
}
