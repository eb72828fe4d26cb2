//! Several members, what was started on them, and the checks that span them all.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::{Be, By, Entry, Faults, Member, Order, PATIENCE, Program, check, check_names, until};

/// How long a cluster may take until every child runs once again and is found: a wide margin over the milliseconds
/// that it takes, so that a busy machine fails no test.
pub const RECOVERY: Duration = Duration::from_secs(15);

/// The members of one cluster on loopback, with a secret of their own.
#[derive(Debug)]
pub struct Cluster {
    program: Program,
    secret: String,
    takeover: bool,
    members: Vec<Member>,
    started: BTreeSet<String>,
}

/// The ids of children.
#[must_use]
pub fn ids(numbers: Range<usize>) -> BTreeSet<String> {
    numbers.map(|number| format!("child-{number}")).collect()
}

impl Cluster {
    /// No member yet; `secret` makes the members those of one cluster.
    #[must_use]
    pub fn new(program: Program, secret: &str) -> Self {
        let (members, started) = (Vec::new(), BTreeSet::new());
        Self { program, secret: secret.to_owned(), takeover: true, members, started }
    }

    /// Children do not run elsewhere when their node dies.
    #[must_use]
    pub fn without_takeover(mut self) -> Self {
        self.takeover = false;
        self
    }

    /// Starts members of these names on free ports of loopback, and waits until each relies on all.
    ///
    /// # Errors
    /// When one of them does not become a member, or not in time.
    pub fn form(mut self, names: &[&str]) -> Result<Self> {
        for name in names {
            let be = Be { expect: Some(names.len()), ..self.be(name) };
            self.spawn(&self.program.clone(), &be)?;
        }
        self.join_all()?;
        Ok(self)
    }

    /// Who a member of this name on a free port of loopback is: it looks for the members that there are.
    #[must_use]
    pub fn be(&self, name: &str) -> Be {
        Be {
            name: name.to_owned(),
            secret: self.secret.clone(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            join: self.members.iter().map(Member::address).collect(),
            expect: None,
            takeover: self.takeover,
        }
    }

    /// Starts a member; it has not joined yet.
    ///
    /// # Errors
    /// What the member says when it cannot start.
    pub fn spawn(&mut self, program: &Program, be: &Be) -> Result<&mut Member> {
        self.members.push(Member::spawn(program, be)?);
        self.members.last_mut().context("no member")
    }

    /// Waits until all members have joined, and each sees all as up and ready.
    ///
    /// # Errors
    /// When one of them does not become a member, or not in time.
    pub fn join_all(&mut self) -> Result<()> {
        let orders: Vec<u64> =
            self.members.iter_mut().map(|member| member.order(Order::Join)).collect::<Result<_>>()?;
        for (member, number) in self.members.iter_mut().zip(orders) {
            member.answer(number, PATIENCE)?;
        }
        let nodes: Vec<String> = self.members.iter().map(|member| member.node().to_owned()).collect();
        for member in &mut self.members {
            member.relies_on(&nodes, PATIENCE)?;
        }
        Ok(())
    }

    /// A further member on loopback, once it has joined.
    ///
    /// # Errors
    /// When it does not become a member, or not in time.
    pub fn add(&mut self, name: &str) -> Result<&mut Member> {
        let be = self.be(name);
        self.spawn(&self.program.clone(), &be)?;
        self.join_all()?;
        self.member(name)
    }

    /// The member of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn member(&mut self, name: &str) -> Result<&mut Member> {
        let found = self.members.iter_mut().find(|member| member.name() == name);
        found.with_context(|| format!("no member {name}"))
    }

    /// All members.
    pub fn members(&mut self) -> &mut [Member] {
        &mut self.members
    }

    /// Takes a member out of the checks: it was killed, or has left.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn take(&mut self, name: &str) -> Result<Member> {
        let at = self.members.iter().position(|member| member.name() == name);
        Ok(self.members.remove(at.with_context(|| format!("no member {name}"))?))
    }

    /// Puts a member into the checks again.
    pub fn put_back(&mut self, member: Member) {
        self.members.push(member);
    }

    /// Starts named children from one member.
    ///
    /// # Errors
    /// When one of them was not started.
    pub fn start(&mut self, from: &str, ids: &BTreeSet<String>) -> Result<()> {
        self.started.extend(ids.iter().cloned());
        let calls = self.member(from)?.start(ids)?;
        ensure!(calls.answered.len() == ids.len(), "{} of {} were started", calls.answered.len(), ids.len());
        Ok(())
    }

    /// What was started so far.
    #[must_use]
    pub fn started(&self) -> &BTreeSet<String> {
        &self.started
    }

    /// What runs and ran in all members.
    ///
    /// # Errors
    /// When one of them gives no answer.
    pub fn census(&mut self) -> Result<Vec<Entry>> {
        let mut census = Vec::new();
        for member in &mut self.members {
            census.extend(member.census()?);
        }
        Ok(census)
    }

    /// Compares what runs now with what was started.
    ///
    /// # Errors
    /// When a member gives no answer. The comparison is inside.
    pub fn compare(&mut self) -> Result<Result<BTreeMap<String, Entry>, Faults>> {
        let census = self.census()?;
        Ok(check(&self.started, &census))
    }

    /// Waits until every child that was started runs exactly once and nothing else does. By child, its run.
    ///
    /// # Errors
    /// When that does not come to hold in time: which children are lost, doubled or untracked.
    pub fn runs_once(&mut self, within: Duration) -> Result<BTreeMap<String, Entry>> {
        until("every child runs exactly once", within, || self.compare())
    }

    /// Waits until every child runs exactly once and answers, as that very process, on every member: by its name and by
    /// its id. Afterwards nothing has moved meanwhile.
    ///
    /// # Errors
    /// When that does not come to hold in time, with what is wrong.
    pub fn is_whole(&mut self, within: Duration) -> Result<BTreeMap<String, Entry>> {
        self.runs_once(within)?;
        until("every child runs once and is found everywhere", within, || {
            let running = match self.compare()? {
                Ok(running) => running,
                Err(faults) => return Ok(Err(faults.to_string())),
            };
            let ids = running.keys().cloned().collect();
            for member in &mut self.members {
                for by in [By::Name, By::Child] {
                    if let Err(faults) = check_names(&running, &member.call(&ids, by)?) {
                        return Ok(Err(format!("called on {} by {by:?}: {faults}", member.name())));
                    }
                }
            }
            Ok(match self.compare()? {
                Ok(again) if again == running => Ok(running),
                Ok(_) => Err("children moved while they were called".to_owned()),
                Err(faults) => Err(faults.to_string()),
            })
        })
    }
}

/// How many children run on each node (`name@incarnation`).
#[must_use]
pub fn spread(running: &BTreeMap<String, Entry>) -> BTreeMap<String, usize> {
    let mut spread = BTreeMap::new();
    for entry in running.values() {
        *spread.entry(entry.node.clone()).or_default() += 1;
    }
    spread
}

/// The children that run on `node`.
#[must_use]
pub fn on(running: &BTreeMap<String, Entry>, node: &str) -> BTreeSet<String> {
    running.iter().filter(|(_, entry)| entry.node == node).map(|(id, _)| id.clone()).collect()
}
