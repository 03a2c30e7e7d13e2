//! Owns the Variable Byte Integer (section 1.5.5). Must not know what is counted with it.

/// The greatest value that four bytes can hold: 268,435,455.
pub const MAX: u32 = 0x0FFF_FFFF;

/// What the first bytes of a buffer say about the Variable Byte Integer that starts there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// A whole integer: its value and how many bytes it took, 1 to 4.
    Value(u32, usize),
    /// The buffer ends before the integer does.
    Incomplete,
    /// The fourth byte says that a fifth follows.
    TooLong,
    /// More bytes than the value needs.
    NotMinimal,
}

/// Reads the integer at the front of `bytes`.
#[inline]
pub fn parse(bytes: &[u8]) -> Parsed {
    match bytes.first() {
        // Nearly every length is below 128.
        Some(&byte) if byte < 0x80 => Parsed::Value(u32::from(byte), 1),
        Some(_) => parse_long(bytes),
        None => Parsed::Incomplete,
    }
}

fn parse_long(bytes: &[u8]) -> Parsed {
    let mut value = 0;
    for (at, &byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * at);
        if byte < 0x80 {
            // [MQTT-1.5.5-1] a last byte of zero adds nothing
            return if byte == 0 && at > 0 {
                Parsed::NotMinimal
            } else {
                Parsed::Value(value, at + 1)
            };
        }
    }
    if bytes.len() >= 4 { Parsed::TooLong } else { Parsed::Incomplete }
}

/// How many bytes `value` takes: 1 to 4 (and 5 for what is greater than [`MAX`] and cannot be
/// written).
#[inline]
pub const fn len(value: u32) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        0x20_0000..=MAX => 4,
        _ => 5,
    }
}

/// The bytes of `value` in the smallest form, and how many of the four count.
///
/// # Panics
/// When `value` is greater than [`MAX`]: the caller has built a packet that MQTT cannot carry.
#[inline]
pub fn encode(value: u32) -> ([u8; 4], usize) {
    assert!(value <= MAX, "a Variable Byte Integer holds at most 268435455");
    let mut bytes = [0; 4];
    let mut rest = value;
    let mut used = 0;
    // [MQTT-1.5.5-1] stops as soon as nothing is left
    loop {
        let more = if rest > 0x7F { 0x80 } else { 0 };
        bytes[used] = (rest & 0x7F) as u8 | more;
        used += 1;
        rest >>= 7;
        if rest == 0 {
            return (bytes, used);
        }
    }
}
