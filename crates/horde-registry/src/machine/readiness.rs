//! When others may sync from this copy.

use super::faults::Fault;
use super::{Names, Output};

impl Names {
    /// Ready once synced from a host that is; or when there is no other host; or when none of them is ready and this
    /// node is the lowest of all (somebody must be first). Who has not joined yet does not know who else is there: it
    /// is never the first.
    pub(super) fn check_ready(&mut self) {
        if self.ready {
            return;
        }
        let (mut from_ready, mut any_ready, mut lower) = (false, false, false);
        for (id, host) in self.nodes.hosts() {
            any_ready |= host.ready;
            from_ready |= host.ready && self.synced.contains(id);
            lower |= *id < self.local;
        }
        if from_ready
            || (!any_ready && !lower && !self.nodes.joining)
            || self.faults.has(Fault::ReadyBeforeSynced)
        {
            self.ready = true;
            self.outputs.push_back(Output::Ready);
        }
    }
}
