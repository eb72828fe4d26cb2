//! Names: those of this node, and who resolves the others.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::cell::Shared;
use crate::local_names::LocalNames;
use crate::{Name, NameTaken, Node, Pid, Resolve, Scheme, StartFailure};

/// Few, and dropped at once when they are removed: they may own the node that holds them.
type Resolvers = RwLock<BTreeMap<Arc<str>, Arc<dyn Resolve>>>;

/// Names of one node.
#[derive(Default)]
pub(crate) struct Names {
    local: LocalNames,
    registries: Resolvers,
    supervisors: Resolvers,
}

impl Names {
    fn of(&self, scheme: &Scheme) -> (&Resolvers, Arc<str>) {
        match scheme {
            Scheme::Registry(name) => (&self.registries, Arc::clone(name)),
            Scheme::Child(name) => (&self.supervisors, Arc::clone(name)),
        }
    }

    pub(crate) fn clear(&self) {
        for map in [&self.registries, &self.supervisors] {
            let resolvers = std::mem::take(&mut *map.write().unwrap_or_else(PoisonError::into_inner));
            drop(resolvers);
        }
    }
}

fn get(map: &Resolvers, name: &str) -> Option<Arc<dyn Resolve>> {
    map.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
}

impl Node {
    /// Lets `resolver` answer for the names of `scheme`; the one before, if any, no longer does. Kept until it is removed, or the node
    /// is closed.
    pub fn resolver(&self, scheme: Scheme, resolver: Arc<dyn Resolve>) {
        let (map, name) = self.0.names.of(&scheme);
        let before = map.write().unwrap_or_else(PoisonError::into_inner).insert(name, resolver);
        drop(before);
    }

    /// Nobody answers for the names of `scheme` any more.
    pub fn remove_resolver(&self, scheme: &Scheme) {
        let (map, name) = self.0.names.of(scheme);
        let before = map.write().unwrap_or_else(PoisonError::into_inner).remove(&name);
        drop(before);
    }

    /// The process behind a name now: no hop, no wait. A pid is itself, whether or not it still runs.
    #[must_use]
    pub fn resolve(&self, name: &Name) -> Option<Pid> {
        let names = &self.0.names;
        let shown = match name {
            Name::Pid(pid) => return Some(pid.clone()),
            Name::Local(name) => return names.local.get(name).map(|number| self.here(number)),
            Name::Registry { registry, key } => get(&names.registries, registry)?.resolve(key),
            Name::Child { supervisor, id } => get(&names.supervisors, supervisor)?.resolve(id.as_bytes()),
        };
        shown.or_else(|| self.0.learned.find(name, std::time::Instant::now()))
    }

    /// Gives a name of this node to one of its processes, until it ends.
    ///
    /// # Errors
    /// [`NameTaken`]: nothing was registered.
    pub fn register(&self, name: &str, pid: &Pid) -> Result<(), NameTaken> {
        let gone = || NameTaken::Refused(format!("{pid} does not run on this node"));
        let process = self.find(pid).ok_or_else(gone)?;
        self.name_here(&process, &name.into())
    }

    fn name_here(&self, process: &Shared, name: &Arc<str>) -> Result<(), NameTaken> {
        let pid = process.core().pid();
        if let Err(holder) = self.0.names.local.insert(name, pid.number()) {
            return Err(NameTaken::AlreadyRegistered(self.here(holder)));
        }
        // Its end takes the names that it finds here: if that was missed, the name goes now.
        if !process.0.control(&mut |control| control.rare().names.push(Arc::clone(name))) {
            self.forget(pid, std::slice::from_ref(name));
            return Err(NameTaken::Refused(format!("{pid} has ended")));
        }
        Ok(())
    }

    /// Takes a name of this node from the process that holds it; false if nobody does.
    pub fn unregister(&self, name: &str) -> bool {
        let holder = self.0.names.local.remove(name, None);
        if let Some(process) = holder.and_then(|number| self.0.table.get(number)) {
            process.0.control(&mut |control| control.rare().names.retain(|held| **held != *name));
        }
        holder.is_some()
    }

    /// The process of this number on this node.
    pub(crate) fn here(&self, number: u64) -> Pid {
        Pid::new(self.id().clone(), number)
    }

    /// Gives a starting process its name.
    pub(crate) fn name_process(
        &self,
        process: &Shared,
        name: &Name,
        value: &[u8],
    ) -> Result<(), StartFailure> {
        let core = process.core();
        let names = &self.0.names;
        let via = |map: &Resolvers, whose: &str, key: &[u8]| match get(map, whose) {
            Some(resolver) => resolver.register(key, value, core.pid(), core.claim.as_deref()),
            None => Err(NameTaken::Refused(format!("{whose} is not on this node"))),
        };
        let given = match name {
            Name::Pid(_) => Err(NameTaken::Refused("a pid is no name to give".to_owned())),
            Name::Registry { registry, key } => via(&names.registries, registry, key),
            Name::Child { supervisor, id } => via(&names.supervisors, supervisor, id.as_bytes()),
            Name::Local(name) => self.name_here(process, name),
        };
        given.map_err(|taken| match taken {
            NameTaken::AlreadyRegistered(holder) => StartFailure::NameTaken(holder),
            NameTaken::Refused(why) => StartFailure::NameRefused(why),
        })
    }

    /// Tells every resolver that a process has ended, and whether to move.
    pub(crate) fn unregister_all(&self, pid: &Pid, moves: bool) {
        for map in [&self.0.names.registries, &self.0.names.supervisors] {
            let resolvers: Vec<_> =
                map.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
            for resolver in resolvers {
                if moves {
                    resolver.moves(pid);
                } else {
                    resolver.unregister_all(pid);
                }
            }
        }
    }

    fn forget(&self, pid: &Pid, held: &[Arc<str>]) {
        for name in held {
            // One that another process holds by now stays.
            self.0.names.local.remove(name, Some(pid.number()));
        }
    }

    /// Takes a process that has ended off the table and its names of this node off the list.
    pub(crate) fn remove(&self, pid: &Pid, held: &[Arc<str>]) {
        if !held.is_empty() {
            self.forget(pid, held);
        }
        self.0.table.remove(pid.number());
    }
}
