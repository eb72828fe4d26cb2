//! Links, monitors and ends, between the processes of one node and across nodes.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Task, Poll};

use horde_transport::NodeId;

use crate::cell::{Core, Shared};
use crate::control::Control;
use crate::frame::{self, Head};
use crate::process::Down;
use crate::{ExitReason, Name, Node, Pid};

/// One monitor of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonitorRef(u64);

impl MonitorRef {
    pub(crate) fn number(self) -> u64 {
        self.0
    }

    #[cfg(test)]
    pub(crate) fn of(number: u64) -> Self {
        Self(number)
    }
}

impl Node {
    /// Links a process of this node to another.
    pub(crate) fn link(&self, own: &Shared, other: &Pid) {
        let me = own.core().pid();
        if me == other {
            return;
        }
        own.0.control(&mut |control| {
            control.rare().links.insert(other.clone());
        });
        if other.node() != self.id() {
            self.relate(other.node(), me);
            let head = Head::Link { from: me.number(), to: other.number() };
            if self.send_frame(other.node(), frame::write(&head, &[])).is_err() {
                exit(own, other, &ExitReason::NodeDown(other.node().clone()));
            }
        } else if !self.linked(other, me) {
            exit(own, other, &ExitReason::NoProcess);
        }
    }

    /// Notes at `to`, of this node, that `from` is linked to it; false when it is gone.
    pub(crate) fn linked(&self, to: &Pid, from: &Pid) -> bool {
        let note = |process: Shared| {
            process.0.control(&mut |control| {
                control.rare().links.insert(from.clone());
            })
        };
        self.find(to).is_some_and(note)
    }

    pub(crate) fn unlink(&self, own: &Shared, other: &Pid) {
        let me = own.core().pid();
        forget_link(own, other);
        if other.node() == self.id() {
            if let Some(process) = self.find(other) {
                forget_link(&process, me);
            }
        } else {
            let head = Head::Unlink { from: me.number(), to: other.number() };
            // Without a connection the other side hears that this node is down, which ends the link as well.
            drop(self.send_frame(other.node(), frame::write(&head, &[])));
        }
    }

    pub(crate) fn monitor(&self, own: &Shared, name: &Name) -> MonitorRef {
        let me = own.core().pid();
        let monitor = MonitorRef(self.next_reference());
        let target = self.resolve(name).unwrap_or_else(|| Pid::new(self.id().clone(), 0));
        own.0.control(&mut |control| {
            control.rare().monitors.insert(monitor.0, target.clone());
        });
        if target.node() != self.id() {
            self.relate(target.node(), me);
            let head = Head::Monitor { watcher: me.number(), reference: monitor.0, target: target.number() };
            if self.send_frame(target.node(), frame::write(&head, &[])).is_err() {
                let reason = ExitReason::NodeDown(target.node().clone());
                own.0.down(Down { pid: target, reason, monitor });
            }
        } else if !self.watched(&target, me, monitor.0) {
            own.0.down(Down { pid: target, reason: ExitReason::NoProcess, monitor });
        }
        monitor
    }

    /// Notes at `target`, of this node, that `watcher` monitors it; false when it is gone.
    pub(crate) fn watched(&self, target: &Pid, watcher: &Pid, reference: u64) -> bool {
        let note = |process: Shared| {
            process.0.control(&mut |control| {
                control.rare().watchers.insert((watcher.clone(), reference));
            })
        };
        self.find(target).is_some_and(note)
    }

    pub(crate) fn demonitor(&self, own: &Shared, monitor: MonitorRef) {
        let mut target = None;
        own.0.control(&mut |control| {
            target = control.known().and_then(|rare| rare.monitors.remove(&monitor.0))
        });
        if let Some(target) = target {
            self.unwatch(own.core().pid(), monitor.0, &target);
        }
    }

    fn unwatch(&self, watcher: &Pid, reference: u64, target: &Pid) {
        if target.node() == self.id() {
            if let Some(process) = self.find(target) {
                forget_watcher(&process, watcher, reference);
            }
        } else {
            let (watcher, target_number) = (watcher.number(), target.number());
            let head = Head::Demonitor { watcher, reference, target: target_number };
            // Without a connection the other side has forgotten the monitor already.
            drop(self.send_frame(target.node(), frame::write(&head, &[])));
        }
    }

    /// An exit signal to a process of this node that needs no link: it ends for `reason`, or hears it if it traps exits (as from
    /// itself). For names that were lost. Nothing happens to a process of another node.
    pub fn signal(&self, pid: &Pid, reason: &ExitReason) {
        if let Some(process) = self.find(pid) {
            process.0.signal(&mut |control| {
                if control.trap {
                    control.exit(pid, reason);
                } else {
                    control.stop(reason.clone());
                }
            });
        }
    }

    /// Takes a process that has ended off every list, and tells all who wait for that.
    pub(crate) fn bury(&self, core: &Core, control: Control, reason: &ExitReason) {
        let pid = core.pid();
        let rare = control.into_rare();
        let _burial = self.0.table.burial();
        let moves = *reason == ExitReason::Redistribution;
        if moves {
            self.0.moved.note(pid.number());
        }
        self.remove(pid, rare.as_deref().map_or(&[], |rare| &rare.names));
        self.unregister_all(pid, moves);
        let Some(rare) = rare else { return };
        for other in rare.links {
            if other.node() == self.id() {
                if let Some(process) = self.find(&other) {
                    exit(&process, pid, reason);
                }
            } else {
                let head = Head::Exit { from: pid.number(), to: other.number(), reason: reason.clone() };
                // Without a connection the other side hears that this node is down.
                drop(self.send_frame(other.node(), frame::write(&head, &[])));
                self.unrelate(other.node(), pid);
            }
        }
        for (watcher, reference) in rare.watchers {
            self.tell_down(&watcher, reference, pid, reason);
        }
        for (reference, target) in rare.monitors {
            self.unwatch(pid, reference, &target);
            self.unrelate(target.node(), pid);
        }
        rare.orphans.into_iter().for_each(|responder| crate::reply::answer_exited(responder, reason));
        rare.waiters.into_iter().for_each(std::task::Waker::wake);
    }

    /// Tells a watcher that what it monitors is gone.
    pub(crate) fn tell_down(&self, watcher: &Pid, reference: u64, target: &Pid, reason: &ExitReason) {
        if watcher.node() == self.id() {
            if let Some(process) = self.find(watcher) {
                let monitor = MonitorRef(reference);
                process.0.down(Down { pid: target.clone(), reason: reason.clone(), monitor });
            }
        } else {
            let head = Head::Down { watcher: watcher.number(), reference, reason: reason.clone() };
            // Without a connection the watcher hears that this node is down.
            drop(self.send_frame(watcher.node(), frame::write(&head, &[])));
            self.unrelate(watcher.node(), target);
        }
    }

    /// The node `lost` is gone: ends its links and monitors with the processes `numbers` of this node.
    pub(crate) fn lose(&self, lost: &NodeId, numbers: impl IntoIterator<Item = u64>) {
        let reason = ExitReason::NodeDown(lost.clone());
        for number in numbers {
            let Some(process) = self.find(&Pid::new(self.id().clone(), number)) else { continue };
            let (mut links, mut downs) = (Vec::new(), Vec::new());
            process.0.control(&mut |control| {
                let Some(rare) = control.known() else { return };
                links.extend(rare.links.iter().filter(|pid| pid.node() == lost).cloned());
                downs.extend(
                    rare.monitors.iter().filter(|(_, pid)| pid.node() == lost).map(|(r, p)| (*r, p.clone())),
                );
                rare.watchers.retain(|(watcher, _)| watcher.node() != lost);
            });
            links.iter().for_each(|other| exit(&process, other, &reason));
            for (reference, pid) in downs {
                process.0.down(Down { pid, reason: reason.clone(), monitor: MonitorRef(reference) });
            }
        }
    }
}

/// An exit signal through a link; dropped when the link is gone. Uses the link up.
pub(crate) fn exit(to: &Shared, from: &Pid, reason: &ExitReason) {
    to.0.signal(&mut |control| {
        if control.known().is_some_and(|rare| rare.links.remove(from)) {
            control.exit(from, reason);
        }
    });
}

pub(crate) fn forget_link(process: &Shared, other: &Pid) {
    process.0.control(&mut |control| {
        if let Some(rare) = control.known() {
            rare.links.remove(other);
        }
    });
}

pub(crate) fn forget_watcher(process: &Shared, watcher: &Pid, reference: u64) {
    process.0.control(&mut |control| {
        if let Some(rare) = control.known() {
            rare.watchers.remove(&(watcher.clone(), reference));
        }
    });
}

/// Waits until a process of this node has ended.
#[derive(Debug)]
pub(crate) struct Ended(Option<Shared>);

impl Ended {
    pub(crate) fn of(process: Shared) -> Self {
        Self(Some(process))
    }
}

/// Waits until `process` has ended; there may be none.
pub(crate) fn ended(process: Option<Shared>) -> Ended {
    Ended(process)
}

impl Future for Ended {
    type Output = ExitReason;

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<ExitReason> {
        let Some(process) = &self.0 else { return Poll::Ready(ExitReason::NoProcess) };
        let waits = process.0.control(&mut |control| {
            let waiters = &mut control.rare().waiters;
            if !waiters.iter().any(|waker| waker.will_wake(task.waker())) {
                waiters.push(task.waker().clone());
            }
        });
        match process.core().ended() {
            Some(reason) if !waits => Poll::Ready(reason.clone()),
            _ => Poll::Pending,
        }
    }
}
