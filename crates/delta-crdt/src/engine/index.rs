//! The writes of one origin in order: `seq -> mark` of the key. It answers pulls, so that no peer needs a buffer of its own.
//!
//! Entries of replaced writes stay until compaction; who reads must check that the key still holds the write.

use alloc::vec::Vec;

/// The widest jump that is filled with holes instead of sealing the tail.
const MAX_JUMP: u64 = 16;
/// Stale entries that are always allowed.
const SLACK: usize = 64;

#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// Old entries in order, without holes.
    sparse: Vec<(u64, u32)>,
    /// The number of `tail[0]`.
    first: u64,
    tail: Vec<u32>,
    /// A bit for each entry of the tail: its write left the store, or it is a hole. Small, so that it lies in a near cache, unlike the tail.
    gone: Vec<u64>,
    /// Writes of this origin that came into the store so far, and those that left it. Each moves alone: a processor
    /// waits where it reads together what it has just written apart.
    came: u64,
    left: u64,
    /// Those that are not in the tail: a list, as to look for each at once would be cache misses for each.
    dropped: Vec<u64>,
    /// How many have left when the next compaction is due.
    due: u64,
}

impl Index {
    /// Counts a write that is in the store now.
    #[inline]
    pub(crate) fn add(&mut self) {
        self.came += 1;
    }

    /// Writes that are still in the store.
    fn live(&self) -> usize {
        (self.came - self.left) as usize
    }

    /// A write is in the store no more.
    #[inline(always)]
    pub(crate) fn drop(&mut self, seq: u64) {
        self.left += 1;
        if !self.mark_gone(seq) {
            self.dropped.push(seq);
        }
        if self.left > self.due {
            self.compact();
        }
    }

    /// False if the write is not in the tail.
    #[inline]
    fn mark_gone(&mut self, seq: u64) -> bool {
        let place = seq.wrapping_sub(self.first);
        if place >= self.tail.len() as u64 {
            return false;
        }
        self.gone[(place / 64) as usize] |= 1 << (place % 64);
        true
    }

    /// Appends a write. Its number must be above all before it.
    #[inline]
    pub(crate) fn append(&mut self, seq: u64, mark: u32) {
        if self.first + self.tail.len() as u64 == seq && !self.tail.is_empty() {
            self.push(mark);
        } else {
            self.jump(seq, mark);
        }
    }

    #[inline]
    fn push(&mut self, mark: u32) {
        let len = self.tail.len();
        if len == self.tail.capacity() {
            self.widen();
        }
        if len.is_multiple_of(64) {
            self.gone.push(0);
        }
        self.tail.push(mark);
    }

    /// Makes room in the tail: by a quarter if it is large, as this is memory per key.
    #[cold]
    fn widen(&mut self) {
        let len = self.tail.len();
        self.tail.reserve_exact(if len < 1 << 12 { len.max(4) } else { len / 4 });
    }

    /// Appends a write that is not the next.
    fn jump(&mut self, seq: u64, mark: u32) {
        if self.tail.is_empty() {
            self.first = seq;
        }
        let next = self.first + self.tail.len() as u64;
        #[cfg(any(test, feature = "rule-switches"))]
        if seq < next {
            return self.insert_late(seq, mark);
        }
        debug_assert!(seq >= next, "write {seq} comes after {next}");
        if seq - next > MAX_JUMP {
            self.seal(self.tail.len());
            self.first = seq;
        } else {
            for hole in next..seq {
                self.push(0);
                self.mark_gone(hole);
            }
        }
        self.push(mark);
    }

    /// Only with a rule switched off does a write arrive after a later one.
    #[cfg(any(test, feature = "rule-switches"))]
    fn insert_late(&mut self, seq: u64, mark: u32) {
        if seq >= self.first {
            let place = (seq - self.first) as usize;
            self.tail[place] = mark;
            self.gone[place / 64] &= !(1 << (place % 64));
        } else {
            let place = self.sparse.partition_point(|entry| entry.0 < seq);
            self.sparse.insert(place, (seq, mark));
        }
    }

    /// Drops stale entries, so that no more than a third are. Reads and writes in order, and nothing but the index.
    #[cold]
    fn compact(&mut self) {
        self.dropped.sort_unstable();
        let end = self.first + self.tail.len() as u64;
        let old = self.dropped.partition_point(|&seq| seq < self.first);
        let done = self.dropped.partition_point(|&seq| seq < end);
        let mut stale = self.dropped[..old].iter().copied().peekable();
        self.sparse.retain(|entry| {
            while stale.next_if(|&seq| seq < entry.0).is_some() {}
            stale.peek() != Some(&entry.0)
        });
        // Those were dropped before they were appended.
        for place in old..done {
            self.mark_gone(self.dropped[place]);
        }
        // What is still not appended stays for later.
        self.dropped.drain(..done);
        let (live, stale) = (self.live(), self.dropped.len());
        let patience = (live / 2).max(2 * stale) + SLACK;
        self.due = self.left + (patience - stale) as u64;
        self.dropped.shrink_to(patience / 2);
        if self.tail.len() > 2 * live + SLACK {
            self.seal(self.tail.len() / 2);
        }
        self.tail.shrink_to(self.tail.len() + live / 2 + SLACK);
        self.sparse.shrink_to(self.sparse.len() * 2);
        self.gone.shrink_to(self.tail.capacity().div_ceil(64));
    }

    /// Makes the first entries of the tail old ones: as many as fill whole words, or all.
    fn seal(&mut self, count: usize) {
        let words = if count == self.tail.len() { self.gone.len() } else { count / 64 };
        let count = count.min(words * 64);
        let gone = self.gone.iter().flat_map(|word| (0..64).map(move |bit| word >> bit & 1 == 1));
        let sealed = (self.first..).zip(self.tail.drain(..count)).zip(gone);
        let held = sealed.filter(|(_, gone)| !gone);
        self.sparse.extend(held.map(|(entry, _)| entry));
        self.gone.drain(..words);
        self.first += count as u64;
    }

    /// No more writes than these are in the store above `seq`.
    pub(crate) fn after_at_most(&self, seq: u64) -> usize {
        let end = self.first + self.tail.len() as u64;
        usize::try_from(end.saturating_sub(seq)).map_or(self.live(), |count| count.min(self.live()))
    }

    /// The entries above `seq`, in order, some stale ones among them.
    pub(crate) fn after(&self, seq: u64) -> impl Iterator<Item = (u64, u32)> + '_ {
        let start = self.sparse.partition_point(|entry| entry.0 <= seq);
        let skip = usize::try_from(seq.saturating_add(1).saturating_sub(self.first)).unwrap_or(usize::MAX);
        let from = skip.min(self.tail.len());
        let is_gone = move |place: usize| self.gone[place / 64] >> (place % 64) & 1 == 1;
        let tail = self.tail[from..].iter().copied().enumerate();
        let held = tail.filter(move |&(at, _)| !is_gone(from + at));
        let tail = held.map(move |(at, mark)| (self.first + (from + at) as u64, mark));
        self.sparse[start..].iter().copied().chain(tail)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.sparse.capacity() * size_of::<(u64, u32)>()
            + self.tail.capacity() * size_of::<u32>()
            + (self.dropped.capacity() + self.gone.capacity()) * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use crate::engine::shard::Lane;

    use super::*;

    #[test]
    fn a_life_costs_152_bytes_in_each_shard_that_knows_of_it() {
        assert_eq!(size_of::<Lane>(), 152);
    }

    #[test]
    fn entries_come_back_in_order_across_jumps_and_compaction() {
        let mut index = Index::default();
        let seqs: Vec<u64> = (1..50).chain(60..90).chain(1_000..1_200).collect();
        for &seq in &seqs {
            index.append(seq, seq as u32);
        }
        assert_eq!(index.after(0).map(|e| e.0).collect::<Vec<_>>(), seqs);
        assert_eq!(index.after(70).map(|e| e.0).next(), Some(71));
        assert_eq!(index.after(2_000).next(), None);
        index.seal(100);
        let is_kept = |seq: &u64| seq.is_multiple_of(3) || *seq >= 1_100;
        seqs.iter().for_each(|_| index.add());
        seqs.iter().filter(|seq| !is_kept(seq)).for_each(|&seq| index.drop(seq));
        index.compact();
        index.append(1_200, 1_200);
        let kept: Vec<u64> = seqs.iter().copied().filter(is_kept).chain([1_200]).collect();
        assert_eq!(index.after(0).map(|e| e.0).collect::<Vec<_>>(), kept);
        assert_eq!(index.after(1_197).map(|e| e.0).collect::<Vec<_>>(), [1_198, 1_199, 1_200]);
    }

    #[test]
    fn what_was_replaced_goes_and_what_was_not_stays() {
        let mut index = Index::default();
        let mut held = BTreeMap::new();
        let mut seed = 1_u32;
        for seq in 1..20_000_u64 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if let Some(old) = held.insert(seed >> 23 | 1, seq) {
                index.drop(old);
            }
            index.add();
            index.append(seq, seed >> 23 | 1);
            assert!(index.tail.len() + index.sparse.len() <= 4 * held.len() + 4 * SLACK, "at {seq}");
        }
        let mut seqs: Vec<u64> = held.into_values().collect();
        seqs.sort_unstable();
        assert!(seqs.iter().all(|seq| index.after(0).any(|entry| entry.0 == *seq)));
    }
}
