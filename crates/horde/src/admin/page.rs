//! Answers that are long come in pages, each well under the frame limit.

use serde::{Deserialize, Serialize};

/// Rows of a page at most.
pub(super) const MAX_ROWS: u32 = 1_000;
/// Bytes of a page's rows, roughly; a page holds one row at least.
const MAX_BYTES: usize = 512 << 10;

/// Where a page ended: the order of all rows. A supervisor and a child's id, a registry and an encoded key.
pub(crate) type Cursor = (String, Vec<u8>);

/// Some rows of many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Page<T> {
    pub(crate) rows: Vec<T>,
    /// How many rows there are from this page's first one on.
    pub(crate) left: u64,
    /// Where the next page begins; none when this is the last.
    pub(crate) next: Option<Cursor>,
}

/// A row, its place in the order, and about how many bytes it takes.
pub(super) struct Row<T> {
    pub(super) at: Cursor,
    pub(super) size: usize,
    pub(super) row: T,
}

impl<T> Page<T> {
    /// The rows after `after`, as many as fit.
    pub(super) fn of(mut rows: Vec<Row<T>>, after: Option<&Cursor>, limit: u32) -> Self {
        rows.retain(|row| after.is_none_or(|after| row.at > *after));
        rows.sort_unstable_by(|a, b| a.at.cmp(&b.at));
        let (left, limit) = (rows.len(), limit.clamp(1, MAX_ROWS) as usize);
        let (mut page, mut bytes, mut last) = (Vec::new(), 0, None);
        for row in rows {
            bytes += row.size;
            if page.len() >= limit || (bytes > MAX_BYTES && !page.is_empty()) {
                break;
            }
            page.push(row.row);
            last = Some(row.at);
        }
        let next = last.filter(|_| page.len() < left);
        Self { rows: page, left: left as u64, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize, size: usize) -> Vec<Row<usize>> {
        let at = |n: usize| (format!("s{}", n % 3), n.to_be_bytes().to_vec());
        (0..count).map(|n| Row { at: at(n), size, row: n }).collect()
    }

    fn all(count: usize, size: usize, limit: u32) -> (Vec<usize>, usize) {
        let (mut got, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = Page::of(rows(count, size), after.as_ref(), limit);
            assert_eq!(page.left as usize, count - got.len());
            assert!(page.rows.len() <= limit.min(MAX_ROWS) as usize);
            got.extend(page.rows);
            pages += 1;
            match page.next {
                Some(next) => after = Some(next),
                None => return (got, pages),
            }
        }
    }

    #[test]
    fn pages_hold_every_row_once_whatever_limits_them() {
        for (count, size, limit) in
            [(0, 1, 10), (10, 1, 10), (2_500, 1, u32::MAX), (50, MAX_BYTES / 3, 1_000)]
        {
            let (mut got, pages) = all(count, size, limit);
            got.sort_unstable();
            assert_eq!(got, (0..count).collect::<Vec<_>>());
            let by_rows = count.div_ceil(limit.min(MAX_ROWS) as usize).max(1);
            assert!(pages >= by_rows && (size > 1 || pages == by_rows), "{pages} pages of {count}");
        }
    }

    #[test]
    fn a_row_larger_than_a_page_comes_alone() {
        let page = Page::of(rows(3, MAX_BYTES * 2), None, 10);
        assert_eq!((page.rows.len(), page.left), (1, 3));
        assert!(page.next.is_some());
    }
}
