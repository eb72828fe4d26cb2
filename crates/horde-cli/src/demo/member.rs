//! A node of the demo, in an OS process of its own: does what it is told, line by line, and ends with its input.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use horde::{CallError, ChildSpec, MemberEvent, MemberStatus, Node, Registry, Supervisor};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::protocol::{Be, Calls, Order, Report, unix_us};
use super::worker::{Census, Where, Worker};

/// Starts and calls at once.
const AT_ONCE: usize = 64;
/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Runs until standard input ends: then the demo is gone, and so is its node.
pub(crate) fn run() -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (sender, mut orders) = mpsc::channel(16);
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
        // Nobody is left to answer to: whatever runs here ends with this process.
        std::process::exit(0);
    });
    runtime.block_on(async {
        let Some(Order::Be(be)) = orders.recv().await else {
            anyhow::bail!("the first order says who to be")
        };
        let mut member = match Member::start(&be).await {
            Ok(member) => member,
            Err(error) => {
                tell(&Report::Failed { error: format!("{error:#}") })?;
                return Ok(false);
            }
        };
        while let Some(order) = orders.recv().await {
            let report = member
                .obey(order)
                .await
                .unwrap_or_else(|error| Report::Failed { error: format!("{error:#}") });
            tell(&report)?;
        }
        Ok(true)
    })
}

fn tell(report: &Report) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, report)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

struct Member {
    node: Node,
    names: Registry<String>,
    children: Supervisor,
    census: Census,
    downs: Arc<Mutex<Vec<(String, u64)>>>,
    calls: Option<(watch::Sender<bool>, tokio::task::JoinHandle<Calls>)>,
    _watch: horde::Watch,
}

impl Member {
    async fn start(be: &Be) -> anyhow::Result<Self> {
        let census = Census::default();
        let node = Node::builder(&be.name)
            .listen(be.listen)
            .secret("demo", &be.secret)
            .join(be.join.iter().copied())
            .expect(be.expect)
            .runs::<Worker>(census.clone())
            .start()
            .await?;
        let downs: Arc<Mutex<Vec<(String, u64)>>> = Arc::default();
        let noted = downs.clone();
        let watch = node.cluster().watch(move |event, _| {
            if let MemberEvent::Down(id) = event {
                noted.lock().unwrap_or_else(PoisonError::into_inner).push((id.to_string(), unix_us()));
            }
        });
        let address = node.address().ok_or_else(|| anyhow::anyhow!("a node of the demo listens"))?;
        tell(&Report::Listening { address })?;
        node.ready().await?;
        let names = Registry::builder("names").start(&node).await?;
        let children = Supervisor::builder("children").start(&node).await?;
        let everybody = |_: &horde::View| (children.ready_members().len() >= be.expect).then_some(());
        node.cluster().wait_for(everybody).await;
        tell(&Report::Ready)?;
        Ok(Self { node, names, children, census, downs, calls: None, _watch: watch })
    }

    async fn obey(&mut self, order: Order) -> anyhow::Result<Report> {
        Ok(match order {
            Order::Be(_) => anyhow::bail!("it is somebody already"),
            Order::StartChildren { from, to } => self.start_children(from, to).await,
            Order::CallAll { count } => Report::Called(self.call_all(count).await),
            Order::CallMany { children } => {
                let (stop, stopped) = watch::channel(false);
                let calls = tokio::spawn(call_until(self.names.clone(), children, stopped));
                self.calls = Some((stop, calls));
                Report::Calling
            }
            Order::StopCalls => match self.calls.take() {
                Some((stop, calls)) => {
                    stop.send_replace(true);
                    Report::Called(calls.await?)
                }
                None => anyhow::bail!("no calls go on"),
            },
            Order::Census => Report::Census { entries: self.census.entries() },
            Order::Members => {
                let view = self.node.view();
                let up = view.members.values().filter(|member| member.status == MemberStatus::Up);
                let down = self.downs.lock().unwrap_or_else(PoisonError::into_inner).clone();
                Report::Members { up: up.map(|member| member.id.to_string()).collect(), down }
            }
        })
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

    async fn call_all(&self, count: usize) -> Calls {
        let room = Arc::new(Semaphore::new(AT_ONCE));
        let mut calls = JoinSet::new();
        for number in 0..count {
            let names = self.names.clone();
            let permit = room.clone().acquire_owned().await;
            calls.spawn(async move {
                let _permit = permit;
                let mut tally = Calls::default();
                // A name that was just given anew may need a moment to be known here.
                let end = Instant::now() + PATIENCE;
                while !tally.call(&names, number).await && Instant::now() < end {
                    tally.failed.clear();
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                tally
            });
        }
        let mut total = Calls::default();
        while let Some(Ok(tally)) = calls.join_next().await {
            total.add(tally);
        }
        total
    }
}

/// Calls some children by name, each again as soon as it has answered, until told to stop.
async fn call_until(names: Registry<String>, children: Vec<usize>, stopped: watch::Receiver<bool>) -> Calls {
    let mut callers = JoinSet::new();
    for number in children {
        let (names, stopped) = (names.clone(), stopped.clone());
        callers.spawn(async move {
            let mut tally = Calls::default();
            while !*stopped.borrow() {
                let answered = tally.call(&names, number).await;
                tokio::time::sleep(Duration::from_millis(if answered { 2 } else { 1 })).await;
            }
            tally
        });
    }
    let mut total = Calls::default();
    while let Some(Ok(tally)) = callers.join_next().await {
        total.add(tally);
    }
    total
}

impl Calls {
    /// Calls one child by name, and notes what came of it.
    async fn call(&mut self, names: &Registry<String>, number: usize) -> bool {
        let begun = Instant::now();
        let answer = names.via::<Worker>(name(number).as_str()).call(Where).timeout(PATIENCE).await;
        let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.slowest_us = self.slowest_us.max(took);
        match answer {
            Ok(node) => {
                self.answered += 1;
                *self.by_node.entry(node).or_default() += 1;
                true
            }
            Err(error) => {
                *self.failed.entry(kind(&error).to_owned()).or_default() += 1;
                false
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.slowest_us = self.slowest_us.max(other.slowest_us);
        for (map, more) in [(&mut self.failed, other.failed), (&mut self.by_node, other.by_node)] {
            merge(map, more);
        }
    }
}

fn merge(map: &mut BTreeMap<String, u64>, more: BTreeMap<String, u64>) {
    for (key, count) in more {
        *map.entry(key).or_default() += count;
    }
}

/// What went wrong with a call, in a word.
fn kind(error: &CallError) -> &'static str {
    match error {
        CallError::NoProcess(_) => "no process",
        CallError::NotConnected { .. } => "not connected",
        CallError::NodeDown(_) => "node down",
        CallError::Exited(_) => "exited",
        CallError::Timeout(_) => "timeout",
        CallError::NoReply => "no reply",
        _ => "other",
    }
}

/// The name of a child.
pub(super) fn name(number: usize) -> String {
    format!("worker-{number}")
}
