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
/// Memory: 6 bytes per slot, and about 170 bytes and the id per member.
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
    /// The second and third replica of each slot.
    rest: Box<[[u16; 2]]>,
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
        let kept = keep(&field, &zones, slots);
        let first = kept.iter().map(|slot| slot[0]).collect();
        let rest = kept.iter().map(|slot| [slot[1], slot[2]]).collect();
        Self { members, slots, field, zones, first, rest }
    }

    /// The number of slots.
    #[must_use]
    pub fn slots(&self) -> Slots {
        self.slots
    }

    fn id(&self, position: u32) -> &Id {
        self.members.as_slice()[position as usize].id()
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
        let slot = self.slots.of(key);
        let slice = self.members.as_slice();
        let mut replicas = Replicas::new();
        let k = k.min(slice.len());
        if k <= KEPT {
            let [second, third] = self.rest[slot];
            for position in [self.first[slot], second, third].into_iter().take(k) {
                replicas.push(slice[usize::from(position)].id());
            }
            return replicas;
        }
        spread(self.field.ranking(slot as u32), &self.zones, k).into_iter().map(|at| self.id(at)).collect()
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
fn keep(field: &Field, zones: &Zones, slots: Slots) -> Vec<[u16; KEPT]> {
    let positions = |keys: &[u64; KEPT]| keys.map(|key| member_of(key) as u16);
    let plain = |width| best(field, slots, width, |member| member, field.len());
    match zones.count() {
        0 | 1 => plain(KEPT.min(field.len())).iter().map(positions).collect(),
        // The best of each of two zones, then the best of what is left: one of the best three of all.
        2 => {
            let by_zone = best(field, slots, 2, |member| zones.of(member), 2);
            let all = plain(KEPT.min(field.len()));
            let third = |pair: &[u64; KEPT], all: &[u64; KEPT]| {
                let left = all.iter().find(|&&key| key != pair[0] && key != pair[1]);
                positions(&[pair[0], pair[1], left.copied().unwrap_or(EMPTY)])
            };
            by_zone.iter().zip(&all).map(|(pair, all)| third(pair, all)).collect()
        }
        count => best(field, slots, KEPT, |member| zones.of(member), count).iter().map(positions).collect(),
    }
}

/// For each slot the best `width` members of different groups, best first.
fn best(
    field: &Field,
    slots: Slots,
    width: usize,
    group: impl Fn(u32) -> u32,
    groups: usize,
) -> Vec<[u64; KEPT]> {
    let mut table = vec![[EMPTY; KEPT]; slots.count() as usize];
    if width == 0 {
        return table;
    }
    let grouped = groups < field.len();
    let last = width - 1;
    let mut open = table.len();
    let mut passes = field.passes();
    let mut listed = 0;
    // Few slots left, or so many draws made that looking at every member is cheaper.
    while open * field.len() > table.len() && listed < 40 * table.len() {
        let count = passes.pass(|key, slot| {
            let kept = &mut table[slot as usize];
            if !field.before(key, kept[last], slot) {
                return;
            }
            open -= usize::from(offer(kept, key, width, |a, b| field.before(a, b, slot), &group, grouped));
        });
        if count == 0 {
            break;
        }
        listed += count;
    }
    if open > 0 {
        complete(field, &mut table, width, &group, groups);
    }
    table
}

/// Puts `key` in its place among the `width` best of different groups; says whether that filled the slot.
#[inline(always)]
fn offer(
    kept: &mut [u64; KEPT],
    key: u64,
    width: usize,
    before: impl Fn(u64, u64) -> bool,
    group: impl Fn(u32) -> u32,
    grouped: bool,
) -> bool {
    let was_open = kept[width - 1] == EMPTY;
    let mut end = width - 1;
    if grouped {
        let same = |held: u64| held != EMPTY && group(member_of(held)) == group(member_of(key));
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
    was_open && kept[width - 1] != EMPTY
}

/// Fills the slots that the passes left open by looking at every member of the groups still missing there.
fn complete(
    field: &Field,
    table: &mut [[u64; KEPT]],
    width: usize,
    group: impl Fn(u32) -> u32,
    groups: usize,
) {
    let mut by_group = vec![Vec::new(); groups];
    (0..field.len() as u32).for_each(|member| by_group[group(member) as usize].push(member));
    for (slot, kept) in table.iter_mut().enumerate().filter(|(_, kept)| kept[width - 1] == EMPTY) {
        let slot = slot as u32;
        let seen = kept.map(|key| if key == EMPTY { u32::MAX } else { group(member_of(key)) });
        for (number, members) in by_group.iter().enumerate() {
            if seen.contains(&(number as u32)) {
                continue;
            }
            for &member in members {
                let key = field.key(member, slot);
                if field.before(key, kept[width - 1], slot) {
                    offer(kept, key, width, |a, b| field.before(a, b, slot), &group, groups < field.len());
                }
            }
        }
    }
}
