//! What the machine knows of the nodes: who is alive, who hosts this registry, who can be reached.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use horde_transport::{NodeId, NodeName};

use super::Key;

/// What membership says of one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who it is.
    pub id: NodeId,
    /// Whether it lives.
    pub presence: Presence,
    /// Its copy of this registry, if it hosts one.
    pub host: Option<Host>,
}

/// Whether a member lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is there, or only suspected not to be.
    Alive,
    /// It is there, and was not told yet who else is: it learns, and is nobody's first.
    Joining,
    /// It is held for dead and may return: its names are hidden.
    Down,
    /// It said goodbye: its names are removed.
    Left,
}

/// A member's copy of this registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    /// Whether others can sync from it.
    pub ready: bool,
}

/// How a node stands, as far as its names are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its names are shown.
    Alive,
    /// Its names are hidden, and removed once they were for long enough.
    Down,
    /// It has left, was forgotten or replaced: its names are hidden and removed now.
    Gone,
    /// The view never held it: its names are shown, and removed if that lasts.
    Unknown,
}

#[derive(Debug)]
pub(super) struct Known {
    pub(super) standing: Standing,
    /// Since when it stands so.
    pub(super) since: Duration,
    /// The next time to look at its names; none while it lives.
    pub(super) turn: Option<Duration>,
    /// Where the look that runs now has come to.
    pub(super) cursor: Option<(u64, Key)>,
    listed: bool,
    host: Option<Host>,
}

/// The nodes that the view holds, and those that some entry names.
#[derive(Debug)]
pub(super) struct Nodes {
    local: NodeId,
    known: BTreeMap<NodeId, Known>,
    latest: BTreeMap<NodeName, u64>,
    links: BTreeSet<NodeId>,
    /// Linked nodes that sent a message of this registry: they host it, though the view may not say so yet.
    heard: BTreeSet<NodeId>,
    purge_after: Duration,
    /// No node's turn comes sooner than this.
    soonest: Option<Duration>,
    /// This node has not been told yet who else is there.
    pub(super) joining: bool,
}

impl Nodes {
    pub(super) fn new(local: NodeId, purge_after: Duration) -> Self {
        let latest = BTreeMap::from([(local.name().clone(), local.incarnation())]);
        Self {
            local,
            known: BTreeMap::new(),
            latest,
            links: BTreeSet::new(),
            heard: BTreeSet::new(),
            purge_after,
            soonest: None,
            joining: false,
        }
    }

    /// Takes a new view in place of the one before; who was in it and is no more, is gone.
    pub(super) fn set_view(&mut self, now: Duration, members: impl IntoIterator<Item = Member>) {
        let members: BTreeMap<NodeId, Member> = members.into_iter().map(|m| (m.id.clone(), m)).collect();
        self.joining = members.get(&self.local).is_some_and(|member| member.presence == Presence::Joining);
        for id in members.keys() {
            let latest = self.latest.entry(id.name().clone()).or_insert(id.incarnation());
            *latest = (*latest).max(id.incarnation());
        }
        let absent = self.known.keys().filter(|id| !members.contains_key(*id));
        for id in absent.cloned().collect::<Vec<_>>() {
            if self.standing(&id) != Standing::Unknown || self.replaced(&id) {
                self.stand(now, &id, Standing::Gone, false, None);
            }
        }
        for member in members.into_values() {
            let standing = match member.presence {
                _ if self.replaced(&member.id) => Standing::Gone,
                Presence::Alive | Presence::Joining => Standing::Alive,
                Presence::Down => Standing::Down,
                Presence::Left => Standing::Gone,
            };
            self.stand(now, &member.id, standing, true, member.host);
        }
    }

    /// An entry names `node`: from now on its standing is known.
    pub(super) fn notice(&mut self, now: Duration, node: &NodeId) {
        let standing = self.standing(node);
        let first = self.turn(now, standing);
        match self.known.get_mut(node) {
            Some(known) => {
                known.turn = known.turn.or(first);
                self.soonest = [self.soonest, first].into_iter().flatten().min();
            }
            None => self.stand(now, node, standing, false, None),
        }
    }

    fn stand(&mut self, now: Duration, id: &NodeId, standing: Standing, listed: bool, host: Option<Host>) {
        if *id == self.local {
            return;
        }
        let turn = self.turn(now, standing);
        match self.known.get_mut(id) {
            Some(known) if known.standing == standing => {
                known.listed = listed;
                known.host = host;
            }
            _ => {
                self.soonest = [self.soonest, turn].into_iter().flatten().min();
                let known = Known { standing, since: now, turn, cursor: None, listed, host };
                self.known.insert(id.clone(), known);
            }
        }
    }

    fn turn(&self, now: Duration, standing: Standing) -> Option<Duration> {
        match standing {
            Standing::Alive => None,
            Standing::Gone => Some(now),
            Standing::Down | Standing::Unknown => Some(now + self.purge_after),
        }
    }

    fn replaced(&self, node: &NodeId) -> bool {
        self.latest.get(node.name()).is_some_and(|latest| *latest > node.incarnation())
    }

    pub(super) fn standing(&self, node: &NodeId) -> Standing {
        match self.known.get(node) {
            _ if *node == self.local => Standing::Alive,
            Some(known) => known.standing,
            None if self.replaced(node) => Standing::Gone,
            None => Standing::Unknown,
        }
    }

    /// Whether the names of `node` are hidden and free to take.
    pub(super) fn is_dead(&self, node: &NodeId) -> bool {
        matches!(self.standing(node), Standing::Down | Standing::Gone)
    }

    pub(super) fn hidden(&self) -> BTreeSet<NodeId> {
        let dead = |known: &Known| matches!(known.standing, Standing::Down | Standing::Gone);
        self.known.iter().filter(|(_, known)| dead(known)).map(|(id, _)| id.clone()).collect()
    }

    /// The other members that live and host this registry.
    pub(super) fn hosts(&self) -> impl Iterator<Item = (&NodeId, Host)> {
        let alive = self.known.iter().filter(|(_, known)| known.standing == Standing::Alive);
        alive.filter_map(|(id, known)| known.host.map(|host| (id, host)))
    }

    pub(super) fn link(&mut self, node: &NodeId, up: bool) {
        if up {
            self.links.insert(node.clone());
        } else {
            self.links.remove(node);
            self.heard.remove(node);
        }
    }

    /// A message of this registry came from `node`: true if that makes it a peer.
    pub(super) fn hear(&mut self, node: &NodeId) -> bool {
        self.links.contains(node) && !self.is_dead(node) && self.heard.insert(node.clone())
    }

    /// The hosts that can be reached now.
    pub(super) fn peers(&self) -> BTreeSet<NodeId> {
        let heard = self.heard.iter().filter(|id| !self.is_dead(id));
        self.hosts().map(|(id, _)| id).filter(|id| self.links.contains(*id)).chain(heard).cloned().collect()
    }

    /// Whether it is a host that can be reached now.
    pub(super) fn is_peer(&self, node: &NodeId) -> bool {
        let hosts = |known: &Known| known.standing == Standing::Alive && known.host.is_some();
        let linked = || self.links.contains(node) && self.known.get(node).is_some_and(hosts);
        self.heard.contains(node) && !self.is_dead(node) || linked()
    }

    /// When to look whose turn it is; perhaps nobody's.
    pub(super) fn next_turn(&self) -> Option<Duration> {
        self.soonest
    }

    /// A node whose names are to be looked at now.
    pub(super) fn due(&mut self, now: Duration) -> Option<(NodeId, &mut Known)> {
        let due = |known: &Known| known.turn.is_some_and(|turn| turn <= now);
        if self.soonest.is_none_or(|soonest| now < soonest) {
            return None;
        }
        if !self.known.values().any(due) {
            self.soonest = self.known.values().filter_map(|known| known.turn).min();
            return None;
        }
        self.known.iter_mut().find(|(_, known)| due(known)).map(|(id, known)| (id.clone(), known))
    }

    pub(super) fn get_mut(&mut self, node: &NodeId) -> Option<&mut Known> {
        self.known.get_mut(node)
    }

    /// No entry names `node` any more: nothing is left to do for it until one does.
    pub(super) fn cleared(&mut self, node: &NodeId) {
        if let Some(known) = self.known.get_mut(node) {
            known.turn = None;
            if !known.listed {
                self.known.remove(node);
            }
        }
    }
}
