//! `horde node`: one node, for trying things out.

use std::time::Duration;

use anyhow::Context as _;
use horde::{Context, Handle, MemberEvent, Message, Node, Process, Registry, Stop, Supervisor};
use serde::{Deserialize, Serialize};

use crate::args::NodeArgs;

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
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let secret = horde::read_secret_file(&args.secret_file)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(args, &secret))
}

async fn serve(args: &NodeArgs, secret: &str) -> anyhow::Result<bool> {
    let mut builder = Node::builder(&args.name)
        .listen(args.listen)
        .secret(&args.cluster, secret)
        .join(args.join.iter().copied())
        .runs::<Echo>(())
        .runs::<crate::demo::Worker>(crate::demo::Census::default());
    if let Some(nodes) = args.expect {
        builder = builder.expect(nodes);
    }
    let node = builder.start().await.with_context(|| format!("node `{}` did not start", args.name))?;
    say(&format!("node {} listens at {}", node.id(), node.address().unwrap_or(args.listen)));
    let _watch = node.cluster().watch(|event, view| {
        let address = view.get(event.node()).and_then(|member| member.address);
        let address = address.map(|address| format!(" at {address}")).unwrap_or_default();
        match event {
            MemberEvent::Meta(_) => {}
            event => say(&format!("{event:?}{address}")),
        }
    });
    let complaints = tokio::spawn(complain(node.clone()));
    tokio::select! {
        ready = node.ready() => ready?,
        _ = tokio::signal::ctrl_c() => return Ok(true),
    }
    let _names: Registry<String, ()> = Registry::builder("names").start(&node).await?;
    let _children = Supervisor::builder("children").start(&node).await?;
    say(&format!("node {} is a member; Ctrl-C moves its children away and ends it", node.id()));
    let stopped = node.cluster().clone();
    let unmoved = tokio::select! {
        unmoved = node.run_until_signal(DRAIN) => unmoved?,
        reason = stopped.stopped() => anyhow::bail!("{reason}"),
    };
    complaints.abort();
    Ok(unmoved == 0)
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
