//! The consistent hash ring: points on a circle, a key belongs to the next point.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use crate::hash::KeyHash;
use crate::member::Member;
use crate::members::Members;
use crate::mix::{mix, stream};
use crate::placement::Placement;
use crate::region::Region;
use crate::replicas::Replicas;
use crate::spread::{Zones, spread};

/// Points of a member of weight 1 that users of libring are used to.
pub const DEFAULT_POINTS: u32 = 128;

/// The most points of one member; a greater product of points and weight counts as this.
pub const MAX_POINTS: u32 = 1 << 16;

/// The strategy that users of libring know: each member has `points * weight` points on a circle of 64-bit
/// numbers, and a key belongs to the first point at or after its hash, around the end if need be.
///
/// Movement is minimal; evenness follows from the number of points (128: about a tenth more than the mean for
/// the busiest of ten members). A lookup is one or two reads in a directory and a short scan.
/// Unlike libring: 64-bit points, so none is lost in a collision; replicas go around the end and are always
/// `min(k, n)`; a weight can be changed; and every kind of key is hashed one way.
/// Source: Karger et al., "Consistent hashing and random trees" (1997).
///
/// ```
/// use horde_ring::{DEFAULT_POINTS, KeyHash, Member, Members, Placement, Ring};
///
/// let ring = Ring::new(Members::of(["a", "b"]), DEFAULT_POINTS);
/// let ring = ring.with(Member::new("c").weight(2));
/// let ring = ring.without(&"a");
/// assert_eq!(ring.members().len(), 2);
/// assert_eq!(ring.replicas(KeyHash::of("key"), 5).len(), 2);
/// ```
#[derive(Debug, Clone)]
pub struct Ring<Id> {
    members: Arc<Members<Id>>,
    points: u32,
    zones: Zones,
    /// All points in order, and the position of the member of each.
    at: Box<[u64]>,
    of: Box<[u32]>,
    /// For each value of a key's highest bits the first point at or after its start.
    directory: Box<[u32]>,
    shift: u32,
}

impl<Id> Ring<Id> {
    /// Builds the ring; `points` per weight 1, at least 1.
    #[must_use]
    pub fn new(members: impl Into<Arc<Members<Id>>>, points: u32) -> Self {
        let members = members.into();
        let all_zero = members.iter().all(|member| member.weight_of() == 0);
        let mut all: Vec<(u64, u32)> = Vec::new();
        for (position, member) in (0..).zip(members.iter()) {
            let weight = if all_zero { 1 } else { member.weight_of() };
            all.extend(points_of(member, weight, points).map(|point| (point, position)));
        }
        all.sort_unstable();
        Self::from_points(members, points, &all)
    }

    fn from_points(members: Arc<Members<Id>>, points: u32, all: &[(u64, u32)]) -> Self {
        let at: Box<[u64]> = all.iter().map(|&(point, _)| point).collect();
        let of = all.iter().map(|&(_, position)| position).collect();
        let bits = (at.len().max(2) as u64).next_power_of_two().ilog2();
        let shift = 64 - bits;
        let mut directory = vec![0; 1 << bits].into_boxed_slice();
        let mut point = 0;
        for (start, entry) in (0_u64..).zip(directory.iter_mut()) {
            while point < at.len() && at[point] >> shift < start {
                point += 1;
            }
            *entry = point as u32;
        }
        let zones = Zones::new(&members);
        Self { members, points, zones, at, of, directory, shift }
    }

    /// Points per weight 1.
    #[must_use]
    pub fn points(&self) -> u32 {
        self.points
    }

    /// The index of the point that owns the key; there must be points.
    #[inline(always)]
    fn successor(&self, key: KeyHash) -> usize {
        let key = key.as_u64();
        let mut index = self.directory[(key >> self.shift) as usize] as usize;
        while index < self.at.len() && self.at[index] < key {
            index += 1;
        }
        if index == self.at.len() { 0 } else { index }
    }

    /// The members in the order in which the circle meets them from the key on; those without points last, in the order of the
    /// circle that they alone would make.
    fn walk(&self, key: KeyHash) -> impl Iterator<Item = u32> + '_ {
        let start = if self.at.is_empty() { 0 } else { self.successor(key) };
        let mut seen = vec![false; self.members.len()];
        let with_points = (start..self.of.len()).chain(0..start).map(|index| self.of[index]);
        with_points
            .chain(core::iter::once_with(move || self.without_points(key)).flatten())
            .filter(move |&position| !core::mem::replace(&mut seen[position as usize], true))
            .take(self.members.len())
    }

    /// The members of weight 0, nearest first by the points that they have where all weigh 0.
    fn without_points(&self, key: KeyHash) -> impl Iterator<Item = u32> {
        let zero = (0..).zip(self.members.iter()).filter(|(_, member)| member.weight_of() == 0);
        let way =
            |member| points_of(member, 1, self.points).map(|point| point.wrapping_sub(key.as_u64())).min();
        let mut ways: Vec<_> = zero.map(|(position, member)| (way(member), position)).collect();
        ways.sort_unstable();
        ways.into_iter().map(|(_, position)| position)
    }

    fn member(&self, position: u32) -> &Member<Id> {
        &self.members.as_slice()[position as usize]
    }
}

impl<Id: Ord + Clone> Ring<Id> {
    /// The ring with `member` added, or in place of the member with its id. Costs one pass over the points.
    #[must_use]
    pub fn with(&self, member: Member<Id>) -> Self {
        let mut members = (*self.members).clone();
        let id = member.id().clone();
        let replaced = members.insert(member).is_some();
        let at = members.ids().take_while(|other| **other < id).count() as u32;
        self.changed(members, at, move |position| match position {
            same if replaced && same == at => None,
            later if !replaced && later >= at => Some(later + 1),
            other => Some(other),
        })
    }

    /// The ring without the member `id`; the same ring if it was not there. Costs one pass over the points.
    #[must_use]
    pub fn without(&self, id: &Id) -> Self {
        let at = self.members.ids().take_while(|other| *other < id).count() as u32;
        let mut members = (*self.members).clone();
        if members.remove(id).is_none() {
            return self.clone();
        }
        self.changed(members, u32::MAX, |position| match position {
            same if same == at => None,
            later if later > at => Some(later - 1),
            other => Some(other),
        })
    }

    /// The ring of other members: old points get the positions that `renumber` says, or go, and the member at
    /// `fresh`, if there is one, gets its points.
    fn changed(&self, members: Members<Id>, fresh: u32, renumber: impl Fn(u32) -> Option<u32>) -> Self {
        let all_zero = |members: &Members<Id>| members.iter().all(|member| member.weight_of() == 0);
        if all_zero(&members) || all_zero(&self.members) {
            return Self::new(members, self.points);
        }
        let mut new: Vec<(u64, u32)> = Vec::new();
        if let Some(member) = members.as_slice().get(fresh as usize) {
            new.extend(points_of(member, member.weight_of(), self.points).map(|point| (point, fresh)));
            new.sort_unstable();
        }
        let old = self.at.iter().zip(&self.of);
        let mut old = old.filter_map(|(&at, &of)| renumber(of).map(|of| (at, of))).peekable();
        let mut all = Vec::with_capacity(self.at.len() + new.len());
        for point in new {
            while let Some(earlier) = old.next_if(|old| *old < point) {
                all.push(earlier);
            }
            all.push(point);
        }
        all.extend(old);
        Self::from_points(members.into(), self.points, &all)
    }
}

/// A member's points.
fn points_of<Id>(member: &Member<Id>, weight: u32, points: u32) -> impl Iterator<Item = u64> + use<Id> {
    let seed = mix(member.key_hash().as_u64());
    let count = (u64::from(weight) * u64::from(points.max(1))).min(u64::from(MAX_POINTS));
    (0..count).map(move |n| stream(seed, n))
}

impl<Id> Placement<Id> for Ring<Id> {
    fn members(&self) -> &Members<Id> {
        &self.members
    }

    fn ranking(&self, key: KeyHash) -> Vec<&Member<Id>> {
        self.walk(key).map(|position| self.member(position)).collect()
    }

    #[inline]
    fn owner(&self, key: KeyHash) -> Option<&Id> {
        if self.at.is_empty() {
            return None;
        }
        Some(self.member(self.of[self.successor(key)]).id())
    }

    fn owner_among(&self, key: KeyHash, filter: &dyn Fn(&Member<Id>) -> bool) -> Option<&Id> {
        self.walk(key).map(|position| self.member(position)).find(|member| filter(member)).map(Member::id)
    }

    fn replicas(&self, key: KeyHash, k: usize) -> Replicas<'_, Id> {
        spread(self.walk(key), &self.zones, k).into_iter().map(|at| self.member(at).id()).collect()
    }

    fn regions(&self) -> Option<Vec<Region<'_, Id>>> {
        let owner = |index: usize| self.of.get(index).map(|&position| self.member(position).id());
        // Before the first point the circle belongs to it, after the last one too.
        let mut regions = vec![Region { start: 0, owner: owner(0) }];
        let mut last = self.of.first();
        for (index, &point) in self.at.iter().enumerate() {
            let next = self.of.get(index + 1).or(self.of.first());
            let Some(start) = point.checked_add(1).filter(|_| next != last) else { continue };
            let owner = next.map(|&position| self.member(position).id());
            if self.at.get(index + 1) == Some(&point) {
                continue;
            }
            regions.push(Region { start, owner });
            last = next;
        }
        Some(regions)
    }
}
