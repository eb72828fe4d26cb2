//! Leaving in good order.

use std::collections::BTreeSet;
use std::time::Duration;

use horde_transport::NodeId;

use super::membership::Membership;
use super::wire::Lifecycle;
use crate::{MemberEvent, Stopped};

/// The wait for the others to have noted that this node left.
#[derive(Debug)]
pub(crate) struct Departure {
    pub(crate) by: Duration,
    pub(crate) waits_for: BTreeSet<NodeId>,
}

impl Membership {
    /// Tells everybody that this node will leave; nothing new is placed here from now on.
    pub(crate) fn announce_leaving(&mut self) {
        if self.own.lifecycle < Lifecycle::Leaving {
            self.own.lifecycle = Lifecycle::Leaving;
            self.events.push(MemberEvent::Leaving(self.own.id.clone()));
            self.announce();
        }
    }

    /// Leaves: announced, then Left, then a wait until all connected members have noted it.
    pub(crate) fn leave(&mut self, by: Duration) {
        if self.departure.is_some() {
            return;
        }
        self.announce_leaving();
        self.own.lifecycle = Lifecycle::Left;
        self.announce();
        let waits_for = self.links.keys().cloned().collect();
        self.departure = Some(Departure { by, waits_for });
    }

    pub(crate) fn on_bye(&mut self, from: &NodeId) {
        if let Some(departure) = &mut self.departure {
            departure.waits_for.remove(from);
        }
    }

    pub(crate) fn end_departure(&mut self) {
        let Some(departure) = &mut self.departure else { return };
        departure.waits_for.retain(|peer| self.links.contains_key(peer));
        if self.stopped.is_none() && (departure.waits_for.is_empty() || self.now >= departure.by) {
            self.stop(Stopped::Left);
        }
    }
}
