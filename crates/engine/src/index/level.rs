//! Owns the packed form of one topic level and the splitting of topics into levels.
//! Must not know tries or filters.

use super::hash::Seed;

/// One topic level in two words. Levels of up to 11 bytes are held whole, so that equal words mean equal levels;
/// of a longer one it holds a hash and the length, and the text has to be compared as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level {
    /// Short: up to 8 bytes of the text. Long: the hash in the upper half; a node keeps where the text is in the lower one.
    pub(super) low: u64,
    /// The length (short) or a kind in the upper 8 bits; the rest of the text or of the length below.
    pub(super) high: u32,
}

const SHORT_MAX: usize = 11;
const KIND_SHIFT: u32 = 24;
const KIND_LONG: u32 = 0xFF;
const KIND_PLUS: u32 = 0xFE;

impl Level {
    /// Stands for `+` in a node; no text packs to it.
    pub(super) const PLUS: Level = Level { low: 0, high: KIND_PLUS << KIND_SHIFT };

    /// Packs a literal level.
    #[inline]
    pub(super) fn pack(seed: &Seed, level: &[u8]) -> Level {
        let len = level.len();
        let kind = (len as u32) << KIND_SHIFT;
        // Overlapping reads: with the length known, the two words determine the text.
        if let (Some(first), Some(last)) = (level.first_chunk::<8>(), level.last_chunk::<4>()) {
            if len > SHORT_MAX {
                let hash = seed.text(level) & !u64::from(u32::MAX);
                let kind = KIND_LONG << KIND_SHIFT;
                return Level { low: hash, high: kind | (len as u32 & ((1 << KIND_SHIFT) - 1)) };
            }
            Level { low: u64::from_le_bytes(*first), high: kind | u32::from_le_bytes(*last) >> 8 }
        } else if let (Some(first), Some(last)) =
            (level.first_chunk::<4>(), level.last_chunk::<4>())
        {
            let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
            Level { low: u64::from(first) | u64::from(last) << 32, high: kind }
        } else {
            let low = match *level {
                [] => 0,
                [a] => u64::from(a),
                [a, b] => u64::from(a) | u64::from(b) << 8,
                [a, b, c, ..] => u64::from(a) | u64::from(b) << 8 | u64::from(c) << 16,
            };
            Level { low, high: kind }
        }
    }

    /// Packs a level of a filter other than `#`.
    #[inline]
    pub(super) fn of_filter(seed: &Seed, level: &[u8]) -> Level {
        if level == b"+" { Level::PLUS } else { Level::pack(seed, level) }
    }

    /// Whether the text is not held whole.
    #[inline]
    pub(super) fn is_long(self) -> bool {
        self.high >> KIND_SHIFT == KIND_LONG
    }

    /// Whether this stands for `+`.
    #[inline]
    pub(super) fn is_plus(self) -> bool {
        self.high == Level::PLUS.high
    }

    /// The hash of the path that ends with this level, from the hash of the path before it.
    #[inline]
    pub(super) fn path(self, seed: &Seed, parent: u64) -> u64 {
        let low = if self.is_long() { self.low >> 32 } else { self.low };
        seed.words(low ^ parent, u64::from(self.high))
    }
}

/// The first level of `topic` and, if a separator follows it, the rest.
#[inline]
pub(crate) fn split(topic: &[u8]) -> (&[u8], Option<&[u8]>) {
    // Levels are short: a plain loop beats a vectorised search.
    let mut at = 0;
    while at < topic.len() {
        if topic[at] == b'/' {
            return (&topic[..at], Some(&topic[at + 1..]));
        }
        at += 1;
    }
    (topic, None)
}

/// Whether a valid topic filter has a wildcard in it.
#[inline]
pub(crate) fn is_wildcard(filter: &str) -> bool {
    filter.bytes().any(|byte| byte == b'+' || byte == b'#')
}
