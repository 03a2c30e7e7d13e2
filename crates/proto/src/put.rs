//! Owns where encoded bytes go. Must not know what they mean.

use crate::varint;

/// A sink for encoded bytes. Writing cannot fail: whoever calls has made room, see `encoded_len` of
/// the packets.
pub trait Put {
    /// Appends one byte.
    fn put_u8(&mut self, byte: u8);

    /// Appends the bytes.
    fn put_slice(&mut self, bytes: &[u8]);

    /// A hint that `bytes` more bytes are about to be written.
    #[inline]
    fn reserve(&mut self, bytes: usize) {
        let _ = bytes;
    }

    /// Appends a Two Byte Integer (section 1.5.2).
    #[inline]
    fn put_u16(&mut self, value: u16) {
        self.put_slice(&value.to_be_bytes());
    }

    /// Appends a Four Byte Integer (section 1.5.3).
    #[inline]
    fn put_u32(&mut self, value: u32) {
        self.put_slice(&value.to_be_bytes());
    }

    /// Appends a Variable Byte Integer (section 1.5.5).
    ///
    /// # Panics
    /// When the value is greater than [`varint::MAX`].
    #[inline]
    fn put_varint(&mut self, value: u32) {
        let (bytes, used) = varint::encode(value);
        self.put_slice(&bytes[..used]);
    }

    /// Appends a UTF-8 Encoded String (section 1.5.4).
    ///
    /// # Panics
    /// When it is longer than 65,535 bytes. That it holds no U+0000 is the caller's duty.
    #[inline]
    fn put_str(&mut self, text: &str) {
        self.put_bin(text.as_bytes());
    }

    /// Appends Binary Data (section 1.5.6).
    ///
    /// # Panics
    /// When it is longer than 65,535 bytes.
    #[inline]
    fn put_bin(&mut self, bytes: &[u8]) {
        let len =
            u16::try_from(bytes.len()).expect("strings and binary data have at most 65535 bytes");
        self.put_u16(len);
        self.put_slice(bytes);
    }
}

#[cfg(feature = "alloc")]
impl Put for alloc::vec::Vec<u8> {
    #[inline]
    fn put_u8(&mut self, byte: u8) {
        self.push(byte);
    }

    #[inline]
    fn put_slice(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    #[inline]
    fn reserve(&mut self, bytes: usize) {
        alloc::vec::Vec::reserve(self, bytes);
    }
}

/// A cursor over a byte slice that the caller owns.
#[derive(Debug)]
pub struct SliceBuf<'a> {
    buf: &'a mut [u8],
    written: usize,
}

impl<'a> SliceBuf<'a> {
    /// Writes from the front of `buf`.
    pub fn new(buf: &'a mut [u8]) -> Self {
        SliceBuf { buf, written: 0 }
    }

    /// How many bytes may still be written.
    pub fn remaining(&self) -> usize {
        self.buf.len() - self.written
    }

    /// The bytes written so far.
    pub fn written(&self) -> &[u8] {
        &self.buf[..self.written]
    }

    /// The bytes written, for as long as the slice lives.
    pub fn into_written(self) -> &'a [u8] {
        let SliceBuf { buf, written } = self;
        &buf[..written]
    }
}

impl Put for SliceBuf<'_> {
    /// # Panics
    /// When nothing remains: the caller did not ask for the encoded length.
    #[inline]
    fn put_u8(&mut self, byte: u8) {
        self.put_slice(&[byte]);
    }

    /// # Panics
    /// When fewer bytes remain: the caller did not ask for the encoded length.
    #[inline]
    fn put_slice(&mut self, bytes: &[u8]) {
        let end = self.written + bytes.len();
        self.buf[self.written..end].copy_from_slice(bytes);
        self.written = end;
    }
}

/// Counts what would be written. One function then serves the length and the bytes, so they cannot
/// disagree.
pub(crate) struct Count(pub(crate) usize);

impl Put for Count {
    #[inline]
    fn put_u8(&mut self, _byte: u8) {
        self.0 += 1;
    }

    #[inline]
    fn put_slice(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}
