//! What is asked of a process outside its mailbox: stop, exits, links, monitors, waiters for its end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use horde_transport::Responder;

use crate::process::Exit;
use crate::{ExitReason, Pid};

/// The signals and relations of one process; small while it has none.
#[derive(Default)]
pub(crate) struct Control {
    /// The task sleeps: who puts something in wakes it.
    pub(crate) parked: bool,
    /// Exit signals are a callback, not an end.
    pub(crate) trap: bool,
    rare: Option<Box<Rare>>,
}

/// What most processes never have.
#[derive(Default)]
pub(crate) struct Rare {
    /// It is asked to end, orderly; the first reason counts.
    pub(crate) stop: Option<ExitReason>,
    /// Exit signals that it traps.
    pub(crate) exits: VecDeque<Exit>,
    /// Two-way: each end tells the other.
    pub(crate) links: BTreeSet<Pid>,
    /// Who wants to hear of its end, and as which of their monitors.
    pub(crate) watchers: BTreeSet<(Pid, u64)>,
    /// What it monitors itself.
    pub(crate) monitors: BTreeMap<u64, Pid>,
    /// Names of this node that it holds.
    pub(crate) names: Vec<Arc<str>>,
    /// Calls whose answer was lost in a panic.
    pub(crate) orphans: Vec<Responder>,
    /// Tasks that wait for its end.
    pub(crate) waiters: Vec<Waker>,
}

impl Control {
    pub(crate) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    pub(crate) fn known(&mut self) -> Option<&mut Rare> {
        self.rare.as_deref_mut()
    }

    pub(crate) fn into_rare(self) -> Option<Box<Rare>> {
        self.rare
    }

    /// Asks for an orderly end; the first reason counts.
    pub(crate) fn stop(&mut self, reason: ExitReason) {
        self.rare().stop.get_or_insert(reason);
    }

    /// An exit signal of `from`: a callback if trapped, else an end, unless the other ended normally.
    pub(crate) fn exit(&mut self, from: &Pid, reason: &ExitReason) {
        if self.trap {
            self.rare().exits.push_back(Exit { from: from.clone(), reason: reason.clone() });
        } else if *reason != ExitReason::Normal {
            self.stop(reason.clone().linked(from));
        }
    }
}
