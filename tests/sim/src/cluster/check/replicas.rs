//! Replicas converge: what one node knows, all know.

use std::collections::BTreeMap;

use horde_registry::machine::Key;

use crate::cluster::World;

impl World {
    pub(super) fn replicas_converged(&self) -> Option<String> {
        self.equal_records().or_else(|| self.equal_names())
    }

    /// What has ended may be forgotten here and not yet there.
    fn equal_records(&self) -> Option<String> {
        let mut alive = self.nodes.iter().filter(|node| node.is_alive()).map(|node| {
            let records: BTreeMap<_, _> =
                node.children.records().filter(|(_, record)| record.is_wanted()).collect();
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
    pub(super) fn records_of(&self, id: &str) -> String {
        let alive = self.nodes.iter().filter(|node| node.is_alive());
        let lines = alive.map(|node| match node.children.record(&id.into()) {
            Some(record) => format!(
                "\n  {:?}: {:?} {:?}, life {}, generation {}, stamp {}, owner {:?}, {:?}",
                node.id,
                record.wanted,
                record.state,
                record.life,
                record.generation,
                record.stamp,
                record.owner,
                record.spec.restart,
            ),
            None => format!("\n  {:?}: none", node.id),
        });
        lines.collect()
    }

    fn equal_names(&self) -> Option<String> {
        let alive: Vec<_> = self.nodes.iter().filter(|node| node.is_alive()).collect();
        for key in self.keys() {
            let mut found = alive.iter().map(|node| (&node.id, node.names.get(&key)));
            let (first, entry) = found.next()?;
            if let Some((id, other)) = found.find(|(_, other)| *other != entry) {
                return Some(format!("{key:?} is {entry:?} to {first:?} and {other:?} to {id:?}"));
            }
        }
        None
    }

    /// All names that anybody may have wanted.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        let pool = (0..self.plan.names).map(|number| format!("k{number}"));
        let own = (0..self.next_child).map(|number| format!("of c{number}"));
        pool.chain(own).chain(self.guests.keys.iter().cloned()).map(|text| Key::new(text.as_bytes()))
    }
}
