//! The test's side of a member: an OS process that is killed when this is dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde::Serialize;

use crate::{Answer, Answered, Asked, Be, By, Calls, Entry, Order, PATIENCE, Program, Seen, Signal, until};

/// A member that runs, or ran.
#[derive(Debug)]
pub struct Member {
    name: String,
    node: String,
    address: SocketAddr,
    child: Child,
    orders: Option<ChildStdin>,
    answers: Receiver<Answered>,
    /// Answers that came while another one was waited for.
    early: BTreeMap<u64, Result<Answer, String>>,
    asked: u64,
}

impl Member {
    /// Starts a member, and waits until it listens. It is not a member of anything yet: [`Member::join`].
    ///
    /// # Errors
    /// What the member says when it cannot be what it was told to be.
    pub fn spawn(program: &Program, be: &Be) -> Result<Self> {
        let mut command = program.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("{program:?} does not start"))?;
        let (sender, answers) = mpsc::channel();
        let output = child.stdout.take().context("no pipe from the member")?;
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let read = serde_json::from_str(&line);
                let outcome = Err(format!("not an answer: {line}"));
                if sender.send(read.unwrap_or(Answered { number: 0, outcome })).is_err() {
                    return;
                }
            }
        });
        let mut member = Self {
            name: be.name.clone(),
            node: String::new(),
            address: be.listen,
            orders: child.stdin.take(),
            child,
            answers,
            early: BTreeMap::new(),
            asked: 0,
        };
        member.write(be)?;
        match member.answer(0, PATIENCE)? {
            Answer::Listening { address, node } => (member.address, member.node) = (address, node),
            other => bail!("{other:?} in answer to who it is"),
        }
        Ok(member)
    }

    /// The node's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The node, as `name@incarnation`.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives an order; its number is for [`Member::answer`].
    ///
    /// # Errors
    /// When the member reads no more.
    pub fn order(&mut self, order: Order) -> Result<u64> {
        self.asked += 1;
        self.write(&Asked { number: self.asked, order })?;
        Ok(self.asked)
    }

    /// The answer to the order of this number.
    ///
    /// # Errors
    /// What the member could not do, and why; or that it did not answer in time, or is gone.
    pub fn answer(&mut self, number: u64, within: Duration) -> Result<Answer> {
        let deadline = Instant::now() + within;
        let outcome = loop {
            if let Some(outcome) = self.early.remove(&number) {
                break outcome;
            }
            match self.answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(answered) => drop(self.early.insert(answered.number, answered.outcome)),
                Err(RecvTimeoutError::Timeout) => {
                    bail!("member {} gave no answer within {within:?}", self.name)
                }
                Err(RecvTimeoutError::Disconnected) => bail!("member {} is gone", self.name),
            }
        };
        outcome.map_err(|why| anyhow!("member {}: {why}", self.name))
    }

    /// Whether the order of this number has an answer by now, good or bad.
    pub fn has_answered(&mut self, number: u64) -> bool {
        self.early.extend(self.answers.try_iter().map(|answered| (answered.number, answered.outcome)));
        self.early.contains_key(&number)
    }

    /// Gives an order and waits for its answer.
    ///
    /// # Errors
    /// As [`Member::answer`].
    pub fn ask(&mut self, order: Order) -> Result<Answer> {
        let number = self.order(order)?;
        self.answer(number, PATIENCE)
    }

    /// Waits until the node is a member and hosts names and children.
    ///
    /// # Errors
    /// Why it will never be.
    pub fn join(&mut self) -> Result<()> {
        self.ask(Order::Join).map(drop)
    }

    /// Starts a named child of each id.
    ///
    /// # Errors
    /// When one of them was not started.
    pub fn start(&mut self, ids: &BTreeSet<String>) -> Result<Calls> {
        let calls = self.called(Order::Start { ids: ids.clone() })?;
        if !calls.failed.is_empty() {
            bail!("member {} did not start all children: {:?}", self.name, calls.failed);
        }
        Ok(calls)
    }

    /// Asks each child where it is.
    ///
    /// # Errors
    /// When the member gives no answer; calls that failed are in the answer.
    pub fn call(&mut self, ids: &BTreeSet<String>, by: By) -> Result<Calls> {
        self.called(Order::Call { ids: ids.clone(), by })
    }

    /// Adds to the total of each child.
    ///
    /// # Errors
    /// When the member gives no answer; calls that failed are in the answer.
    pub fn add(&mut self, ids: &BTreeSet<String>, amount: u64) -> Result<Calls> {
        self.called(Order::Add { ids: ids.clone(), amount })
    }

    fn called(&mut self, order: Order) -> Result<Calls> {
        match self.ask(order)? {
            Answer::Called(calls) => Ok(calls),
            other => bail!("{other:?} in answer to calls"),
        }
    }

    /// What runs and ran there.
    ///
    /// # Errors
    /// When the member gives no answer.
    pub fn census(&mut self) -> Result<Vec<Entry>> {
        match self.ask(Order::Census)? {
            Answer::Census(entries) => Ok(entries),
            other => bail!("{other:?} in answer to the census"),
        }
    }

    /// Who is here, as it sees it.
    ///
    /// # Errors
    /// When the member gives no answer.
    pub fn members(&mut self) -> Result<Vec<Seen>> {
        match self.ask(Order::Members)? {
            Answer::Members(members) => Ok(members),
            other => bail!("{other:?} in answer to who is here"),
        }
    }

    /// Waits until it sees `node` (`name@incarnation`) in one of these states.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn sees(&mut self, node: &str, status: &[&str], within: Duration) -> Result<()> {
        let what = format!("{} sees {node} as one of {status:?}", self.name);
        until(&what, within, || {
            let members = self.members()?;
            let seen = |seen: &Seen| seen.node == node && status.contains(&seen.status.as_str());
            Ok(if members.iter().any(seen) { Ok(()) } else { Err(members) })
        })
    }

    /// Waits until it sees each of these nodes as up and as caught up with names and children: it places children there.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn relies_on(&mut self, nodes: &[String], within: Duration) -> Result<()> {
        let what = format!("{} sees {nodes:?} up and ready", self.name);
        until(&what, within, || {
            let members = self.members()?;
            let ready = |seen: &Seen| seen.status == "Up" && seen.ready.len() == 2;
            let found = |node: &String| members.iter().any(|seen| seen.node == *node && ready(seen));
            Ok(if nodes.iter().all(found) { Ok(()) } else { Err(members) })
        })
    }

    /// What it says of addresses that it dials, and of those that were refused.
    ///
    /// # Errors
    /// When the member gives no answer.
    pub fn reasons(&mut self) -> Result<(Vec<String>, Vec<String>)> {
        match self.ask(Order::Reasons)? {
            Answer::Reasons { dials, refused } => Ok((dials, refused)),
            other => bail!("{other:?} in answer to reasons"),
        }
    }

    /// Stops the node in good order; how many of its children were not moved. Its OS process has ended with status 0 then.
    ///
    /// # Errors
    /// When it takes longer than asked, or ends otherwise.
    pub fn stop(&mut self, within: Duration) -> Result<usize> {
        let number = self.order(Order::Stop { within })?;
        let Answer::Stopped { unmoved } = self.answer(number, within + PATIENCE)? else {
            bail!("{} did not say that it has stopped", self.name)
        };
        let status = self.ended(PATIENCE)?;
        if !status.success() {
            bail!("{} ended with {status}", self.name);
        }
        Ok(unmoved)
    }

    /// Waits for the end of the OS process.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn ended(&mut self, within: Duration) -> Result<ExitStatus> {
        until(&format!("member {} ends", self.name), within, || {
            Ok(self.child.try_wait()?.ok_or("it still runs"))
        })
    }

    /// SIGKILL, and waits for the end.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGSTOP or SIGCONT.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        signal.send(self.child.id())
    }

    fn write(&mut self, line: &impl Serialize) -> Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        let orders = self.orders.as_mut().context("no pipe to the member")?;
        orders.write_all(&bytes).with_context(|| format!("member {} reads no orders", self.name))
    }
}

/// Nothing is left behind, whatever the test died of: SIGKILL also ends a process that stands still.
impl Drop for Member {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
