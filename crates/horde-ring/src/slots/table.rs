//! Weighted rendezvous over slots, worked out beforehand.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use crate::hash::KeyHash;
use crate::member::Member;
use crate::members::Members;
use crate::placement::Placement;
use crate::region::Region;
use crate::replicas::Replicas;
use crate::slots::count::Slots;
use crate::slots::draws::{Lane, MAX_BLOCK_BITS};
use crate::slots::field::{Field, member_of};
use crate::spread::{Zones, spread};

/// The most members a slot table can hold.
pub const MAX_TABLE_MEMBERS: usize = 1 << 16;

/// How many members are kept per slot.
const KEPT: usize = 3;

/// No member.
const EMPTY: u64 = u64::MAX;

/// The strategy for many members: weighted rendezvous over `2^k` slots, the best three kept per slot.
///
/// A lookup is one or two reads, however many members there are. Movement is minimal as with
/// [`Rendezvous`](crate::Rendezvous): a slot moves only to a member that joins or from one that leaves. The table
/// is an immutable snapshot: a change of members is a new table, whose cost the crate's page on choosing states.
/// Memory: 8 bytes per slot, and 24 per member beside the members themselves.
///
/// ```
/// use horde_ring::{KeyHash, Members, Placement, SlotTable, Slots};
///
/// let table = SlotTable::new(Members::of(0_u64..200), Slots::at_least(200 * 64));
/// assert!(table.owner(KeyHash::of("greeter-42")).is_some());
/// ```
#[derive(Debug, Clone)]
pub struct SlotTable<Id> {
    members: Arc<Members<Id>>,
    slots: Slots,
    field: Field,
    zones: Zones,
    first: Box<[u16]>,
    /// The first three replicas of each slot: with the owner again, so that one read gives all.
    three: Box<[[u16; KEPT]]>,
}

impl<Id> SlotTable<Id> {
    /// Works out the table.
    ///
    /// # Panics
    /// If there are more than [`MAX_TABLE_MEMBERS`] members.
    #[must_use]
    pub fn new(members: impl Into<Arc<Members<Id>>>, slots: Slots) -> Self {
        let members = members.into();
        assert!(members.len() <= MAX_TABLE_MEMBERS, "a slot table holds at most {MAX_TABLE_MEMBERS} members");
        let zones = Zones::new(&members);
        let field = Field::new(&members, slots);
        let three = keep(&field, &zones);
        let first = three.iter().map(|slot| slot[0]).collect();
        Self { members, slots, field, zones, first, three: three.into() }
    }

    /// The number of slots.
    #[must_use]
    pub fn slots(&self) -> Slots {
        self.slots
    }

    fn id(&self, position: u32) -> &Id {
        self.members.as_slice()[position as usize].id()
    }

    /// More replicas than are kept.
    #[cold]
    #[inline(never)]
    fn many(&self, key: KeyHash, k: usize) -> Replicas<'_, Id> {
        let ranking = self.field.ranking(self.slots.of(key) as u32);
        spread(ranking, &self.zones, k).into_iter().map(|at| self.id(at)).collect()
    }
}

impl<Id> Placement<Id> for SlotTable<Id> {
    fn members(&self) -> &Members<Id> {
        &self.members
    }

    fn ranking(&self, key: KeyHash) -> Vec<&Member<Id>> {
        let slice = self.members.as_slice();
        self.field.ranking(self.slots.of(key) as u32).into_iter().map(|at| &slice[at as usize]).collect()
    }

    #[inline]
    fn owner(&self, key: KeyHash) -> Option<&Id> {
        let position = *self.first.get(self.slots.of(key))?;
        self.members.as_slice().get(usize::from(position)).map(Member::id)
    }

    fn owner_among(&self, key: KeyHash, filter: &dyn Fn(&Member<Id>) -> bool) -> Option<&Id> {
        let slice = self.members.as_slice();
        let owner = slice.get(usize::from(self.first[self.slots.of(key)]))?;
        if filter(owner) {
            return Some(owner.id());
        }
        let accepted = (0..slice.len() as u32).filter(|&at| filter(&slice[at as usize]));
        self.field.best(accepted, self.slots.of(key) as u32).map(|at| self.id(at))
    }

    #[inline]
    fn replicas(&self, key: KeyHash, k: usize) -> Replicas<'_, Id> {
        if k > KEPT {
            return self.many(key, k);
        }
        let slice = self.members.as_slice();
        // With fewer members than three the rest is no position at all.
        let three = self.three[self.slots.of(key)].map(|at| slice.get(usize::from(at)).map(Member::id));
        Replicas::few(three, k)
    }

    fn regions(&self) -> Option<Vec<Region<'_, Id>>> {
        Some(regions(&self.first, self.slots, &self.members))
    }
}

/// The runs of slots with one owner.
pub(crate) fn regions<'a, Id>(first: &[u16], slots: Slots, members: &'a Members<Id>) -> Vec<Region<'a, Id>> {
    let mut regions: Vec<Region<'a, Id>> = Vec::new();
    let mut last = None;
    for (slot, &position) in first.iter().enumerate() {
        if last != Some(position) {
            last = Some(position);
            let owner = members.as_slice().get(usize::from(position)).map(Member::id);
            regions.push(Region { start: slots.start(slot), owner });
        }
    }
    regions
}

/// The first three replicas of each slot.
fn keep(field: &Field, zones: &Zones) -> Vec<[u16; KEPT]> {
    let positions = |keys: &[u64; KEPT]| keys.map(|key| member_of(key) as u16);
    let plain =
        || Best { field, width: KEPT.min(field.len()), groups: field.len(), group: |member| member }.table();
    match zones.count() {
        0 | 1 => plain().iter().map(positions).collect(),
        // The best of each of two zones, then the best of what is left: one of the best three of all.
        2 => {
            let by_zone = Best { field, width: 2, groups: 2, group: |member| zones.of(member) }.table();
            let third = |(pair, all): (&[u64; KEPT], &[u64; KEPT])| {
                let left = all.iter().find(|&&key| key != pair[0] && key != pair[1]);
                positions(&[pair[0], pair[1], left.copied().unwrap_or(EMPTY)])
            };
            by_zone.iter().zip(&plain()).map(third).collect()
        }
        groups => {
            let by_zone = Best { field, width: KEPT, groups, group: |member| zones.of(member) };
            by_zone.table().iter().map(positions).collect()
        }
    }
}

/// The search for the best `width` members of different groups per slot, best first.
struct Best<'a, G> {
    field: &'a Field,
    width: usize,
    groups: usize,
    group: G,
}

impl<G: Fn(u32) -> u32> Best<'_, G> {
    fn table(&self) -> Vec<[u64; KEPT]> {
        let blocks = self.field.blocks();
        let len = blocks.len() as usize;
        let mut table = vec![[EMPTY; KEPT]; len * blocks.count() as usize];
        if self.width == 0 {
            return table;
        }
        let mut by_group = vec![Vec::new(); self.groups];
        (0..self.field.len() as u32).for_each(|member| by_group[(self.group)(member) as usize].push(member));
        let mut lanes = Vec::with_capacity(self.field.len());
        for (block, kept) in (0..).zip(table.chunks_exact_mut(len)) {
            self.field.lanes(block, &mut lanes);
            let first = block * len as u32;
            let open = match (blocks.bits(), self.width) {
                _ if !self.field.is_even() => self.list_weighed(first, kept, &lanes),
                // The usual block and width, so that the compiler knows them.
                (MAX_BLOCK_BITS, KEPT) => self.list_even(first, kept, &lanes, MAX_BLOCK_BITS, KEPT),
                (bits, width) => self.list_even(first, kept, &lanes, bits, width),
            };
            if open > 0 {
                self.complete(first, kept, &lanes, &by_group);
            }
        }
        table
    }

    /// Whether another pass over a block is cheaper than looking at every member for the open slots.
    fn worth_a_pass(&self, open: usize, len: usize, listed: usize) -> bool {
        4 * open * self.field.len() > len && listed < 40 * len
    }

    /// Lists a block's draws best first for members of equal weight; answers how many slots are left open.
    #[inline(always)]
    fn list_even(
        &self,
        first: u32,
        kept: &mut [[u64; KEPT]],
        lanes: &[Lane],
        bits: u32,
        width: usize,
    ) -> usize {
        let len = 1 << bits;
        let mut open = len;
        let mut passes = self.field.passes();
        // For each place the greatest rank that can still be kept: most draws need no more than a look at it.
        let mut limits = [u16::MAX; 1 << MAX_BLOCK_BITS];
        let mut listed = 0;
        while self.worth_a_pass(open, len, listed) {
            let ranks = passes.even(lanes.len(), bits);
            if ranks.is_empty() {
                break;
            }
            listed += ranks.len() * lanes.len();
            for rank in ranks {
                for (member, lane) in (0_u64..).zip(lanes) {
                    let place = lane.place(rank, bits);
                    let limit = &mut limits[place as usize & ((1 << MAX_BLOCK_BITS) - 1)];
                    if rank > u32::from(*limit) {
                        continue;
                    }
                    let kept = &mut kept[place as usize];
                    let key = (lane.plain(rank, first | place, bits) << 16) | member;
                    if key < kept[width - 1] {
                        open -= usize::from(self.offer(kept, key, width, |a, b| a < b));
                        if kept[width - 1] != EMPTY {
                            *limit = (kept[width - 1] >> (64 - bits)) as u16;
                        }
                    }
                }
            }
        }
        open
    }

    /// The same for members whose weights differ.
    fn list_weighed(&self, first: u32, kept: &mut [[u64; KEPT]], lanes: &[Lane]) -> usize {
        let (bits, len, last) = (self.field.blocks().bits(), kept.len(), self.width - 1);
        let mut open = len;
        let mut passes = self.field.passes();
        let mut listed = 0;
        while self.worth_a_pass(open, len, listed) {
            let count = passes.weighed(lanes, bits, first, |key, place| {
                let kept = &mut kept[place as usize];
                let before = |a, b| self.field.before(a, b, first | place);
                if before(key, kept[last]) {
                    open -= usize::from(self.offer(kept, key, self.width, before));
                }
            });
            if count == 0 {
                break;
            }
            listed += count;
        }
        open
    }

    /// Puts `key`, which is better than the last one kept, in its place; says whether that filled the slot.
    #[inline(always)]
    fn offer(
        &self,
        kept: &mut [u64; KEPT],
        key: u64,
        width: usize,
        before: impl Fn(u64, u64) -> bool,
    ) -> bool {
        let last = width - 1;
        let was_open = kept[last] == EMPTY;
        let mut end = last;
        if self.groups < self.field.len() {
            let own = (self.group)(member_of(key));
            let same = |held: u64| held != EMPTY && (self.group)(member_of(held)) == own;
            if let Some(at) = kept[..width].iter().position(|&held| same(held)) {
                if !before(key, kept[at]) {
                    return false;
                }
                end = at;
            }
        }
        let mut at = end;
        while at > 0 && before(key, kept[at - 1]) {
            kept[at] = kept[at - 1];
            at -= 1;
        }
        kept[at] = key;
        was_open && kept[last] != EMPTY
    }

    /// Fills the slots that the passes left open from every member of the groups still missing there.
    fn complete(&self, first: u32, kept: &mut [[u64; KEPT]], lanes: &[Lane], by_group: &[Vec<u32>]) {
        let last = self.width - 1;
        for (slot, kept) in (first..).zip(kept).filter(|(_, kept)| kept[last] == EMPTY) {
            let seen = kept.map(|key| if key == EMPTY { u32::MAX } else { (self.group)(member_of(key)) });
            for (_, members) in (0..).zip(by_group).filter(|(group, _)| !seen.contains(group)) {
                for &member in members {
                    let key = self.field.key_in(&lanes[member as usize], member, slot);
                    let before = |a, b| self.field.before(a, b, slot);
                    if before(key, kept[last]) {
                        self.offer(kept, key, self.width, before);
                    }
                }
            }
        }
    }
}
