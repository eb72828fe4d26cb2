//! The QUIC mesh: who is let in, how many connections stand, how they end.
#![cfg(feature = "quic")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "common/mesh.rs"]
mod mesh;
#[path = "common/recorder.rs"]
#[expect(dead_code, reason = "shared by several test binaries")]
mod recorder;

use bytes::Bytes;
use horde_transport::{
    BindError, ClusterKey, DialFailure, DialState, DownReason, Event, Identity, Lane, Network, Quic, Role,
};
use mesh::{config, connect, key, node, until};
use recorder::{Recorder, SOON, ask, id, reverser, topic};

fn failure(quic: &Quic) -> Option<DialFailure> {
    quic.dial_status().into_iter().find_map(|dial| match dial.state {
        DialState::Failing { last, .. } => Some(last),
        _ => None,
    })
}

/// Dials from a stranger, and returns what each side says of it.
async fn refused(stranger: &Quic, member: &Quic) -> (String, String) {
    stranger.dial(member.local_addr());
    until(stranger, "the stranger has a reason", |quic| {
        failure(quic).is_some_and(|last| last != DialFailure::NoAnswer)
    })
    .await;
    until(member, "the member has a reason", |quic| !quic.refused().is_empty()).await;
    assert!(stranger.peers().is_empty() && member.peers().is_empty());
    (stranger.dial_status()[0].to_string(), member.refused()[0].to_string())
}

#[tokio::test]
async fn a_wrong_secret_is_refused_and_both_sides_know_why() {
    let member = node("member");
    let mut wrong = config("stranger");
    wrong.identity =
        Identity::secret(&ClusterKey::from_secret("tests", "another secret, just as long as that").unwrap());
    let stranger = Quic::bind(wrong).unwrap();
    let (there, here) = refused(&stranger, &member).await;
    for text in [&there, &here] {
        assert!(text.contains("not signed by this cluster's secret"), "{text}");
    }
    assert!(there.contains(&member.local_addr().to_string()), "{there}");
    assert!(here.contains(&stranger.local_addr().to_string()), "{here}");
}

#[tokio::test]
async fn another_cluster_is_refused_by_its_name() {
    let member = node("member");
    let mut other = config("stranger");
    other.identity =
        Identity::secret(&ClusterKey::from_secret("others", "a secret of the tests, long enough").unwrap());
    let stranger = Quic::bind(other).unwrap();
    let (there, here) = refused(&stranger, &member).await;
    for text in [&there, &here] {
        assert!(text.contains("tests") && text.contains("others"), "{text}");
    }
}

/// A node in another life, or in another role.
fn life(name: &str, incarnation: u64, role: Role) -> std::sync::Arc<Quic> {
    let mut config = config(name);
    (config.incarnation, config.role) = (incarnation, role);
    Quic::bind(config).unwrap()
}

#[tokio::test]
async fn two_lives_of_one_name_may_meet() {
    connect(&life("same", 2, Role::Node), &node("same")).await;
}

#[tokio::test]
async fn a_client_under_the_name_of_a_node_is_refused_by_that_node() {
    let (there, _) = refused(&life("same", 2, Role::Client), &node("same")).await;
    assert!(there.contains("the name same is taken"), "{there}");
}

fn config_with(key: &ClusterKey, name: &str) -> horde_transport::QuicConfig {
    let mut config = config(name);
    config.identity = Identity::secret(key);
    config
}

#[tokio::test]
async fn during_a_rotation_old_and_new_secrets_meet() {
    let new = ClusterKey::from_secret("tests", "the next secret of the tests, also long").unwrap();
    let mut rotating = config("rotating");
    rotating.identity = Identity::secret(&new.clone().with_previous(&key()).unwrap());
    let done = config_with(&new, "done");
    let mut first = config("first");
    first.identity = Identity::secret(&key().with_previous(&new).unwrap());
    let [rotating, done, first, old] = [rotating, done, first, config("old")].map(|c| Quic::bind(c).unwrap());
    connect(&old, &first).await;
    connect(&first, &rotating).await;
    connect(&rotating, &done).await;
    // After the last round the old secret opens nothing, from either side.
    let (late, over) = (node("late"), Quic::bind(config_with(&new, "over")).unwrap());
    let (there, here) = refused(&late, &over).await;
    for text in [&there, &here] {
        assert!(text.contains("not signed by this cluster's secret"), "{text}");
    }
}

#[tokio::test]
async fn dialling_oneself_is_noticed() {
    let one = node("one");
    one.dial(one.local_addr());
    until(&one, "noticed", |one| one.dial_status().iter().any(|dial| dial.state == DialState::Yourself))
        .await;
    assert!(one.peers().is_empty());
}

#[tokio::test]
async fn a_taken_address_is_named_in_the_error() {
    let one = node("one");
    let mut second = config("two");
    second.listen = one.local_addr();
    let error = Quic::bind(second).unwrap_err();
    assert!(matches!(error, BindError::InUse(address) if address == one.local_addr()), "{error}");
}

#[tokio::test]
async fn when_all_dial_at_once_one_connection_stands_for_each_pair() {
    for _ in 0..5 {
        let nodes: Vec<_> = ["a", "b", "c", "d"].map(node).into();
        let mut heard: Vec<_> = nodes.iter().map(|node| Recorder::on(&**node, "watch")).collect();
        let _echo: Vec<_> = nodes.iter().map(|node| reverser(&**node, "echo")).collect();
        for from in &nodes {
            for to in nodes.iter().filter(|to| to.local() != from.local()) {
                from.dial(to.local_addr());
            }
        }
        for node in &nodes {
            until(node, "all three", |node| node.peers().len() == 3).await;
            until(node, "no dial is left", |node| {
                node.dial_status().iter().all(|dial| matches!(dial.state, DialState::Connected(_)))
            })
            .await;
        }
        for from in &nodes {
            for to in &nodes {
                assert!(ask(&**from, to.local(), "echo", b"x", SOON).await.is_ok());
            }
        }
        for events in heard.iter_mut().map(Recorder::heard) {
            assert_eq!(events.iter().filter(|event| matches!(event, Event::Up(_))).count(), 3, "{events:?}");
            assert!(
                !events.iter().any(|event| matches!(event, Event::Down { .. })),
                "no connection flapped: {events:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_goodbye_comes_after_everything_that_was_sent() {
    let (one, two) = (node("one"), node("two"));
    connect(&one, &two).await;
    let mut heard = Recorder::on(&*two, "last");
    heard.up().await;
    for n in 0..1000u32 {
        for lane in [Lane::Control, Lane::Sync, Lane::Calls] {
            one.send(two.local(), &topic("last"), lane, n.to_le_bytes().to_vec().into()).unwrap();
        }
    }
    for _ in 0..20 {
        one.send(two.local(), &topic("last"), Lane::Bulk, Bytes::from(vec![7; 1_000_000])).unwrap();
    }
    one.close(SOON).await;
    let mut frames = 0;
    let reason = loop {
        match heard.next().await {
            Event::Frame { .. } => frames += 1,
            Event::Down { reason, .. } => break reason,
            _ => {}
        }
    };
    assert_eq!((frames, reason), (3020, DownReason::Goodbye));
    assert!(one.peers().is_empty());
}

#[tokio::test]
async fn a_dropped_network_is_lost_to_its_peers() {
    let (one, two) = (node("one"), node("two"));
    connect(&one, &two).await;
    let mut heard = Recorder::on(&*two, "watch");
    drop(one);
    let (peer, reason) = heard.down().await;
    assert_eq!(peer, id("one", 1));
    assert!(matches!(&reason, DownReason::Lost(why) if why.contains("without a goodbye")), "{reason:?}");
}

#[tokio::test]
async fn two_lives_of_one_name_are_connected_at_once_and_a_third_waits() {
    for older_first in [true, false] {
        let member = node("member");
        let mut heard = Recorder::on(&*member, "watch");
        let (first, second) = if older_first { (1, 2) } else { (2, 1) };
        let lives = [life("other", first, Role::Node), life("other", second, Role::Node)];
        for other in &lives {
            connect(other, &member).await;
            assert_eq!(heard.up().await.id, *other.local());
        }
        until(&member, "tethered", |member| member.stats().iter().all(|stats| stats.tethered)).await;
        let third = life("other", 3, Role::Node);
        third.dial(member.local_addr());
        let lives_text = "two lives of other are connected";
        let waits = |third: &Quic| matches!(failure(third), Some(DialFailure::RefusedUs(why)) if why.contains(lives_text));
        until(&third, "the third is told", waits).await;
        for other in &lives {
            let _echo = reverser(&**other, "echo");
            assert!(ask(&*member, other.local(), "echo", b"x", SOON).await.is_ok());
        }
        assert!(heard.heard().is_empty(), "nobody is disturbed");
        lives[0].close(SOON).await;
        assert_eq!(heard.down().await, (lives[0].local().clone(), DownReason::Goodbye));
        assert_eq!(heard.up().await.id, *third.local());
    }
}

#[tokio::test]
async fn a_connection_that_was_cut_comes_back_when_the_cut_heals() {
    let (one, two) = (node("one"), node("two"));
    connect(&one, &two).await;
    let mut heard = Recorder::on(&*one, "watch");
    heard.up().await;
    one.cut(two.local_addr(), true);
    let (_, reason) = heard.down().await;
    assert_eq!(reason, DownReason::Lost("no sign of life".into()));
    one.cut(two.local_addr(), false);
    heard.up().await;
    assert!(!heard.heard().iter().any(|event| matches!(event, Event::CrashHint { .. })));
}

#[tokio::test]
async fn a_disconnected_peer_that_is_dialled_comes_back() {
    let (one, two) = (node("one"), node("two"));
    connect(&one, &two).await;
    let mut heard = Recorder::on(&*one, "watch");
    heard.up().await;
    one.disconnect(two.local(), "a test");
    assert_eq!(heard.down().await.1, DownReason::Disconnected);
    heard.up().await;
}

#[test]
fn a_peer_that_dies_without_a_word_is_hinted_before_it_is_lost() {
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let ours = runtime();
    for they_dial in [true, false] {
        let theirs = runtime();
        let one = ours.block_on(async { node("one") });
        let two = theirs.block_on(async { node("two") });
        let (from, to) = if they_dial { (&two, &one) } else { (&one, &two) };
        ours.block_on(connect(from, to));
        let mut heard = ours.block_on(async { Recorder::on(&*one, "watch") });
        ours.block_on(until(&one, "tethered", |one| one.stats().iter().all(|stats| stats.tethered)));
        // Everything of it ends at once, as when its OS process is killed: the kernel closes its sockets.
        theirs.shutdown_background();
        assert_eq!(ours.block_on(heard.hint()), id("two", 1));
        let (peer, reason) = ours.block_on(heard.down());
        assert_eq!((peer, reason), (id("two", 1), DownReason::Lost("no sign of life".into())));
        let _keep_until_here = two;
    }
}

#[test]
fn a_node_that_dies_and_starts_again_without_dialling_is_dialled_at_its_crash_hint() {
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let patient = |name: &str, incarnation, listen| {
        let mut config = config(name);
        // Who waits until the connection is idle does not see the end of this test.
        (config.timing.idle_timeout, config.timing.keep_alive) = (SOON * 4, SOON);
        (config.incarnation, config.listen) = (incarnation, listen);
        config
    };
    let (ours, theirs, any) = (runtime(), runtime(), ([127, 0, 0, 1], 0).into());
    let one = ours.block_on(async { Quic::bind(patient("one", 1, any)).unwrap() });
    let two = theirs.block_on(async { Quic::bind(patient("two", 1, any)).unwrap() });
    ours.block_on(connect(&one, &two));
    ours.block_on(until(&one, "tethered", |one| one.stats().iter().all(|stats| stats.tethered)));
    let mut heard = ours.block_on(async { Recorder::on(&*one, "watch") });
    let address = two.local_addr();
    theirs.shutdown_background();
    drop(two);
    assert_eq!(ours.block_on(heard.hint()), id("two", 1));
    let again = ours.block_on(async {
        loop {
            match Quic::bind(patient("two", 2, address)) {
                Err(BindError::InUse(_)) => tokio::task::yield_now().await,
                bound => break bound.unwrap(),
            }
        }
    });
    while ours.block_on(heard.up()).id != *again.local() {}
}

#[tokio::test]
async fn a_client_is_told_apart_from_a_node() {
    let member = node("member");
    let mut client = config("looker");
    client.role = Role::Client;
    let client = Quic::bind(client).unwrap();
    connect(&client, &member).await;
    assert_eq!(member.peers()[0].role, Role::Client);
    assert_eq!(client.peers()[0].role, Role::Node);
}

#[tokio::test]
async fn nodes_meet_over_ipv6() {
    let on = |name: &str| {
        let mut config = config(name);
        config.listen = "[::1]:0".parse().unwrap();
        Quic::bind(config)
    };
    let (Ok(one), Ok(two)) = (on("one"), on("two")) else {
        eprintln!("there is no IPv6 here: nothing was tried");
        return;
    };
    connect(&one, &two).await;
    assert_eq!(one.peers()[0].address, Some(two.local_addr()));
}

#[tokio::test]
async fn more_peers_than_the_limit_are_refused() {
    let mut small = config("small");
    small.peers = 1;
    let small = Quic::bind(small).unwrap();
    let (one, two) = (node("one"), node("two"));
    connect(&one, &small).await;
    two.dial(small.local_addr());
    until(
        &two,
        "refused",
        |two| matches!(failure(two), Some(DialFailure::RefusedUs(why)) if why.contains("no more peers")),
    )
    .await;
}

#[tokio::test]
async fn a_node_on_any_address_tells_its_port_and_is_reached_where_it_is_seen() {
    let one = node("one");
    let mut any = config("any");
    any.listen = "0.0.0.0:0".parse().unwrap();
    let any = Quic::bind(any).unwrap();
    any.dial(one.local_addr());
    until(&one, "connected", |one| one.peers().len() == 1).await;
    let address = one.peers()[0].address.unwrap();
    assert_eq!((address.ip().to_string(), address.port()), ("127.0.0.1".into(), any.local_addr().port()));
}

#[tokio::test]
async fn a_banned_node_is_disconnected_and_refused_until_it_is_not() {
    let (one, two) = (node("one"), node("two"));
    connect(&two, &one).await;
    one.set_banned([two.local().name().clone()].into());
    until(
        &two,
        "banned",
        |two| matches!(failure(two), Some(DialFailure::RefusedUs(why)) if why.contains("banned")),
    )
    .await;
    assert!(one.peers().is_empty());
    one.set_banned([].into());
    connect(&two, &one).await;
}
