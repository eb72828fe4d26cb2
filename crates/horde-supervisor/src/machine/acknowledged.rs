//! Starts of this node's users that were acknowledged before their record came here.

use std::time::Duration;

use horde_process::Pid;
use horde_transport::NodeId;

use super::coordinate::Caller;
use super::{ChildId, Children, End, Now, Record};
use crate::error::StartError;
use crate::frame::Wish;

/// An acknowledged start, kept until our own map shows it.
#[derive(Debug)]
pub(super) struct Acknowledged {
    wish: Wish,
    /// Who runs it; nobody while it is started anew.
    host: Option<NodeId>,
    /// When it was asked for (a hybrid logical clock stamp).
    asked: u64,
    /// Since when it is ended by a user of this node. Its record is marked so as soon as it comes.
    ended: Option<Duration>,
}

impl Children {
    /// Keeps an acknowledged start until our own map shows it: if its host goes down first, it is started anew.
    pub(super) fn remember(&mut self, wish: &Wish, asked: u64, result: &Result<Pid, StartError>) {
        let record = self.replica.get(&wish.id);
        let shown = record.is_some_and(|record| record.request == wish.request && record.has_run());
        match result {
            Ok(pid) if !shown => {
                let (wish, host) = (Wish { again: true, ..wish.clone() }, Some(pid.node().clone()));
                let start = Acknowledged { wish, host, asked, ended: None };
                self.acknowledged.insert(start.wish.id.clone(), start);
            }
            _ => {}
        }
    }

    /// What was started anew, since its host had gone, has its outcome.
    pub(super) fn remember_anew(&mut self, wish: &Wish, result: &Result<Pid, StartError>) {
        if !self.is_awaited(wish) {
            return;
        }
        if let Some(start) = self.acknowledged.remove(&wish.id) {
            self.remember(wish, start.asked, result);
        }
        if let Err(error) = result {
            tracing::warn!(node = %self.me, child = %wish.id, %error, "an acknowledged start was lost with its node");
        }
    }

    /// Whether this acknowledged start is neither shown by the map nor ended.
    pub(super) fn is_awaited(&self, wish: &Wish) -> bool {
        let start = self.acknowledged.get(&wish.id).filter(|start| start.wish.request == wish.request);
        start.is_some_and(|start| start.ended.is_none())
    }

    /// Who runs an acknowledged start that the map does not show.
    pub(super) fn acknowledged_host(&self, id: &ChildId) -> Option<&NodeId> {
        let start = self.acknowledged.get(id).filter(|start| start.ended.is_none())?;
        start.host.as_ref()
    }

    /// Ends an acknowledged start that the map does not show: its record is marked as soon as it comes. Returns who runs it,
    /// if there is such a start.
    pub(super) fn end_acknowledged(&mut self, now: Now, id: &ChildId) -> Option<Option<NodeId>> {
        let start = self.acknowledged.get_mut(id).filter(|start| start.ended.is_none())?;
        start.ended = Some(now.monotonic);
        Some(start.host.clone())
    }

    /// A record is there. Another start's record counts only if it was claimed since: else it is of a life before.
    pub(super) fn show_acknowledged(&mut self, now: Now, id: &ChildId, record: &Record) {
        let Some(start) = self.acknowledged.get(id) else { return };
        let same = record.request == start.wish.request;
        if same && start.ended.is_some() && record.is_wanted() {
            self.mark_ended(now, id, record, End::Terminated);
        } else if match (same, start.ended) {
            (true, Some(_)) => record.is_over(),
            (true, None) => record.has_run(),
            (false, Some(_)) => false,
            (false, None) => record.has_run() && record.stamp > start.asked,
        } {
            self.acknowledged.remove(id);
        }
    }

    /// Starts anew what was acknowledged, and whose host went before its record came.
    pub(super) fn start_lost(&mut self, now: Now) {
        let mut lost = Vec::new();
        for start in self.acknowledged.values_mut().filter(|start| start.ended.is_none()) {
            if start.host.take_if(|host| self.roster.is_gone(host)).is_some() {
                lost.push(start.wish.clone());
            }
        }
        for wish in lost {
            self.route(now, Caller::Again, wish, 0);
        }
    }

    /// Forgets ended starts whose record never came, once everybody who may have it was here for long enough.
    pub(super) fn forget_acknowledged(&mut self, now: Now) {
        let (retention, away) = (self.options.ended_retention, self.roster.gone().next().is_some());
        self.acknowledged.retain(|_, start| match &mut start.ended {
            Some(since) if away => {
                *since = now.monotonic;
                true
            }
            Some(since) => *since + retention > now.monotonic,
            None => true,
        });
    }
}
