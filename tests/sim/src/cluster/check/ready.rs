//! Who is ready has caught up: it knows what all knew for a while that were ready before it.

use std::time::Duration;

use horde_cluster::MemberStatus;
use horde_registry::machine::Key;

use super::super::node::{End, NAMES, SimNode};
use crate::cluster::World;

/// What is older than this has reached whoever is connected.
const OLD: Duration = Duration::from_secs(2);
/// The same over a network that loses frames: what a lost status told is asked for, and that may be lost again.
const OLD_IF_LOST: Duration = Duration::from_secs(4);

impl World {
    fn old(&self) -> Duration {
        if self.plan.streams { OLD } else { OLD_IF_LOST }
    }

    /// Those from which a node could have caught up, if all of them have known the same for a while; else none.
    fn teachers(&self, node: usize, ready: impl Fn(&SimNode) -> bool) -> Vec<&SimNode> {
        let me = &self.nodes[node];
        let old = |end: &End| end.since + self.old() <= self.queue.now;
        let connected = |a: &SimNode, b: &SimNode, fine: &dyn Fn(&End) -> bool| {
            a.ends.get(&b.id).is_some_and(fine) && b.ends.get(&a.id).is_some_and(fine)
        };
        let steady = |other: &SimNode| other.runs() && other.turned + self.old() <= self.queue.now;
        // Whoever stood still hears what came meanwhile as if it came now: it has learnt what was known before that.
        if me.turned != me.born() && !steady(me) {
            return Vec::new();
        }
        // Whoever is not heard here cannot be waited for: a first node that was told of no other, and the
        // last of two that lost each other, go ahead.
        let view = me.membership.view();
        let heard = |status: MemberStatus| status.is_alive() && status != MemberStatus::Unreachable;
        // Who was let in by a member that had been forgotten may take the others for newcomers at first, as that one did.
        let newcomer = |status: MemberStatus| status == MemberStatus::Joining && !view.forgotten.is_empty();
        let heard = |status: MemberStatus| heard(status) && !newcomer(status);
        let joining = view.status(&me.id) == Some(MemberStatus::Joining);
        let all: Vec<&SimNode> = self
            .nodes
            .iter()
            .filter(|other| other.index != node && ready(other) && connected(me, other, &|_| true))
            .filter(|other| joining || view.get(&other.id).is_some_and(|member| heard(member.status)))
            .collect();
        let mut announced = view
            .hosting(NAMES)
            .filter(|member| member.id != me.id && member.meta.hordes.values().any(|horde| horde.ready));
        let known = announced.all(|member| all.iter().any(|other| other.id == member.id));
        let agreed = all.iter().all(|a| {
            let open = |b: &SimNode| {
                self.net.open_since(a.index, b.index).is_some_and(|at| at + self.old() <= self.queue.now)
            };
            steady(a) && all.iter().all(|b| a.index == b.index || connected(a, b, &old) && open(b))
        });
        if known && agreed { all } else { Vec::new() }
    }

    /// Whether what a teacher knows since then was there when `node` asked it. Where frames are lost, what it answered may have
    /// taken any time to come: there it counts if it was known before the node began.
    fn is_old(&self, node: usize, since: Option<&Duration>) -> bool {
        let before = |since: &Duration| !self.plan.loses() || *since <= self.nodes[node].born();
        since.is_some_and(|since| *since + self.old() <= self.queue.now && before(since))
    }

    /// A registry says that it is ready.
    pub(crate) fn check_ready(&mut self, node: usize) {
        let names = &self.nodes[node].names;
        // It learnt from one of them, whichever: what that one did not know then it cannot have from it.
        let teachers = self.teachers(node, |other| other.names.is_ready());
        let missing = teachers.iter().find_map(|other| {
            let own = |key: &Key| other.names.get(key).is_some_and(|entry| *entry.pid.node() == other.id);
            let taught = |teacher: &&SimNode, key: &Key| {
                teacher.names.get(key).is_some() && self.is_old(node, teacher.knows_names.get(key))
            };
            let lacks = self.keys().find(|key| {
                own(key)
                    && !names.knows(key, &other.names)
                    && teachers.iter().all(|teacher| taught(teacher, key))
            });
            lacks.map(|key| format!("{key:?}, which is of {:?}", other.id))
        });
        if let Some(missing) = missing {
            self.fail(format!("the registry of n{node} is ready and lacks {missing}"));
        }
    }

    /// A supervisor says that it is ready.
    pub(crate) fn check_caught_up(&mut self, node: usize) {
        let children = &self.nodes[node].children;
        let teachers = self.teachers(node, |other| other.children.is_ready());
        let missing = teachers.iter().find_map(|other| {
            let lacks = other.children.records().find(|(id, record)| {
                let own = record.owner == other.id && record.is_wanted();
                let taught = |teacher: &&SimNode| self.is_old(node, teacher.knows_children.get(*id));
                own && !children.knows(id, &other.children) && teachers.iter().all(taught)
            });
            lacks.map(|(id, _)| format!("{id}, which is of {:?}", other.id))
        });
        if let Some(missing) = missing {
            self.fail(format!("the supervisor of n{node} is ready and lacks {missing}"));
        }
    }

    /// The names of nodes that are gone are removed in time.
    pub(super) fn nothing_is_left_behind(&self) -> Option<String> {
        let keys: Vec<_> = self.keys().collect();
        for node in self.nodes.iter().filter(|node| node.is_alive()) {
            let shown = keys.iter().filter(|key| node.names.get(key).is_some()).count();
            let stored = node.names.stored();
            if shown != stored {
                return Some(format!("{:?} stores {stored} names and shows {shown}", node.id));
            }
        }
        None
    }
}
