//! Several machines in one thread, with a network between them that the test rules.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use delta_crdt::Now;
use horde_process::{Claim, ClaimRank, Pid};
use horde_registry::machine::{Change, Config, Host, Key, Member, Message, Names, Output, Presence};
use horde_transport::{NodeId, NodeName};

pub(crate) fn node(name: &str, incarnation: u64) -> NodeId {
    NodeId::new(NodeName::new(name).unwrap(), incarnation)
}

pub(crate) fn key(text: &str) -> Key {
    Key::new(text.as_bytes())
}

pub(crate) fn value(text: &str) -> Arc<[u8]> {
    text.as_bytes().into()
}

pub(crate) fn claim(child: &str, generation: u64, owner: &NodeId) -> Claim {
    let rank = ClaimRank { life: 0, config_epoch: 0, generation, stamp: 0, owner: owner.clone() };
    Claim { supervisor: "s".into(), child: child.into(), rank }
}

pub(crate) fn alive(id: &NodeId) -> Member {
    Member { id: id.clone(), presence: Presence::Alive, host: Some(Host { ready: true }) }
}

pub(crate) fn with(id: &NodeId, presence: Presence) -> Member {
    Member { presence, ..alive(id) }
}

/// One machine and what it has asked for so far.
pub(crate) struct Site {
    pub(crate) id: NodeId,
    pub(crate) names: Names,
    pub(crate) sent: Vec<(NodeId, Message)>,
    /// The readers' view, as a driver would publish it.
    pub(crate) shown: BTreeMap<Key, Pid>,
    pub(crate) signals: Vec<(Pid, Key, Pid)>,
    pub(crate) ready: u32,
}

impl Site {
    pub(crate) fn new(id: NodeId, config: Config) -> Self {
        let names = Names::new(id.clone(), config);
        Self { id, names, sent: Vec::new(), shown: BTreeMap::new(), signals: Vec::new(), ready: 0 }
    }

    pub(crate) fn pid(&self, number: u64) -> Pid {
        Pid::new(self.id.clone(), number)
    }

    pub(crate) fn drain(&mut self) {
        while let Some(output) = self.names.poll_output() {
            match output {
                Output::Send { to, message } => self.sent.push((to, message)),
                Output::Changed(changes) => {
                    for change in changes {
                        match change {
                            Change::Put { key, new, .. } => self.shown.insert(key, new.pid.clone()),
                            Change::Removed { key, .. } => self.shown.remove(&key),
                        };
                    }
                }
                Output::Signal { pid, key, winner } => self.signals.push((pid, key, winner)),
                Output::Ready => self.ready += 1,
                _ => {}
            }
        }
        self.names.check_invariants();
    }

    /// Who holds `key`, hidden or not, as readers were told.
    pub(crate) fn published(&self, text: &str) -> Option<&Pid> {
        self.shown.get(&key(text))
    }

    /// Who holds `key` and is shown.
    pub(crate) fn holder(&self, text: &str) -> Option<Pid> {
        self.names.get(&key(text)).map(|entry| entry.pid.clone())
    }

    pub(crate) fn flush(&mut self, now: Now) {
        self.names.flush(now);
        if self.names.poll_timeout().is_some_and(|at| at <= now.monotonic) {
            self.names.handle_timeout(now);
        }
        self.drain();
    }
}

/// Sites that all see each other alive, and a clock.
pub(crate) struct Cluster {
    pub(crate) sites: Vec<Site>,
    pub(crate) clock: Duration,
    /// Links that carry nothing, by position.
    pub(crate) cut: Vec<(usize, usize)>,
}

impl Cluster {
    pub(crate) fn new(names: &[&str], config: &Config) -> Self {
        let sites = names.iter().map(|name| Site::new(node(name, 1), config.clone())).collect();
        let mut cluster = Self { sites, clock: Duration::from_secs(1), cut: Vec::new() };
        for at in 0..names.len() {
            cluster.see(at, &[]);
            for other in 0..names.len() {
                if other != at {
                    let other = cluster.sites[other].id.clone();
                    let now = cluster.now();
                    cluster.sites[at].names.link_up(now, &other);
                }
            }
        }
        cluster.settle();
        cluster
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            monotonic: self.clock,
            unix_ms: 1_700_000_000_000 + u64::try_from(self.clock.as_millis()).unwrap(),
        }
    }

    /// The site at `at` sees all members alive but for `others`.
    pub(crate) fn see(&mut self, at: usize, others: &[(usize, Presence)]) {
        let mut view: Vec<Member> = self.sites.iter().map(|site| alive(&site.id)).collect();
        for (other, presence) in others {
            view[*other].presence = *presence;
        }
        let now = self.now();
        self.sites[at].names.set_view(now, view);
        self.sites[at].drain();
    }

    pub(crate) fn register(
        &mut self,
        at: usize,
        number: u64,
        text: &str,
    ) -> Result<(), horde_registry::machine::RegisterError> {
        self.register_as(at, number, text, None)
    }

    pub(crate) fn register_as(
        &mut self,
        at: usize,
        number: u64,
        text: &str,
        claim: Option<&Claim>,
    ) -> Result<(), horde_registry::machine::RegisterError> {
        self.clock += Duration::from_millis(5);
        let now = self.now();
        let site = &mut self.sites[at];
        let pid = site.pid(number);
        let outcome = site.names.register(now, &pid, &key(text), value("v"), claim);
        site.drain();
        outcome
    }

    pub(crate) fn end(&mut self, at: usize, number: u64) {
        let now = self.now();
        let pid = self.sites[at].pid(number);
        self.sites[at].names.process_ended(now, &pid);
        self.sites[at].drain();
    }

    pub(crate) fn moves(&mut self, at: usize, number: u64) {
        let now = self.now();
        let pid = self.sites[at].pid(number);
        self.sites[at].names.process_moves(now, &pid);
        self.sites[at].drain();
    }

    /// One round: all flush, all that was sent arrives but on cut links. True if anything did.
    pub(crate) fn exchange(&mut self) -> bool {
        let now = self.now();
        let mut mail = Vec::new();
        for (from, site) in self.sites.iter_mut().enumerate() {
            site.flush(now);
            mail.extend(site.sent.drain(..).map(|(to, message)| (from, to, message)));
        }
        let any = !mail.is_empty();
        for (from, to, message) in mail {
            let at = self.sites.iter().position(|site| site.id == to);
            let Some(at) =
                at.filter(|at| !self.cut.contains(&(from, *at)) && !self.cut.contains(&(*at, from)))
            else {
                continue;
            };
            let from = self.sites[from].id.clone();
            self.sites[at].names.receive(now, &from, message);
            self.sites[at].drain();
        }
        any
    }

    /// Lets four seconds pass in small steps: enough for what was lost to be told again, pulled and judged.
    pub(crate) fn settle(&mut self) {
        for _ in 0..100 {
            self.clock += Duration::from_millis(40);
            self.exchange();
        }
    }

    /// Lets `time` pass.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.clock + time;
        while self.clock < until {
            self.clock += Duration::from_millis(250);
            self.exchange();
        }
    }

    pub(crate) fn holders(&self, text: &str) -> Vec<Option<Pid>> {
        self.sites.iter().map(|site| site.holder(text)).collect()
    }

    /// Where the site of `node` is.
    pub(crate) fn at(&self, node: &NodeId) -> usize {
        self.sites.iter().position(|site| site.id == *node).unwrap()
    }

    pub(crate) fn pid(&self, at: usize, number: u64) -> Pid {
        self.sites[at].pid(number)
    }
}
