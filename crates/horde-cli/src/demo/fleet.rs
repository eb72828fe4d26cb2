//! The demo's nodes: OS processes that end with it, whichever way it ends.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::protocol::{Be, Order, Report, unix_us};

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node that runs as a child of this process. Dropped, it is killed; and should we be killed, its input ends.
pub(super) struct NodeProcess {
    pub(super) name: String,
    process: Child,
    orders: ChildStdin,
    reports: Lines<BufReader<ChildStdout>>,
}

impl NodeProcess {
    pub(super) fn spawn(name: &str) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find the program that runs")?;
        let mut process = Command::new(program)
            .arg("demo-member")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            // Ctrl-C at the terminal is for the demo, which then stops its nodes.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start node {name}"))?;
        let orders = process.stdin.take().context("a node has an input")?;
        let reports = BufReader::new(process.stdout.take().context("a node has an output")?).lines();
        Ok(Self { name: name.to_owned(), process, orders, reports })
    }

    /// Tells the node who it is; answers where it listens.
    pub(super) async fn be(&mut self, be: Be) -> anyhow::Result<SocketAddr> {
        match self.ask(&Order::Be(be)).await? {
            Report::Listening { address } => Ok(address),
            other => self.unexpected(&other),
        }
    }

    pub(super) async fn ready(&mut self) -> anyhow::Result<()> {
        match self.hear().await? {
            Report::Ready => Ok(()),
            other => self.unexpected(&other),
        }
    }

    pub(super) async fn ask(&mut self, order: &Order) -> anyhow::Result<Report> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        self.orders.write_all(&line).await.with_context(|| format!("node {} is gone", self.name))?;
        self.hear().await
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

    /// Ends it with SIGKILL, at once and without a word. Answers when, in Unix microseconds.
    pub(super) async fn kill(mut self) -> anyhow::Result<u64> {
        let at = unix_us();
        self.process.start_kill()?;
        self.process.wait().await?;
        Ok(at)
    }
}
