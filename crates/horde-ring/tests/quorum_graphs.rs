//! Every reachability graph of a few nodes: nobody takes over from a node whose lease runs.

#[path = "common/policies.rs"]
mod policies;

use std::collections::{BTreeMap, BTreeSet};
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

/// Bits as a set.
fn set(mask: u32) -> BTreeSet<u8> {
    (0..8).filter(|bit| mask & (1 << bit) != 0).collect()
}

/// What one policy says in all situations that can arise, asked of the real types once each. A graph only decides
/// which of them arise.
struct Answers {
    quorum: Quorum<u8>,
    /// By node, then by who acknowledges it: whether its lease runs.
    leased: Vec<Vec<bool>>,
    /// By accused, then by who has promised: whether it may be replaced some time.
    replaced: Vec<Vec<bool>>,
    /// By node, by who acknowledges it, then by whom it reaches.
    keeps: Vec<BTreeMap<(u32, u32), bool>>,
}

impl Answers {
    fn new(n: u8, quorum: Quorum<u8>, agreed: &Agreed<u8>) -> Self {
        let (terms, masks) = (LeaseTerms::default(), 0..1_u32 << n);
        let heartbeats = |by: u32| {
            let mut heartbeats = Heartbeats::new();
            let number = heartbeats.send(NOW);
            set(by).into_iter().for_each(|other| heartbeats.acknowledge(other, number, 1));
            heartbeats
        };
        let leased = |node: u8, by: u32| heartbeats(by).may_act(&quorum, agreed, &node, NOW, &terms);
        let replaced = |accused: u8, by: u32| {
            let mut accusation = Accusation::new(accused);
            set(by).into_iter().for_each(|other| accusation.promised(other, NOW, 1));
            accusation.replace_at(&quorum, agreed, NOW, &terms).is_some()
        };
        let keeps = |node: u8, by: u32, reached: u32| {
            let (fresh, reachable) = (heartbeats(by).fresh(agreed, NOW, &terms), set(reached));
            let view = QuorumView::new(&node, agreed, &fresh, &reachable).stable_for(Duration::from_secs(60));
            quorum.decide(&view) == Decision::Keep
        };
        // Who acknowledges a node is reached by it: all pairs of a set and a part of it.
        let pairs: Vec<(u32, u32)> = masks
            .clone()
            .flat_map(|all| masks.clone().filter(move |part| part & !all == 0).map(move |part| (part, all)))
            .collect();
        Self {
            leased: (0..n).map(|node| masks.clone().map(|by| leased(node, by)).collect()).collect(),
            replaced: (0..n).map(|accused| masks.clone().map(|by| replaced(accused, by)).collect()).collect(),
            keeps: (0..n)
                .map(|node| pairs.iter().map(|&(by, all)| ((by, all), keeps(node, by, all))).collect())
                .collect(),
            quorum,
        }
    }

    /// Checks one graph after a long time; answers how many takeovers are possible in it.
    fn check(&self, graph: &Graph) -> usize {
        let n = graph.len() as u8;
        let mask = |wanted: &dyn Fn(u8) -> bool| {
            (0..n).filter(|&node| wanted(node)).fold(0, |mask, node| mask | (1 << node))
        };
        let mut takeovers = 0;
        for node in 0..n {
            // Acknowledged by those who hear it, when it hears them.
            let by = mask(&|other| other != node && hears(graph, other, node) && hears(graph, node, other));
            let leased = self.leased[usize::from(node)][by as usize];
            for taker in (0..n).filter(|&taker| taker != node) {
                // It learns the promises of all it hears, itself included, who do not hear the accused.
                let promised = mask(&|other| hears(graph, taker, other) && !hears(graph, other, node));
                if self.replaced[usize::from(node)][promised as usize] {
                    assert!(!leased, "{graph:?} {:?}: {taker} takes over from {node}", self.quorum);
                    takeovers += 1;
                }
            }
            // Who decides to keep has a lease, unless an outside lease decides.
            let keeps = self.keeps[usize::from(node)][&(by, graph[usize::from(node)])];
            assert!(
                !keeps || leased || *self.quorum.policy() == Policy::Lease,
                "{graph:?} {:?}: {node}",
                self.quorum
            );
        }
        takeovers
    }
}

fn check_all(nodes: impl Iterator<Item = u8>, one_way: bool) {
    for n in nodes {
        for (quorum, agreed, _) in cases(n) {
            let answers = Answers::new(n, quorum, &agreed);
            let takeovers: usize = graphs(n, one_way).map(|graph| answers.check(&graph)).sum();
            let promises = matches!(answers.quorum.policy(), Policy::Majority | Policy::KeepOldest { .. });
            assert!(takeovers > 0 || !promises || n < 3, "{:?} never lets anybody take over", answers.quorum);
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
