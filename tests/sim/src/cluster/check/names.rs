//! Names: each has one living owner, who is found everywhere.

use horde_process::Pid;

use crate::cluster::World;

impl World {
    /// A process holds, on its own node, what it was promised and did not lose.
    pub(super) fn names_are_read_where_they_are_written(&self, node: usize) -> Option<String> {
        let sim = &self.nodes[node];
        for (number, process) in &sim.processes {
            // Copies of one child take names from each other without a word.
            if process.child.is_some() {
                continue;
            }
            for key in &process.names {
                let entry = sim.names.get(key);
                let held =
                    entry.is_some_and(|entry| entry.pid.number() == *number && *entry.pid.node() == sim.id);
                if !held {
                    let holder = entry.map(|entry| &entry.pid);
                    return Some(format!("process {number} of n{node} holds {key:?} and reads {holder:?}"));
                }
            }
        }
        None
    }

    /// Whatever a lookup finds is a process that lives and believes that the name is its own.
    pub(super) fn names_have_owners(&self) -> Option<String> {
        for node in self.nodes.iter().filter(|node| node.is_alive()) {
            for key in self.keys() {
                let Some(entry) = node.names.get(&key) else { continue };
                if !self.holds_name(&entry.pid, &key) {
                    let (pid, id) = (&entry.pid, &node.id);
                    return Some(format!("{key:?} is {pid:?} to {id:?}, and no living process of its own"));
                }
            }
        }
        None
    }

    fn holds_name(&self, pid: &Pid, key: &horde_registry::machine::Key) -> bool {
        let host = self.nodes.iter().find(|node| node.is_alive() && node.id == *pid.node());
        let process = host.and_then(|node| node.processes.get(&pid.number()));
        process.is_some_and(|process| process.names.contains(key))
    }

    /// What a living process holds, every node finds.
    pub(super) fn owners_are_found(&self) -> Option<String> {
        let alive = || self.nodes.iter().filter(|node| node.is_alive());
        for host in alive() {
            for (number, process) in &host.processes {
                let pid = Pid::new(host.id.clone(), *number);
                for key in &process.names {
                    let blind = alive().find(|node| node.names.get(key).is_none_or(|entry| entry.pid != pid));
                    if let Some(blind) = blind {
                        let found = blind.names.get(key).map(|entry| &entry.pid);
                        return Some(format!("{pid:?} holds {key:?}, and {:?} finds {found:?}", blind.id));
                    }
                }
            }
        }
        None
    }
}
