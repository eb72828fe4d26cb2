//! Moves between two members, with what the replicas say held back where that matters.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use delta_crdt::{Message, Now};
use horde_process::{Claim, ExitReason, Pid, Shutdown};
use horde_supervisor::machine::{Children, Effect, Host, Presence};
use horde_supervisor::{
    ChildId, Options, Record, Redistribution, Request, RequestId, Restart, Spec, StartError, Wish,
};
use horde_transport::{NodeId, NodeName, RequestError, SendError};

const CHILDREN: usize = 20;

/// A member: its machine, and the children that really run on it.
struct Member {
    id: NodeId,
    machine: Children,
    presence: Presence,
    ready: bool,
    degraded: bool,
    processes: BTreeMap<u64, (u64, Claim)>,
    begun: usize,
    /// Processes do not get through their `init` here: those that are in it.
    failing: Option<Vec<u64>>,
    inbox: VecDeque<Message<ChildId, Arc<Record>>>,
}

/// Two members that move children when one comes. Requests arrive at once, and so does what their replicas say.
struct Pair {
    members: [Member; 2],
    /// What `two` says once it is ready does not arrive.
    held: bool,
    /// Nor does what it answers.
    unanswered: bool,
    /// Neither reaches the other, and each knows that.
    split: bool,
    at: Duration,
    next: u64,
}

impl Pair {
    /// `one` runs all children; `two` is not there yet.
    fn new() -> Self {
        let member = |name: &str, presence| {
            let id = NodeId::new(NodeName::new(name).unwrap(), 1);
            let options = Options { redistribution: Redistribution::Active, ..Options::default() };
            let machine = Children::new(id.clone(), "s", options);
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
        let mut pair =
            Self { members, held: false, unanswered: false, split: false, at: Duration::ZERO, next: 0 };
        pair.look();
        pair.start("c");
        assert_eq!(pair.running(), all());
        pair
    }

    /// Starts as many children again, with ids that begin so.
    fn start(&mut self, ids: &str) {
        self.start_on(0, ids);
    }

    fn start_on(&mut self, of: usize, ids: &str) {
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
    fn join_held() -> Self {
        let mut pair = Self::new();
        (pair.held, pair.members[1].presence) = (true, Presence::Alive);
        pair.look();
        let taken = pair.members[1].processes.len();
        assert!(taken > 0 && taken < CHILDREN, "{taken} of {CHILDREN} moved");
        assert_eq!(pair.running(), all());
        pair
    }

    fn now(&self) -> Now {
        Now { monotonic: self.at, unix_ms: 1_700_000_000_000 + u64::try_from(self.at.as_millis()).unwrap() }
    }

    /// Those who are there learn who is there and ready.
    fn look(&mut self) {
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

    fn pass(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.at += Duration::from_secs(1);
            let now = self.now();
            for member in self.members.iter_mut().filter(|member| member.presence != Presence::Gone) {
                member.machine.handle_timeout(now);
            }
            self.settle();
        }
    }

    fn settle(&mut self) {
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
        let there = self.members[1 - of].presence != Presence::Gone && !self.split;
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
    fn running(&self) -> Vec<String> {
        let there = self.members.iter().filter(|member| member.presence != Presence::Gone);
        let names =
            there.flat_map(|member| member.processes.values().map(|(_, claim)| claim.child.to_string()));
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

fn spec() -> Spec {
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

fn all() -> Vec<String> {
    let mut all: Vec<String> = (0..CHILDREN).map(|number| format!("c{number}")).collect();
    all.sort();
    all
}

#[test]
fn what_another_member_has_taken_is_not_started_again_before_its_record_comes() {
    let mut pair = Pair::join_held();
    let begun = pair.members[0].begun;
    pair.pass(5);
    assert_eq!(pair.members[0].begun, begun, "one starts nothing of what it has handed over");
    assert_eq!(pair.running(), all());
    pair.held = false;
    pair.pass(5);
    assert_eq!(pair.members[0].begun, begun);
    assert_eq!(pair.running(), all());
}

#[test]
fn a_child_that_may_run_elsewhere_already_is_not_restarted_here_beside_that() {
    let mut pair = Pair::new();
    (pair.held, pair.unanswered, pair.members[1].presence) = (true, true, Presence::Alive);
    pair.look();
    assert!(!pair.members[1].processes.is_empty());
    assert_eq!(pair.running(), all());
    for id in all() {
        let now = pair.now();
        pair.members[0].machine.restart(now, &ChildId::from(id), Duration::from_secs(60));
    }
    pair.settle();
    pair.pass(5);
    assert_eq!(pair.running(), all());
}

#[test]
fn what_another_member_has_taken_runs_again_if_that_one_dies_before_its_record_comes() {
    let mut pair = Pair::join_held();
    pair.members[1].presence = Presence::Gone;
    pair.look();
    pair.pass(5);
    assert_eq!(pair.running(), all());
}

#[test]
fn after_a_split_each_child_runs_once_and_its_record_names_the_process() {
    let mut pair = Pair::join_held();
    pair.held = false;
    pair.pass(3);
    pair.split = true;
    pair.look();
    pair.pass(3);
    assert_eq!(pair.running().len(), 2 * CHILDREN, "each side runs all");
    pair.split = false;
    pair.look();
    pair.pass(5);
    assert_eq!(pair.running(), all());
    for member in &pair.members {
        for (number, (_, claim)) in &member.processes {
            let (child, pid) = (&claim.child, Pid::new(member.id.clone(), *number));
            for of in &pair.members {
                let record = of.machine.record(&(**child).into()).unwrap();
                assert_eq!(record.pid(), Some(&pid), "{child}");
                // Its name and its fencing token rest on the claim that it was started with.
                assert_eq!(record.rank(), claim.rank, "{child}");
            }
        }
    }
}

#[test]
fn attempts_that_fail_on_one_side_of_a_split_do_not_end_what_runs_on_the_other() {
    let mut pair = Pair::join_held();
    pair.held = false;
    pair.pass(3);
    pair.split = true;
    pair.look();
    pair.members[1].failing = Some(Vec::new());
    pair.start_on(1, "d");
    pair.start_on(1, "d");
    pair.members[1].failing = None;
    pair.start_on(0, "d");
    let of_d = |pair: &Pair| pair.running().iter().filter(|id| id.starts_with('d')).count();
    assert_eq!(of_d(&pair), CHILDREN);
    pair.split = false;
    pair.look();
    pair.pass(5);
    assert_eq!(of_d(&pair), CHILDREN);
}

#[test]
fn an_acknowledged_start_is_made_anew_though_all_that_is_known_of_it_is_an_attempt_that_failed() {
    let mut pair = Pair::join_held();
    pair.members[1].failing = Some(Vec::new());
    pair.start_on(0, "d");
    let heard = std::mem::take(&mut pair.members[0].inbox);
    pair.members[1].failing = None;
    let begun = pair.members[1].begun;
    pair.start_on(0, "d");
    assert!(pair.members[1].begun > begun, "some of them run there");
    let (now, two) = (pair.now(), pair.members[1].id.clone());
    for message in heard {
        pair.members[0].machine.receive(now, &two, message);
    }
    // What it says of those that run never comes.
    pair.members[0].inbox.clear();
    pair.split = true;
    pair.look();
    pair.pass(5);
    let here = pair.members[0].processes.values().filter(|(_, claim)| claim.child.starts_with('d'));
    assert_eq!(here.count(), CHILDREN);
}

#[test]
fn splits_that_heal_do_not_fail_a_child_for_the_death_of_its_nodes() {
    let mut pair = Pair::join_held();
    pair.held = false;
    pair.pass(3);
    for _ in 0..6 {
        pair.split = true;
        pair.look();
        pair.pass(2);
        pair.split = false;
        pair.look();
        pair.pass(2);
    }
    assert_eq!(pair.running(), all());
}

#[test]
fn who_started_a_child_can_end_it_before_its_record_has_come() {
    let mut pair = Pair::join_held();
    pair.start("d");
    let there = pair.members[1].processes.values().filter(|(_, claim)| claim.child.starts_with('d'));
    assert!(there.count() > 0, "some of them run where nothing is heard from");
    let now = pair.now();
    for number in 0..CHILDREN {
        let id = ChildId::from(format!("d{number}"));
        pair.members[0].machine.terminate(now, &id, Duration::from_secs(60));
    }
    pair.settle();
    assert_eq!(pair.running(), all());
    pair.held = false;
    pair.pass(5);
    assert_eq!(pair.running(), all());
}

#[test]
fn a_start_that_is_asked_for_once_more_since_its_answer_was_lost_starts_nothing_that_has_ended() {
    let mut pair = Pair::new();
    let id = ChildId::from("d");
    let mut begun_after_asking = |number, restart| {
        let spec = Arc::new(Spec { restart, ..spec() });
        let request = RequestId { origin: 9, number };
        let wish = Wish { id: id.clone(), spec: spec.clone(), request, again: false };
        let now = pair.now();
        pair.members[0].machine.request(now, 1, Request::Start { wish, hops: 1 });
        pair.settle();
        let begun = pair.members[0].begun;
        if restart == Restart::Permanent {
            pair.members[0].machine.terminate(now, &id, Duration::from_secs(60));
        } else if let Some((token, _)) = pair.members[0].processes.remove(&pair.next) {
            pair.members[0].machine.exited(now, token, ExitReason::Normal, None);
        }
        pair.settle();
        begun
    };
    let first = begun_after_asking(1, Restart::Permanent);
    assert_eq!(begun_after_asking(1, Restart::Permanent), first, "the same start");
    assert_eq!(begun_after_asking(2, Restart::Temporary), first + 1, "another one");
    assert_eq!(begun_after_asking(2, Restart::Temporary), first + 1, "a job that has done its work");
    assert_eq!(begun_after_asking(3, Restart::Temporary), first + 2);
}

#[test]
fn nothing_new_is_placed_on_a_degraded_member_and_what_runs_there_stays() {
    let mut pair = Pair::join_held();
    pair.held = false;
    pair.pass(3);
    let before = pair.members[1].processes.clone();
    pair.members[1].degraded = true;
    pair.look();
    pair.start("d");
    pair.pass(5);
    assert_eq!(pair.members[1].processes, before);
    assert_eq!(pair.running().len(), 2 * CHILDREN);
    // It runs user code again: what belongs to it comes.
    pair.members[1].degraded = false;
    pair.look();
    pair.pass(5);
    assert!(pair.members[1].processes.len() > before.len());
    assert_eq!(pair.running().len(), 2 * CHILDREN);
    assert!(pair.members[0].machine.plan().is_empty());
}

#[test]
fn where_all_members_are_degraded_children_are_placed_as_ever() {
    let mut pair = Pair::join_held();
    pair.held = false;
    pair.pass(3);
    let before = pair.members[1].processes.len();
    pair.members.iter_mut().for_each(|member| member.degraded = true);
    pair.look();
    pair.start("d");
    assert!(pair.members[1].processes.len() > before);
    assert_eq!(pair.running().len(), 2 * CHILDREN);
}
