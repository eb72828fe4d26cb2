//! Certificates: their files, their time, and what is said of them.
#![cfg(feature = "quic")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "common/log.rs"]
mod log;
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

use std::time::{Duration, SystemTime};

use horde_transport::{Authority, Identity, Issued, Network, NodeName, Quic, Role};
use log::Log;
use mesh::{config, connect, node, until};
use stranger::{Directory, Stranger, authority, issue, member_of};
use words::{ALPN, reason};

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
async fn while_two_authorities_are_believed_certificates_of_both_are() {
    let (before, after) = (authority(), authority());
    let directory = Directory::new("two-authorities");
    let both = format!("{}{}", before.certificate_pem(), after.certificate_pem());
    let mut config = config("member");
    config.identity = Identity::pki(directory.pki("tests", &both, &issue(&before, "member", Role::Node)));
    let member = Quic::bind(config).unwrap();
    let old = member_of(&before, "old", "two-authorities");
    connect(&old, &member).await;
    // A node that has moved on already believes both as well.
    let ahead = Directory::new("two-authorities-ahead");
    let mut config = mesh::config("ahead");
    config.identity = Identity::pki(ahead.pki("tests", &both, &issue(&after, "ahead", Role::Node)));
    connect(&Quic::bind(config).unwrap(), &member).await;
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
        let Ok(output) = command.output() else {
            eprintln!("openssl is not installed: what it says of the certificates is not known");
            return;
        };
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

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn lasting(authority: &Authority, name: &str, time: Duration) -> Issued {
    authority.issue(&NodeName::new(name).unwrap(), Role::Node, time).unwrap()
}

#[tokio::test]
async fn the_end_of_a_certificate_is_told_and_warned_of_until_a_new_one_takes_its_place() {
    let log = Log::global();
    let authority = authority();
    let directory = Directory::new("expiry");
    let put = |days: u64| {
        let issued = lasting(&authority, "elder", DAY * u32::try_from(days).unwrap());
        directory.pki("tests", authority.certificate_pem(), &issued)
    };
    let mut config = config("elder");
    config.identity = Identity::pki(put(400));
    let elder = Quic::bind(config).unwrap();
    assert!(!log.says("elder", "expires"));
    let left = || elder.certificate_expires().unwrap().duration_since(SystemTime::now()).unwrap().as_secs();
    assert_eq!(left() / DAY.as_secs(), 399);
    let friend = member_of(&authority, "friend", "expiry");
    friend.dial(elder.local_addr());
    // The files are looked at when there is a handshake: the friend dials again and again.
    let meet_until = async |text: &str| {
        until(&friend, text, |friend| {
            friend.disconnect(elder.local(), "again");
            log.says("elder", text)
        })
        .await;
    };
    for (days, said) in [(20, "expires in 19 days"), (3, "expires in 2 days")] {
        put(days);
        meet_until(said).await;
        assert!(log.says("elder", "no restart is needed") && log.says("elder", "was renewed"));
        assert_eq!(left() / DAY.as_secs(), days - 1);
    }
    // One that is of no use is named, and the one before stays.
    directory.write("node.pem", "nothing");
    meet_until("could not be renewed; the one before stays").await;
    until(&friend, "let in with the one before", |friend| friend.peers().len() == 1).await;
}

#[tokio::test]
async fn a_certificate_that_came_of_a_secret_is_renewed_by_itself_and_not_warned_of() {
    let log = Log::global();
    let (one, two) = (node("self-made"), node("two"));
    connect(&one, &two).await;
    let left = one.certificate_expires().unwrap().duration_since(SystemTime::now()).unwrap();
    assert!(left > DAY * 29 && left <= DAY * 30, "{left:?}");
    assert!(!log.says("self-made", "expires"));
}
