//! Between membership and the machine: who is alive, who hosts a registry, and what this node announces.

use horde_cluster::{Cluster, HordeMeta, MemberStatus, View};

use horde_transport::NodeId;

use crate::machine::{Host, Member, Presence};

/// What the machine wants to know of a view.
pub(crate) fn members_of(view: &View, topic: &str) -> Vec<Member> {
    let member = |member: &horde_cluster::Member| Member {
        id: member.id.clone(),
        presence: match member.status {
            MemberStatus::Down => Presence::Down,
            MemberStatus::Left => Presence::Left,
            MemberStatus::Joining => Presence::Joining,
            _ => Presence::Alive,
        },
        host: member.meta.hordes.get(topic).map(|horde| Host { ready: horde.ready }),
    };
    // Who was forgotten is not listed any more, and nothing that it still says is heard.
    let forgotten = view.forgotten.iter().map(|(name, life)| Member {
        id: NodeId::new(name.clone(), *life),
        presence: Presence::Left,
        host: None,
    });
    forgotten.chain(view.members.values().map(member)).collect()
}

/// Tells all members that this node hosts the registry under `topic`, and how.
pub(crate) fn announce(cluster: &Cluster, topic: &str, horde: HordeMeta) {
    let update = cluster.try_update_meta(|meta| {
        // Once ready, always ready: the two announcements may come from two threads.
        let known = meta.hordes.entry(topic.to_owned()).or_default();
        known.ready |= horde.ready;
        known.config = horde.config;
    });
    if let Err(error) = update {
        tracing::error!(node = %cluster.local(), topic, %error, "the registry is not announced: other nodes do not sync with this one");
    }
}
