//! Which addresses the transport keeps connecting to.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::membership::{Membership, Output, Warning};
use super::state::{Fate, Known};
use super::wire::Lifecycle;

impl Membership {
    /// A discovery strategy has another set. What vanished is not dialled any more; membership alone says who is Down.
    pub(crate) fn found(&mut self, source: String, mut addresses: BTreeSet<SocketAddr>) {
        self.other_addresses = true;
        let limit = self.config.max_addresses;
        if addresses.len() > limit {
            let (found, source_name) = (addresses.len(), source.clone());
            self.outputs.push_back(Output::Warn(Warning::TooManyAddresses { source_name, found, limit }));
            addresses = addresses.into_iter().take(limit).collect();
        }
        let before = self.found.insert(source, addresses).unwrap_or_default();
        let now: BTreeSet<SocketAddr> = self.found.values().flatten().copied().collect();
        self.vanished.extend(before);
        self.vanished.retain(|address| !now.contains(address));
        while self.vanished.len() > limit {
            self.vanished.pop_first();
        }
    }

    fn is_dialled_for(&self, known: &Known) -> bool {
        known.record.lifecycle != Lifecycle::Left && self.undial_at(known).is_none_or(|at| self.now < at)
    }

    /// When a member that is Down is no longer dialled.
    pub(crate) fn undial_at(&self, known: &Known) -> Option<Duration> {
        let since = known.changed.max(known.reached_elsewhere);
        (known.fate == Fate::Down).then(|| since + self.config.redial_down_for)
    }

    /// Dials what was found and where members listen, and stops dialling the rest.
    pub(crate) fn redial(&mut self) {
        let mut wanted: BTreeSet<SocketAddr> = self.found.values().flatten().copied().collect();
        let members = self.known.values().filter(|known| self.is_dialled_for(known));
        wanted.extend(members.filter_map(|known| known.address).filter(|at| !self.vanished.contains(at)));
        if let Some(own) = &self.own.address {
            wanted.remove(own);
        }
        if self.stopped.is_some() || self.own.lifecycle == Lifecycle::Left {
            wanted.clear();
        }
        for address in wanted.difference(&self.dialled) {
            self.outputs.push_back(Output::Dial(*address));
        }
        for address in self.dialled.difference(&wanted) {
            self.outputs.push_back(Output::Undial(*address));
        }
        self.dialled = wanted;
    }
}
