//! What must hold of any bytes that a peer sends: never a panic, nothing allocated that did not come, and the same
//! whatever the pieces they come in. The fuzz targets call these functions, and so do the tests below with bytes near the
//! frozen ones. No part of the library's interface.

use bytes::Bytes;
use rustls::pki_types::CertificateDer;

use super::decoder::Decoder;
use super::wire::{
    Header, MAX_HEADER, MAX_MESSAGE, VERSION, decode, decode_message, encode, encode_message, lane_of,
};
use crate::trust::CertName;
use crate::{Limits, NodeName, Topic, read_certificates};

/// The bodies that a decoder cuts out of `bytes`, which come `size` at a time, and whether it refused to go on.
fn bodies(bytes: &[u8], size: usize, preamble: usize, limit: usize) -> (Option<Bytes>, Vec<Bytes>, bool) {
    let (mut decoder, mut first, mut all) = (Decoder::new(limit), None, Vec::new());
    for piece in bytes.chunks(size) {
        decoder.push(Bytes::copy_from_slice(piece));
        if first.is_none() {
            first = decoder.preamble(preamble);
        }
        while first.is_some() {
            match decoder.next() {
                Ok(Some(body)) => all.push(body),
                Ok(None) => break,
                Err(_too_long) => return (first, all, true),
            }
        }
    }
    (first, all, false)
}

/// The same, checked to be the same for pieces of any size.
fn cut(bytes: &[u8], preamble: usize, limit: usize) -> (Option<Bytes>, Vec<Bytes>) {
    let whole = bodies(bytes, bytes.len().max(1), preamble, limit);
    for size in [1, 3, 1200] {
        assert_eq!(bodies(bytes, size, preamble, limit), whole, "pieces of {size} bytes");
    }
    let held: usize = whole.1.iter().map(Bytes::len).sum();
    assert!(held <= bytes.len() && whole.1.iter().all(|body| body.len() <= limit));
    (whole.0, whole.1)
}

/// The stream of a lane: a version, a lane, frames.
pub fn lane(bytes: &[u8]) {
    let preamble = cut(bytes, 2, usize::MAX).0;
    let lane = preamble.filter(|preamble| preamble[0] == VERSION).and_then(|preamble| lane_of(preamble[1]));
    let Some(lane) = lane else { return };
    let (_, bodies) = cut(bytes, 2, Limits::default().frame(lane) + MAX_HEADER);
    for body in bodies {
        let Ok((header, length)) = decode(&body) else { continue };
        let payload = body.slice(length..);
        let topic = match &header {
            Header::Frame { topic } | Header::Request { topic, .. } => topic.len(),
            _ => 0,
        };
        // A longer one finds no subscriber, and is never written.
        if topic <= crate::MAX_TOPIC {
            let again = encode(&header, payload.clone());
            let again = [&again.head[4..], again.payload.as_deref().unwrap_or_default()].concat();
            let (same, length) = decode(&again).expect("what was encoded");
            assert_eq!((same, &again[length..]), (header, &payload[..]), "it is not what it was");
        }
    }
}

/// The stream of a handshake and of what the two ends say to each other after it: a version, messages.
pub fn link(bytes: &[u8]) {
    let (version, bodies) = cut(bytes, 1, MAX_MESSAGE);
    if version.is_none_or(|version| version[0] != VERSION) {
        return;
    }
    for body in bodies {
        let Ok(message) = decode_message(&body) else { continue };
        let again = encode_message(&message);
        assert_eq!(decode_message(&again[4..]), Ok(message), "it is not what it was");
    }
}

/// What names somebody: a certificate as it comes in a handshake, one in a file, a name, a topic.
pub fn names(bytes: &[u8]) {
    let _no_name = CertName::of(&CertificateDer::from(bytes));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _no_certificate = read_certificates(text);
    if let Some(name) = CertName::parse(text) {
        assert_eq!(name.to_string(), text);
    }
    if let Ok(name) = NodeName::new(text) {
        assert_eq!(name.as_str(), text);
    }
    assert_eq!(Topic::new(text).is_ok(), (1..=crate::MAX_TOPIC).contains(&text.len()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Authority, Role};

    /// Calls `check` with `bytes`, and with them cut, with each byte changed, left out and doubled.
    fn near(bytes: &[u8], check: fn(&[u8])) {
        check(bytes);
        for at in 0..bytes.len() {
            check(&bytes[..at]);
            for value in [0, 1, 2, 0x7f, 0x80, 0xff, bytes[at] ^ 1, bytes[at].wrapping_add(1)] {
                let mut bad = bytes.to_vec();
                bad[at] = value;
                check(&bad);
            }
            check(&[&bytes[..at], &bytes[at + 1..]].concat());
            check(&[&bytes[..=at], &bytes[at..]].concat());
        }
    }

    const LANE: &[u8] = b"\x01\x02\x07\0\0\0\x00\x02abxyz\x07\0\0\0\x01\xac\x02\x05\x01tq\x03\0\0\0\x02\x01a\x02\0\0\0\x03\x01";
    const LINK: &[u8] =
        b"\x01\x10\0\0\0\0\x01c\x01n\x07\x01\0\x7f\0\0\x01\x50\x01\x51\0\x02\0\0\0\x04\x03\x01\0\0\0\x02";

    #[test]
    fn bytes_near_those_of_version_1_are_read_or_refused() {
        near(LANE, lane);
        near(LINK, link);
        let hello = &LINK[5..21];
        let welcome = [&[1u8, 20, 0, 0, 0, 1][..], &hello[1..], &[0, 1, 1, 0]].concat();
        near(&welcome, link);
        near(b"horde://shop/node/till-1", names);
    }

    #[test]
    fn certificates_near_a_good_one_are_read_or_refused() {
        let authority = Authority::from_seed(&NodeName::new("shop").unwrap(), &[7; 32]).unwrap();
        let life = std::time::Duration::from_secs(60);
        let (leaf, _) = authority.leaf(&NodeName::new("till").unwrap(), Role::Node, life).unwrap();
        near(leaf.der(), names);
        near(leaf.pem().as_bytes(), names);
    }
}
