//! Owns the rules of the UTF-8 Encoded String (section 1.5.4). Must not know what the text is for.

use crate::error::{DecodeError, DecodeErrorKind};

/// What stands in a text that a topic name must not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forbidden {
    Nul,
    Wildcard,
}

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// A non-zero value when a byte of the word is zero.
#[inline(always)]
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(LOW_BITS) & !word & HIGH_BITS
}

/// A non-zero value when a byte of the word is NUL, `+` or `#`: the two wildcards differ in bit 3
/// only.
#[inline(always)]
const fn forbidden_bytes(word: u64) -> u64 {
    zero_bytes(word) | zero_bytes((word | (LOW_BITS * 0x08)) ^ (LOW_BITS * b'+' as u64))
}

/// Applies `hit` to all the bytes, eight at a time; the last word may overlap the one before it.
#[inline(always)]
fn any_word(bytes: &[u8], hit: impl Fn(u64) -> u64) -> bool {
    let mut hits = 0;
    if let Some(last) = bytes.last_chunk::<8>() {
        let (words, _) = bytes.as_chunks::<8>();
        for word in words {
            hits |= hit(u64::from_le_bytes(*word));
        }
        hits |= hit(u64::from_le_bytes(*last));
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let low = u64::from(u32::from_le_bytes(*first));
        hits = hit(low | u64::from(u32::from_le_bytes(*last)) << 32);
    } else {
        // Fill up with a byte that is never looked for.
        let mut word = [b'a'; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        hits = hit(u64::from_le_bytes(word));
    }
    hits != 0
}

/// Whether the text has a NUL, `+` or `#`, and which it is.
#[inline]
pub(crate) fn forbidden_in_name(bytes: &[u8]) -> Option<Forbidden> {
    if any_word(bytes, forbidden_bytes) { Some(which(bytes)) } else { None }
}

#[cold]
fn which(bytes: &[u8]) -> Forbidden {
    if bytes.contains(&0) { Forbidden::Nul } else { Forbidden::Wildcard }
}

/// Whether a NUL is among the bytes.
#[inline]
pub(crate) fn has_nul(bytes: &[u8]) -> bool {
    any_word(bytes, zero_bytes)
}

/// Well-formed UTF-8, or an error. U+0000 is not looked for.
#[inline]
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, DecodeError> {
    // [MQTT-1.5.4-1] [MQTT3-1.5.3-1] Rust's own check refuses surrogates and overlong forms too.
    // [MQTT-1.5.4-3] [MQTT3-1.5.3-3] U+FEFF stays where it is.
    core::str::from_utf8(bytes).map_err(|_| DecodeErrorKind::StringNotUtf8.into())
}

/// A UTF-8 Encoded String without its length.
#[inline]
pub(crate) fn text(bytes: &[u8]) -> Result<&str, DecodeError> {
    let text = utf8(bytes)?;
    // [MQTT-1.5.4-2] [MQTT3-1.5.3-2]
    if has_nul(bytes) { Err(DecodeErrorKind::StringHasNul.into()) } else { Ok(text) }
}
