//! Every policy over small configurations.

use horde_ring::{Agreed, Policy, Quorum, Voter};

/// A configuration of members `0..n`: plain, or with weights, ages that run backwards, and a role for even ids.
pub(crate) fn agreed(n: u8, varied: bool) -> Agreed<u8> {
    let voter = |id: u8| match varied {
        false => Voter::new(),
        true => {
            let role = if id.is_multiple_of(2) { "core" } else { "edge" };
            Voter::new().weight(u32::from(id * id) + 1).joined(u64::from(n - id)).label("role", role)
        }
    };
    Agreed::initial((0..n).map(|id| (id, voter(id))))
}

/// The policies that promise at most one side, for `n` members.
pub(crate) fn policies(n: u8) -> Vec<Policy<u8>> {
    let mut all = vec![Policy::Majority, Policy::Weighted, Policy::DownAll, Policy::Lease];
    all.extend((1..=usize::from(n)).map(|size| Policy::Static { size }));
    all.extend([false, true].map(|down_if_alone| Policy::KeepOldest { down_if_alone }));
    all.extend((0..n).map(|id| Policy::Referee { id }));
    all
}

/// Every policy over every configuration of `n` members, and whether it counts the role `core` only.
pub(crate) fn cases(n: u8) -> Vec<(Quorum<u8>, Agreed<u8>, bool)> {
    let mut cases = Vec::new();
    for policy in policies(n) {
        cases.push((Quorum::new(policy.clone()), agreed(n, false), false));
        cases.push((Quorum::new(policy.clone()), agreed(n, true), false));
        cases.push((Quorum::new(policy).only("role", "core"), agreed(n, true), true));
    }
    cases
}
