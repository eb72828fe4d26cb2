//! The member's side: one node that does what it is told.

use std::collections::BTreeSet;
use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use horde::{CallError, ChildSpec, Node, Options, Ref, Registry, Supervisor};
use serde::de::DeserializeOwned;
use tokio::sync::{OnceCell, mpsc};
use tokio::task::{JoinError, JoinSet};

use crate::{Add, Answer, Answered, Asked, Be, By, Calls, Census, Counter, Order, Seen, Where, Whereabouts};

/// The cluster that all tests make; only the secret tells who belongs to it.
const CLUSTER: &str = "tests";
/// How long one call may take.
const CALL: Duration = Duration::from_secs(2);
/// How many starts and calls are on their way at once.
const AT_ONCE: usize = 64;

/// Runs one node by the orders on standard input, until that closes. `HORDE_LOG` (as `RUST_LOG` elsewhere) makes it log
/// to standard error.
pub fn run_member() -> ExitCode {
    if let Ok(filter) = std::env::var("HORDE_LOG") {
        let filter = tracing_subscriber::EnvFilter::new(filter);
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(false)
            .init();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(serve())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(0, Err(error));
            ExitCode::FAILURE
        }
    }
}

/// What a node hosts once it is a member.
#[derive(Debug)]
struct Hosted {
    names: Registry<String>,
    children: Supervisor,
}

/// A running node.
#[derive(Debug)]
struct Serving {
    node: Node,
    census: Census,
    options: Options,
    hosted: OnceCell<Hosted>,
}

async fn serve() -> Result<()> {
    let mut lines = lines();
    let be: Be = parse(&lines.recv().await.context("no line says who this node is")?)?;
    let census = Census::default();
    let mut builder = Node::builder(&be.name).runs::<Counter>(census.clone());
    builder = builder.listen(be.listen).secret(CLUSTER, &be.secret).join(be.join);
    if let Some(nodes) = be.expect {
        builder = builder.expect(nodes);
    }
    let node = builder.start().await?;
    let address = node.address().context("it listens nowhere")?;
    say(0, Ok(Answer::Listening { address, node: format!("{:?}", node.id()) }));
    let options = Options { takeover: be.takeover, ..Options::default() };
    let serving = Arc::new(Serving { node, census, options, hosted: OnceCell::new() });
    while let Some(line) = lines.recv().await {
        let Asked { number, order } = parse(&line)?;
        let serving = serving.clone();
        tokio::spawn(async move {
            let stops = matches!(order, Order::Stop { .. });
            say(number, serving.obey(order).await);
            if stops {
                std::process::exit(0);
            }
        });
    }
    Ok(())
}

/// The lines of standard input. When it closes, who gave the orders is gone: this OS process ends at once then.
fn lines() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
        std::process::exit(0);
    });
    receiver
}

fn parse<T: DeserializeOwned>(line: &str) -> Result<T> {
    serde_json::from_str(line).with_context(|| format!("not an order: {line}"))
}

/// Answers; without anybody who reads it, this OS process has no purpose.
fn say(number: u64, outcome: Result<Answer>) {
    let outcome = outcome.map_err(|error| format!("{error:#}"));
    let line = serde_json::to_string(&Answered { number, outcome }).unwrap_or_default();
    let mut output = std::io::stdout().lock();
    if writeln!(output, "{line}").and_then(|()| output.flush()).is_err() {
        std::process::exit(1);
    }
}

impl Serving {
    async fn obey(&self, order: Order) -> Result<Answer> {
        Ok(match order {
            Order::Join => {
                self.hosted.get_or_try_init(|| self.host()).await?;
                Answer::Done
            }
            Order::Start { ids } => Answer::Called(self.start(ids).await?),
            Order::Call { ids, by } => {
                Answer::Called(self.call(ids, by, |counter| counter.call(Where).timeout(CALL)).await?)
            }
            Order::Add { ids, amount } => {
                let add = |counter: &Ref<Counter>| counter.call(Add { amount }).timeout(CALL);
                Answer::Called(self.call(ids, By::Name, add).await?)
            }
            Order::Census => Answer::Census(self.census.entries()),
            Order::Members => Answer::Members(self.members()),
            Order::Reasons => self.reasons()?,
            Order::Stop { within } => {
                Answer::Stopped { unmoved: self.node.clone().stop_within(within).await }
            }
        })
    }

    async fn host(&self) -> Result<Hosted> {
        self.node.ready().await?;
        let names = Registry::builder("names").start(&self.node).await?;
        let children =
            Supervisor::builder("children").options(self.options.clone()).start(&self.node).await?;
        Ok(Hosted { names, children })
    }

    fn hosted(&self) -> Result<&Hosted> {
        self.hosted.get().ok_or_else(|| anyhow!("the node was not told to join"))
    }

    async fn start(&self, ids: BTreeSet<String>) -> Result<Calls> {
        let Hosted { names, children } = self.hosted()?;
        let start = |id: String| {
            let spec = ChildSpec::of(id.clone()).id(&id).named(&names.via::<Counter>(&id));
            let children = children.clone();
            async move {
                let started = children.start_child(spec).await.map_err(|error| error.to_string());
                match started {
                    Ok(child) => {
                        (id, child.call(Where).timeout(CALL).await.map_err(|error| error.to_string()))
                    }
                    Err(error) => (id, Err(error)),
                }
            }
        };
        Ok(all(ids, start).await)
    }

    async fn call<F>(&self, ids: BTreeSet<String>, by: By, ask: impl Fn(&Ref<Counter>) -> F) -> Result<Calls>
    where
        F: Future<Output = Result<Whereabouts, CallError>> + Send + 'static,
    {
        let Hosted { names, children } = self.hosted()?;
        let call = |id: String| {
            let asked = match by {
                By::Name => ask(&names.via(&id)),
                By::Child => ask(&children.via(&id)),
            };
            async move { (id, asked.await.map_err(|error| error.to_string())) }
        };
        Ok(all(ids, call).await)
    }

    fn members(&self) -> Vec<Seen> {
        let view = self.node.view();
        let seen = |member: &horde::Member| Seen {
            node: format!("{:?}", member.id),
            status: format!("{:?}", member.status),
            ready: member
                .meta
                .hordes
                .iter()
                .filter(|(_, meta)| meta.ready)
                .map(|(name, _)| name.clone())
                .collect(),
        };
        view.members.values().map(seen).collect()
    }

    fn reasons(&self) -> Result<Answer> {
        let quic = self.node.quic().context("no QUIC")?;
        Ok(Answer::Reasons {
            dials: quic.dial_status().iter().map(ToString::to_string).collect(),
            refused: quic.refused().iter().map(ToString::to_string).collect(),
        })
    }
}

/// What became of one child.
type Outcome = (String, Result<Whereabouts, String>);

/// Does it for each id, some at once.
async fn all<F>(ids: BTreeSet<String>, each: impl Fn(String) -> F) -> Calls
where
    F: Future<Output = Outcome> + Send + 'static,
{
    let (mut calls, mut running) = (Calls::default(), JoinSet::new());
    let mut note = |done: Option<Result<Outcome, JoinError>>| match done {
        Some(Ok((id, Ok(whereabouts)))) => drop(calls.answered.insert(id, whereabouts)),
        Some(Ok((id, Err(error)))) => drop(calls.failed.insert(id, error)),
        Some(Err(error)) => drop(calls.failed.insert("a task".into(), error.to_string())),
        None => {}
    };
    for id in ids {
        if running.len() >= AT_ONCE {
            note(running.join_next().await);
        }
        running.spawn(each(id));
    }
    while !running.is_empty() {
        note(running.join_next().await);
    }
    calls
}
