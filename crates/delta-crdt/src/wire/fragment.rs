//! Fragments to bytes and back, by hand: the same bytes that serde makes of them, for a third of the work. What a session costs is
//! mostly this.

use alloc::vec::Vec;

use postcard::{Deserializer, take_from_bytes};
use serde::{Deserialize, Serialize};

use super::{VERSION, put};
use crate::engine::few::Few;
use crate::engine::store::Sib;
use crate::message::{Body, Fragment};
use crate::{Message, ReplicaId, Stamp};

/// The number of `Body::Fragment` among the kinds of body.
pub(super) const KIND: u8 = 4;

/// Shards, kind, the fields of a fragment before its entries, and how many entries there are.
type Head = (u8, u32, u16, u64, u64, u32, u64, Vec<(ReplicaId, u64)>, usize);

#[inline]
fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// The message of a map of 2^`shards` shards.
pub(super) fn write<K: Serialize, V: Serialize>(shards: u8, fragment: &Fragment<K, V>) -> Vec<u8> {
    let Fragment { shard, session, answer, number, stamp, origins, entries } = fragment;
    let room = 64 + 24 * origins.len() + entries.len() * (size_of::<K>() + size_of::<V>() + 8);
    let mut bytes = Vec::with_capacity(room);
    bytes.push(VERSION);
    let kind = u32::from(KIND);
    put(&mut bytes, &(shards, kind, shard, session, answer, number, stamp, origins, entries.len()));
    for (key, sibs) in entries {
        put(&mut bytes, key);
        if let Few::One(sib) = sibs {
            bytes.push(1);
            put_sib(&mut bytes, sib);
        } else {
            let sibs = sibs.as_slice();
            put_number(&mut bytes, sibs.len() as u64);
            sibs.iter().for_each(|sib| put_sib(&mut bytes, sib));
        }
    }
    bytes
}

#[inline(always)]
fn put_sib<V: Serialize>(bytes: &mut Vec<u8>, sib: &Sib<V>) {
    put_number(bytes, u64::from(sib.origin));
    put_number(bytes, sib.seq);
    let stamp = sib.stamp.to_bits().cast_signed();
    put_number(bytes, (stamp << 1 ^ stamp >> 63).cast_unsigned());
    bytes.push(u8::from(sib.value.is_some()));
    if let Some(value) = &sib.value {
        put(bytes, value);
    }
}

#[inline]
fn take<'de, T: Deserialize<'de>>(rest: &mut &'de [u8]) -> postcard::Result<T> {
    let (value, after) = take_from_bytes(rest)?;
    *rest = after;
    Ok(value)
}

/// A number: of one byte, as most are, or longer.
#[inline]
fn take_number<'de, T: Deserialize<'de> + From<u8>>(rest: &mut &'de [u8]) -> postcard::Result<T> {
    match *rest {
        [byte @ 0..0x80, after @ ..] => {
            *rest = after;
            Ok(T::from(*byte))
        }
        _ => take(rest),
    }
}

/// What comes before the value of a sibling.
#[inline(always)]
fn take_dot(rest: &mut &[u8]) -> postcard::Result<(u32, u64, Stamp)> {
    let origin = take_number(rest)?;
    let seq = take_number(rest)?;
    let zigzag: u64 = take_number(rest)?;
    Ok((origin, seq, Stamp::from_bits(zigzag >> 1 ^ (zigzag & 1).wrapping_neg())))
}

/// A message that begins with `body`, and what is left after it.
pub(super) fn read<'de, K: Deserialize<'de>, V: Deserialize<'de>>(
    body: &'de [u8],
) -> postcard::Result<(Message<K, V>, &'de [u8])> {
    let (head, mut rest): (Head, _) = take_from_bytes(body)?;
    let (shards, _, shard, session, answer, number, stamp, origins, count) = head;
    // Room for what the length promises, but at most eight bytes per byte of input. Beyond that it grows with what is really there.
    let entry = size_of::<(K, Few<Sib<V>>)>();
    let mut entries = Vec::with_capacity(count.min(rest.len() / (entry / 8).max(8)));
    for _ in 0..count {
        let key = take(&mut rest)?;
        match take_number::<u64>(&mut rest)? {
            0 => entries.push((key, Few::None)),
            1 => {
                let (origin, seq, stamp) = take_dot(&mut rest)?;
                // The place first, then what comes there: each stop of a value on its way costs more than to read it.
                entries.push((key, Few::None));
                let Some((_, sibs)) = entries.last_mut() else { break };
                if let [1, after @ ..] = rest {
                    let mut bytes = Deserializer::from_bytes(after);
                    match V::deserialize(&mut bytes) {
                        Ok(value) => *sibs = Few::One(Sib { origin, seq, stamp, value: Some(value) }),
                        Err(error) => return Err(error),
                    }
                    rest = bytes.finalize()?;
                } else {
                    *sibs = Few::One(Sib { origin, seq, stamp, value: take(&mut rest)? });
                }
            }
            several => {
                let mut sibs = Vec::new();
                for _ in 0..several {
                    let (origin, seq, stamp) = take_dot(&mut rest)?;
                    sibs.push(Sib { origin, seq, stamp, value: take(&mut rest)? });
                }
                entries.push((key, Few::Many(sibs)));
            }
        }
    }
    let fragment = Fragment { shard, session, answer, number, stamp, origins, entries };
    Ok((Message { shards, body: Body::Fragment(fragment) }, rest))
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    type Text = Message<String, Option<String>>;

    fn fragment(keys: u64) -> Text {
        let sib = |n: u64| Sib {
            origin: (n % 3 * 200) as u32,
            seq: n * n * n,
            stamp: Stamp::from_bits(n.wrapping_mul(0x9e37_79b9).wrapping_sub(77)),
            value: (!n.is_multiple_of(4)).then(|| (n % 4 > 1).then(|| alloc::format!("value {n}"))),
        };
        let entry = |n: u64| (alloc::format!("key {n}"), (0..n % 4).map(|more| sib(n + more)).collect());
        let origins = Vec::from([(ReplicaId::new(u64::MAX, 1), 5), (ReplicaId::new(300, 2), u64::MAX)]);
        let entries = (0..keys).map(entry).collect();
        let fragment =
            Fragment { shard: 700, session: 9, answer: 128, number: 3, stamp: 1 << 60, origins, entries };
        Message { shards: 4, body: Body::Fragment(fragment) }
    }

    #[test]
    fn the_bytes_are_those_of_serde() {
        for keys in [0, 1, 2, 3, 100, 400] {
            let message = fragment(keys);
            let bytes = message.encode();
            assert_eq!(bytes, crate::encode(&message));
            assert!(Text::decode(&bytes).as_ref() == Ok(&message));
            assert!(crate::decode::<Text>(&bytes).as_ref() == Ok(&message));
        }
    }

    #[test]
    fn what_serde_refuses_is_refused_and_what_it_reads_is_read_alike() {
        let good = fragment(5).encode();
        for at in 2..good.len() {
            assert!(Text::decode(&good[..at]).is_err(), "cut at {at}");
            for byte in [0, 1, 2, 0x7f, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[at] = byte;
                assert!(Text::decode(&bytes) == crate::decode::<Text>(&bytes), "{byte} at {at}");
            }
        }
    }
}
