//! A node of the demo, in an OS process of its own: does what it is told, line by line, and ends with the demo.

mod calls;
mod quorum;

use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use horde::{ChildSpec, MemberEvent, MemberStatus, Node, Redistribution, Registry, Supervisor};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::protocol::{Be, Order, Report, unix_us};
use super::signals;
use super::worker::{Census, Worker};
use calls::Calling;

/// Starts and calls at once.
const AT_ONCE: usize = 64;
/// How long a node that was told to stop may take to move its children.
const DRAIN: Duration = Duration::from_secs(20);

/// Runs until standard input ends: then the demo is gone, and so is its node.
pub(crate) fn run(parent: u32) -> anyhow::Result<bool> {
    signals::die_with_parent(parent)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let orders = orders();
    runtime.block_on(serve(orders))
}

/// The orders on standard input. When it ends, nobody is left to answer to, and this process ends.
fn orders() -> mpsc::Receiver<Order> {
    let (sender, orders) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(order) =
                line.map_err(anyhow::Error::from).and_then(|line| Ok(serde_json::from_str(&line)?))
            else {
                break;
            };
            if sender.blocking_send(order).is_err() {
                break;
            }
        }
        std::process::exit(0);
    });
    orders
}

async fn serve(mut orders: mpsc::Receiver<Order>) -> anyhow::Result<bool> {
    let mut terminated = signal(SignalKind::terminate())?;
    let Some(Order::Be(be)) = orders.recv().await else { anyhow::bail!("the first order says who to be") };
    let mut member = match Member::start(&be).await {
        Ok(member) => member,
        Err(error) => {
            tell(&Report::Failed { error: format!("{error:#}") })?;
            return Ok(false);
        }
    };
    loop {
        let order = tokio::select! {
            order = orders.recv() => order,
            _ = terminated.recv() => {
                tell(&member.leave().await)?;
                return Ok(true);
            }
        };
        let Some(order) = order else { return Ok(true) };
        let report = member.obey(order).await;
        tell(&report.unwrap_or_else(|error| Report::Failed { error: format!("{error:#}") }))?;
    }
}

fn tell(report: &Report) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, report)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// When others went down and came up, as this node saw it, by name.
#[derive(Debug, Default)]
struct News {
    down: Vec<(String, u64)>,
    risen: Vec<(String, u64)>,
}

struct Member {
    node: Node,
    names: Registry<String>,
    children: Supervisor,
    census: Census,
    news: Arc<Mutex<News>>,
    calling: Option<Calling>,
    _watch: horde::Watch,
}

impl Member {
    async fn start(be: &Be) -> anyhow::Result<Self> {
        let census = Census::default();
        let builder = Node::builder(&be.name)
            .listen(be.listen)
            .secret("demo", &be.secret)
            .join(be.join.iter().copied())
            .expect(be.first.len())
            .runs::<Worker>(census.clone());
        let children = Supervisor::builder("children").redistribution(Redistribution::Active);
        let (builder, children) = quorum::apply(be, builder, children)?;
        let node = builder.start().await?;
        let news: Arc<Mutex<News>> = Arc::default();
        let noted = news.clone();
        let watch = node.cluster().watch(move |event, _| {
            let mut news = lock(&noted);
            match event {
                MemberEvent::Down(id) => news.down.push((id.to_string(), unix_us())),
                MemberEvent::Up(id) | MemberEvent::Refuted(id) => {
                    news.risen.push((id.to_string(), unix_us()));
                }
                _ => {}
            }
        });
        let address = node.address().context("a node of the demo listens")?;
        tell(&Report::Listening { address })?;
        node.ready().await?;
        let names = Registry::builder("names").start(&node).await?;
        let children = children.start(&node).await?;
        let everybody = |_: &horde::View| (children.ready_members().len() >= be.together).then_some(());
        node.cluster().wait_for(everybody).await;
        tell(&Report::Ready)?;
        Ok(Self { node, names, children, census, news, calling: None, _watch: watch })
    }

    async fn obey(&mut self, order: Order) -> anyhow::Result<Report> {
        Ok(match order {
            Order::Be(_) => anyhow::bail!("it is somebody already"),
            Order::StartChildren { from, to } => self.start_children(from, to).await,
            Order::CallAll { count } => Report::Called(calls::all(&self.names, count).await),
            Order::CallMany { children } => {
                self.calling = Some(Calling::begin(&self.names, children));
                Report::Done
            }
            Order::StopCalls => {
                let calling = self.calling.take().context("no calls go on")?;
                Report::Called(calling.end().await?)
            }
            Order::Census => Report::Census { entries: self.census.entries() },
            Order::Count => Report::Count { running: self.census.running() },
            Order::Members => self.members(),
            Order::Explain { child } => self.explain(&child),
            Order::Cut { addresses, lost } => {
                let quic = self.node.quic().context("a node of the demo speaks QUIC")?;
                addresses.into_iter().for_each(|address| quic.cut(address, lost));
                Report::Done
            }
        })
    }

    fn members(&self) -> Report {
        let view = self.node.view();
        let up = view.members.values().filter(|member| member.status == MemberStatus::Up);
        let news = lock(&self.news);
        let (down, risen) = (news.down.clone(), news.risen.clone());
        Report::Members { up: up.map(|member| member.id.to_string()).collect(), down, risen }
    }

    fn explain(&self, child: &str) -> Report {
        let children = self.children.which_children();
        let record = children.into_iter().find(|known| known.id.as_str() == child);
        let record = record.map_or("no record".to_owned(), |known| {
            format!("{:?} of {} in generation {}", known.status, known.node, known.generation)
        });
        let name = self.names.via::<Worker>(child).pid();
        let name = name.map_or("nobody".to_owned(), |pid| pid.to_string());
        Report::Explained { text: format!("record: {record}, name: {name}") }
    }

    async fn start_children(&self, from: usize, to: usize) -> Report {
        let room = Arc::new(Semaphore::new(AT_ONCE));
        let mut starts = JoinSet::new();
        for number in from..to {
            let (children, names) = (self.children.clone(), self.names.clone());
            let permit = room.clone().acquire_owned().await;
            starts.spawn(async move {
                let _permit = permit;
                let id = name(number);
                let spec = ChildSpec::<Worker>::of(id.clone()).id(&id).named(&names.via(id.as_str()));
                children.start_child(spec).await.err().map(|error| format!("{id}: {error}"))
            });
        }
        let mut failed = Vec::new();
        while let Some(start) = starts.join_next().await {
            match start {
                Ok(failure) => failed.extend(failure),
                Err(error) => failed.push(error.to_string()),
            }
        }
        Report::Started { failed }
    }

    /// SIGTERM: the children move, then the node leaves. What ran here is told, since nobody can ask any more.
    async fn leave(&self) -> Report {
        let unmoved = self.node.clone().stop_within(DRAIN).await;
        Report::Left { unmoved, entries: self.census.entries() }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name of a child.
pub(super) fn name(number: usize) -> String {
    format!("worker-{number}")
}
