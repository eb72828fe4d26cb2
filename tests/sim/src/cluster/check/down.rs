//! Down is not one node's word: who is heard by somebody that the accuser hears is not declared Down, unless two others
//! do not hear it either. (Two that agree are enough by design: a third that hears the accused does not save it.)

use std::time::Duration;

use horde_transport::NodeId;

use crate::cluster::World;
use crate::cluster::node::SimNode;

/// So long two nodes must have heard each other for a third to rely on it.
const STEADY: Duration = Duration::from_secs(3);

impl World {
    /// Node `by` has declared `member` Down. In fair weather, with a witness who hears both, that is wrong.
    pub(crate) fn check_down(&mut self, by: usize, member: &NodeId) {
        self.downs += 1;
        if self.nodes[by].id == *member {
            return;
        }
        let settled = self.weather_since + STEADY <= self.queue.now;
        let fair = settled
            && self.loss == 0
            && self.plan.bandwidth.is_none()
            && self.delay.1 <= 20_000
            && self.plan.drift == 0;
        let Some(accused) = self.nodes.iter().find(|node| node.id == *member) else { return };
        let here = accused.index;
        let woke = self.nodes[by].turned + Duration::from_millis(500) > self.queue.now
            && self.nodes[by].born() + STEADY < self.queue.now;
        if fair && woke && self.steady(accused) && accused.leaving.is_none() {
            let open = self.net.open_since(by, here).is_some_and(|since| since + STEADY <= self.queue.now);
            let stands =
                self.nodes[by].ends.contains_key(member) && accused.ends.contains_key(&self.nodes[by].id);
            if open && stands {
                return self.fail(format!("n{by} stood still, and declared {member:?} Down for it"));
            }
        }
        if !fair || !self.steady(accused) || accused.leaving.is_some() || !self.steady(&self.nodes[by]) {
            return;
        }
        let hear = |a: usize, b: usize| {
            let link = self.net.open_since(a, b).is_some_and(|since| since + STEADY <= self.queue.now);
            link && self.nodes[a].ends.contains_key(&self.nodes[b].id)
                && self.nodes[b].ends.contains_key(&self.nodes[a].id)
        };
        let others = || self.nodes.iter().filter(|node| node.index != by && node.index != here);
        if others().filter(|other| other.is_alive() && !hear(other.index, here)).count() >= 2 {
            return;
        }
        let witness = others().find(|other| {
            let knows = |id: &NodeId| other.membership.view().get(id).is_some();
            self.steady(other)
                && other.leaving.is_none()
                && hear(by, other.index)
                && hear(other.index, here)
                && knows(member)
                && knows(&self.nodes[by].id)
        });
        if let Some(witness) = witness.map(|node| node.index) {
            self.fail(format!(
                "n{by} declared {member:?} Down, which n{witness} hears, and n{witness} hears n{by}"
            ));
        }
    }

    /// It has run for a while without a pause.
    fn steady(&self, node: &SimNode) -> bool {
        node.runs() && node.turned + STEADY <= self.queue.now
    }
}
