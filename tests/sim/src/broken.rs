//! Deliberate faults: rules of the machines that a run may break, each of which the simulator must catch.

use delta_crdt::Rule;
use horde_cluster::machine::Fault as MembershipFault;
use horde_registry::machine::Fault as NamesFault;
use horde_supervisor::machine::Fault as ChildrenFault;

/// A rule of one machine, broken on all nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Broken {
    /// A rule of the CRDT engine, tried on replicas alone.
    Replica(Rule),
    /// The vector has one entry for each node, not for each of its lives: a replica that starts anew has its old id.
    OneEpoch,
    /// A rule of the membership.
    Membership(MembershipFault),
    /// A rule of the registry.
    Names(NamesFault),
    /// A rule of the supervisor.
    Children(ChildrenFault),
}

/// Each deliberate fault, with the number of seeds within which it must be caught.
pub const BROKEN: &[(Broken, u64)] = &[
    (Broken::Replica(Rule::InOrder), 100),
    (Broken::Replica(Rule::Dependencies), 100),
    (Broken::Replica(Rule::OneState), 100),
    (Broken::Replica(Rule::VectorAtCommit), 100),
    (Broken::Replica(Rule::AbortAppliesNothing), 100),
    (Broken::Replica(Rule::PutNamesTombstone), 100),
    (Broken::Replica(Rule::Stability), 100),
    (Broken::Replica(Rule::Repair), 100),
    (Broken::OneEpoch, 100),
    (Broken::Membership(MembershipFault::OneObserver), 100),
    (Broken::Membership(MembershipFault::NeverReturns), 100),
    (Broken::Membership(MembershipFault::PauseIsSilence), 100),
    (Broken::Names(NamesFault::JudgesCopies), 100),
    (Broken::Names(NamesFault::LoserTakesAgain), 100),
    (Broken::Names(NamesFault::ReadyBeforeSynced), 100),
    (Broken::Names(NamesFault::BelievesRemovals), 100),
    (Broken::Children(ChildrenFault::DeletesBeforeStart), 100),
    (Broken::Children(ChildrenFault::EndsByRemoval), 100),
    (Broken::Children(ChildrenFault::ActsBeforeSynced), 100),
    (Broken::Children(ChildrenFault::PlacesBySize), 100),
    (Broken::Children(ChildrenFault::LoserWritesAgain), 100),
];

/// Runs seeds with a broken rule until one fails: how many it took and what it said, or none within `limit` seeds.
#[must_use]
pub fn catch(rule: Broken, limit: u64) -> Option<(u64, String)> {
    let run = |seed, broken| {
        let outcome = crate::guarded(|| match (broken, rule) {
            (true, rule @ (Broken::Replica(_) | Broken::OneEpoch)) => {
                crate::replicas::run(seed, None, Some(rule))
            }
            (false, Broken::Replica(_) | Broken::OneEpoch) => crate::replicas::run(seed, None, None),
            (broken, rule) => {
                let broken = broken.then_some(rule);
                crate::cluster::run(&crate::cluster::Setup { seed, broken, ..Default::default() })
            }
        });
        outcome.failure.or(outcome.overlap)
    };
    // A seed that fails as it is says nothing of the rule.
    (1..=limit).find_map(|seed| {
        run(seed, true).filter(|_| run(seed, false).is_none()).map(|failure| (seed, failure))
    })
}
