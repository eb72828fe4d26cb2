//! Who is ready has caught up: it knows what somebody who was ready before it knew for a while.

use std::time::Duration;

use crate::cluster::World;
use crate::cluster::node::{End, SimNode};

/// What is older than this has reached whoever is connected.
const OLD: Duration = Duration::from_secs(2);

impl World {
    /// Those from which a node could have caught up.
    fn teachers(&self, node: usize) -> impl Iterator<Item = &SimNode> {
        self.nodes.iter().filter(move |other| {
            let old = |end: &End| end.since + OLD <= self.queue.now;
            let connected = other.ends.get(&self.nodes[node].id).is_some_and(old)
                && self.nodes[node].ends.get(&other.id).is_some_and(old)
                && self.net.open_since(node, other.index).is_some_and(|since| since + OLD <= self.queue.now);
            let knows = self.nodes[node].membership.view().get(&other.id).is_some();
            let steady = other.runs() && other.turned + OLD <= self.queue.now;
            other.index != node && steady && connected && knows
        })
    }

    /// A registry says that it is ready.
    pub(crate) fn check_ready(&mut self, node: usize) {
        let old = |stamp: delta_crdt::Stamp, other: &SimNode| {
            let age = other.clock.read(self.queue.now).unix_ms.saturating_sub(stamp.unix_ms());
            u128::from(age) > OLD.as_millis()
        };
        let mut missing = None;
        for other in self.teachers(node).filter(|other| other.names.is_ready()) {
            let lacks = self.keys().find(|key| {
                let entry = other.names.get(key).filter(|entry| *entry.pid.node() == other.id);
                let entry = entry.filter(|entry| old(entry.registered_at, other));
                entry.is_some_and(|entry| {
                    let alive = self.nodes[node].membership.view().status(entry.pid.node());
                    alive.is_some_and(|status| status.is_alive()) && self.nodes[node].names.get(key).is_none()
                })
            });
            match lacks {
                None => return,
                Some(key) => missing = Some((key, other.id.clone())),
            }
        }
        if let Some((key, other)) = missing {
            self.fail(format!("the registry of n{node} is ready and lacks {key:?}, which {other:?} knows"));
        }
    }

    /// A supervisor says that it is ready.
    pub(crate) fn check_caught_up(&mut self, node: usize) {
        let mut missing = None;
        for other in self.teachers(node).filter(|other| other.children.is_ready()) {
            let lacks = other.children.records().find(|(id, record)| {
                let stamp = delta_crdt::Stamp::from_bits(record.stamp);
                let age = other.clock.read(self.queue.now).unix_ms.saturating_sub(stamp.unix_ms());
                let old = u128::from(age) > OLD.as_millis();
                old && record.owner == other.id
                    && record.is_wanted()
                    && self.nodes[node].children.record(id).is_none()
            });
            match lacks {
                None => return,
                Some((id, _)) => missing = Some((id.to_string(), other.id.clone())),
            }
        }
        if let Some((id, other)) = missing {
            self.fail(format!("the supervisor of n{node} is ready and lacks {id}, which {other:?} knows"));
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
