//! Forgetting a member that is Down and will not come back.
//!
//! An operator says so on one node, and every member hears it: at once, and whoever is away when it connects again. What
//! is remembered is the life, so that word of it from somebody who has not heard yet does not bring it back. Should that
//! very life return, it is turned away with the reason and stops itself: what it knows may be older than what the others
//! have thrown away. A later life of the name is a newcomer like any other.

use std::collections::BTreeMap;
use std::time::Duration;

use horde_transport::{NodeId, NodeName};

use super::membership::Membership;
use super::wire::{Frame, Refusal};
use crate::{MemberEvent, MemberStatus, Stopped};

/// Forgotten lives that are remembered, one for each name; beyond, the one that was forgotten first is let go.
pub const MAX_FORGOTTEN: usize = 512;

/// Why a member was not forgotten. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForgetError {
    /// Nothing is known of it here.
    #[error("{0:?} is not known here; nothing was forgotten")]
    Unknown(NodeId),
    /// It is alive, as far as this node can tell.
    #[error("{node:?} is {status:?} here; only a member that is Down is forgotten")]
    Alive {
        /// The member.
        node: NodeId,
        /// How it is.
        status: MemberStatus,
    },
    /// It is this node.
    #[error("{0:?} is this node itself; it was not forgotten")]
    Itself(NodeId),
    /// This node is no member any more.
    #[error("this node is no member any more; nothing was forgotten")]
    Stopped,
}

/// The lives that were forgotten: the highest of each name, and when this node heard of it, counted.
#[derive(Debug, Default)]
pub(crate) struct Forgotten {
    lives: BTreeMap<NodeName, (u64, u64)>,
    count: u64,
}

impl Forgotten {
    pub(crate) fn holds(&self, id: &NodeId) -> bool {
        self.lives.get(id.name()).is_some_and(|(life, _)| id.incarnation() <= *life)
    }

    /// The highest forgotten incarnation by name.
    pub(crate) fn lives(&self) -> BTreeMap<NodeName, u64> {
        self.lives.iter().map(|(name, (life, _))| (name.clone(), *life)).collect()
    }

    fn add(&mut self, id: &NodeId) {
        self.count += 1;
        self.lives.insert(id.name().clone(), (id.incarnation(), self.count));
        while self.lives.len() > MAX_FORGOTTEN {
            let first = self.lives.iter().min_by_key(|(_, (_, heard))| *heard);
            let Some(first) = first.map(|(name, _)| name.clone()) else { return };
            self.lives.remove(&first);
        }
    }

    /// What another member is told; none when there is nothing to tell.
    pub(crate) fn frame(&self) -> Option<Frame> {
        let lives: Vec<NodeId> =
            self.lives.iter().map(|(name, (life, _))| NodeId::new(name.clone(), *life)).collect();
        (!lives.is_empty()).then_some(Frame::Forgotten { lives })
    }
}

impl Membership {
    /// The member `id` is Down for good: it goes from the view here and, as they hear of it, on every other member; it is
    /// dialled no longer, and that life is no member again. True when it is news here.
    ///
    /// # Errors
    /// [`ForgetError`]; nothing was changed.
    pub fn forget(&mut self, now: Duration, id: &NodeId) -> Result<bool, ForgetError> {
        if self.stopped.is_some() {
            return Err(ForgetError::Stopped);
        }
        if *id == self.own.id {
            return Err(ForgetError::Itself(id.clone()));
        }
        if self.forgotten.holds(id) {
            return Ok(false);
        }
        match self.known.get(id.name()) {
            Some(known) if known.record.id == *id && known.is_alive() => {
                return Err(ForgetError::Alive { node: id.clone(), status: known.status() });
            }
            // A later life of the name is here: this one is gone in any case.
            Some(known) if known.record.id >= *id => {}
            _ => return Err(ForgetError::Unknown(id.clone())),
        }
        self.input(now, |machine| machine.note_forgotten(None, vec![id.clone()]));
        Ok(true)
    }

    /// Takes in which lives are forgotten, and tells the others what is news.
    pub(crate) fn note_forgotten(&mut self, from: Option<&NodeId>, lives: Vec<NodeId>) {
        let mut news = Vec::new();
        for life in lives {
            if life.name() == self.own.id.name() && life >= self.own.id {
                self.stop(Stopped::Forgotten);
                return;
            }
            if self.forgotten.holds(&life) {
                continue;
            }
            self.forgotten.add(&life);
            self.changed = true;
            if let Some(known) = self.known.get(life.name()).filter(|known| known.record.id <= life) {
                let gone = known.record.id.clone();
                self.known.remove(life.name());
                self.digest = None;
                self.events.push(MemberEvent::Forgotten(gone));
            }
            let linked = self.links.keys().filter(|id| id.name() == life.name() && **id <= life);
            for peer in linked.cloned().collect::<Vec<_>>() {
                self.refuse(&peer, Refusal::Forgotten { life: peer.clone() });
            }
            news.push(life);
        }
        if !news.is_empty() {
            let frame = Frame::Forgotten { lives: news };
            let others: Vec<NodeId> = self.links.keys().filter(|id| Some(*id) != from).cloned().collect();
            for to in others {
                self.send(&to, &frame);
            }
        }
    }
}
