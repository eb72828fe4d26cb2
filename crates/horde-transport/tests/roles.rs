//! Command-line clients are heard by those alone who admit them.
#![cfg(all(feature = "memory", feature = "quic"))]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "common/mesh.rs"]
mod mesh;
#[path = "common/recorder.rs"]
#[expect(dead_code, reason = "shared by several test binaries")]
mod recorder;

use std::sync::Arc;

use bytes::Bytes;
use horde_transport::{
    Event, Lane, Limits, MemoryNetwork, Network, Quic, RequestError, Role, Subscriber, Subscription,
};
use mesh::{config, connect, node};
use recorder::{Recorder, SOON, ask, id, topic};

/// Answers requests of every role with the asker's name.
struct Open;

impl Subscriber for Open {
    fn event(&self, event: Event) {
        if let Event::Request { from, responder, .. } = event {
            responder.send(Bytes::from(from.name().to_string()));
        }
    }

    fn admits(&self, _: Role) -> bool {
        true
    }
}

fn open(network: &dyn Network) -> Subscription {
    network.subscribe(&topic("open"), Arc::new(Open)).unwrap()
}

/// The client's frames and requests reach the open topic and no other one, in whatever role but a node's.
async fn is_kept_out(member: &dyn Network, client: &dyn Network) {
    let mut closed = Recorder::on(member, "closed");
    let _open = open(member);
    for lane in [Lane::Control, Lane::Sync, Lane::Calls, Lane::Bulk] {
        client.send(member.local(), &topic("closed"), lane, Bytes::from_static(b"do this")).unwrap();
    }
    let asked = ask(client, member.local(), "closed", b"and that", SOON).await;
    assert_eq!(asked, Err(RequestError::NoSuchTopic));
    let name = client.local().name().to_string();
    assert_eq!(ask(client, member.local(), "open", b"who am I", SOON).await, Ok(name.into()));
    let heard = closed.heard();
    assert!(heard.is_empty(), "{heard:?}");
}

#[tokio::test]
async fn over_quic_a_client_and_an_operator_reach_only_those_who_admit_them() {
    for role in [Role::Client, Role::Operator] {
        let (member, mut config) = (node("member"), config("cli"));
        config.role = role;
        let client = Quic::bind(config).unwrap();
        connect(&client, &member).await;
        is_kept_out(&*member, &*client).await;
    }
}

#[tokio::test]
async fn in_memory_as_well() {
    let network = MemoryNetwork::new();
    let member = network.attach(id("member", 1));
    let client = network.attach_with(id("cli", 1), Role::Client, Limits::default());
    is_kept_out(&*member, &*client).await;
    drop(client);
    // A node is heard by the same subscribers.
    let mut closed = Recorder::on(&*member, "closed again");
    let two = network.attach(id("two", 1));
    assert_eq!(closed.up().await.id, *two.local());
    two.send(member.local(), &topic("closed again"), Lane::Calls, Bytes::from_static(b"hello")).unwrap();
    assert_eq!(&closed.frame().await.2[..], b"hello");
}

#[tokio::test]
async fn a_client_under_the_name_and_life_of_a_node_does_not_take_its_connection() {
    let (member, two) = (node("member"), node("two"));
    connect(&two, &member).await;
    let mut posing = config("two");
    posing.role = Role::Client;
    let client = Quic::bind(posing).unwrap();
    client.dial(member.local_addr());
    let mut changes = client.dial_changes();
    tokio::time::timeout(SOON, async {
        while !client.dial_status().iter().any(|dial| dial.to_string().contains("another connection stands"))
        {
            changes.changed().await.unwrap();
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{:?}", client.dial_status()));
    assert_eq!(member.peers().len(), 1);
    assert_eq!(member.peers()[0].role, Role::Node);
    assert!(two.peers().iter().any(|peer| peer.id == *member.local()));
}
