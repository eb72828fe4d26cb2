//! A plain byte log for files: each frame is a length, a checksum and a record.

use alloc::vec::Vec;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Record;
use crate::key::hash_bytes;

const HEADER: usize = 12;

/// Appends a record to a byte log. Write the bytes to a file and sync it, and the record is durable. If that fails, cut the file
/// back to what it was before, and write the same bytes again before any later ones.
///
/// # Panics
/// As [`encode`](crate::encode); and if one record takes 4 GiB.
pub fn append_frame<K: Serialize, V: Serialize>(log: &mut Vec<u8>, record: &Record<K, V>) {
    let bytes = crate::encode(record);
    let length = u32::try_from(bytes.len()).expect("a record is smaller than 4 GiB");
    log.extend(length.to_le_bytes());
    log.extend(hash_bytes(&bytes).to_le_bytes());
    log.extend(bytes);
}

/// Reads a byte log: its records, and how many bytes of it they take. What follows is the torn end of a write that never
/// became durable: cut it off before the next append.
///
/// Only the last append can be torn. If more follows than one append writes, the log is damaged before its end, or a newer program
/// wrote it: keep the file as it is then.
#[must_use]
pub fn read_frames<K: DeserializeOwned, V: DeserializeOwned>(log: &[u8]) -> (Vec<Record<K, V>>, usize) {
    let mut records = Vec::new();
    let mut at = 0;
    while let Some((record, length)) = frame(&log[at..]) {
        records.push(record);
        at += length;
    }
    (records, at)
}

fn frame<K: DeserializeOwned, V: DeserializeOwned>(log: &[u8]) -> Option<(Record<K, V>, usize)> {
    let length = u32::from_le_bytes(log.get(..4)?.try_into().ok()?) as usize;
    let checksum = u64::from_le_bytes(log.get(4..HEADER)?.try_into().ok()?);
    let end = HEADER.checked_add(length)?;
    let bytes = log.get(HEADER..end)?;
    if hash_bytes(bytes) != checksum {
        return None;
    }
    Some((crate::decode(bytes).ok()?, end))
}
