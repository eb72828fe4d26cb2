//! The seam between a key and its owner.

use alloc::vec::Vec;

use crate::candidate::Candidate;
use crate::diff::Diff;
use crate::hash::KeyHash;
use crate::member::Member;
use crate::members::Members;
use crate::region::Region;
use crate::replicas::Replicas;
use crate::spread::{Zones, spread};

/// A pure strategy: a function of the *set* of members and a key.
///
/// Two nodes that hold the same set give the same answers, whatever order they learnt it in. A strategy of your
/// own needs [`members`](Self::members) and [`ranking`](Self::ranking); the rest follows from them.
pub trait Placement<Id> {
    /// The members this placement was built from.
    fn members(&self) -> &Members<Id>;

    /// All members in the order in which `key` prefers them, the owner first; each exactly once.
    fn ranking(&self, key: KeyHash) -> Vec<&Member<Id>>;

    /// The owner of `key`; `None` if there are no members.
    fn owner(&self, key: KeyHash) -> Option<&Id> {
        self.ranking(key).first().map(|member| member.id())
    }

    /// The best member for `key` among those that `filter` accepts; `None` if it accepts none.
    ///
    /// `filter` must answer alike on every node, and may be asked about some members only. Members that it
    /// refuses have no influence on the answer.
    fn owner_among(&self, key: KeyHash, filter: &dyn Fn(&Member<Id>) -> bool) -> Option<&Id> {
        self.ranking(key).into_iter().find(|member| filter(member)).map(Member::id)
    }

    /// `min(k, n)` distinct members for `key`, the owner first, in different zones as far as there are any.
    ///
    /// Each one is the best member left in the zones used least so far. Members without a zone share one.
    /// The answer for `k` begins the answer for `k + 1`.
    fn replicas(&self, key: KeyHash, k: usize) -> Replicas<'_, Id> {
        let ranking = self.ranking(key);
        let zones = Zones::named(ranking.iter().map(|member| member.zone_of()));
        spread(0..ranking.len() as u32, &zones, k).into_iter().map(|at| ranking[at as usize].id()).collect()
    }

    /// The key space as stretches with one owner, from 0 upwards; `None` if the strategy has none (rendezvous
    /// decides key by key). Neighbours have different owners.
    fn regions(&self) -> Option<Vec<Region<'_, Id>>> {
        None
    }

    /// The host for a candidate. By default the owner of its key among those that `filter` accepts; a strategy of
    /// your own may look at the candidate's kind, labels and weight too.
    fn place(&self, candidate: &Candidate<'_>, filter: &dyn Fn(&Member<Id>) -> bool) -> Option<&Id> {
        self.owner_among(candidate.key, filter)
    }

    /// What moves when `next` takes this placement's place.
    fn diff<'a>(&'a self, next: &'a dyn Placement<Id>) -> Diff<'a, Id>
    where
        Self: Sized,
    {
        Diff::new(self, next)
    }
}
