//! Every partition of up to seven nodes: exactly the side that the policy names keeps.

#[path = "common/policies.rs"]
mod policies;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use horde_ring::{Accusation, Agreed, Decision, LeaseHolder, Policy, Quorum, QuorumView};
use policies::{agreed, cases};

type Side = BTreeSet<u8>;

/// All partitions of `0..n` into sides.
fn partitions(n: u8) -> Vec<Vec<Side>> {
    let mut all: Vec<Vec<Side>> = vec![Vec::new()];
    for node in 0..n {
        all = all
            .into_iter()
            .flat_map(|sides| {
                (0..=sides.len()).map(move |at| {
                    let mut sides = sides.clone();
                    if at == sides.len() {
                        sides.push(Side::new());
                    }
                    sides[at].insert(node);
                    sides
                })
            })
            .collect();
    }
    all
}

fn decide(quorum: &Quorum<u8>, agreed: &Agreed<u8>, side: &Side, node: u8, stable: u64) -> Decision {
    let others: Side = side.iter().copied().filter(|&other| other != node).collect();
    let view = QuorumView::new(&node, agreed, &others, &others).stable_for(Duration::from_secs(stable));
    quorum.decide(&view.holder(LeaseHolder::Member(&0)))
}

/// The side that should keep, by the policy's sentence in the documentation.
fn expected(quorum: &Quorum<u8>, agreed: &Agreed<u8>, sides: &[Side], role: bool) -> Option<usize> {
    let voter = |id: &u8| agreed.voter(id).expect("a member");
    let counted = |id: &&u8| !role || voter(id).label_of("role") == Some("core");
    let all: Side = agreed.ids().filter(counted).copied().collect();
    if sides.len() == 1 {
        return (!all.is_empty() && quorum.allows(agreed)).then_some(0).filter(|_| match quorum.policy() {
            Policy::Referee { id } => all.contains(id),
            Policy::Static { size } => all.len() >= *size,
            _ => true,
        });
    }
    let sides: Vec<Side> = sides.iter().map(|side| side.intersection(&all).copied().collect()).collect();
    let of = |id: Option<&u8>| id.and_then(|id| sides.iter().position(|side| side.contains(id)));
    let n = all.len();
    let weight = |side: &Side| side.iter().map(|id| u64::from(voter(id).weight_of())).sum::<u64>();
    match quorum.policy() {
        Policy::Majority => sides.iter().position(|side| {
            2 * side.len() > n || (2 * side.len() == n && all.first().is_some_and(|id| side.contains(id)))
        }),
        Policy::Static { size } => sides.iter().position(|side| n < 2 * size && side.len() >= *size),
        Policy::KeepOldest { down_if_alone } => {
            let oldest = all.iter().min_by_key(|id| (voter(id).joined_at(), **id));
            let with = of(oldest)?;
            if !down_if_alone || sides[with].len() > 1 || n == 1 {
                return Some(with);
            }
            sides.iter().enumerate().position(|(at, side)| at != with && side.len() == n - 1)
        }
        Policy::Weighted => sides.iter().position(|side| 2 * weight(side) > weight(&all)),
        Policy::Referee { id } => of(Some(id)),
        Policy::DownAll => sides.iter().position(|side| n > 0 && side.len() == n),
        _ => None,
    }
}

#[test]
fn exactly_the_side_that_the_policy_names_keeps_in_every_partition() {
    for n in 1..=7 {
        let partitions = partitions(n);
        for (quorum, agreed, role) in cases(n) {
            let answers = Answers::new(n, &quorum, &agreed);
            partitions.iter().for_each(|sides| check(&quorum, &agreed, &answers, sides, role));
        }
    }
}

/// What each side of each partition says, asked of the real types once: all its members say the same.
struct Answers {
    /// By side: the decision once the view is stable.
    decisions: BTreeMap<Side, Decision>,
    /// By side: whether it can have everybody else Down.
    down: BTreeMap<Side, bool>,
}

impl Answers {
    fn new(n: u8, quorum: &Quorum<u8>, agreed: &Agreed<u8>) -> Self {
        let sides = (1..1_u32 << n).map(|mask| (0..n).filter(|bit| mask & (1 << bit) != 0).collect::<Side>());
        let mut answers = Self { decisions: BTreeMap::new(), down: BTreeMap::new() };
        for side in sides {
            let decisions: Vec<Decision> =
                side.iter().map(|&node| decide(quorum, agreed, &side, node, 10)).collect();
            assert!(decisions.iter().all(|one| *one == decisions[0]), "{quorum:?} {side:?}: {decisions:?}");
            // Until the view is stable nobody who lost a member keeps.
            let first = *side.first().expect("sides are not empty");
            let early = decide(quorum, agreed, &side, first, 1);
            assert!(side.len() == usize::from(n) || early != Decision::Keep, "{quorum:?} {side:?}");
            let down = (0..n).filter(|lost| !side.contains(lost)).all(|lost| {
                let mut accusation = Accusation::new(lost);
                side.iter().for_each(|&by| accusation.promised(by, Duration::ZERO, 1));
                accusation.down_since(quorum, agreed).is_some()
            });
            answers.down.insert(side.clone(), down);
            answers.decisions.insert(side, decisions[0]);
        }
        answers
    }
}

fn check(quorum: &Quorum<u8>, agreed: &Agreed<u8>, answers: &Answers, sides: &[Side], role: bool) {
    let lease = *quorum.policy() == Policy::Lease;
    let wanted = if lease {
        sides.iter().position(|side| side.contains(&0))
    } else {
        expected(quorum, agreed, sides, role)
    };
    for (at, side) in sides.iter().enumerate() {
        let decision = if Some(at) == wanted { Decision::Keep } else { Decision::StopSelf };
        assert_eq!(answers.decisions[side], decision, "{quorum:?} {sides:?}: {side:?}");
        // A side that keeps can have everybody else Down, in the end.
        let waits = Some(at) == wanted && !lease && !answers.down[side];
        assert!(!waits, "{quorum:?} {sides:?}: {side:?} waits for ever");
    }
}

#[test]
fn without_a_policy_every_side_keeps() {
    for sides in partitions(5) {
        let quorum = Quorum::new(Policy::None);
        for (side, node) in sides.iter().flat_map(|side| side.iter().map(move |&node| (side, node))) {
            assert_eq!(decide(&quorum, &agreed(5, false), side, node, 0), Decision::Keep);
        }
    }
}
