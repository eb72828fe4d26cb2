//! Rendezvous over slots under a bound on how much one member may own.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use crate::hash::KeyHash;
use crate::member::Member;
use crate::members::Members;
use crate::mix::stream;
use crate::placement::Placement;
use crate::region::Region;
use crate::slots::count::Slots;
use crate::slots::field::{Field, Passes, member_of};
use crate::slots::table::{MAX_TABLE_MEMBERS, regions};

/// How far above its fair share of slots a member may go, in parts per thousand.
const BOUND: u128 = 30;

/// No owner yet.
const OPEN: u32 = u32::MAX;

/// The strategy for evenness: no member owns more than 1.03 times its share of the slots (or its share rounded
/// up to a whole slot, where that is more).
///
/// Members and slots are matched so that no slot and no member would both rather have each other: a slot goes to
/// the member it prefers most among those that have no better slots to fill their share with. The match is
/// unique, so it is still a function of the set of members. The price is movement: a change moves a little more
/// than the changed member's share. With 256 or more slots per member it stays below 1.5 times that.
/// Filtered answers ([`owner_among`](Placement::owner_among)) and replicas after the owner are not bounded.
/// Source: Gale and Shapley, "College admissions and the stability of marriage" (1962), on rendezvous draws.
#[derive(Debug, Clone)]
pub struct BoundedSlots<Id> {
    members: Arc<Members<Id>>,
    slots: Slots,
    field: Field,
    owners: Box<[u16]>,
}

impl<Id> BoundedSlots<Id> {
    /// Works out the table.
    ///
    /// # Panics
    /// If there are more than [`MAX_TABLE_MEMBERS`] members.
    #[must_use]
    pub fn new(members: impl Into<Arc<Members<Id>>>, slots: Slots) -> Self {
        let members = members.into();
        assert!(members.len() <= MAX_TABLE_MEMBERS, "a slot table holds at most {MAX_TABLE_MEMBERS} members");
        let field = Field::new(&members, slots);
        let owners = match members.is_empty() {
            true => vec![u16::MAX; slots.count() as usize].into(),
            false => Match::new(&field, shares(&members, slots), slots).run(),
        };
        Self { members, slots, field, owners }
    }

    /// The number of slots.
    #[must_use]
    pub fn slots(&self) -> Slots {
        self.slots
    }

    fn owner_at(&self, key: KeyHash) -> Option<&Member<Id>> {
        self.members.as_slice().get(usize::from(self.owners[self.slots.of(key)]))
    }
}

impl<Id> Placement<Id> for BoundedSlots<Id> {
    fn members(&self) -> &Members<Id> {
        &self.members
    }

    fn ranking(&self, key: KeyHash) -> Vec<&Member<Id>> {
        let slot = self.slots.of(key);
        let slice = self.members.as_slice();
        let owner = u32::from(self.owners[slot]);
        let others = self.field.ranking(slot as u32).into_iter().filter(|&at| at != owner);
        let all = (!slice.is_empty()).then_some(owner).into_iter().chain(others);
        all.map(|at| &slice[at as usize]).collect()
    }

    #[inline]
    fn owner(&self, key: KeyHash) -> Option<&Id> {
        self.owner_at(key).map(Member::id)
    }

    fn owner_among(&self, key: KeyHash, filter: &dyn Fn(&Member<Id>) -> bool) -> Option<&Id> {
        let owner = self.owner_at(key)?;
        if filter(owner) {
            return Some(owner.id());
        }
        let slice = self.members.as_slice();
        let accepted = (0..slice.len() as u32).filter(|&at| filter(&slice[at as usize]));
        self.field.best(accepted, self.slots.of(key) as u32).map(|at| slice[at as usize].id())
    }

    fn regions(&self) -> Option<Vec<Region<'_, Id>>> {
        Some(regions(&self.owners, self.slots, &self.members))
    }
}

/// How many slots each member may own: its share at least, 1.03 times that at most.
///
/// Just below the bound the last slot is granted by a draw of the member's own, so that a change of the others
/// changes this number for a few members at a time rather than for all at once.
fn shares<Id>(members: &Members<Id>, slots: Slots) -> Vec<u32> {
    let all_zero = members.iter().all(|member| member.weight_of() == 0);
    let weight = |member: &Member<Id>| if all_zero { 1 } else { u128::from(member.weight_of()) };
    let total: u128 = members.iter().map(weight).sum();
    let share = |member: &Member<Id>| {
        let share = u128::from(slots.count()) * weight(member);
        let draw = u128::from(stream(member.key_hash().as_u64(), 0) >> 32);
        // 32 fractional bits.
        let bound = ((share * (1000 + BOUND)) << 32) / (1000 * total);
        let most = (bound + draw).saturating_sub(1 << 32) >> 32;
        most.max(share.div_ceil(total)) as u32
    };
    members.iter().map(share).collect()
}

/// The matching while it is made: pairs are taken best first, and never given back.
struct Match<'a> {
    field: &'a Field,
    /// Per slot.
    owners: Vec<u32>,
    /// Per member, how many more slots it may own.
    left: Vec<u32>,
    open: usize,
}

/// A slot and a member, in the order in which they are matched: cost, draw, member, slot.
type Pair = (u64, u64, u32, u32);

impl<'a> Match<'a> {
    fn new(field: &'a Field, left: Vec<u32>, slots: Slots) -> Self {
        let count = slots.count() as usize;
        Self { field, owners: vec![OPEN; count], left, open: count }
    }

    fn run(mut self) -> Box<[u16]> {
        let slots = self.owners.len();
        let mut blocks: Vec<Passes> = (0..self.field.blocks().count()).map(|_| self.field.passes()).collect();
        let mut listed = 0;
        let mut pairs = Vec::new();
        while self.open * self.members_left() > slots && listed < 40 * slots {
            let count: usize =
                (0..).zip(&mut blocks).map(|(block, passes)| self.list(block, passes, &mut pairs)).sum();
            if count == 0 {
                break;
            }
            listed += count;
            self.take(&mut pairs);
        }
        // The rest is little: every open slot with every member that may own more. None of these pairs has been
        // listed, or it would have been taken.
        for slot in (0..slots as u32).filter(|&slot| self.owners[slot as usize] == OPEN) {
            for member in (0..self.left.len() as u32).filter(|&member| self.left[member as usize] > 0) {
                self.collect(self.field.key(member, slot), slot, &mut pairs);
            }
        }
        self.take(&mut pairs);
        self.owners.iter().map(|&owner| owner as u16).collect()
    }

    /// Lists one pass over a block.
    fn list(&self, block: u32, passes: &mut Passes, pairs: &mut Vec<Pair>) -> usize {
        let blocks = self.field.blocks();
        let (bits, first) = (blocks.bits(), block * blocks.len());
        let mut lanes = Vec::new();
        self.field.lanes(block, &mut lanes);
        if !self.field.is_even() {
            return passes.weighed(&lanes, bits, first, |key, place| self.collect(key, first | place, pairs));
        }
        let ranks = passes.even(lanes.len(), bits);
        for rank in ranks.clone() {
            for (member, lane) in (0..).zip(&lanes) {
                let slot = first | lane.place(rank, bits);
                if self.owners[slot as usize] == OPEN && self.left[member as usize] > 0 {
                    let plain = lane.plain(rank, slot, bits);
                    pairs.push((plain, plain, member, slot));
                }
            }
        }
        ranks.len() * lanes.len()
    }

    fn members_left(&self) -> usize {
        self.left.iter().filter(|&&left| left > 0).count()
    }

    fn collect(&self, key: u64, slot: u32, pairs: &mut Vec<Pair>) {
        let member = member_of(key);
        if self.owners[slot as usize] == OPEN && self.left[member as usize] > 0 {
            pairs.push((key >> 16, self.field.plain(key, slot), member, slot));
        }
    }

    fn take(&mut self, pairs: &mut Vec<Pair>) {
        pairs.sort_unstable();
        for (_, _, member, slot) in pairs.drain(..) {
            let (owner, left) = (&mut self.owners[slot as usize], &mut self.left[member as usize]);
            if *owner == OPEN && *left > 0 {
                *owner = member;
                *left -= 1;
                self.open -= 1;
            }
        }
    }
}
