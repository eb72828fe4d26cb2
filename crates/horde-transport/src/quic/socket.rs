//! The UDP socket, with a switch that loses datagrams.

use std::collections::BTreeSet;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};
use socket2::{Domain, Protocol, Socket, Type};

use crate::dispatch::lock;

/// Addresses whose datagrams are lost both ways, below QUIC. Empty unless a test or a demo fills it.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    any: AtomicBool,
    cut: Mutex<BTreeSet<SocketAddr>>,
}

impl Faults {
    pub(crate) fn set(&self, address: SocketAddr, lost: bool) {
        let mut cut = lock(&self.cut);
        if lost {
            cut.insert(address);
        } else {
            cut.remove(&address);
        }
        self.any.store(!cut.is_empty(), Ordering::Relaxed);
    }

    pub(crate) fn hit(&self, address: SocketAddr) -> bool {
        self.any.load(Ordering::Relaxed) && lock(&self.cut).contains(&address)
    }
}

/// quinn's own socket behind the faults.
#[derive(Debug)]
pub(crate) struct FaultySocket {
    socket: Arc<dyn AsyncUdpSocket>,
    faults: Arc<Faults>,
}

/// Binds a UDP socket and asks for buffers of `buffer` bytes.
pub(crate) fn bind(address: SocketAddr, buffer: usize) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind(&address.into())?;
    let asked = (socket.set_recv_buffer_size(buffer), socket.set_send_buffer_size(buffer));
    let (received, sent) = (socket.recv_buffer_size()?, socket.send_buffer_size()?);
    if received.min(sent) < buffer {
        tracing::info!(%address, buffer, received, sent, ?asked, "the system grants smaller UDP buffers than asked for (on Linux see net.core.rmem_max and wmem_max)");
    } else {
        tracing::debug!(%address, buffer, received, sent, "UDP buffers");
    }
    Ok(socket.into())
}

/// Hands the socket to quinn.
pub(crate) fn wrap(socket: UdpSocket, faults: Arc<Faults>) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    Ok(Arc::new(FaultySocket { socket: TokioRuntime.wrap_udp_socket(socket)?, faults }))
}

impl AsyncUdpSocket for FaultySocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.socket.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if self.faults.hit(transmit.destination) { Ok(()) } else { self.socket.try_send(transmit) }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let received = self.socket.poll_recv(cx, bufs, meta);
        if let Poll::Ready(Ok(count)) = received {
            for one in meta.iter_mut().take(count).filter(|one| self.faults.hit(one.addr)) {
                one.len = 0;
            }
        }
        received
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}
