//! What must hold once the faults have ended and the cluster had time to heal.

use std::collections::BTreeMap;

use super::World;

impl World {
    pub(super) fn verdict(&self) -> Option<String> {
        self.equal_records().or_else(|| self.each_runs_once()).or_else(|| self.nothing_untracked())
    }

    /// Replicas converge. What has ended may be forgotten here and not yet there.
    fn equal_records(&self) -> Option<String> {
        let mut alive = self.nodes.iter().filter(|node| node.alive).map(|node| {
            let records: BTreeMap<_, _> =
                node.machine.records().filter(|(_, record)| record.is_wanted()).collect();
            (&node.id, records)
        });
        let (first, records) = alive.next()?;
        alive.find(|(_, other)| *other != records).map(|(id, other)| {
            let differing =
                records.iter().filter(|(id, record)| other.get(*id) != Some(record)).map(|(id, _)| *id);
            let missing = other.keys().filter(|id| !records.contains_key(*id)).copied();
            let differing: Vec<_> = differing.chain(missing).collect();
            let records: String = differing.iter().map(|id| self.records_of(id.as_str())).collect();
            format!("records of {first:?} and {id:?} differ in {differing:?}:{records}")
        })
    }

    /// What each node that lives knows of a child.
    fn records_of(&self, id: &str) -> String {
        let alive = self.nodes.iter().filter(|node| node.alive);
        let lines = alive.map(|node| match node.machine.record(&id.into()) {
            Some(record) => format!(
                "\n  {:?}: {:?} {:?}, life {}, generation {}, stamp {}, owner {:?}",
                node.id,
                record.wanted,
                record.state,
                record.life,
                record.generation,
                record.stamp,
                record.owner
            ),
            None => format!("\n  {:?}: none", node.id),
        });
        lines.collect()
    }

    fn copies(&self) -> BTreeMap<&str, Vec<usize>> {
        let mut copies: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for node in self.nodes.iter().filter(|node| node.alive) {
            for running in node.processes.values() {
                copies.entry(&running.child).or_default().push(node.index);
            }
        }
        copies
    }

    /// Invariants 1 and 8: what was acknowledged runs exactly once, what was ended does not.
    fn each_runs_once(&self) -> Option<String> {
        let copies = self.copies();
        for id in self.oracle.must_run() {
            match copies.get(id).map_or(0, Vec::len) {
                1 => {}
                count => {
                    let records = self.records_of(id);
                    return Some(format!(
                        "{id} was acknowledged and runs {count} times; its records:{records}"
                    ));
                }
            }
        }
        let revenant = self.oracle.must_not_run().find(|id| copies.contains_key(*id) && !self.restarted(id));
        revenant.map(|id| format!("{id} was ended and runs on {:?}", copies[id]))
    }

    /// Whether a user has started the id anew since it was ended: its record has a later life.
    fn restarted(&self, id: &str) -> bool {
        let alive = self.nodes.iter().filter(|node| node.alive);
        let mut records = alive.filter_map(|node| node.machine.record(&id.into()));
        records.any(|record| record.life > 1 && record.is_wanted())
    }

    /// Invariant 2: no process runs that no record names; and no more than one of any child.
    fn nothing_untracked(&self) -> Option<String> {
        for node in self.nodes.iter().filter(|node| node.alive) {
            for (pid, running) in &node.processes {
                let record = node.machine.record(&running.child.as_str().into());
                let tracked =
                    record.and_then(|r| r.pid()).is_some_and(|p| *p.node() == node.id && p.number() == *pid);
                if !tracked {
                    return Some(format!(
                        "process {pid} of {} on {:?} is named by no record",
                        running.child, node.id
                    ));
                }
            }
        }
        self.copies()
            .into_iter()
            .find(|(_, nodes)| nodes.len() > 1)
            .map(|(id, nodes)| format!("{id} runs on {nodes:?}"))
    }
}
