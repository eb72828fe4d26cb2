//! The demo's nodes: OS processes that end with it, whichever way it ends.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::protocol::{Be, Entry, Order, Report, unix_us};
use super::signals;
use crate::args::Quorum;

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The nodes that take part.
pub(super) struct Fleet {
    pub(super) nodes: Vec<NodeProcess>,
    secret: String,
    first: Vec<String>,
    quorum: Quorum,
}

/// How a node that was told to stop went.
pub(super) struct Farewell {
    /// Children that it could not move.
    pub(super) unmoved: usize,
    /// What ran there.
    pub(super) entries: Vec<Entry>,
    pub(super) status: std::process::ExitStatus,
    /// When its process had ended, in Unix microseconds.
    pub(super) at: u64,
}

impl Fleet {
    /// No node yet; those named `first` are the ones that the cluster starts with.
    pub(super) fn new(first: Vec<String>, quorum: Quorum) -> Self {
        Self { nodes: Vec::new(), secret: horde::generate_secret(), first, quorum }
    }

    /// Starts the process of a node, which waits for `together` nodes to be there. It listens when this returns.
    pub(super) async fn start(&mut self, name: &str, together: usize) -> anyhow::Result<()> {
        let mut node = NodeProcess::spawn(name)?;
        let be = Be {
            name: name.to_owned(),
            secret: self.secret.clone(),
            listen: ([127, 0, 0, 1], 0).into(),
            join: self.nodes.iter().filter_map(|node| node.address).collect(),
            first: self.first.clone(),
            together,
            quorum: self.quorum,
        };
        node.be(be).await?;
        self.nodes.push(node);
        Ok(())
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.name.clone()).collect()
    }

    pub(super) fn find(&mut self, name: &str) -> anyhow::Result<&mut NodeProcess> {
        self.nodes.iter_mut().find(|node| node.name == name).with_context(|| format!("no node {name}"))
    }

    /// Takes a node out: it is asked nothing any more.
    pub(super) fn take(&mut self, name: &str) -> anyhow::Result<NodeProcess> {
        let at = self.nodes.iter().position(|node| node.name == name);
        Ok(self.nodes.remove(at.with_context(|| format!("no node {name}"))?))
    }

    /// Asks all nodes at once; the answers by name.
    pub(super) async fn ask_all(&mut self, order: &Order) -> anyhow::Result<Vec<(String, Report)>> {
        for node in &mut self.nodes {
            node.tell(order).await?;
        }
        let mut answers = Vec::with_capacity(self.nodes.len());
        for node in &mut self.nodes {
            answers.push((node.name.clone(), node.hear().await?));
        }
        Ok(answers)
    }
}

/// A node that runs as a child of this process. Dropped, it is killed; should we be killed, the
/// system kills it, also while it is stopped.
pub(super) struct NodeProcess {
    pub(super) name: String,
    /// Where it listens, once it does.
    pub(super) address: Option<SocketAddr>,
    process: Child,
    orders: ChildStdin,
    reports: Lines<BufReader<ChildStdout>>,
}

impl NodeProcess {
    pub(super) fn spawn(name: &str) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find the program that runs")?;
        let mut process = Command::new(program)
            .arg("demo-member")
            .arg(std::process::id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            // Ctrl-C at the terminal is for the demo, which then stops its nodes.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start node {name}"))?;
        let orders = process.stdin.take().context("a node has an input")?;
        let reports = BufReader::new(process.stdout.take().context("a node has an output")?).lines();
        Ok(Self { name: name.to_owned(), address: None, process, orders, reports })
    }

    /// Tells the node who it is, and waits until it listens.
    async fn be(&mut self, be: Be) -> anyhow::Result<()> {
        match self.ask(&Order::Be(be)).await? {
            Report::Listening { address } => self.address = Some(address),
            other => return self.unexpected(&other),
        }
        Ok(())
    }

    pub(super) async fn ready(&mut self) -> anyhow::Result<()> {
        match self.hear().await? {
            Report::Ready => Ok(()),
            other => self.unexpected(&other),
        }
    }

    pub(super) async fn ask(&mut self, order: &Order) -> anyhow::Result<Report> {
        self.tell(order).await?;
        self.hear().await
    }

    async fn tell(&mut self, order: &Order) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        self.orders.write_all(&line).await.with_context(|| format!("node {} is gone", self.name))
    }

    async fn hear(&mut self) -> anyhow::Result<Report> {
        let line = tokio::time::timeout(PATIENCE, self.reports.next_line()).await;
        let line = line.with_context(|| format!("node {} has not answered in time", self.name))??;
        let line = line.with_context(|| format!("node {} has ended by itself", self.name))?;
        match serde_json::from_str(&line)? {
            Report::Failed { error } => anyhow::bail!("node {}: {error}", self.name),
            report => Ok(report),
        }
    }

    fn unexpected<T>(&self, report: &Report) -> anyhow::Result<T> {
        anyhow::bail!("node {} answered out of turn: {report:?}", self.name)
    }

    /// Sends it a signal. Answers when, in Unix microseconds.
    pub(super) fn signal(&self, signal: Signal) -> anyhow::Result<u64> {
        let id = self.process.id().with_context(|| format!("node {} has ended", self.name))?;
        let at = unix_us();
        signals::send(id, signal)?;
        Ok(at)
    }

    /// Hears the last word of a node that was told to stop, and waits until its process has ended by itself.
    pub(super) async fn farewell(mut self) -> anyhow::Result<Farewell> {
        let Report::Left { unmoved, entries } = self.hear().await? else {
            anyhow::bail!("node {} did not say that it left", self.name)
        };
        let ended = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        let status = ended.with_context(|| format!("the process of node {} does not end", self.name))??;
        Ok(Farewell { unmoved, entries, status, at: unix_us() })
    }

    /// Ends it with SIGKILL, at once and without a word. Answers when, in Unix microseconds.
    pub(super) async fn kill(mut self) -> anyhow::Result<u64> {
        let at = unix_us();
        self.process.start_kill()?;
        self.process.wait().await?;
        Ok(at)
    }
}
