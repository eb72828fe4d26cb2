//! Shortens a failing run: of what its seed plans, as little as fails in the same way.

use std::collections::BTreeSet;

use crate::cluster::{Setup, run};
use crate::{Broken, Outcome};

/// Runs that a reduction may take.
const MOST: u32 = 400;

/// What is left of a failing run.
#[derive(Debug, Clone)]
pub struct Reduced {
    /// The numbers of the faults and deeds that it takes.
    pub keep: BTreeSet<u32>,
    /// How many the seed plans.
    pub planned: u32,
    /// The shortened run, with its history.
    pub outcome: Outcome,
    /// How many runs it took.
    pub runs: u32,
}

/// Leaves out what the failure of a seed's cluster does not need (delta debugging: Zeller and Hildebrandt, 2002); none if
/// the seed does not fail.
#[must_use]
pub fn reduce(seed: u64, nodes: Option<usize>) -> Option<Reduced> {
    reduce_broken(seed, nodes, None)
}

/// The same with a rule broken on all nodes.
#[must_use]
pub fn reduce_broken(seed: u64, nodes: Option<usize>, broken: Option<Broken>) -> Option<Reduced> {
    let mut runs = 0;
    let mut fails = |keep: Option<&BTreeSet<u32>>, told: bool| {
        runs += 1;
        let setup = Setup { seed, nodes, keep: keep.cloned(), broken, told, ..Setup::default() };
        crate::guarded(|| run(&setup))
    };
    let first = fails(None, false);
    let how = kind(first.failure.as_deref()?);
    let mut left: Vec<u32> = (0..first.planned).collect();
    let mut chunk = left.len().div_ceil(2);
    let mut tries = 0;
    while chunk > 0 {
        let mut start = 0;
        while start < left.len() && tries < MOST {
            tries += 1;
            let without = left.iter().enumerate().filter(|(at, _)| !(start..start + chunk).contains(at));
            let without: Vec<u32> = without.map(|(_, number)| *number).collect();
            let keep: BTreeSet<u32> = without.iter().copied().collect();
            if fails(Some(&keep), false).failure.is_some_and(|failure| kind(&failure) == how) {
                left = without;
            } else {
                start += chunk;
            }
        }
        chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
    }
    let keep: BTreeSet<u32> = left.into_iter().collect();
    let outcome = fails(Some(&keep), true);
    Some(Reduced { keep, planned: first.planned, outcome, runs })
}

/// What kind of failure it is: its first line without what is different each time.
fn kind(failure: &str) -> String {
    let line = failure.lines().next().unwrap_or_default();
    line.chars().filter(|letter| !letter.is_ascii_digit() && *letter != '.').take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_that_differ_in_numbers_alone_are_of_one_kind() {
        assert_eq!(kind("c1 runs on n2 at 3.5s\nmore"), kind("c20 runs on n0 at 14s\nother"));
        assert_ne!(kind("c1 runs twice"), kind("c1 was lost"));
    }

    #[test]
    fn a_failing_run_is_shortened_and_what_is_left_fails_in_the_same_way() {
        let broken = Broken::Membership(horde_cluster::machine::Fault::NeverReturns);
        let fault = crate::BROKEN.iter().find(|fault| fault.rule == broken).expect("it is on the list");
        let (seed, failure) = crate::catch(fault).0.expect("the fault is noticed");
        let reduced = reduce_broken(seed, None, Some(broken)).expect("the seed fails");
        let left = reduced.outcome.failure.clone().expect("what is left fails");
        assert_eq!(kind(&left), kind(&failure));
        assert!(reduced.keep.len() < reduced.planned as usize / 2, "{reduced:?}");
        let setup = Setup { seed, broken: Some(broken), keep: Some(reduced.keep), ..Setup::default() };
        assert_eq!(crate::guarded(|| run(&setup)).failure, Some(left), "and does so again");
    }
}
