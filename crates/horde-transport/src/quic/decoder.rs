//! Frames out of a stream of bytes.

use bytes::{Buf, Bytes, BytesMut};

/// Bodies up to this many bytes are copied, so that a small frame that is kept does not keep a whole buffer.
const COPIED: usize = 32 << 10;

/// A frame is longer than its stream allows. The stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {length} bytes where {limit} is the limit")]
pub(crate) struct TooLong {
    length: usize,
    limit: usize,
}

/// Cuts a stream of bytes into the bodies of its frames.
///
/// It holds what was pushed and not yet taken, and allocates by what has come, never by what a length promises.
#[derive(Debug)]
pub(crate) struct Decoder {
    buffer: BytesMut,
    limit: usize,
}

impl Decoder {
    /// A decoder for bodies of at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit }
    }

    /// Sets another limit for the bodies to come.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes the next body if all of it is here.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, TooLong> {
        let Some(&length) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
        if length > self.limit {
            return Err(TooLong { length, limit: self.limit });
        }
        if self.buffer.len() - 4 < length {
            return Ok(None);
        }
        self.buffer.advance(4);
        if length <= COPIED {
            let body = Bytes::copy_from_slice(&self.buffer[..length]);
            self.buffer.advance(length);
            return Ok(Some(body));
        }
        let body = self.buffer.split_to(length).freeze();
        self.buffer = BytesMut::from(&self.buffer[..]);
        Ok(Some(body))
    }

    /// Takes the first `count` bytes if they are here, before any frame.
    pub(crate) fn preamble(&mut self, count: usize) -> Option<Bytes> {
        (self.buffer.len() >= count).then(|| self.buffer.split_to(count).freeze())
    }

    /// Whether nothing is left over.
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_come_out_whatever_the_pieces_they_came_in() {
        let bodies: Vec<Vec<u8>> = [0, 1, 5, 40_000, 3].iter().map(|&n| vec![n as u8; n]).collect();
        let mut stream = Vec::new();
        for body in &bodies {
            stream.extend_from_slice(&(body.len() as u32).to_le_bytes());
            stream.extend_from_slice(body);
        }
        for size in [1, 3, 7, 1200, 100_000] {
            let (mut decoder, mut out) = (Decoder::new(50_000), Vec::new());
            for piece in stream.chunks(size) {
                decoder.push(piece);
                while let Some(body) = decoder.next().unwrap() {
                    out.push(body.to_vec());
                }
            }
            assert_eq!(out, bodies);
            assert!(decoder.is_empty());
        }
    }

    #[test]
    fn a_promised_length_over_the_limit_is_refused_at_once() {
        let mut decoder = Decoder::new(10);
        decoder.push(&u32::MAX.to_le_bytes());
        assert!(decoder.next().is_err());
    }
}
