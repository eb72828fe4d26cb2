//! Who hosts this supervisor, who coordinates a child, and who shall run it.

use std::collections::{BTreeMap, BTreeSet};

use delta_crdt::ReplicaId;
use horde_ring::{KeyHash, Member, Members, Placement, Rendezvous};
use horde_transport::NodeId;

use super::replica_id;
use crate::record::ChildId;
use crate::spec::Spec;

/// Whether a member is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is here, suspected or not.
    Alive,
    /// This node itself, while it was not told yet who else is here: it learns, and goes ahead of nobody.
    Joining,
    /// Under a quorum: it is down, and its lease may still run. It keeps its place, and nobody replaces it.
    Doubtful,
    /// It is here and on its way out: nothing new is placed on it.
    Leaving,
    /// It is down or has left; its children run elsewhere.
    Gone,
}

/// A member, as far as this supervisor is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Whether it is here.
    pub presence: Presence,
    /// Whether it hosts this supervisor. Until it does, it is only somebody who may yet take children that leave a node.
    pub hosting: bool,
    /// Whether its replica has caught up; before it, it neither coordinates nor runs.
    pub ready: bool,
    /// Whether this node hears it itself; others may do though this one does not.
    pub heard: bool,
    /// The process kinds it runs, with the first and last version of their arguments.
    pub kinds: BTreeMap<String, (u32, u32)>,
    /// Its share of the children, relative to the others.
    pub weight: u32,
    /// It is alive, and its user code does not run: nothing new is placed on it while another can have it. What it runs stays.
    pub degraded: bool,
}

impl Host {
    /// It takes part: messages to it arrive.
    fn is_here(&self) -> bool {
        self.hosting && matches!(self.presence, Presence::Alive | Presence::Joining | Presence::Leaving)
    }

    /// It has its place among those that coordinate and run children.
    fn has_place(&self) -> bool {
        self.hosting && self.ready && matches!(self.presence, Presence::Alive | Presence::Doubtful)
    }

    /// It has caught up and is here: a newcomer learns from it.
    fn teaches(&self) -> bool {
        self.hosting && self.ready && matches!(self.presence, Presence::Alive | Presence::Leaving)
    }

    fn runs(&self, spec: &Spec) -> bool {
        self.kinds.get(&spec.kind).is_some_and(|(first, last)| (*first..=*last).contains(&spec.version))
    }
}

/// What a new view changed.
#[derive(Debug, Default)]
pub(super) struct RosterDiff {
    pub(super) connected: Vec<NodeId>,
    pub(super) disconnected: Vec<NodeId>,
    /// Hosts that were connected already and are ready now.
    pub(super) readied: Vec<NodeId>,
    /// Hosts that were ready and are so no more.
    pub(super) unreadied: Vec<NodeId>,
    /// Who coordinates or runs children is not the same as before.
    pub(super) placement_changed: bool,
}

#[derive(Debug)]
pub(super) struct Roster {
    me: NodeId,
    hosts: BTreeMap<NodeId, Host>,
    replicas: BTreeMap<ReplicaId, NodeId>,
    /// Over the members that are ready and not leaving.
    placement: Rendezvous<NodeId>,
    /// Hosts that the membership has forgotten: without a quorum policy, what they ran runs no more.
    departed: BTreeSet<NodeId>,
    /// Under a quorum policy: whose lease is over. Nobody else is gone.
    given_up: Option<BTreeSet<NodeId>>,
}

/// How many forgotten hosts are remembered; the one lowest in order goes first.
const MAX_DEPARTED: usize = 4_096;

impl Roster {
    pub(super) fn new(me: NodeId) -> Self {
        Self {
            me,
            hosts: BTreeMap::new(),
            replicas: BTreeMap::new(),
            placement: Rendezvous::new(Members::new()),
            departed: BTreeSet::new(),
            given_up: None,
        }
    }

    /// `by_size` is false but in tests of a broken placement.
    pub(super) fn update(&mut self, hosts: BTreeMap<NodeId, Host>, by_size: bool) -> RosterDiff {
        let here = |hosts: &BTreeMap<NodeId, Host>| -> BTreeSet<NodeId> {
            let present = hosts.iter().filter(|(id, host)| **id != self.me && host.is_here());
            present.map(|(id, _)| id.clone()).collect()
        };
        let (before, after) = (here(&self.hosts), here(&hosts));
        let ready = |hosts: &BTreeMap<NodeId, Host>, id| hosts.get(id).is_some_and(|host: &Host| host.ready);
        let readied = after.intersection(&before).filter(|id| ready(&hosts, id) && !ready(&self.hosts, id));
        let unready = hosts.iter().filter(|(id, host)| !host.ready && ready(&self.hosts, id));
        let mut diff = RosterDiff {
            unreadied: unready.map(|(id, _)| id.clone()).filter(|id| *id != self.me).collect(),
            connected: after.difference(&before).cloned().collect(),
            disconnected: before.difference(&after).cloned().collect(),
            readied: readied.cloned().collect(),
            placement_changed: false,
        };
        // One that went out of sight before it could say whether it hosts this may do so, and know what ended here as running.
        let counts =
            |host: &Host| host.hosting || matches!(host.presence, Presence::Gone | Presence::Doubtful);
        for (id, _) in hosts.iter().filter(|(_, host)| counts(host)) {
            self.replicas.insert(replica_id(id), id.clone());
        }
        self.replicas.retain(|_, id| hosts.get(id).is_some_and(counts));
        diff.placement_changed = hosts != self.hosts;
        self.departed.extend(self.hosts.keys().filter(|id| !hosts.contains_key(*id)).cloned());
        self.departed.retain(|id| !hosts.contains_key(id));
        while self.departed.len() > MAX_DEPARTED {
            self.departed.pop_first();
        }
        self.hosts = hosts;
        let eligible = self.hosts.iter().filter(|(_, host)| host.has_place());
        let salt = if by_size { eligible.clone().count() as u64 } else { 0 };
        let hash = |id: &NodeId| match salt {
            0 => KeyHash::of(id.name().as_str()),
            salt => KeyHash::of(format!("{salt} {}", id.name())),
        };
        let members: Members<NodeId> =
            eligible.map(|(id, host)| Member::hashed(id.clone(), hash(id)).weight(host.weight)).collect();
        self.placement = Rendezvous::new(members);
        diff
    }

    pub(super) fn node(&self, replica: ReplicaId) -> Option<&NodeId> {
        self.replicas.get(&replica)
    }

    /// Everybody whose knowledge a forgotten record waits for: all known hosts, those that are down included.
    pub(super) fn replicas(&self) -> impl Iterator<Item = ReplicaId> {
        self.replicas.keys().copied()
    }

    pub(super) fn is_here(&self, node: &NodeId) -> bool {
        self.hosts.get(node).is_some_and(Host::is_here)
    }

    /// Whether what `node` ran runs no more as far as the members agree: it is down, has left, or lives again as a later
    /// incarnation. A node that was never seen is not gone.
    pub(super) fn is_gone(&self, node: &NodeId) -> bool {
        if let Some(given_up) = &self.given_up {
            return given_up.contains(node);
        }
        match self.hosts.get(node) {
            Some(host) => host.presence == Presence::Gone,
            None => self.departed.contains(node) || self.is_replaced(node),
        }
    }

    /// Whether the membership has forgotten a host that it knew.
    pub(super) fn has_departed(&self, node: &NodeId) -> bool {
        self.departed.contains(node)
    }

    /// Under a quorum policy: whose lease is over. Returns whether that changed.
    pub(super) fn give_up(&mut self, given_up: BTreeSet<NodeId>) -> bool {
        let changed = self.given_up.as_ref() != Some(&given_up);
        self.given_up = Some(given_up);
        changed
    }

    /// The other hosts that are here, and whether this node hears them itself.
    pub(super) fn others_here(&self) -> impl Iterator<Item = (&NodeId, bool)> {
        let here = self.hosts.iter().filter(|(id, host)| **id != self.me && host.is_here());
        here.map(|(id, host)| (id, host.heard))
    }

    /// Whether a host is down whose lease may still run.
    pub(super) fn has_doubtful(&self) -> bool {
        self.hosts.values().any(|host| host.hosting && host.presence == Presence::Doubtful)
    }

    /// The members that are gone, but for those that were forgotten.
    pub(super) fn gone(&self) -> impl Iterator<Item = NodeId> {
        self.hosts.keys().filter(|node| self.is_gone(node)).cloned()
    }

    pub(super) fn is_known(&self, node: &NodeId) -> bool {
        self.hosts.contains_key(node) || self.departed.contains(node)
    }

    /// Whether the membership names it now.
    pub(super) fn lists(&self, node: &NodeId) -> bool {
        self.hosts.contains_key(node)
    }

    fn is_replaced(&self, node: &NodeId) -> bool {
        let later = NodeId::new(node.name().clone(), node.incarnation().saturating_add(1));
        self.hosts.range(later..).next().is_some_and(|(id, _)| id.name() == node.name())
    }

    /// The one member that decides about `id`.
    pub(super) fn coordinator(&self, id: &ChildId) -> Option<&NodeId> {
        self.placement.owner(key(id))
    }

    pub(super) fn coordinates(&self, id: &ChildId) -> bool {
        self.coordinator(id) == Some(&self.me)
    }

    /// The member that shall run `id`, among those that can and are not in `tried`. One that is degraded only if nobody else can.
    pub(super) fn host_for(&self, id: &ChildId, spec: &Spec, tried: &BTreeSet<NodeId>) -> Option<&NodeId> {
        let among = |degraded| {
            let can = |host: &Host| (degraded || !host.degraded) && host.runs(spec);
            self.placement.owner_among(key(id), &|member| {
                !tried.contains(member.id()) && self.hosts.get(member.id()).is_some_and(can)
            })
        };
        among(false).or_else(|| among(true))
    }

    /// The member that `id` moves to from `owner`, which runs it; `None` if it stays. A member that is degraded keeps what is its own:
    /// to stop it there would take as long as to wait.
    pub(super) fn moves_to(&self, id: &ChildId, spec: &Spec, owner: &NodeId) -> Option<&NodeId> {
        let to = self.host_for(id, spec, &BTreeSet::new()).filter(|to| *to != owner)?;
        let degraded = self.hosts.get(owner).is_some_and(|host| host.degraded);
        let at_home = || {
            let runs =
                |member: &Member<NodeId>| self.hosts.get(member.id()).is_some_and(|host| host.runs(spec));
            self.placement.owner_among(key(id), &runs) == Some(owner)
        };
        (!degraded || !at_home()).then_some(to)
    }

    /// Whether another member is here that could run `spec`, be it ready or not.
    pub(super) fn could_run_elsewhere(&self, spec: &Spec) -> bool {
        let mut others =
            self.hosts.iter().filter(|(id, host)| **id != self.me && host.presence == Presence::Alive);
        others.any(|(_, host)| host.runs(spec))
    }

    /// Whether `me` is the lowest of the members that wait for somebody to be ready while nobody is.
    pub(super) fn is_first_of_unready(&self) -> bool {
        // Who is on its way out still knows what there is: it can be learnt from.
        let nobody_ready = self.hosts.iter().all(|(id, host)| *id == self.me || !host.teaches());
        let mut alive =
            self.hosts.iter().filter(|(_, host)| host.hosting && host.presence == Presence::Alive);
        self.has_joined() && nobody_ready && alive.next().is_none_or(|(id, _)| *id == self.me)
    }

    /// Whether this node knows who else is here.
    pub(super) fn has_joined(&self) -> bool {
        self.hosts.get(&self.me).is_none_or(|host| host.presence != Presence::Joining)
    }

    pub(super) fn is_ready(&self, node: &NodeId) -> bool {
        self.hosts.get(node).is_some_and(Host::teaches)
    }
}

fn key(id: &ChildId) -> KeyHash {
    KeyHash::of(id.as_str().as_bytes())
}
