//! How registry and supervisor hear of the members, and where their node stands under the quorum.

use std::collections::BTreeMap;
use std::sync::Arc;

use horde_cluster::machine::{LeaseOutput, Standing};
use horde_cluster::{HordeMeta, MemberStatus, View};
use horde_registry::machine as names;
use horde_supervisor::Quorum;
use horde_supervisor::machine::{Host, Presence};
use horde_transport::NodeId;

use super::World;
use super::net::Frame;
use super::node::{CHILDREN, NAMES};

impl World {
    /// Leases, registry and supervisor take the latest view.
    pub(crate) fn see(&mut self, node: usize) {
        let now = self.time(node);
        let sim = &mut self.nodes[node];
        let view = sim.membership.view().clone();
        if view.version > sim.seen {
            sim.seen = view.version;
            sim.leases.members(now.monotonic, &view);
            if sim.hosting {
                sim.names.set_view(now, members_of(&view));
                self.stand(node);
            } else {
                self.host(node, &view);
            }
        }
    }

    /// Starts registry and supervisor once the node is Up, or when others announce them.
    fn host(&mut self, node: usize, view: &View) {
        let now = self.time(node);
        let sim = &mut self.nodes[node];
        let up = view.get(&sim.id).is_some_and(|own| own.status == MemberStatus::Up);
        if !up && view.hosting(NAMES).all(|member| member.id == sim.id) {
            return;
        }
        sim.hosting = true;
        let mut meta = sim.membership.meta().clone();
        for horde in [NAMES, CHILDREN] {
            meta.hordes.insert(horde.to_owned(), HordeMeta::default());
        }
        if let Err(error) = sim.membership.set_meta(now.monotonic, meta) {
            return self.fail(format!("a meta is too big: {error}"));
        }
        if self.plan.options.quorum == Quorum::Majority {
            sim.leases.want(now.monotonic);
        }
        let peers: Vec<NodeId> = sim.ends.keys().cloned().collect();
        for peer in peers {
            sim.names.link_up(now, &peer);
        }
        sim.names.set_view(now, members_of(view));
        self.stand(node);
    }

    /// The supervisor hears who is here, and where its node stands.
    fn stand(&mut self, node: usize) {
        let now = self.time(node);
        let quorum = self.plan.options.quorum == Quorum::Majority;
        let sim = &mut self.nodes[node];
        let (view, standing) = (sim.membership.view().clone(), sim.leases.standing().clone());
        let epoch = standing.epoch.unwrap_or(0);
        sim.children.set_standing(now, standing.held, epoch, standing.given_up.clone());
        sim.children.set_members(now, hosts_of(&view, &standing, quorum));
    }

    pub(crate) fn lease_output(&mut self, node: usize, output: LeaseOutput) {
        match output {
            LeaseOutput::Send { to, frame } => drop(self.send(node, &to, Frame::Lease(frame))),
            LeaseOutput::Changed(standing) => {
                self.history.note(self.queue.now, node, || format!("{standing:?}"));
                if self.nodes[node].hosting {
                    self.stand(node);
                } else if !standing.held {
                    // Nothing rests on the lease yet.
                    let now = self.time(node);
                    self.nodes[node].leases.set_idle(now.monotonic, true);
                }
            }
            LeaseOutput::Warn(text) => self.history.note(self.queue.now, node, || format!("warns: {text}")),
        }
    }
}

fn members_of(view: &View) -> Vec<names::Member> {
    let forgotten = view.forgotten.iter().map(|(name, life)| names::Member {
        id: NodeId::new(name.clone(), *life),
        presence: names::Presence::Left,
        host: None,
    });
    let members = view.members.values().map(|member| names::Member {
        id: member.id.clone(),
        presence: match member.status {
            MemberStatus::Down => names::Presence::Down,
            MemberStatus::Left => names::Presence::Left,
            MemberStatus::Joining => names::Presence::Joining,
            _ => names::Presence::Alive,
        },
        host: member.meta.hordes.get(NAMES).map(|horde| names::Host { ready: horde.ready }),
    });
    forgotten.chain(members).collect()
}

fn hosts_of(view: &Arc<View>, standing: &Standing, quorum: bool) -> BTreeMap<NodeId, Host> {
    let hosts = view.members.iter().map(|(id, member)| {
        let horde = member.meta.hordes.get(CHILDREN);
        let presence = match member.status {
            _ if quorum && standing.given_up.contains(id) => Presence::Gone,
            MemberStatus::Down | MemberStatus::Left if quorum => Presence::Doubtful,
            MemberStatus::Down | MemberStatus::Left => Presence::Gone,
            MemberStatus::Leaving => Presence::Leaving,
            MemberStatus::Joining if *id == view.local => Presence::Joining,
            _ => Presence::Alive,
        };
        let kinds = member.meta.kinds.clone();
        let (hosting, ready) = (horde.is_some(), horde.is_some_and(|horde| horde.ready));
        let heard = member.status != MemberStatus::Unreachable;
        // User code here is a machine's stand-in: it never blocks a thread.
        let (weight, degraded) = (member.meta.weight, false);
        (id.clone(), Host { presence, hosting, ready, heard, kinds, weight, degraded })
    });
    hosts.collect()
}
