//! Keys and values as bytes: MessagePack with field names.
//!
//! A key encodes alike whether owned or borrowed (`String` and `&str`, `Vec<u8>` and `&[u8]`), and an integer alike in
//! each width. A key type whose order of serialisation is not fixed (a hash map) does not work as a key.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// MessagePack's nil: the value of a name that was registered without one.
pub(crate) const NIL: &[u8] = &[0xc0];

/// Encoded bytes of a key, on the stack while it is short.
pub(crate) struct Scratch {
    short: [u8; 128],
    len: usize,
    long: Vec<u8>,
}

impl Scratch {
    pub(crate) fn of<Q: Serialize + ?Sized>(key: &Q) -> Result<Self, String> {
        let mut scratch = Self { short: [0; 128], len: 0, long: Vec::new() };
        match rmp_serde::encode::write_named(&mut scratch, key) {
            Ok(()) => Ok(scratch),
            Err(error) => Err(error.to_string()),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        if self.long.is_empty() { &self.short[..self.len] } else { &self.long }
    }
}

impl io::Write for Scratch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let end = self.len + bytes.len();
        if self.long.is_empty() && end <= self.short.len() {
            self.short[self.len..end].copy_from_slice(bytes);
            self.len = end;
        } else {
            if self.long.is_empty() {
                self.long.extend_from_slice(&self.short[..self.len]);
            }
            self.long.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, String> {
    rmp_serde::to_vec_named(value).map_err(|error| error.to_string())
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    rmp_serde::from_slice(bytes).map_err(|error| error.to_string())
}

/// A key for people: text and whole numbers as they are, anything else in hexadecimal.
pub(crate) fn key_text(bytes: &[u8]) -> String {
    if let Ok(text) = rmp_serde::from_slice::<&str>(bytes) {
        return text.to_owned();
    }
    match rmp_serde::from_slice::<i128>(bytes) {
        Ok(number) => number.to_string(),
        Err(_) => bytes.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(key: &(impl Serialize + ?Sized)) -> Vec<u8> {
        Scratch::of(key).unwrap().as_bytes().to_vec()
    }

    #[test]
    fn a_key_encodes_alike_owned_and_borrowed_and_in_each_width() {
        assert_eq!(bytes("ada"), bytes(&"ada".to_owned()));
        assert_eq!(bytes(&7_u8), bytes(&7_i64));
        assert_eq!(bytes("ada"), [0xa3, b'a', b'd', b'a'], "frozen: the form of a text key");
        assert_eq!(bytes(&("cart", 300_u32)), [0x92, 0xa4, b'c', b'a', b'r', b't', 0xcd, 1, 44]);
    }

    #[test]
    fn a_key_longer_than_the_stack_buffer_is_whole() {
        let long = "x".repeat(500);
        assert_eq!(bytes(&long), encode(&long).unwrap());
        let many: Vec<u32> = (0..200).collect();
        assert_eq!(bytes(&many), encode(&many).unwrap());
    }

    #[test]
    fn a_key_reads_as_text_where_it_can() {
        assert_eq!(key_text(&bytes("ada")), "ada");
        assert_eq!(key_text(&bytes(&-3)), "-3");
        assert_eq!(key_text(&[0x92, 1, 2]), "0x920102");
    }
}
