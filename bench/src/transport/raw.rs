//! The peers: quinn alone, one framed stream, no topics, no requests to match; and bare UDP, the floor of anything on loopback.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Instant;

use quinn::{Connection, Endpoint, RecvStream, SendStream};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Two endpoints with a connection, each on a current-thread runtime of its own.
pub(super) struct Pair {
    client: tokio::runtime::Handle,
    connection: Connection,
    _stop: Vec<tokio::sync::oneshot::Sender<()>>,
}

fn runtime() -> (tokio::runtime::Handle, tokio::sync::oneshot::Sender<()>) {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (started, start) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = super::current_thread();
        let _told = started.send(runtime.handle().clone());
        runtime.block_on(async { drop(stopped.await) });
    });
    (start.recv().expect("a runtime"), stop)
}

impl Pair {
    pub(super) fn new() -> Self {
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = rcgen::CertificateParams::new(vec!["raw".to_owned()]).expect("a name");
        let certificate = certificate.self_signed(&key).expect("a certificate").der().clone();
        let chain: Vec<CertificateDer<'static>> = vec![certificate.clone()];
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let server_config = quinn::ServerConfig::with_single_cert(chain, key).expect("a configuration");
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate).expect("a root");
        let client_config =
            quinn::ClientConfig::with_root_certificates(Arc::new(roots)).expect("a configuration");
        let (server, stop_server) = runtime();
        let (client, stop_client) = runtime();
        let (address, addresses) = mpsc::channel();
        server.spawn(async move {
            let endpoint = Endpoint::server(server_config, ([127, 0, 0, 1], 0).into()).expect("a free port");
            let _told = address.send(endpoint.local_addr().expect("an address"));
            let connection = endpoint.accept().await.expect("a client").await.expect("a handshake");
            loop {
                tokio::select! {
                    streams = connection.accept_bi() => match streams {
                        Ok(streams) => drop(tokio::spawn(echo(streams.0, streams.1))),
                        Err(_gone) => return,
                    },
                    stream = connection.accept_uni() => match stream {
                        Ok(stream) => drop(tokio::spawn(swallow(stream, connection.clone()))),
                        Err(_gone) => return,
                    },
                }
            }
        });
        let address = addresses.recv().expect("an address");
        let (done, connected) = mpsc::channel();
        client.spawn(async move {
            let mut endpoint = Endpoint::client(([127, 0, 0, 1], 0).into()).expect("a free port");
            endpoint.set_default_client_config(client_config);
            let connection =
                endpoint.connect(address, "raw").expect("an attempt").await.expect("a handshake");
            let _told = done.send(connection);
        });
        let connection = connected.recv().expect("a connection");
        Self { client, connection, _stop: vec![stop_server, stop_client] }
    }

    fn on_client<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        self.client.spawn(async move {
            let _told = done.send(work.await);
        });
        result.recv().expect("a result")
    }

    /// The median round trip of 128 bytes on one stream, in us.
    pub(super) fn round_trip(&self, count: usize) -> f64 {
        let connection = self.connection.clone();
        self.on_client(async move {
            let (mut send, mut receive) = connection.open_bi().await.expect("a stream");
            let mut times = Vec::with_capacity(count);
            let mut buffer = [0; 128];
            for _ in 0..count {
                let start = Instant::now();
                send.write_all(&[7; 128]).await.expect("sent");
                receive.read_exact(&mut buffer).await.expect("received");
                times.push(start.elapsed());
            }
            times.sort_unstable();
            times[count / 2].as_secs_f64() * 1e6
        })
    }

    /// Thousands of echoes of 64 bytes a second on one stream, with so many in flight.
    pub(super) fn pipelined(&self, window: usize, count: usize) -> f64 {
        let connection = self.connection.clone();
        self.on_client(async move {
            let (mut send, mut receive) = connection.open_bi().await.expect("a stream");
            let start = Instant::now();
            for _ in 0..window {
                send.write_all(&[7; 64]).await.expect("sent");
            }
            let (mut sent, mut got) = (window, 0);
            while got < count * 64 {
                let chunk =
                    receive.read_chunk(1 << 16, true).await.expect("received").expect("an open stream");
                got += chunk.bytes.len();
                while sent < count && sent * 64 < got + window * 64 {
                    send.write_all(&[7; 64]).await.expect("sent");
                    sent += 1;
                }
            }
            count as f64 / start.elapsed().as_secs_f64() / 1e3
        })
    }

    /// Megabytes a second on one stream.
    pub(super) fn bulk(&self, megabytes: usize) -> f64 {
        let connection = self.connection.clone();
        self.on_client(async move {
            let mut stream = connection.open_uni().await.expect("a stream");
            let piece = bytes::Bytes::from(vec![7; 1_000_000]);
            let start = Instant::now();
            for _ in 0..megabytes {
                stream.write_chunk(piece.clone()).await.expect("sent");
            }
            stream.finish().expect("an open stream");
            let mut done = connection.accept_uni().await.expect("an answer");
            let _all = done.read_to_end(1).await;
            megabytes as f64 / start.elapsed().as_secs_f64()
        })
    }
}

/// Two UDP sockets, each on a current-thread runtime of its own: what waking the other thread costs here, and nothing else.
pub(super) struct Udp {
    client: tokio::runtime::Handle,
    to: std::net::SocketAddr,
    _stop: Vec<tokio::sync::oneshot::Sender<()>>,
}

impl Udp {
    pub(super) fn new() -> Self {
        let ((server, stop_server), (client, stop_client)) = (runtime(), runtime());
        let (address, addresses) = mpsc::channel();
        server.spawn(async move {
            let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
            let _told = address.send(socket.local_addr().expect("an address"));
            let mut buffer = [0; 256];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                socket.send_to(&buffer[..length], from).await.expect("sent");
            }
        });
        Self { client, to: addresses.recv().expect("an address"), _stop: vec![stop_server, stop_client] }
    }

    /// The median round trip of 128 bytes, in us.
    pub(super) fn round_trip(&self, count: usize) -> f64 {
        let (done, result) = mpsc::channel();
        let to = self.to;
        self.client.spawn(async move {
            let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
            socket.connect(to).await.expect("connected");
            let (mut times, mut buffer) = (Vec::with_capacity(count), [0; 256]);
            for _ in 0..count {
                let start = Instant::now();
                socket.send(&[7; 128]).await.expect("sent");
                socket.recv(&mut buffer).await.expect("received");
                times.push(start.elapsed());
            }
            times.sort_unstable();
            let _told = done.send(times[count / 2].as_secs_f64() * 1e6);
        });
        result.recv().expect("a result")
    }
}

async fn echo(mut send: SendStream, mut receive: RecvStream) {
    while let Ok(Some(chunk)) = receive.read_chunk(1 << 16, true).await {
        if send.write_chunk(chunk.bytes).await.is_err() {
            return;
        }
    }
}

async fn swallow(mut stream: RecvStream, connection: Connection) {
    while let Ok(Some(_)) = stream.read_chunk(1 << 20, true).await {}
    if let Ok(mut done) = connection.open_uni().await {
        let _gone = done.finish();
    }
}
