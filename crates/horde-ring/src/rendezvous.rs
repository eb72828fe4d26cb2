//! Weighted rendezvous hashing: every member draws for every key, the best draw owns it.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::slice;

use crate::hash::KeyHash;
use crate::member::Member;
use crate::members::Members;
use crate::mix::{fold, mix, stream};
use crate::placement::Placement;
use crate::replicas::Replicas;
use crate::score::{Score, reciprocal};
use crate::spread::{Zones, spread};

/// The default strategy, and the rule that names a key's coordinator.
///
/// Each member draws a number for the key, and the best draw, weighed by the member's weight, owns it. So a
/// member that joins takes keys from all others in proportion, one that leaves gives its keys to all others in
/// proportion, and no other key moves. A lookup looks at every member once: see the crate's page on choosing.
/// Source: Thaler and Ravishankar, "Using name-based mappings to increase hit rates" (1998); weights by the
/// logarithmic method.
///
/// ```
/// use horde_ring::{KeyHash, Members, Placement, Rendezvous};
///
/// let ring = Rendezvous::new(Members::of(["a", "b", "c"]));
/// let owner = ring.owner(KeyHash::of("greeter-42"));
/// assert!(owner.is_some());
/// assert_eq!(ring.replicas(KeyHash::of("greeter-42"), 2).len(), 2);
/// ```
#[derive(Debug, Clone)]
pub struct Rendezvous<Id> {
    members: Arc<Members<Id>>,
    zones: Zones,
    /// One per member, grouped by weight; within a weight in the order of ids.
    seeds: Vec<Seed>,
    /// For each seed the member's position.
    positions: Vec<u32>,
    classes: Vec<Class>,
}

/// What a member's draws start from.
#[derive(Debug, Clone, Copy)]
struct Seed {
    flip: u64,
    factor: u64,
}

impl Seed {
    fn new<Id>(member: &Member<Id>) -> Self {
        let flip = mix(member.key_hash().as_u64());
        Self { flip, factor: stream(flip, 0) | 1 }
    }

    /// The member's draw for a key, with a place in its low bits.
    #[inline(always)]
    fn draw(self, key: u64, place: u64) -> u64 {
        (fold(key ^ self.flip, self.factor) & !PLACE) | place
    }
}

/// Members of one weight: the greatest draw among them is the best without any logarithm.
#[derive(Debug, Clone, Copy)]
struct Class {
    start: usize,
    end: usize,
    reciprocal: u64,
}

/// Low bits of a draw that make room for a place in a class; draws are the bits above.
const PLACE: u64 = 0xffff;

/// The most members of one class; more of one weight are several classes.
const MAX_CLASS: usize = 1 << 16;

/// Replicas found without looking at the whole ranking.
const FEW: usize = 4;

impl<Id> Rendezvous<Id> {
    /// Builds the strategy for a set of members. Costs a sort of the members by weight.
    #[must_use]
    pub fn new(members: impl Into<Arc<Members<Id>>>) -> Self {
        let members = members.into();
        let zones = Zones::new(&members);
        let slice = members.as_slice();
        let mut positions: Vec<u32> = (0..slice.len() as u32).collect();
        let weight = |position: u32| slice[position as usize].weight_of();
        positions.sort_by_key(|&position| weight(position));
        let seeds = positions.iter().map(|&at| Seed::new(&slice[at as usize])).collect();
        let mut classes = Vec::new();
        let mut start = 0;
        for group in
            positions.chunk_by(|&a, &b| weight(a) == weight(b)).flat_map(|group| group.chunks(MAX_CLASS))
        {
            let end = start + group.len();
            classes.push(Class { start, end, reciprocal: reciprocal(weight(group[0])) });
            start = end;
        }
        Self { members, zones, seeds, positions, classes }
    }

    /// The best draw of one class, and the index of the seed that made it.
    #[inline(always)]
    fn best_of(&self, class: Class, key: u64) -> (u64, usize) {
        // Four at a time: independent chains keep the multipliers busy. A draw carries its place in the bits
        // below it, the earlier the greater, so that one comparison decides.
        let mut best = [0; 4];
        let seeds = &self.seeds[class.start..class.end];
        let mut fours = seeds.chunks_exact(4);
        let mut place = PLACE;
        for four in fours.by_ref() {
            for lane in 0..4 {
                best[lane] = best[lane].max(four[lane].draw(key, place - lane as u64));
            }
            place = place.wrapping_sub(4);
        }
        for (after, seed) in (0..).zip(fours.remainder()) {
            best[0] = best[0].max(seed.draw(key, place - after));
        }
        let best = best[0].max(best[1]).max(best[2]).max(best[3]);
        (best & !PLACE, class.start + (PLACE - (best & PLACE)) as usize)
    }

    /// The winner of several classes.
    fn winner(&self, key: u64) -> Option<u32> {
        let mut best: Option<Score> = None;
        for &class in &self.classes {
            let (draw, at) = self.best_of(class, key);
            let score = Score::new(draw, class.reciprocal, self.positions[at]);
            if best.is_none_or(|best| score < best) {
                best = Some(score);
            }
        }
        best.map(|score| score.member)
    }

    /// Every member's score, in no order.
    fn scores(&self, key: KeyHash) -> impl Iterator<Item = Score> + '_ {
        self.classes.iter().flat_map(move |class| {
            (class.start..class.end).map(move |at| {
                let draw = self.seeds[at].draw(key.as_u64(), 0);
                Score::new(draw, class.reciprocal, self.positions[at])
            })
        })
    }

    fn ranked(&self, key: KeyHash) -> Vec<Score> {
        let mut scores: Vec<Score> = self.scores(key).collect();
        scores.sort_unstable();
        scores
    }

    fn id(&self, position: u32) -> &Id {
        self.members.as_slice()[position as usize].id()
    }
}

/// Keeps the best few in order.
#[inline]
fn keep(few: &mut [Option<Score>], score: Score) {
    let better = |held: &Option<Score>| held.is_none_or(|held| score < held);
    if !few.last().is_some_and(better) {
        return;
    }
    let at = few.iter().position(better).unwrap_or(few.len() - 1);
    few[at..].rotate_right(1);
    few[at] = Some(score);
}

impl<Id> Placement<Id> for Rendezvous<Id> {
    fn members(&self) -> &Members<Id> {
        &self.members
    }

    fn ranking(&self, key: KeyHash) -> Vec<&Member<Id>> {
        let slice = self.members.as_slice();
        self.ranked(key).into_iter().map(|score| &slice[score.member as usize]).collect()
    }

    #[inline]
    fn owner(&self, key: KeyHash) -> Option<&Id> {
        let position = match self.classes[..] {
            [] => return None,
            [class] => self.positions[self.best_of(class, key.as_u64()).1],
            _ => self.winner(key.as_u64())?,
        };
        Some(self.id(position))
    }

    fn owner_among(&self, key: KeyHash, filter: &dyn Fn(&Member<Id>) -> bool) -> Option<&Id> {
        let members = self.members.as_slice();
        let mut best: Option<Score> = None;
        for score in self.scores(key) {
            if best.is_none_or(|best| score < best) && filter(&members[score.member as usize]) {
                best = Some(score);
            }
        }
        best.map(|score| self.id(score.member))
    }

    fn replicas(&self, key: KeyHash, k: usize) -> Replicas<'_, Id> {
        let mut few = [None; FEW];
        if self.zones.count() < 2 && k <= FEW {
            let few = &mut few[..k];
            self.scores(key).for_each(|score| keep(few, score));
            return few.iter().flatten().map(|score| self.id(score.member)).collect();
        }
        if k <= self.zones.count() {
            // As many zones as replicas: the best of each zone, best first.
            let mut best: Vec<Option<Score>> = vec![None; self.zones.count()];
            for score in self.scores(key) {
                keep(slice::from_mut(&mut best[self.zones.of(score.member) as usize]), score);
            }
            best.sort_unstable();
            return best.iter().flatten().take(k).map(|score| self.id(score.member)).collect();
        }
        let ranking = self.ranked(key).into_iter().map(|score| score.member);
        spread(ranking, &self.zones, k).into_iter().map(|position| self.id(position)).collect()
    }
}
