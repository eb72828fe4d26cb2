//! Membership views agree: who lives is Up everywhere, who is gone nowhere.

use horde_cluster::MemberStatus;

use crate::cluster::World;

impl World {
    pub(super) fn views_agree(&self) -> Option<String> {
        let alive = || self.nodes.iter().filter(|node| node.is_alive());
        for node in alive() {
            let view = node.membership.view();
            for other in alive() {
                let status = view.status(&other.id);
                let fine = match status {
                    Some(MemberStatus::Up) => other.leaving.is_none(),
                    Some(MemberStatus::Leaving | MemberStatus::Left) => other.leaving.is_some(),
                    _ => false,
                };
                if !fine {
                    return Some(format!("{:?} lives, and to {:?} it is {status:?}", other.id, node.id));
                }
            }
            let ghost = view.alive().find(|member| !alive().any(|other| other.id == member.id));
            if let Some(ghost) = ghost {
                return Some(format!(
                    "{:?} is gone, and to {:?} it is {:?}",
                    ghost.id, node.id, ghost.status
                ));
            }
            if !(node.names.is_ready() && node.children.is_ready()) {
                return Some(format!("{:?} is not ready", node.id));
            }
        }
        None
    }
}
