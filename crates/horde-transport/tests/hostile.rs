//! Peers that do not play by the rules.
#![cfg(feature = "quic")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "common/mesh.rs"]
#[expect(dead_code, reason = "shared by several test binaries")]
mod mesh;
#[path = "common/recorder.rs"]
#[expect(dead_code, reason = "shared by several test binaries")]
mod recorder;
#[path = "common/stranger.rs"]
mod stranger;

use std::time::Duration;

use horde_transport::{Identity, Issued, Network, Quic, Role};
use mesh::{config, connect, until};
use quinn::{Connection, ConnectionError};
use recorder::{Recorder, SOON, ask, id, reverser};
use stranger::{Directory, Stranger, authority, issue, member_of};

const ALPN: &str = "horde/1";

/// A hello of version 1, as the frozen bytes of the protocol have it.
fn hello(cluster: &str, name: &str, role: u8) -> Vec<u8> {
    let listen: std::net::SocketAddr = ([127, 0, 0, 1], 9).into();
    let body = (0u8, cluster, (name, 5u64), role, listen, None::<u16>, false);
    let body = postcard::to_stdvec(&body).unwrap();
    let length = u32::try_from(body.len()).unwrap().to_le_bytes();
    [&[1][..], &length, &body].concat()
}

/// The reason that the member closed the connection with.
async fn reason(connection: &Connection) -> String {
    let closed = tokio::time::timeout(SOON, connection.closed()).await.unwrap();
    match closed {
        ConnectionError::ApplicationClosed(close) => String::from_utf8_lossy(&close.reason).into_owned(),
        other => other.to_string(),
    }
}

async fn says(connection: &Connection, bytes: &[u8]) -> (quinn::SendStream, quinn::RecvStream) {
    let (mut send, receive) = connection.open_bi().await.unwrap();
    send.write_all(bytes).await.unwrap();
    (send, receive)
}

/// That the member still lets others in, and answers them.
async fn still_works(member: &Quic, authority: &horde_transport::Authority, test: &str) {
    let friend = member_of(authority, "friend", test);
    connect(&friend, member).await;
    let _echo = reverser(member, "still");
    assert!(ask(&*friend, member.local(), "still", b"ab", SOON).await.is_ok());
    assert!(ask(member, friend.local(), "nobody", b"", SOON).await.is_err());
}

#[tokio::test]
async fn a_stolen_certificate_cannot_pose_as_another_node() {
    let authority = authority();
    let member = member_of(&authority, "member", "stolen");
    let stranger = Stranger::new(Some(&issue(&authority, "thief", Role::Node)), ALPN);
    let connection = stranger.connect(member.local_addr()).await.unwrap();
    let _streams = says(&connection, &hello("tests", "victim", 0)).await;
    let why = reason(&connection).await;
    assert!(why.contains("the certificate is thief's, but the peer says it is victim"), "{why}");
    until(&member, "the member says so", |member| member.refused().iter().any(|r| r.reason == why)).await;
    assert!(member.peers().is_empty());
}

#[tokio::test]
async fn a_clients_certificate_cannot_pose_as_a_node_or_an_operator() {
    let authority = authority();
    let member = member_of(&authority, "member", "role");
    let stranger = Stranger::new(Some(&issue(&authority, "client", Role::Client)), ALPN);
    for role in [0, 2] {
        let connection = stranger.connect(member.local_addr()).await.unwrap();
        let _streams = says(&connection, &hello("tests", "client", role)).await;
        let why = reason(&connection).await;
        assert!(why.contains("the certificate is for Client"), "{why}");
    }
    assert!(member.peers().is_empty());
}

#[tokio::test]
async fn nobody_gets_in_without_a_certificate_or_with_another_protocol() {
    let authority = authority();
    let member = member_of(&authority, "member", "bare");
    let stranger = Stranger::new(None, ALPN);
    if let Ok(connection) = stranger.connect(member.local_addr()).await {
        let closed = tokio::time::timeout(SOON, connection.closed()).await.unwrap();
        assert!(matches!(closed, ConnectionError::ConnectionClosed(_)), "{closed:?}");
    }
    let stranger = Stranger::new(Some(&issue(&authority, "future", Role::Node)), "horde/9");
    let refused = stranger.connect(member.local_addr()).await.unwrap_err();
    assert!(matches!(refused, ConnectionError::ConnectionClosed(_)), "{refused:?}");
    until(&member, "the version is named", |member| {
        member.refused().iter().any(|refused| refused.reason.contains("different versions"))
    })
    .await;
    assert!(member.peers().is_empty());
}

#[tokio::test]
async fn a_greeting_that_is_none_is_refused_with_a_reason() {
    let authority = authority();
    let member = member_of(&authority, "member", "greeting");
    let stranger = Stranger::new(Some(&issue(&authority, "odd", Role::Node)), ALPN);
    let good = hello("tests", "odd", 0);
    let mut long_name = hello("tests", &"x".repeat(65), 0);
    let other_cluster = hello("others", "odd", 0);
    let cases: [(&[u8], &str); 7] = [
        (&[9, 1, 2, 3], "version 9"),
        (b"\x01\xff\xff\xff\xffgarbage", "is the limit"),
        (b"\x01\x04\0\0\0\xff\xff\xff\xff", "does not decode"),
        (b"\x01\x01\0\0\0\x02", "without a hello"),
        (&other_cluster, "cluster others, but this is cluster tests"),
        (&long_name.split_off(0), "does not decode"),
        (b"GET / HTTP/1.1\r\n\r\n", "version 71"),
    ];
    for (bytes, expected) in cases {
        let connection = stranger.connect(member.local_addr()).await.unwrap();
        let _streams = says(&connection, bytes).await;
        let why = reason(&connection).await;
        assert!(why.contains(expected), "{why:?} for {expected:?}");
    }
    // Cut anywhere, it is waited for until the handshake's time is over, and then forgotten.
    let connection = stranger.connect(member.local_addr()).await.unwrap();
    let streams = says(&connection, &good[..good.len() - 1]).await;
    let why = reason(&connection).await;
    assert!(why.contains("in time"), "{why}");
    drop(streams);
    assert!(member.peers().is_empty());
    still_works(&member, &authority, "greeting").await;
}

/// A stranger that is let in under its own name, and then does as it likes.
async fn let_in(member: &Quic, issued: &Issued, name: &str) -> (Connection, Vec<Box<dyn Sized2>>) {
    let stranger = Stranger::new(Some(issued), ALPN);
    let connection = stranger.connect(member.local_addr()).await.unwrap();
    let (mut send, receive) = says(&connection, &hello("tests", name, 0)).await;
    // The smaller id decides: a name below the member's says go, one above is told.
    if name < member.local().name().as_str() {
        send.write_all(b"\x01\0\0\0\x02").await.unwrap();
    }
    until(member, "let in", |member| member.peers().iter().any(|peer| peer.id == id(name, 5))).await;
    (connection, vec![Box::new(stranger), Box::new((send, receive))])
}

/// Anything kept alive.
trait Sized2 {}
impl<T> Sized2 for T {}

#[tokio::test]
async fn a_peer_that_breaks_the_framing_is_closed_with_a_reason_and_lost() {
    let authority = authority();
    let member = member_of(&authority, "member", "framing");
    let cases: [(&[u8], &str); 6] = [
        (b"\x01\x00\xff\xff\xff\xff", "a frame of 4294967295 bytes where"),
        (b"\x01\x07", "lane 7"),
        (b"\x05\x00", "version 5"),
        (b"\x01\x00\x02\0\0\0\xff\xff", "does not decode"),
        (b"\x01\x00\x08\0\0\0\x00", "ends inside a frame"),
        (b"\x01", "ends inside a frame"),
    ];
    for (number, (bytes, expected)) in cases.into_iter().enumerate() {
        for name in ["above", "zeta"] {
            let issued = issue(&authority, name, Role::Node);
            let mut heard = Recorder::on(&*member, "watch");
            let (connection, _keep) = let_in(&member, &issued, name).await;
            heard.up().await;
            let mut stream = connection.open_uni().await.unwrap();
            stream.write_all(bytes).await.unwrap();
            let _closed_meanwhile = stream.finish();
            let why = reason(&connection).await;
            assert!(why.contains("protocol error") && why.contains(expected), "case {number}: {why}");
            let (peer, down) = heard.down().await;
            assert_eq!(peer, id(name, 5));
            assert!(format!("{down:?}").contains("protocol error"), "{down:?}");
        }
    }
    still_works(&member, &authority, "framing").await;
}

#[tokio::test]
async fn two_streams_for_one_lane_are_refused() {
    let authority = authority();
    let member = member_of(&authority, "member", "lanes");
    let (connection, _keep) = let_in(&member, &issue(&authority, "zeta", Role::Node), "zeta").await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = connection.open_uni().await.unwrap();
        stream.write_all(b"\x01\x00").await.unwrap();
        streams.push(stream);
    }
    let why = reason(&connection).await;
    assert!(why.contains("two streams for one lane"), "{why}");
}

#[tokio::test]
async fn garbage_datagrams_change_nothing() {
    let authority = authority();
    let member = member_of(&authority, "member", "garbage");
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..2000usize {
        let mut datagram = vec![0; round % 1500];
        for byte in &mut datagram {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            *byte = seed as u8;
        }
        if round % 3 == 0 && datagram.len() > 5 {
            datagram[..5].copy_from_slice(b"\xc3\0\0\0\x01");
        }
        socket.send_to(&datagram, member.local_addr()).unwrap();
    }
    still_works(&member, &authority, "garbage").await;
}

#[tokio::test]
async fn silent_strangers_do_not_keep_others_out() {
    let authority = authority();
    let member = member_of(&authority, "member", "silent");
    let issued = issue(&authority, "silent", Role::Node);
    let strangers: Vec<_> = (0..100).map(|_| Stranger::new(Some(&issued), ALPN)).collect();
    let mut kept = Vec::new();
    for stranger in &strangers {
        kept.push(stranger.connect(member.local_addr()).await);
    }
    let tcp: Vec<_> = (0..100).map(|_| std::net::TcpStream::connect(member.local_addr())).collect();
    still_works(&member, &authority, "silent").await;
    drop((kept, tcp));
}

/// A certificate of a CA made elsewhere, valid between these days from now.
fn foreign(
    days: std::ops::Range<i64>,
    ca: &(rcgen::CertificateParams, rcgen::KeyPair),
    name: &str,
) -> Issued {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    let day = |days: i64| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let then = now.checked_add_signed(days * 86_400).unwrap();
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(then)
    };
    (params.not_before, params.not_after) = (day(days.start), day(days.end));
    let uri = format!("horde://tests/node/{name}");
    params.subject_alt_names = vec![rcgen::SanType::URI(uri.try_into().unwrap())];
    let issuer = rcgen::Issuer::from_params(&ca.0, &ca.1);
    let certificate = params.signed_by(&key, &issuer).unwrap();
    Issued { certificate: certificate.pem(), key: key.serialize_pem() }
}

#[tokio::test]
async fn certificates_out_of_their_time_are_refused_with_a_reason() {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = (params, rcgen::KeyPair::generate().unwrap());
    let pem = ca.0.self_signed(&ca.1).unwrap().pem();
    let member = {
        let directory = Directory::new("times");
        let mut config = config("member");
        config.identity = Identity::pki(directory.pki("tests", &pem, &foreign(-1..1, &ca, "member")));
        Quic::bind(config).unwrap()
    };
    for (days, expected) in [(-9..-2, "expired"), (2..9, "not valid yet")] {
        let stranger = Stranger::new(Some(&foreign(days, &ca, "late")), ALPN);
        let connection = stranger.connect(member.local_addr()).await.unwrap();
        let why = reason(&connection).await;
        assert!(why.contains(expected), "{why}");
    }
    let stranger = Stranger::new(Some(&issue(&authority(), "other", Role::Node)), ALPN);
    let connection = stranger.connect(member.local_addr()).await.unwrap();
    let why = reason(&connection).await;
    assert!(why.contains("not signed by this cluster's secret or CA"), "{why}");
}

#[tokio::test]
async fn an_identity_of_another_name_cannot_be_bound() {
    let authority = authority();
    let directory = Directory::new("other-name");
    let issued = issue(&authority, "thief", Role::Node);
    let mut config = config("victim");
    config.identity = Identity::pki(directory.pki("tests", authority.certificate_pem(), &issued));
    let error = Quic::bind(config).unwrap_err().to_string();
    assert!(error.contains("thief") && error.contains("victim"), "{error}");
}

#[tokio::test]
async fn files_of_a_pki_that_change_are_used_by_the_next_handshake() {
    let (before, after) = (authority(), authority());
    let directory = Directory::new("reload");
    let mut config = config("member");
    let files = directory.pki("tests", before.certificate_pem(), &issue(&before, "member", Role::Node));
    config.identity = Identity::pki(files);
    let member = Quic::bind(config).unwrap();
    let friend = member_of(&after, "friend", "reload");
    friend.dial(member.local_addr());
    until(&friend, "refused", |friend| {
        friend.dial_status()[0].to_string().contains("not signed by this cluster")
    })
    .await;
    directory.pki("tests", after.certificate_pem(), &issue(&after, "member", Role::Node));
    until(&friend, "let in", |friend| friend.peers().len() == 1).await;
}

#[tokio::test]
async fn a_certificate_that_nobody_would_believe_is_refused_at_the_start() {
    let directory = Directory::new("unbelievable");
    let (one, other) = (authority(), authority());
    let mut config = config("member");
    let files = directory.pki("tests", one.certificate_pem(), &issue(&other, "member", Role::Node));
    config.identity = Identity::pki(files);
    let error = Quic::bind(config).unwrap_err().to_string();
    assert!(error.contains("peers would refuse this certificate"), "{error}");
}

#[tokio::test]
async fn openssl_accepts_the_certificates_that_are_issued() {
    let authority = authority();
    let directory = Directory::new("openssl");
    let files = directory.pki("tests", authority.certificate_pem(), &issue(&authority, "member", Role::Node));
    for purpose in ["sslserver", "sslclient"] {
        let mut command = std::process::Command::new("openssl");
        command
            .args(["verify", "-x509_strict", "-purpose", purpose, "-CAfile"])
            .arg(&files.ca)
            .arg(&files.cert);
        // Where openssl is not installed there is nothing to compare with.
        let Ok(output) = command.output() else { return };
        assert!(output.status.success(), "{output:?}");
    }
}

#[tokio::test]
async fn a_file_that_exists_is_not_overwritten_and_a_secret_is_its_owners_alone() {
    let directory = Directory::new("write");
    let path = directory.path("fresh.key.pem");
    horde_transport::write_new_file(&path, "secret", true).unwrap();
    assert_eq!(horde_transport::read_secret_file(&path).unwrap(), "secret");
    let again = horde_transport::write_new_file(&path, "other", true).unwrap_err().to_string();
    assert!(again.contains("exists already"), "{again}");
    assert_eq!(horde_transport::read_secret_file(&path).unwrap(), "secret");
}
