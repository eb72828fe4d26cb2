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
#[expect(dead_code, reason = "shared by several test binaries")]
mod stranger;
#[path = "common/words.rs"]
#[expect(dead_code, reason = "shared by several test binaries")]
mod words;

use horde_transport::{Authority, DialState, Issued, Network, Quic, Role};
use mesh::{connect, until};
use quinn::ConnectionError;
use recorder::{Recorder, SOON, ask, id, reverser};
use stranger::{Stranger, authority, issue, member_of};
use words::{ALPN, hello, let_in, reason, says, welcome};

/// That the member still lets others in, and answers them.
async fn still_works(member: &Quic, authority: &Authority, test: &str) {
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

/// A stranger that is dialled and shows this certificate; what the member says of it.
async fn shown_when_dialled(issued: &Issued, says: &str, test: &str, authority: &Authority) -> String {
    let member = member_of(authority, "member", test);
    let stranger = Stranger::listening(issued);
    member.dial(stranger.local_addr());
    if let Ok(connection) = stranger.accept().await
        && let Ok((mut send, _receive)) = connection.accept_bi().await
    {
        let _closed_meanwhile = send.write_all(&welcome(says, 0, None, None)).await;
        let _why = connection.closed().await;
    }
    until(&member, "the member has a reason", |member| {
        matches!(&member.dial_status()[0].state, DialState::Failing { .. })
    })
    .await;
    assert!(member.peers().is_empty());
    member.dial_status()[0].to_string()
}

#[tokio::test]
async fn whoever_is_dialled_is_checked_as_whoever_dials() {
    let authority = authority();
    let stolen = issue(&authority, "thief", Role::Node);
    let why = shown_when_dialled(&stolen, "victim", "dialled-stolen", &authority).await;
    assert!(why.contains("the certificate is thief's, but the peer says it is victim"), "{why}");
    let client = issue(&authority, "client", Role::Client);
    let why = shown_when_dialled(&client, "client", "dialled-client", &authority).await;
    assert!(why.contains("the certificate is for Client"), "{why}");
    let foreign = issue(&stranger::authority(), "other", Role::Node);
    let why = shown_when_dialled(&foreign, "other", "dialled-foreign", &authority).await;
    assert!(why.contains("not signed by this cluster's secret or CA"), "{why}");
}

#[tokio::test]
async fn nobody_sends_early_data() {
    let authority = authority();
    let member = member_of(&authority, "member", "early");
    let stranger = Stranger::new(Some(&issue(&authority, "zeta", Role::Node)), ALPN);
    for _ in 0..2 {
        // Early data needs a ticket of an earlier connection, and the member gives none.
        let connection = stranger.early(member.local_addr()).await.expect("early data is not possible");
        let (mut send, mut receive) = says(&connection, &hello("tests", "zeta", 0)).await;
        let mut version = [0];
        receive.read_exact(&mut version).await.unwrap();
        send.finish().unwrap();
        let _its_business = reason(&connection).await;
    }
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
            let inside = let_in(&member, &issued, name, None).await;
            let connection = &inside.connection;
            heard.up().await;
            let mut stream = connection.open_uni().await.unwrap();
            stream.write_all(bytes).await.unwrap();
            let _closed_meanwhile = stream.finish();
            let why = reason(connection).await;
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
    let inside = let_in(&member, &issue(&authority, "zeta", Role::Node), "zeta", None).await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = inside.connection.open_uni().await.unwrap();
        stream.write_all(b"\x01\x00").await.unwrap();
        streams.push(stream);
    }
    let why = reason(&inside.connection).await;
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
