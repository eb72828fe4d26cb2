//! Frames out of a stream of bytes.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

/// Bodies up to this many bytes are copied, so that a small frame that is kept does not keep a whole buffer.
const COPIED: usize = 32 << 10;
/// Pieces held at once before small ones are gathered: a piece keeps the whole packet that it came in.
const PIECES: usize = 64;
/// Gathered are pieces of fewer bytes than this on average, so that what is held is at most a few times what has come.
const SMALL: usize = 512;

/// A frame is longer than its stream allows. The stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {length} bytes where {limit} is the limit")]
pub(crate) struct TooLong {
    length: usize,
    limit: usize,
}

/// Cuts a stream of bytes into the bodies of its frames.
///
/// It holds the pieces that came and were not yet taken, and allocates by what has come, never by what a length
/// promises. A body is copied once, into a buffer of its own, unless it lies within one large piece. Bytes that trickle
/// in are gathered, so that a peer which sends a frame byte by byte does not make it keep a packet for each.
#[derive(Debug)]
pub(crate) struct Decoder {
    pieces: VecDeque<Bytes>,
    held: usize,
    limit: usize,
}

impl Decoder {
    /// A decoder for bodies of at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { pieces: VecDeque::new(), held: 0, limit }
    }

    /// Sets another limit for the bodies to come.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    pub(crate) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.held += piece.len();
            self.pieces.push_back(piece);
            if self.pieces.len() > PIECES && self.pieces.len() * SMALL > self.held {
                self.gather();
            }
        }
    }

    /// Makes one piece of all. Each time at least [`PIECES`] more have come, or as many as the bytes held warrant.
    fn gather(&mut self) {
        let mut all = Vec::with_capacity(self.held);
        self.pieces.drain(..).for_each(|piece| all.extend_from_slice(&piece));
        self.pieces.push_back(all.into());
    }

    /// Takes the next body if all of it is here.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, TooLong> {
        let Some(length) = self.length() else { return Ok(None) };
        if length > self.limit {
            return Err(TooLong { length, limit: self.limit });
        }
        if self.held - 4 < length {
            return Ok(None);
        }
        self.skip(4);
        Ok(Some(self.take(length)))
    }

    /// Takes the first `count` bytes if they are here, before any frame.
    pub(crate) fn preamble(&mut self, count: usize) -> Option<Bytes> {
        (self.held >= count).then(|| self.take(count))
    }

    /// Whether nothing is left over.
    pub(crate) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// The length that the next four bytes say.
    fn length(&self) -> Option<usize> {
        let front = self.pieces.front()?;
        let bytes = match front.first_chunk::<4>() {
            Some(bytes) => *bytes,
            None if self.held < 4 => return None,
            None => {
                let mut bytes = [0; 4];
                let all = self.pieces.iter().flat_map(|piece| piece.iter());
                bytes.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
                bytes
            }
        };
        Some(usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX))
    }

    /// Takes `count` bytes, which are here.
    fn take(&mut self, count: usize) -> Bytes {
        debug_assert!(count <= self.held);
        if let Some(front) = self.pieces.front_mut()
            && front.len() >= count
        {
            let body =
                if count <= COPIED { Bytes::copy_from_slice(&front[..count]) } else { front.slice(..count) };
            self.skip(count);
            return body;
        }
        let mut body = Vec::with_capacity(count);
        while body.len() < count {
            let Some(front) = self.pieces.front() else { break };
            let some = front.len().min(count - body.len());
            body.extend_from_slice(&front[..some]);
            self.skip(some);
        }
        body.into()
    }

    fn skip(&mut self, mut count: usize) {
        self.held -= count;
        while let Some(front) = self.pieces.front_mut() {
            if front.len() > count {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.pieces.pop_front();
        }
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
        for size in [1, 3, 7, 1200, 39_999, 100_000] {
            let (mut decoder, mut out) = (Decoder::new(50_000), Vec::new());
            for piece in stream.chunks(size) {
                decoder.push(Bytes::copy_from_slice(piece));
                while let Some(body) = decoder.next().unwrap() {
                    out.push(body.to_vec());
                }
            }
            assert_eq!(out, bodies);
            assert!(decoder.is_empty());
        }
    }

    #[test]
    fn bytes_that_trickle_in_do_not_keep_a_packet_each() {
        let mut decoder = Decoder::new(1 << 20);
        decoder.push(Bytes::copy_from_slice(&100_000u32.to_le_bytes()));
        for n in 0..99_999u32 {
            decoder.push(Bytes::from(vec![n as u8; 1200]).slice(..1));
            assert!(decoder.pieces.len() <= PIECES.max(decoder.held / SMALL) + 1);
            assert_eq!(decoder.next(), Ok(None));
        }
        decoder.push(Bytes::from_static(b"x"));
        let body = decoder.next().unwrap().unwrap();
        assert!(body[..99_999].iter().enumerate().all(|(n, byte)| *byte == n as u8) && body[99_999] == b'x');
        assert!(decoder.is_empty());
    }

    #[test]
    fn a_promised_length_over_the_limit_is_refused_at_once() {
        let mut decoder = Decoder::new(10);
        decoder.push(Bytes::copy_from_slice(&u32::MAX.to_le_bytes()));
        assert!(decoder.next().is_err());
    }
}
