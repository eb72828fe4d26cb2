//! The writes of one origin in order: `seq -> slot`. It answers pulls, so that no peer needs a buffer of its own.
//!
//! Entries of replaced writes stay until compaction; who reads must check that the slot still holds the write.

use alloc::vec::Vec;

const HOLE: u32 = u32::MAX;
/// The widest jump that is filled with holes instead of sealing the tail.
const MAX_JUMP: u64 = 16;
/// Entries looked at together.
const BLOCK: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Old entries in order, without holes.
    sparse: Vec<(u64, u32)>,
    /// The number of `tail[0]`.
    first: u64,
    tail: Vec<u32>,
    /// Writes of this origin that are still in the store.
    pub(crate) live: usize,
}

impl Index {
    /// Appends a write. Its number must be above all before it.
    #[inline]
    pub(crate) fn append(&mut self, seq: u64, slot: u32) {
        if self.first + self.tail.len() as u64 == seq && !self.tail.is_empty() {
            self.tail.push(slot);
        } else {
            self.jump(seq, slot);
        }
    }

    /// Appends a write that is not the next.
    fn jump(&mut self, seq: u64, slot: u32) {
        if self.tail.is_empty() {
            self.first = seq;
        }
        let next = self.first + self.tail.len() as u64;
        #[cfg(any(test, feature = "rule-switches"))]
        if seq < next {
            return self.insert_late(seq, slot);
        }
        debug_assert!(seq >= next, "write {seq} comes after {next}");
        if seq - next > MAX_JUMP {
            let first = self.first;
            self.sparse.extend((first..).zip(self.tail.drain(..)).filter(|entry| entry.1 != HOLE));
            self.first = seq;
        } else {
            self.tail.extend((next..seq).map(|_| HOLE));
        }
        self.tail.push(slot);
    }

    /// Only with a rule switched off does a write arrive after a later one.
    #[cfg(any(test, feature = "rule-switches"))]
    fn insert_late(&mut self, seq: u64, slot: u32) {
        if seq >= self.first {
            self.tail[(seq - self.first) as usize] = slot;
        } else {
            let place = self.sparse.partition_point(|entry| entry.0 < seq);
            self.sparse.insert(place, (seq, slot));
        }
    }

    /// True when less than a third of the entries can still be live.
    #[inline]
    pub(crate) fn is_sparse(&self) -> bool {
        self.sparse.len() + self.tail.len() > 3 * self.live + 64
    }

    /// Drops the entries that `holds` denies.
    ///
    /// Asks for a block of entries before it looks at an answer, so that the answers' cache misses overlap.
    pub(crate) fn compact(&mut self, holds: impl Fn(u64, u32) -> bool) {
        let mut answers = [false; BLOCK];
        let mut kept = 0;
        for start in (0..self.sparse.len()).step_by(BLOCK) {
            let end = self.sparse.len().min(start + BLOCK);
            for (answer, &(seq, slot)) in answers.iter_mut().zip(&self.sparse[start..end]) {
                *answer = holds(seq, slot);
            }
            for (answer, at) in answers.iter().zip(start..end) {
                self.sparse[kept] = self.sparse[at];
                kept += usize::from(*answer);
            }
        }
        self.sparse.truncate(kept);
        for block in self.tail.chunks(BLOCK) {
            for (answer, (seq, &slot)) in answers.iter_mut().zip((self.first..).zip(block)) {
                *answer = (slot != HOLE) & holds(seq, slot);
            }
            let entries = (self.first..).zip(block.iter().copied());
            self.sparse.extend(answers.iter().zip(entries).filter(|entry| *entry.0).map(|entry| entry.1));
            self.first += block.len() as u64;
        }
        self.tail.clear();
        self.sparse.shrink_to(self.sparse.len() * 2);
    }

    /// The entries above `seq`, in order, stale ones among them.
    pub(crate) fn after(&self, seq: u64) -> impl Iterator<Item = (u64, u32)> + '_ {
        let start = self.sparse.partition_point(|entry| entry.0 <= seq);
        let skip = usize::try_from(seq.saturating_add(1).saturating_sub(self.first)).unwrap_or(usize::MAX);
        let from = skip.min(self.tail.len());
        let tail = (self.first + from as u64..).zip(self.tail[from..].iter().copied());
        self.sparse[start..].iter().copied().chain(tail.filter(|entry| entry.1 != HOLE))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.sparse.capacity() * size_of::<(u64, u32)>() + self.tail.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        index.compact(|seq, _| seq % 2 == 0);
        index.append(1_200, 1_200);
        let even: Vec<u64> = seqs.iter().copied().filter(|s| s % 2 == 0).chain([1_200]).collect();
        assert_eq!(index.after(0).map(|e| e.0).collect::<Vec<_>>(), even);
        assert_eq!(index.after(1_197).map(|e| e.0).collect::<Vec<_>>(), [1_198, 1_200]);
    }
}
