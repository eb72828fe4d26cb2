//! The view that others read, and the next moment at which something is due.

use std::sync::Arc;
use std::time::Duration;

use super::membership::{Membership, Output};
use super::wire::Lifecycle;
use crate::{Member, MemberStatus, Stopped, View};

impl Membership {
    /// Publishes a new view when something happened since the last.
    pub(crate) fn publish(&mut self) {
        let events = std::mem::take(&mut self.events);
        if events.is_empty() && !std::mem::take(&mut self.changed) {
            return;
        }
        self.changed = false;
        let own = Member {
            id: self.own.id.clone(),
            address: self.own.address,
            status: self.own_status(),
            meta: self.own.meta.clone(),
        };
        let others = self.known.values().map(|known| Member {
            id: known.record.id.clone(),
            address: known.address,
            status: known.status(),
            meta: known.record.meta.clone(),
        });
        let members = others.chain([own]).map(|member| (member.id.clone(), member)).collect();
        let (version, local) = (self.view.version + 1, self.own.id.clone());
        let (forgotten, stopped) = (self.forgotten.lives(), self.stopped.clone());
        self.view = Arc::new(View { version, local, members, forgotten, stopped });
        self.outputs.push_back(Output::Publish { view: self.view.clone(), events });
    }

    fn own_status(&self) -> MemberStatus {
        match self.own.lifecycle {
            _ if matches!(self.stopped, Some(Stopped::Superseded { .. } | Stopped::Forgotten)) => {
                MemberStatus::Down
            }
            Lifecycle::Joining => MemberStatus::Joining,
            Lifecycle::Up => MemberStatus::Up,
            Lifecycle::Leaving => MemberStatus::Leaving,
            Lifecycle::Left => MemberStatus::Left,
        }
    }

    /// Finds the next moment at which time asks for something, by all members.
    pub(crate) fn find_due(&mut self) {
        self.others_due = if self.stopped.is_some() { Duration::MAX } else { self.next_but_beats() };
        self.note_due();
    }

    /// The next moment is that of a heartbeat, or of something else.
    pub(crate) fn note_due(&mut self) {
        let beat = self.agenda.first().map_or(Duration::MAX, |(at, _)| *at);
        let gathered = self.pace.due.unwrap_or(Duration::MAX);
        let due = self.others_due.min(beat).min(gathered).min(self.inquiries_due());
        self.due = (due < Duration::MAX && self.stopped.is_none()).then_some(due);
    }

    /// When some inquiry is to go on.
    fn inquiries_due(&self) -> Duration {
        let doubted = self.doubted.iter().filter_map(|name| self.known.get(name));
        let due = doubted
            .filter_map(|known| Some(known.inquiry.as_ref()?.due(self.links.contains_key(&known.record.id))));
        due.min().unwrap_or(Duration::MAX)
    }

    pub(crate) fn next_but_beats(&self) -> Duration {
        let factor = self.health.factor();
        let mut due = Duration::MAX;
        for (id, link) in &self.links {
            let known = self.known.get(id.name()).filter(|known| known.record.id == *id && known.is_alive());
            if known.is_some_and(|known| known.inquiry.is_none()) {
                due = due.min(link.heard + self.config.suspect_after * factor);
            }
        }
        for known in self.known.values() {
            let linked = self.links.contains_key(&known.record.id);
            match (&known.inquiry, known.status()) {
                // See `inquiries_due`.
                (Some(_), _) => {}
                (None, MemberStatus::Left) => due = due.min(known.changed + self.config.forget_left_after),
                (None, MemberStatus::Down) => {
                    let undial = self.undial_at(known).filter(|at| *at > self.now);
                    due = undial.map_or(due, |at| due.min(at));
                }
                (None, _) if linked => {}
                (None, _) => due = due.min(known.told + self.config.reach_grace * factor),
            }
        }
        due = self.refused.values().fold(due, |due, (at, _)| due.min(*at));
        if let Some(departure) = &self.departure {
            due = due.min(departure.by);
        }
        if self.own.lifecycle == Lifecycle::Joining
            && let Some(at) = self.alone_at()
            && at > self.now
        {
            due = due.min(at);
        }
        due
    }
}
