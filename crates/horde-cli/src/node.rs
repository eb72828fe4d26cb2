//! `horde node`: one node, for trying things out.

mod args;

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::Context as _;
use horde::{
    Context, Handle, MemberEvent, Message, Node, Process, Registry, Role, Stop, Stopped, Supervisor, Watch,
};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::identity::Proof;

pub(crate) use args::NodeArgs;
use args::Settings;

/// How long a node that stops may take to move its children away.
const DRAIN: Duration = Duration::from_secs(20);

/// Answers with what it was asked, and where.
#[derive(Debug)]
struct Echo;

/// Asks an [`Echo`] for its answer.
#[derive(Debug, Serialize, Deserialize, Message)]
#[message(reply = String)]
struct Say {
    text: String,
}

impl Process for Echo {
    const KIND: &'static str = "echo";
    type Args = ();
    type Deps = ();
    type Messages = (Say,);

    async fn init((): (), _: &mut Context<Self>) -> Result<Self, Stop> {
        Ok(Self)
    }
}

impl Handle<Say> for Echo {
    async fn handle(&mut self, say: Say, cx: &mut Context<Self>) -> String {
        format!("{} (on {})", say.text, cx.node().id())
    }
}

pub(crate) fn run(args: &NodeArgs) -> anyhow::Result<bool> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    subscriber.with_ansi(std::io::stderr().is_terminal()).init();
    let settings = args.settings()?;
    let proof = settings.credentials.proof()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(&settings, proof))
}

async fn serve(settings: &Settings, proof: Proof) -> anyhow::Result<bool> {
    let mut signals = Signals::new()?;
    let joined = tokio::select! {
        joined = join(settings, proof) => joined?,
        // No member yet: nothing is to be moved, and nobody to be told.
        () = signals.any() => return Ok(true),
    };
    let node = &joined.node;
    say(&format!("node {} is a member; Ctrl-C moves its children away and ends it", node.id()));
    let unmoved = tokio::select! {
        () = signals.any() => {
            say(&format!("node {} moves its children away and ends; a second signal ends it at once", node.id()));
            tokio::select! {
                unmoved = node.clone().stop_within(DRAIN) => unmoved,
                () = signals.any() => anyhow::bail!("ended at once, by a second signal"),
            }
        }
        unmoved = node.ended() => unmoved,
        reason = put_out(node) => anyhow::bail!("{reason}"),
    };
    joined.complaints.abort();
    say(&format!("node {} has left; {unmoved} children did not move", node.id()));
    Ok(unmoved == 0)
}

/// A node that is a member, and what it hosts.
struct Joined {
    node: Node,
    complaints: tokio::task::JoinHandle<()>,
    _watch: Watch,
    _names: Registry<String, ()>,
    _children: Supervisor,
}

async fn join(settings: &Settings, proof: Proof) -> anyhow::Result<Joined> {
    let certified = match proof.certified {
        Some((name, Role::Node)) => Some(name),
        Some((name, role)) => anyhow::bail!("the certificate of {name} is for role {role:?}, not for a node"),
        None => None,
    };
    let name = settings.name.clone().or(certified).context("the node has no name: give --name")?;
    let mut builder = Node::builder(&name)
        .listen(settings.listen())
        .tls(proof.identity)
        .join(settings.join.iter().copied())
        .weight(settings.weight.unwrap_or(1))
        .runs::<Echo>(())
        .runs::<crate::demo::Worker>(crate::demo::Census::default());
    if let Some(nodes) = settings.expect {
        builder = builder.expect(nodes);
    }
    if let Some(zone) = &settings.zone {
        builder = builder.zone(zone);
    }
    for (name, value) in &settings.labels {
        builder = builder.label(name, value);
    }
    let node = builder.start().await.with_context(|| format!("node `{name}` did not start"))?;
    say(&format!("node {} listens at {}", node.id(), node.address().unwrap_or(settings.listen())));
    let watch = node.cluster().watch(|event, view| {
        let address = view.get(event.node()).and_then(|member| member.address);
        let address = address.map(|address| format!(" at {address}")).unwrap_or_default();
        match event {
            MemberEvent::Meta(_) => {}
            event => say(&format!("{event:?}{address}")),
        }
    });
    let complaints = tokio::spawn(complain(node.clone()));
    node.ready().await?;
    let names = Registry::builder("names").start(&node).await?;
    let children = Supervisor::builder("children").start(&node).await?;
    Ok(Joined { node, complaints, _watch: watch, _names: names, _children: children })
}

/// Waits until the node is no member any more without having been asked to leave.
async fn put_out(node: &Node) -> Stopped {
    match node.cluster().stopped().await {
        Stopped::Left => std::future::pending().await,
        reason => reason,
    }
}

/// SIGTERM and Ctrl-C.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next of either.
    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Says what keeps other nodes away, once for each thing.
async fn complain(node: Node) {
    let Some(quic) = node.quic().cloned() else { return };
    let mut changes = quic.dial_changes();
    let mut said = std::collections::BTreeSet::new();
    loop {
        for status in quic.dial_status() {
            if matches!(status.state, horde::DialState::Failing { .. }) && said.insert(status.to_string()) {
                say(&status.to_string());
            }
        }
        for refused in quic.refused() {
            if said.insert(refused.reason.clone()) {
                say(&refused.to_string());
            }
        }
        let tick = tokio::time::sleep(Duration::from_secs(1));
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = tick => {}
        }
    }
}

#[expect(clippy::print_stdout, reason = "it is what the command says")]
fn say(text: &str) {
    println!("{text}");
}
