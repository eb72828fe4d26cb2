//! Members under a quorum that learn of each other what happened while they were apart.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use delta_crdt::{Message, Now};
use horde_process::Pid;
use horde_supervisor::machine::{Answer, Children, Effect, Host, Presence};
use horde_supervisor::{ChildId, Options, Quorum, Record, Redistribution, Request, StartError};
use horde_transport::{NodeId, NodeName, RequestError};

use crate::pair::spec;

type Sync = Message<ChildId, Arc<Record>>;

/// A member: its machine, and what it was told and has started.
struct Member {
    id: NodeId,
    machine: Children,
    inbox: VecDeque<Sync>,
    ready: bool,
    /// What was asked to start and has not answered yet: its token and pid.
    begun: Vec<(u64, Pid)>,
    running: BTreeMap<Pid, u64>,
    answers: Vec<Answer>,
    /// Whose lease it asked about.
    doubts: BTreeSet<NodeId>,
}

/// Two voters of three. The third one is never there.
struct Two {
    members: [Member; 2],
    /// They reach each other.
    met: bool,
    /// The membership lists `one` no more: it lives again as a later incarnation. Its lease is not known to be over.
    replaced: bool,
    third: Presence,
    /// Requests stay on their way, and what `one` writes does not come to `two`.
    late: Option<Vec<(usize, u64, Request)>>,
    /// Kinds of messages that are lost.
    lost: &'static [&'static str],
    at: Duration,
    next: u64,
}

impl Two {
    fn new() -> Self {
        let member = |name: &str| {
            let id = node(name);
            let options = Options {
                quorum: Quorum::Majority,
                redistribution: Redistribution::Active,
                ..Options::default()
            };
            let machine = Children::new(id.clone(), "s", options);
            let (begun, running, answers) = (Vec::new(), BTreeMap::new(), Vec::new());
            let (inbox, doubts) = (VecDeque::new(), BTreeSet::new());
            Member { id, machine, inbox, ready: false, begun, running, answers, doubts }
        };
        let members = [member("one"), member("two")];
        let (lost, at) = (&[][..], Duration::ZERO);
        Self { members, met: false, replaced: false, third: Presence::Gone, late: None, lost, at, next: 0 }
    }

    fn now(&self) -> Now {
        Now { monotonic: self.at, unix_ms: 1_700_000_000_000 + u64::try_from(self.at.as_millis()).unwrap() }
    }

    /// Whether `of` holds its lease. As far as it knows, those that it does not reach have lost theirs.
    fn lease(&mut self, of: usize, held: bool) {
        let mut over = BTreeSet::new();
        over.extend((!self.met && !self.replaced).then(|| self.members[1 - of].id.clone()));
        over.extend((self.third == Presence::Gone).then(|| node("three")));
        let now = self.now();
        self.members[of].machine.set_standing(now, held, 1, over);
        self.look();
    }

    /// Both learn who is here.
    fn look(&mut self) {
        let host = |presence, ready| {
            let kinds = [("k".to_owned(), (1, 1))].into();
            Host { presence, hosting: true, ready, heard: true, kinds, weight: 1, degraded: false }
        };
        let (now, ready) = (self.now(), self.members.each_ref().map(|member| member.ready));
        for of in 0..2 {
            let other = if self.met { Presence::Alive } else { Presence::Gone };
            let mut hosts = BTreeMap::from([
                (self.members[of].id.clone(), host(Presence::Alive, ready[of])),
                (self.members[1 - of].id.clone(), host(other, ready[1 - of])),
                (node("three"), host(self.third, true)),
            ]);
            hosts.retain(|id, _| !self.replaced || of == 0 || *id != self.members[0].id);
            self.members[of].machine.set_members(now, hosts);
        }
        self.settle();
    }

    fn settle(&mut self) {
        let (now, mut busy, mut changed) = (self.now(), true, false);
        while busy {
            busy = false;
            for of in 0..2 {
                self.members[of].machine.flush(now);
                while let Some(effect) = self.members[of].machine.poll_effect() {
                    (busy, changed) = (true, changed | matches!(effect, Effect::Ready | Effect::Unready));
                    self.perform(of, effect);
                }
                while let Some((to, message)) = self.members[of].machine.poll_sync() {
                    let asks = matches!(message.kind(), "question" | "answer");
                    let late = of == 0 && self.late.is_some() && !asks;
                    let lost = late || self.lost.contains(&message.kind());
                    if self.met && to == self.members[1 - of].id && !lost {
                        self.members[1 - of].inbox.push_back(message);
                    }
                }
            }
            for of in 0..2 {
                let from = self.members[1 - of].id.clone();
                while let Some(message) = self.members[of].inbox.pop_front() {
                    busy = true;
                    self.members[of].machine.receive(now, &from, message);
                }
                self.members[of].machine.check_invariants();
            }
        }
        if changed {
            self.look();
        }
    }

    fn perform(&mut self, of: usize, effect: Effect) {
        let now = self.now();
        let member = &mut self.members[of];
        match effect {
            Effect::Spawn { token, .. } => {
                self.next += 1;
                let pid = Pid::new(member.id.clone(), self.next);
                member.begun.push((token, pid.clone()));
                member.machine.spawned(token, pid);
            }
            Effect::Stop { pid, reason, .. } => {
                if let Some(token) = member.running.remove(&pid) {
                    member.machine.exited(now, token, reason, None);
                }
            }
            Effect::Request { number, .. } if !self.met => {
                member.machine.reply(now, number, Err(RequestError::Timeout));
            }
            Effect::Request { number, request, .. } => match &mut self.late {
                Some(late) => late.push((of, number, request)),
                None => self.members[1 - of].machine.request(now, number, request),
            },
            Effect::Respond { responder, response } => {
                self.members[1 - of].machine.reply(now, responder, Ok(response));
            }
            Effect::Answer { answer, .. } => member.answers.push(answer),
            Effect::Ready => member.ready = true,
            Effect::Unready => member.ready = false,
            Effect::Doubt(node) => drop(member.doubts.insert(node)),
            Effect::Idle | Effect::Event(_) => {}
        }
    }

    fn start(&mut self, of: usize) {
        self.start_child(of, "c");
    }

    fn start_child(&mut self, of: usize, id: &str) {
        let (now, spec) = (self.now(), Arc::new(spec()));
        self.members[of].machine.start(now, ChildId::from(id), spec, Duration::from_secs(60));
        self.settle();
    }

    /// The `init` of what was begun on a member answers.
    fn init(&mut self, of: usize, goes_well: bool) {
        let now = self.now();
        for (token, pid) in std::mem::take(&mut self.members[of].begun) {
            let member = &mut self.members[of];
            let result = if goes_well {
                member.running.insert(pid.clone(), token);
                Ok(pid)
            } else {
                Err(StartError::NameTaken(pid))
            };
            member.machine.started(now, token, result);
        }
        self.settle();
    }

    fn pass(&mut self, time: Duration) {
        for _ in 0..time.as_millis() / 250 {
            self.at += Duration::from_millis(250);
            let now = self.now();
            self.members.iter_mut().for_each(|member| member.machine.handle_timeout(now));
            self.settle();
        }
    }

    /// One runs a child whose start was acknowledged, and loses its lease. Two has its own meanwhile.
    fn one_has_run_it() -> Self {
        let mut two = Self::new();
        two.lease(0, true);
        two.start(0);
        two.init(0, true);
        assert!(matches!(two.members[0].answers[..], [Answer::Started(Ok(_))]));
        two.lease(0, false);
        assert!(two.members[0].running.is_empty());
        two.pass(Duration::from_secs(2));
        two.lease(1, true);
        two.start(1);
        assert_eq!(two.members[1].begun.len(), 1);
        two
    }

    /// One runs eight children; two, which does not reach it, holds its lease too.
    fn one_runs_eight() -> Self {
        let mut two = Self::new();
        two.lease(0, true);
        (0..8).for_each(|number| two.start_child(0, &format!("c{number}")));
        two.init(0, true);
        two.lease(1, true);
        two
    }

    /// They reach each other again, and all that begins runs.
    fn meet_and_run(&mut self) {
        self.met = true;
        self.lease(0, true);
        self.lease(1, true);
        for _ in 0..5 {
            self.pass(Duration::from_secs(1));
            self.init(0, true);
            self.init(1, true);
        }
    }

    fn copies(&self) -> usize {
        self.members.iter().map(|member| member.running.len()).sum()
    }
}

fn node(name: &str) -> NodeId {
    NodeId::new(NodeName::new(name).unwrap(), 1)
}

#[test]
fn a_start_that_failed_on_the_other_side_does_not_end_one_that_was_acknowledged() {
    let mut two = Two::one_has_run_it();
    two.init(1, false);
    assert!(matches!(two.members[1].answers[..], [Answer::Started(Err(_))]));
    two.meet_and_run();
    assert_eq!(two.copies(), 1, "{:?}", two.members[0].machine.record(&"c".into()));
}

#[test]
fn a_start_that_fails_once_the_other_sides_is_known_does_not_end_that_one_either() {
    let mut two = Two::one_has_run_it();
    two.met = true;
    two.lease(0, false);
    two.pass(Duration::from_secs(2));
    two.init(1, false);
    assert!(matches!(two.members[1].answers[..], [Answer::Started(Err(_))]));
    two.meet_and_run();
    assert_eq!(two.copies(), 1, "{:?}", two.members[0].machine.record(&"c".into()));
}

#[test]
fn who_lacks_what_a_member_has_told_of_is_not_ready() {
    let mut two = Two::new();
    two.lease(0, true);
    // Two waits for the lease of the third to be over, and knows all that one has.
    (two.met, two.third) = (true, Presence::Doubtful);
    two.look();
    two.lease(1, true);
    two.pass(Duration::from_secs(2));
    assert_eq!(two.members.each_ref().map(|member| member.ready), [true, false]);
    // What one writes now is lost on the way, and so is what two asks for once it has heard of it.
    two.lost = &["op", "pull"];
    two.start(0);
    two.init(0, true);
    two.pass(Duration::from_secs(1));
    two.third = Presence::Gone;
    two.lease(1, true);
    two.pass(Duration::from_secs(1));
    assert!(two.members[1].machine.record(&"c".into()).is_none());
    assert!(!two.members[1].ready, "it knows that it lacks a record");
    two.lost = &[];
    two.pass(Duration::from_secs(3));
    assert!(two.members[1].machine.record(&"c".into()).is_some());
    assert!(two.members[1].ready);
}

#[test]
fn the_lease_of_a_member_that_was_replaced_is_asked_about_and_what_it_ran_is_taken_over_then() {
    let mut two = Two::new();
    two.met = true;
    two.lease(0, true);
    two.lease(1, true);
    two.pass(Duration::from_secs(2));
    two.start(0);
    two.init(0, true);
    two.init(1, true);
    let id = two.members[0].id.clone();
    assert_eq!(two.members[1].machine.record(&"c".into()).unwrap().owner, id);
    (two.met, two.replaced) = (false, true);
    two.lease(1, true);
    two.pass(Duration::from_secs(5));
    assert!(two.members[1].begun.is_empty(), "its lease may not be over");
    assert_eq!(two.members[1].doubts, [id].into());
    two.replaced = false;
    two.lease(1, true);
    two.pass(Duration::from_secs(2));
    two.init(1, true);
    assert_eq!(two.members[1].running.len(), 1);
}

#[test]
fn what_was_offered_before_the_lease_was_lost_is_not_started_beside_an_offer_that_comes_late() {
    let mut two = Two::one_runs_eight();
    (two.met, two.late) = (true, Some(Vec::new()));
    two.lease(0, true);
    two.lease(1, true);
    two.pass(Duration::from_secs(2));
    let offers = two.late.as_ref().unwrap().len();
    assert!(offers > 0, "some of them belong on the other one");
    two.lease(0, false);
    two.lease(0, true);
    two.pass(Duration::from_secs(2));
    two.init(0, true);
    // What was asked arrives after all, in its order.
    for (of, number, request) in two.late.take().unwrap() {
        let now = two.now();
        two.members[1 - of].machine.request(now, number, request);
        two.settle();
        two.init(1, true);
    }
    let running: Vec<_> = two.members.iter().flat_map(|member| member.running.keys()).collect();
    assert_eq!(running.len(), 8, "{running:?}");
}

#[test]
fn a_child_that_was_moving_here_is_claimed_as_soon_as_the_lease_of_its_owner_is_over() {
    let mut two = Two::one_runs_eight();
    two.met = true;
    two.lease(0, true);
    two.lease(1, true);
    two.pass(Duration::from_secs(2));
    assert!(!two.members[1].begun.is_empty(), "some of them belong on the other one");
    two.met = false;
    two.lease(1, true);
    let own = two.members[1].id.clone();
    let claimed = two.members[1].machine.records().filter(|(_, record)| record.owner == own);
    assert_eq!(claimed.count(), 8, "what was on its way here, and what is taken over");
    two.pass(Duration::from_secs(2));
    two.init(1, true);
    assert_eq!(two.members[1].running.len(), 8);
}
