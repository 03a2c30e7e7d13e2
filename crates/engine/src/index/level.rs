//! Owns the splitting of topics into levels and the packed form of a level.
//! Must not know tries or filters.

use super::hash::Seed;

/// One topic level in two words. Levels of up to 11 bytes are held whole, so that equal words mean
/// equal levels; of a longer one it holds a hash and the length, and the text has to be compared as
/// well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level {
    /// Short: up to 8 bytes of the text. Long: the hash in the upper half; a node keeps where the
    /// text is in the lower one.
    pub(super) low: u64,
    /// The length (short) or a kind in the upper 8 bits; the rest of the text or of the length
    /// below.
    pub(super) high: u32,
}

const SHORT_MAX: usize = 11;
const KIND_SHIFT: u32 = 24;
const KIND_LONG: u32 = 0xFF;
const KIND_PLUS: u32 = 0xFE;

impl Level {
    /// Stands for `+` in a node; no text packs to it.
    pub(super) const PLUS: Level = Level { low: 0, high: KIND_PLUS << KIND_SHIFT };

    /// Packs a text of at most [`SHORT_MAX`] bytes, which are the low ones of `text`; the others
    /// are ignored.
    #[inline]
    fn short(text: u128, len: usize) -> Level {
        let text = text & ((1 << (8 * len)) - 1);
        Level { low: text as u64, high: (text >> 64) as u32 | (len as u32) << KIND_SHIFT }
    }

    /// Packs a text of more than [`SHORT_MAX`] bytes.
    fn long(seed: &Seed, text: &[u8]) -> Level {
        let len = text.len() as u32 & ((1 << KIND_SHIFT) - 1);
        Level { low: seed.text(text) & !u64::from(u32::MAX), high: len | KIND_LONG << KIND_SHIFT }
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

/// The levels of a topic or a filter, one after the other.
pub(super) struct Levels<'t> {
    topic: &'t [u8],
    /// Where the next level starts.
    at: usize,
}

/// One level of a topic or a filter.
pub(super) struct Part<'t> {
    /// As it stands.
    pub(super) text: &'t [u8],
    /// Packed as a literal one, whatever it is.
    pub(super) level: Level,
    /// No level follows.
    pub(super) is_last: bool,
}

/// The lowest bit of each byte.
const ONES: u128 = u128::from_le_bytes([1; 16]);
const SEPARATORS: u128 = ONES * b'/' as u128;

impl<'t> Levels<'t> {
    /// From the first level on.
    #[inline]
    pub(super) fn of(topic: &'t str) -> Self {
        Self { topic: topic.as_bytes(), at: 0 }
    }

    /// The next level; not called again after the last one.
    #[inline]
    pub(super) fn next(&mut self, seed: &Seed) -> Part<'t> {
        let (at, rest) = (self.at, self.topic.len() - self.at);
        let window = self.window();
        // The usual test for a zero byte, which is exact for the lowest one.
        let zeros = window ^ SEPARATORS;
        let found = zeros.wrapping_sub(ONES) & !zeros & (ONES << 7);
        let len = (found.trailing_zeros() as usize / 8).min(rest);
        let (len, level) = if len <= SHORT_MAX {
            (len, Level::short(window, len))
        } else {
            let text = split(&self.topic[at..]).0;
            (text.len(), Level::long(seed, text))
        };
        self.at = at + len + 1;
        Part { text: &self.topic[at..at + len], level, is_last: len == rest }
    }

    /// The next 16 bytes; zeros after the end.
    #[inline]
    fn window(&self) -> u128 {
        let (topic, at) = (self.topic, self.at);
        if let Some(bytes) = topic[at..].first_chunk::<16>() {
            return u128::from_le_bytes(*bytes);
        }
        if let Some(bytes) = topic.last_chunk::<16>() {
            let before = at + 16 - topic.len();
            return u128::from_le_bytes(*bytes).checked_shr(8 * before as u32).unwrap_or(0);
        }
        let mut bytes = [0; 16];
        bytes[..topic.len()].copy_from_slice(topic);
        u128::from_le_bytes(bytes) >> (8 * at)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn levels(topic: &str) -> Vec<(&str, Level)> {
        let seed = Seed::new(1);
        let mut levels = Levels::of(topic);
        let mut found = Vec::new();
        loop {
            let part = levels.next(&seed);
            found.push((core::str::from_utf8(part.text).expect("whole levels"), part.level));
            if part.is_last {
                return found;
            }
        }
    }

    /// Levels of every length around the limits of a window and of a short level, wherever they
    /// stand in the topic.
    #[test]
    fn splits_as_split_does_and_packs_by_the_text_alone() {
        let mut packed: BTreeMap<String, Level> = BTreeMap::new();
        let texts: Vec<String> = (0..20)
            .flat_map(|len| ["x".repeat(len), "x".repeat(len.max(1) - 1) + "\0", "é".repeat(len)])
            .collect();
        for first in &texts {
            for second in &texts {
                for topic in
                    [format!("{first}/{second}"), format!("{first}//{second}/"), first.clone()]
                {
                    let found = levels(&topic);
                    assert!(found.iter().map(|(text, _)| *text).eq(topic.split('/')), "{topic:?}");
                    for (text, level) in found {
                        let known = *packed.entry(text.to_owned()).or_insert(level);
                        assert_eq!(known, level, "{text:?} in {topic:?}");
                    }
                }
            }
        }
        for (a, of_a) in &packed {
            for (b, of_b) in &packed {
                assert_eq!(a == b, of_a == of_b, "{a:?} {b:?}");
            }
            assert!(!of_a.is_plus() && of_a.is_long() == (a.len() > SHORT_MAX));
        }
    }
}
