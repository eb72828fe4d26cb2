//! Deliberate faults: rules of the machines that a run may break, each of which the simulator must catch.

use delta_crdt::Rule;
use horde_cluster::machine::{Fault as MembershipFault, LeaseFault};
use horde_registry::machine::Fault as NamesFault;
use horde_supervisor::machine::Fault as ChildrenFault;

use crate::cluster::Plan;

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
    /// A rule of the leases.
    Leases(LeaseFault),
    /// A rule of the registry.
    Names(NamesFault),
    /// A rule of the supervisor.
    Children(ChildrenFault),
}

/// A deliberate fault, and what is expected of the simulator.
#[derive(Debug, Clone, Copy)]
pub struct Deliberate {
    /// What is broken.
    pub rule: Broken,
    /// Within how many seeds it must be caught.
    pub within: u64,
    /// What the checks say that it is meant for: one of these is in the failure. Another failure does not count.
    pub says: &'static [&'static str],
}

const fn fault(rule: Broken, within: u64, says: &'static [&'static str]) -> Deliberate {
    Deliberate { rule, within, says }
}

const APART: &[&str] = &["different states after heal", "differs under equal vectors", "panicked"];
const TWICE: &[&str] = &["under a quorum"];

/// Each deliberate fault.
pub const BROKEN: &[Deliberate] = &[
    fault(Broken::Replica(Rule::InOrder), 100, APART),
    fault(Broken::Replica(Rule::Dependencies), 100, APART),
    fault(Broken::Replica(Rule::OneState), 100, APART),
    fault(Broken::Replica(Rule::VectorAtCommit), 100, APART),
    fault(Broken::Replica(Rule::AbortAppliesNothing), 100, APART),
    // Few seeds have what it takes: one key, removed on two sides and put again.
    fault(Broken::Replica(Rule::PutNamesTombstone), 2_000, APART),
    fault(Broken::Replica(Rule::Stability), 100, APART),
    fault(Broken::Replica(Rule::Repair), 100, APART),
    fault(Broken::Replica(Rule::Union), 10, &["was lost behind the machine's back"]),
    fault(Broken::Replica(Rule::EveryLife), 100, APART),
    fault(Broken::OneEpoch, 100, APART),
    fault(Broken::Membership(MembershipFault::OneObserver), 100, &["hears"]),
    fault(Broken::Membership(MembershipFault::NeverReturns), 100, &["lives, and to"]),
    fault(Broken::Membership(MembershipFault::PauseIsSilence), 200, &["stood still, and declared"]),
    fault(Broken::Leases(LeaseFault::CountsTheReachable), 100, TWICE),
    fault(Broken::Leases(LeaseFault::ByHearing), 100, TWICE),
    fault(Broken::Names(NamesFault::JudgesCopies), 100, &["a copy of the same child"]),
    fault(Broken::Names(NamesFault::LoserTakesAgain), 100, &["Key(k"]),
    fault(Broken::Names(NamesFault::ReadyBeforeSynced), 100, &["is ready and lacks"]),
    fault(Broken::Names(NamesFault::BelievesRemovals), 100, &["and reads"]),
    fault(Broken::Names(NamesFault::KeepsTheDead), 100, &["virtual time stands still"]),
    fault(
        Broken::Children(ChildrenFault::DeletesBeforeStart),
        100,
        &["and runs 0 times", "shall run, is removed"],
    ),
    fault(
        Broken::Children(ChildrenFault::EndsByRemoval),
        100,
        &["was ended in life", "shall run, is removed"],
    ),
    fault(Broken::Children(ChildrenFault::ActsBeforeSynced), 100, &["is ready and lacks"]),
    fault(Broken::Children(ChildrenFault::PlacesBySize), 100, &["belongs to"]),
    fault(Broken::Children(ChildrenFault::LoserWritesAgain), 100, &["runs on", "is named by no record"]),
];

/// What the runs of a fault have more of, so that what it takes comes to pass: the same with the fault and without.
fn bend(rule: Broken) -> Option<fn(&mut Plan)> {
    match rule {
        Broken::Leases(_) => Some(|plan| {
            plan.nodes = plan.nodes.max(3);
            plan.most = plan.nodes + 2;
            plan.rest_on_leases();
        }),
        // Who takes a child over goes too, before the new copy runs.
        Broken::Children(ChildrenFault::DeletesBeforeStart) => Some(|plan| {
            plan.nodes = plan.nodes.max(4);
            plan.most = plan.nodes + 2;
            plan.faults.kill = plan.faults.kill.max(30);
            plan.processes.slow_init = plan.processes.slow_init.max(50);
        }),
        _ => None,
    }
}

/// A seed that fails, and what it says.
pub type Caught = (u64, String);

/// Runs seeds with a broken rule until one fails as it should: which one and what it said, or none within the limit. The
/// other failures on the way are listed too.
#[must_use]
pub fn catch(fault: &Deliberate) -> (Option<Caught>, Vec<Caught>) {
    let rule = fault.rule;
    let bend = bend(rule);
    let run = |seed, broken: Option<Broken>| {
        let outcome = crate::guarded(|| match rule {
            Broken::Replica(_) | Broken::OneEpoch => crate::replicas::run(seed, None, broken, rule.damages()),
            _ => crate::cluster::run(&crate::cluster::Setup { seed, broken, bend, ..Default::default() }),
        });
        outcome.failure
    };
    let mut others = Vec::new();
    for seed in 1..=fault.within {
        // A seed that fails as it is says nothing of the rule.
        let Some(failure) = run(seed, Some(rule)).filter(|_| run(seed, None).is_none()) else { continue };
        if fault.says.iter().any(|says| failure.contains(says)) {
            return (Some((seed, failure)), others);
        }
        others.push((seed, failure));
    }
    (None, others)
}

impl Broken {
    /// Whether its runs lose a write behind the machine's back, for R9 to find.
    fn damages(self) -> bool {
        self == Self::Replica(Rule::Union)
    }
}
