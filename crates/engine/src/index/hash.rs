//! Owns the seeded hash functions of the engine's topic structures, and what they share about
//! memory. Must not know what is hashed.

use core::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

/// Marks the absence of a slot, node or filter in a dense `u32` id.
pub(crate) const NONE: u32 = u32::MAX;

/// The hash functions of one structure, all fixed by one seed.
#[derive(Clone)]
pub(crate) struct Seed {
    text: FixedState,
    low: u64,
    high: u64,
}

impl core::fmt::Debug for Seed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // The seed keeps a peer from choosing colliding topics: it is not printed.
        f.write_str("Seed")
    }
}

impl Seed {
    /// Derives every hash function from `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        let text = FixedState::with_seed(seed);
        Self { low: text.hash_one(1_u64), high: text.hash_one(2_u64), text }
    }

    /// The hash of a whole text.
    #[inline]
    pub(crate) fn text(&self, text: &[u8]) -> u64 {
        let mut hasher = self.text.build_hasher();
        hasher.write(text);
        hasher.finish()
    }

    /// The hash of two words: one wide multiplication, folded.
    #[inline]
    pub(crate) fn words(&self, low: u64, high: u64) -> u64 {
        let product = u128::from(low ^ self.low) * u128::from(high ^ self.high);
        product as u64 ^ (product >> 64) as u64
    }
}

/// Makes room for one more element, a quarter at a time: a doubling would leave up to half of a
/// large slab unused.
#[inline]
pub(crate) fn reserve_one<T>(slab: &mut Vec<T>) {
    if slab.len() == slab.capacity() {
        slab.reserve_exact((slab.capacity() / 4).max(8));
    }
}

/// What a text of `len` bytes costs on the heap with a usual allocator (8 bytes a block, blocks in
/// steps of 16, at least 32).
pub(crate) fn text_bytes(len: usize) -> usize {
    if len == 0 { 0 } else { (len + 8).next_multiple_of(16).max(32) }
}
