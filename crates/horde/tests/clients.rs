//! Who is connected and no member has no say in what runs, is found or is here.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use delta_crdt::Now;
use horde::{
    Context, Handle, Message, Network, Node, NodeId, NodeName, Pid, Process, Registry, Stop, Supervisor,
};
use horde_cluster::Meta;
use horde_cluster::machine::{Frame, Lifecycle, Record};
use horde_registry::machine::{Config, Host, Key, Member, Names, Output, Presence};
use horde_transport::{Lane, Limits, MemoryNode, Network as _, RequestError, Role, Topic};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

const SOON: Duration = Duration::from_secs(20);

/// Counts what reaches it.
struct Counter(u64);

#[derive(Debug, Serialize, Deserialize, Message)]
#[message(reply = u64)]
struct Count;

impl Process for Counter {
    const KIND: &'static str = "counter";
    type Args = ();
    type Deps = ();
    type Messages = (Count,);

    async fn init((): (), _: &mut Context<Self>) -> Result<Self, Stop> {
        Ok(Self(0))
    }
}

impl Handle<Count> for Counter {
    async fn handle(&mut self, _: Count, _: &mut Context<Self>) -> u64 {
        self.0 += 1;
        self.0
    }
}

/// Links itself to a process, and ends badly: a link would end the other one as well.
struct Bomb;

#[derive(Debug, Serialize, Deserialize, Message)]
struct Explode;

impl Process for Bomb {
    const KIND: &'static str = "bomb";
    type Args = Pid;
    type Deps = ();
    type Messages = (Explode,);

    async fn init(target: Pid, cx: &mut Context<Self>) -> Result<Self, Stop> {
        cx.link(&target);
        Ok(Self)
    }
}

impl Handle<Explode> for Bomb {
    async fn handle(&mut self, _: Explode, cx: &mut Context<Self>) {
        cx.stop(horde::ExitReason::Error("boom".into()));
    }
}

struct Scene {
    node: Node,
    names: Registry<String>,
    children: Supervisor,
    target: Pid,
    network: Network,
}

async fn scene() -> Scene {
    let network = Network::in_memory();
    let node = Node::builder("one").network(&network).runs::<Counter>(()).start().await.unwrap();
    let names = Registry::builder("names").start(&node).await.unwrap();
    let children = Supervisor::builder("children").start(&node).await.unwrap();
    let target = node.spawn::<Counter>(()).await.unwrap().pid().unwrap();
    Scene { node, names, children, target, network }
}

impl Scene {
    /// Somebody on the same network who is no member.
    fn attach(&self, name: &str, role: Role) -> Arc<MemoryNode> {
        let id = NodeId::new(NodeName::new(name).unwrap(), 1);
        self.network.memory().attach_with(id, role, Limits::default())
    }

    async fn count(&self) -> u64 {
        horde::Ref::<Counter>::new(&self.node, self.target.clone()).call(Count).await.unwrap()
    }
}

fn topic(text: &str) -> Topic {
    Topic::new(text).unwrap()
}

async fn ask(from: &MemoryNode, to: &NodeId, on: &str, frame: Bytes) -> Result<Bytes, RequestError> {
    let (sender, answer) = oneshot::channel();
    from.request(to, &topic(on), frame, SOON, Box::new(move |outcome| drop(sender.send(outcome))));
    tokio::time::timeout(SOON, answer).await.unwrap().unwrap()
}

/// All that was sent before has been delivered, or dropped, when this returns: each node takes what comes in order.
async fn delivered(from: &MemoryNode, to: &NodeId) {
    assert_eq!(ask(from, to, "nobody's", Bytes::new()).await, Err(RequestError::NoSuchTopic));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_calls_casts_to_and_ends_no_process_and_a_node_does_all_of_it() {
    let scene = scene().await;
    for (name, role) in [("viewer", Role::Client), ("boss", Role::Operator), ("two", Role::Node)] {
        let may = role == Role::Node;
        let before = scene.count().await;
        let network = scene.attach(name, role);
        let builder = horde_process::Node::builder(network.local().clone()).network(network.clone());
        let outside = builder.runs::<Bomb>(()).start().unwrap();
        let target = horde::Ref::<Counter>::new(&outside, scene.target.clone());
        assert_eq!(target.call(Count).timeout(SOON).await.is_ok(), may, "a call by {role:?}");
        outside.cast(scene.target.clone(), &Count).unwrap();
        delivered(&network, scene.node.id()).await;
        assert_eq!(scene.count().await, before + if may { 3 } else { 1 }, "a cast by {role:?}");

        let bomb = outside.spawn::<Bomb>(scene.target.clone()).await.unwrap();
        bomb.cast(Explode).unwrap();
        let ended = async {
            while outside.is_alive(&bomb.pid().unwrap()) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(SOON, ended).await.unwrap();
        delivered(&network, scene.node.id()).await;
        let dies = async {
            while scene.node.is_alive(&scene.target) {
                tokio::task::yield_now().await;
            }
        };
        if may {
            tokio::time::timeout(SOON, dies).await.unwrap();
        } else {
            scene.count().await;
        }
        outside.close(SOON).await;
    }
}

/// What a host of the registry sends after it has registered `key`.
fn registered(by: &NodeId, at: &NodeId, key: &str) -> Vec<Bytes> {
    let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap();
    let now = Now { monotonic: Duration::from_secs(1), unix_ms };
    // As many shards as the registries that nodes host have.
    let crdt = delta_crdt::Config { shards: 16, ..delta_crdt::Config::default() };
    let mut names = Names::new(by.clone(), Config { crdt, ..Config::default() });
    let host = Member { id: at.clone(), presence: Presence::Alive, host: Some(Host { ready: true }) };
    names.set_view(now, [host]);
    names.link_up(now, at);
    let key = rmp_serde::to_vec(key).unwrap();
    names.register(now, &Pid::new(by.clone(), 1), &Key::new(&key), [0xc0].as_slice().into(), None).unwrap();
    names.flush(now);
    let mut frames = Vec::new();
    while let Some(output) = names.poll_output() {
        if let Output::Send { message, .. } = output {
            frames.push(Bytes::from(message.encode()));
        }
    }
    frames
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_registers_no_name_starts_no_child_and_is_no_member() {
    let scene = scene().await;
    let one = scene.node.id().clone();
    for (name, role) in [("viewer", Role::Client), ("boss", Role::Operator)] {
        let client = scene.attach(name, role);
        for frame in registered(client.local(), &one, "poison") {
            client.send(&one, &topic("registry/names"), Lane::Sync, frame).unwrap();
        }
        let record = Record {
            id: client.local().clone(),
            address: None,
            version: 1,
            counter: 0,
            lifecycle: Lifecycle::Up,
            meta: Meta::default().into(),
        };
        let lives = vec![one.clone()];
        for frame in [Frame::Own(record), Frame::Forgotten { lives }] {
            client.send(&one, &topic("membership"), Lane::Control, frame.encode()).unwrap();
        }
        let probe = Frame::Probe { to: one.clone() }.encode();
        for on in ["supervisor/children", "membership", "registry/names", "process"] {
            let answer = ask(&client, &one, on, probe.clone()).await;
            assert_eq!(answer, Err(RequestError::NoSuchTopic), "{on} hears {role:?}");
        }
        delivered(&client, &one).await;
        assert_eq!(scene.names.count(), 0);
        assert_eq!(scene.children.count_children(), 0);
        assert_eq!(scene.node.view().members.keys().collect::<Vec<_>>(), [&one]);
        assert!(scene.node.view().stopped.is_none(), "a client has nobody forgotten");
    }
    // The same frames from a node are heard.
    let two = scene.attach("two", Role::Node);
    for frame in registered(two.local(), &one, "fine") {
        two.send(&one, &topic("registry/names"), Lane::Sync, frame).unwrap();
    }
    let found = async {
        while scene.names.whereis("fine").is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, found).await.unwrap();
}
