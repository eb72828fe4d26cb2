//! Every reachability graph of a few nodes: nobody takes over from a node whose lease runs.

#[path = "common/policies.rs"]
mod policies;

use std::collections::BTreeSet;
use std::time::Duration;

use horde_ring::{Accusation, Agreed, Decision, Heartbeats, LeaseTerms, Policy, Quorum, QuorumView};
use policies::{agreed, cases};

/// Whom each node hears, itself included, as bits.
type Graph = Vec<u32>;

/// All graphs of `n` nodes, with links that work in both directions or each way by itself.
fn graphs(n: u8, one_way: bool) -> impl Iterator<Item = Graph> {
    let links: Vec<(u8, u8)> = (0..n)
        .flat_map(|a| (0..n).map(move |b| (a, b)))
        .filter(|(a, b)| if one_way { a != b } else { a < b })
        .collect();
    (0..1_u32 << links.len()).map(move |on| {
        let mut graph: Graph = (0..n).map(|node| 1 << node).collect();
        for (_, &(a, b)) in links.iter().enumerate().filter(|(at, _)| on & (1 << at) != 0) {
            graph[usize::from(a)] |= 1 << b;
            if !one_way {
                graph[usize::from(b)] |= 1 << a;
            }
        }
        graph
    })
}

fn hears(graph: &Graph, listener: u8, speaker: u8) -> bool {
    graph[usize::from(listener)] & (1 << speaker) != 0
}

const NOW: Duration = Duration::from_secs(100);

/// The heartbeats of `node` after a long time in this graph: acknowledged by those who hear it, when it hears them.
fn heartbeats(graph: &Graph, node: u8) -> Heartbeats<u8> {
    let mut heartbeats = Heartbeats::new();
    let number = heartbeats.send(NOW);
    let others = (0..graph.len() as u8).filter(|&other| other != node);
    others
        .filter(|&other| hears(graph, other, node) && hears(graph, node, other))
        .for_each(|other| heartbeats.acknowledge(other, number, 1));
    heartbeats
}

/// What `taker` learns about `accused`: promises of all it hears, itself included, who do not hear the accused.
fn accusation(graph: &Graph, taker: u8, accused: u8) -> Accusation<u8> {
    let mut accusation = Accusation::new(accused);
    (0..graph.len() as u8)
        .filter(|&by| hears(graph, taker, by) && !hears(graph, by, accused))
        .for_each(|by| accusation.promised(by, NOW, 1));
    accusation
}

/// All that the nodes know after a long time in one graph, whatever the policy.
struct Known {
    graph: Graph,
    heartbeats: Vec<Heartbeats<u8>>,
    /// By accused, then by taker.
    accusations: Vec<Vec<Accusation<u8>>>,
    acknowledged: Vec<BTreeSet<u8>>,
    reachable: Vec<BTreeSet<u8>>,
}

impl Known {
    fn new(graph: Graph) -> Self {
        let nodes = 0..graph.len() as u8;
        let heartbeats: Vec<_> = nodes.clone().map(|node| heartbeats(&graph, node)).collect();
        let against = |accused: u8| {
            let takers = nodes.clone().filter(move |&taker| taker != accused);
            takers.map(|taker| accusation(&graph, taker, accused)).collect()
        };
        let accusations = nodes.clone().map(against).collect();
        let any = agreed(1, false);
        let acknowledged =
            heartbeats.iter().map(|one| one.fresh(&any, NOW, &LeaseTerms::default())).collect();
        let set = |mask: u32| nodes.clone().filter(|bit| mask & (1 << bit) != 0).collect();
        let reachable = graph.iter().map(|&mask| set(mask)).collect();
        Self { heartbeats, accusations, acknowledged, reachable, graph }
    }

    /// Checks one policy; answers how many takeovers are possible.
    fn check(&self, quorum: &Quorum<u8>, agreed: &Agreed<u8>) -> usize {
        let terms = LeaseTerms::default();
        let mut takeovers = 0;
        for accused in 0..self.graph.len() {
            let id = accused as u8;
            let leased = self.heartbeats[accused].may_act(quorum, agreed, &id, NOW, &terms);
            for accusation in &self.accusations[accused] {
                if accusation.replace_at(quorum, agreed, NOW, &terms).is_some() {
                    assert!(!leased, "{:?} {quorum:?}: a takeover from {accused}", self.graph);
                    takeovers += 1;
                }
            }
            // Who decides to keep has a lease, unless an outside lease decides.
            let view = QuorumView::new(&id, agreed, &self.acknowledged[accused], &self.reachable[accused]);
            let keeps = quorum.decide(&view.stable_for(Duration::from_secs(60))) == Decision::Keep;
            assert!(!keeps || leased || *quorum.policy() == Policy::Lease);
        }
        takeovers
    }
}

fn check_all(nodes: impl Iterator<Item = u8>, one_way: bool) {
    for n in nodes {
        let cases = cases(n);
        let mut takeovers = vec![0; cases.len()];
        for known in graphs(n, one_way).map(Known::new) {
            for ((quorum, agreed, _), takeovers) in cases.iter().zip(&mut takeovers) {
                *takeovers += known.check(quorum, agreed);
            }
        }
        for ((quorum, ..), takeovers) in cases.iter().zip(takeovers) {
            let promises = matches!(quorum.policy(), Policy::Majority | Policy::KeepOldest { .. });
            assert!(takeovers > 0 || !promises || n < 3, "{quorum:?} never lets anybody take over");
        }
    }
}

#[test]
fn nobody_takes_over_from_a_running_lease_in_any_graph_of_two_way_links() {
    check_all(2..=5, false);
}

#[test]
fn nobody_takes_over_from_a_running_lease_in_any_graph_of_one_way_links() {
    check_all(2..=4, true);
}

/// The rule that is not used: a node keeps, and takes over, by whom it hears. It shows that the graphs above are
/// the ones that matter.
#[test]
fn leases_by_hearing_would_leave_two_copies_in_most_graphs() {
    let unsafe_graphs = |n: u8, one_way| {
        let agreed = agreed(n, false);
        let quorum = Quorum::new(Policy::Majority);
        let keeps = |graph: &Graph, node: u8| {
            let heard: Vec<u8> = (0..n).filter(|&other| hears(graph, node, other)).collect();
            quorum.grants(&agreed, &heard.iter().collect())
        };
        graphs(n, one_way)
            .filter(|graph| {
                (0..n).any(|a| {
                    keeps(graph, a) && (0..n).any(|b| keeps(graph, b) && a != b && !hears(graph, a, b))
                })
            })
            .count()
    };
    assert_eq!(unsafe_graphs(5, false), 597);
    assert_eq!(unsafe_graphs(4, true), 3151);
}
