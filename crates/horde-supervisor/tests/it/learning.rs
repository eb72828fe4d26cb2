//! Who becomes ready has learnt from one that is: what that one said before does not count.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use delta_crdt::{Message, Now};
use horde_process::Pid;
use horde_supervisor::machine::{Children, Effect, Host, Presence};
use horde_supervisor::{ChildId, Options, Record};
use horde_transport::{NodeId, NodeName};

use crate::pair::spec;

type Sync = Message<ChildId, Arc<Record>>;

/// Three members in order. The first is ready and runs all children; the others learn.
struct Three {
    ids: [NodeId; 3],
    machines: [Children; 3],
    ready: BTreeSet<NodeId>,
    wire: VecDeque<(usize, usize, Sync)>,
    at: Duration,
    next: u64,
}

impl Three {
    fn new() -> Self {
        let ids = ["a", "b", "c"].map(|name| NodeId::new(NodeName::new(name).unwrap(), 1));
        let machines = ids.each_ref().map(|id| Children::new(id.clone(), "s", Options::default()));
        let wire = VecDeque::new();
        Self { ids, machines, ready: BTreeSet::new(), wire, at: Duration::ZERO, next: 0 }
    }

    fn now(&self) -> Now {
        Now { monotonic: self.at, unix_ms: 1_700_000_000_000 + u64::try_from(self.at.as_millis()).unwrap() }
    }

    /// `of` sees these members, and who of them is ready.
    fn look(&mut self, of: usize, members: &[usize]) {
        let host = |id: &NodeId| {
            let (kinds, ready) = ([("k".to_owned(), (1, 1))].into(), self.ready.contains(id));
            let presence = Presence::Alive;
            let host =
                Host { presence, hosting: true, ready, heard: true, kinds, weight: 1, degraded: false };
            (id.clone(), host)
        };
        let hosts: BTreeMap<NodeId, Host> = members.iter().map(|member| host(&self.ids[*member])).collect();
        let now = self.now();
        self.machines[of].set_members(now, hosts);
        self.work();
    }

    /// All do what is to do; what they send goes on the wire.
    fn work(&mut self) {
        let now = self.now();
        for of in 0..3 {
            loop {
                self.machines[of].flush(now);
                let Some(effect) = self.machines[of].poll_effect() else { break };
                match effect {
                    Effect::Ready => drop(self.ready.insert(self.ids[of].clone())),
                    Effect::Spawn { token, .. } => {
                        self.next += 1;
                        let pid = Pid::new(self.ids[of].clone(), self.next);
                        self.machines[of].started(now, token, Ok(pid));
                    }
                    _ => {}
                }
            }
            while let Some((to, message)) = self.machines[of].poll_sync() {
                let to = self.ids.iter().position(|id| *id == to).unwrap();
                self.wire.push_back((of, to, message));
            }
            self.machines[of].check_invariants();
        }
    }

    /// Delivers what is on its way between these two, and what comes of it.
    fn deliver(&mut self, pair: [usize; 2]) {
        let between = |(from, to, _): &(usize, usize, Sync)| pair.contains(from) && pair.contains(to);
        while let Some(place) = self.wire.iter().position(between) {
            let Some((from, to, message)) = self.wire.remove(place) else { return };
            let now = self.now();
            self.machines[to].receive(now, &self.ids[from], message);
            self.work();
        }
    }
}

#[test]
fn what_a_member_said_before_it_was_ready_does_not_count_though_it_arrives_after() {
    let mut three = Three::new();
    three.look(0, &[0]);
    assert!(three.ready.contains(&three.ids[0]));
    three.look(0, &[0]);
    let now = three.now();
    three.machines[0].start(now, ChildId::from("x"), Arc::new(spec()), Duration::from_secs(60));
    three.work();
    assert!(three.machines[0].record(&"x".into()).is_some());
    // The second and the third meet before either has met the first, which goes ahead of both.
    three.ready.clear();
    three.look(1, &[0, 1, 2]);
    three.look(2, &[0, 1, 2]);
    three.deliver([1, 2]);
    three.at += Duration::from_secs(2);
    let now = three.now();
    three.machines[1].handle_timeout(now);
    three.work();
    let mut before = std::mem::take(&mut three.wire);
    before.retain(|(from, to, message)| (*from, *to) == (1, 2) && message.kind() == "status");
    assert_eq!(before.len(), 1);
    // The second learns from the first, and is ready.
    let first = three.ids[0].clone();
    three.ready.insert(first.clone());
    three.look(0, &[0, 1, 2]);
    three.look(1, &[0, 1, 2]);
    three.deliver([0, 1]);
    assert!(three.machines[1].is_ready());
    assert!(three.machines[1].record(&"x".into()).is_some());
    // The third hears that the second is ready, then what it had said before.
    three.wire.clear();
    three.ready.remove(&first);
    three.look(2, &[0, 1, 2]);
    let questions = std::mem::replace(&mut three.wire, before);
    three.deliver([1, 2]);
    assert!(!three.machines[2].is_ready());
    three.wire.extend(questions);
    three.deliver([1, 2]);
    assert!(three.machines[2].is_ready());
    assert!(three.machines[2].record(&"x".into()).is_some());
}
