//! Two members, with what the replicas say held back where that matters.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use delta_crdt::{Message, Now};
use horde_process::{Claim, ExitReason, Pid, Shutdown};
use horde_supervisor::machine::{Children, Effect, Host, Presence};
use horde_supervisor::{ChildId, Options, Record, Redistribution, Restart, Spec, StartError};
use horde_transport::{NodeId, NodeName, RequestError, SendError};

pub(crate) const CHILDREN: usize = 20;

/// A member: its machine, and the children that really run on it.
pub(crate) struct Member {
    pub(crate) id: NodeId,
    pub(crate) machine: Children,
    pub(crate) presence: Presence,
    pub(crate) ready: bool,
    pub(crate) degraded: bool,
    pub(crate) processes: BTreeMap<u64, (u64, Claim)>,
    pub(crate) begun: usize,
    /// Processes do not get through their `init` here: those that are in it.
    pub(crate) failing: Option<Vec<u64>>,
    pub(crate) inbox: VecDeque<Message<ChildId, Arc<Record>>>,
}

/// Two members that move children when one comes. Requests arrive at once, and so does what their replicas say.
pub(crate) struct Pair {
    pub(crate) members: [Member; 2],
    /// What `two` says once it is ready does not arrive.
    pub(crate) held: bool,
    /// Nor does what it answers.
    pub(crate) unanswered: bool,
    /// Requests are lost.
    pub(crate) unasked: bool,
    /// Neither reaches the other, and each knows that.
    pub(crate) split: bool,
    pub(crate) at: Duration,
    pub(crate) next: u64,
}

impl Pair {
    /// `one` runs all children; `two` is not there yet.
    pub(crate) fn new() -> Self {
        Self::with(&Options { redistribution: Redistribution::Active, ..Options::default() })
    }

    /// The same with other settings.
    pub(crate) fn with(options: &Options) -> Self {
        let member = |name: &str, presence| {
            let id = NodeId::new(NodeName::new(name).unwrap(), 1);
            let machine = Children::new(id.clone(), "s", options.clone());
            let (processes, failing, inbox) = (BTreeMap::new(), None, VecDeque::new());
            Member {
                id,
                machine,
                presence,
                ready: false,
                degraded: false,
                processes,
                begun: 0,
                failing,
                inbox,
            }
        };
        let members = [member("one", Presence::Alive), member("two", Presence::Gone)];
        let mut pair = Self {
            members,
            held: false,
            unanswered: false,
            unasked: false,
            split: false,
            at: Duration::ZERO,
            next: 0,
        };
        pair.look();
        pair.start("c");
        assert_eq!(pair.running(), all());
        pair
    }

    /// Starts as many children again, with ids that begin so.
    pub(crate) fn start(&mut self, ids: &str) {
        self.start_on(0, ids);
    }

    pub(crate) fn start_on(&mut self, of: usize, ids: &str) {
        let now = self.now();
        for number in 0..CHILDREN {
            let id = ChildId::from(format!("{ids}{number}"));
            self.members[of].machine.start(now, id, Arc::new(spec()), Duration::from_secs(60));
        }
        self.settle();
        for member in &mut self.members {
            for token in member.failing.as_mut().map(std::mem::take).into_iter().flatten() {
                let why = StartError::Init(ExitReason::Error("no".to_owned()));
                member.machine.started(now, token, Err(why));
            }
        }
        self.settle();
    }

    /// `two` comes and takes what belongs to it, and `one` learns nothing of that but the answers to its requests.
    pub(crate) fn join_held() -> Self {
        let mut pair = Self::new();
        (pair.held, pair.members[1].presence) = (true, Presence::Alive);
        pair.look();
        let taken = pair.members[1].processes.len();
        assert!(taken > 0 && taken < CHILDREN, "{taken} of {CHILDREN} moved");
        assert_eq!(pair.running(), all());
        pair
    }

    pub(crate) fn now(&self) -> Now {
        Now { monotonic: self.at, unix_ms: 1_700_000_000_000 + u64::try_from(self.at.as_millis()).unwrap() }
    }

    /// Those who are there learn who is there and ready.
    pub(crate) fn look(&mut self) {
        let host = |member: &Member| {
            let kinds = [("k".to_owned(), (1, 1))].into();
            let Member { presence, ready, degraded, .. } = *member;
            let host = Host { presence, hosting: true, ready, heard: true, kinds, weight: 1, degraded };
            (member.id.clone(), host)
        };
        let hosts: BTreeMap<NodeId, Host> = self.members.iter().map(host).collect();
        let now = self.now();
        for member in self.members.iter_mut().filter(|member| member.presence != Presence::Gone) {
            let mut hosts = hosts.clone();
            for (_, other) in hosts.iter_mut().filter(|(id, _)| self.split && **id != member.id) {
                other.presence = Presence::Gone;
            }
            member.machine.set_members(now, hosts);
        }
        self.settle();
    }

    pub(crate) fn pass(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.at += Duration::from_secs(1);
            let now = self.now();
            for member in self.members.iter_mut().filter(|member| member.presence != Presence::Gone) {
                member.machine.handle_timeout(now);
            }
            self.settle();
        }
    }

    pub(crate) fn settle(&mut self) {
        let (now, mut busy, mut readied) = (self.now(), true, false);
        while busy {
            busy = false;
            for of in 0..2 {
                self.members[of].machine.flush(now);
                while let Some(effect) = self.members[of].machine.poll_effect() {
                    busy = true;
                    readied |= matches!(effect, Effect::Ready);
                    self.perform(of, effect);
                }
                while let Some((_, message)) = self.members[of].machine.poll_sync() {
                    if !self.split {
                        self.members[1 - of].inbox.push_back(message);
                    }
                }
            }
            for of in 0..2 {
                let (from, held) =
                    (self.members[1 - of].id.clone(), of == 0 && self.held && self.members[1].ready);
                while !held && let Some(message) = self.members[of].inbox.pop_front() {
                    busy = true;
                    self.members[of].machine.receive(now, &from, message);
                }
                self.members[of].machine.check_invariants();
            }
        }
        if readied {
            self.look();
        }
    }

    fn perform(&mut self, of: usize, effect: Effect) {
        let now = self.now();
        let there = self.members[1 - of].presence != Presence::Gone && !self.split && !self.unasked;
        let member = &mut self.members[of];
        match effect {
            Effect::Spawn { token, claim, .. } => {
                self.next += 1;
                let pid = Pid::new(member.id.clone(), self.next);
                if let Some(failing) = &mut member.failing {
                    failing.push(token);
                    return member.machine.spawned(token, pid);
                }
                member.processes.insert(self.next, (token, claim));
                member.begun += 1;
                member.machine.spawned(token, pid.clone());
                member.machine.started(now, token, Ok(pid));
            }
            Effect::Stop { pid, reason, .. } => {
                if let Some((token, _)) = member.processes.remove(&pid.number()) {
                    member.machine.exited(now, token, reason, None);
                }
            }
            Effect::Request { number, to, .. } if !there => {
                let error = RequestError::NotSent(SendError::NotConnected(to));
                member.machine.reply(now, number, Err(error));
            }
            // A responder's number is that of the request: the answer finds its way back by it.
            Effect::Request { number, request, .. } => {
                self.members[1 - of].machine.request(now, number, request);
            }
            Effect::Respond { .. } if of == 1 && self.unanswered => {}
            Effect::Respond { responder, response } => {
                self.members[1 - of].machine.reply(now, responder, Ok(response));
            }
            Effect::Ready => member.ready = true,
            Effect::Unready => member.ready = false,
            Effect::Idle | Effect::Doubt(_) | Effect::Answer { .. } | Effect::Event(_) => {}
        }
    }

    /// Which children run, a name for each copy.
    pub(crate) fn running(&self) -> Vec<String> {
        let there = self.members.iter().filter(|member| member.presence != Presence::Gone);
        let names =
            there.flat_map(|member| member.processes.values().map(|(_, claim)| claim.child.to_string()));
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

pub(crate) fn spec() -> Spec {
    Spec {
        kind: "k".to_owned(),
        version: 1,
        args: Vec::new(),
        name: None,
        restart: Restart::Permanent,
        shutdown: Shutdown::default(),
        pinned: false,
    }
}

pub(crate) fn all() -> Vec<String> {
    let mut all: Vec<String> = (0..CHILDREN).map(|number| format!("c{number}")).collect();
    all.sort();
    all
}
