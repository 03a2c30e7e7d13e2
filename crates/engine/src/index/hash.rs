//! Owns the seeded hashing of topic texts and the table that finds a slot by its text.
//! Must not know what a slot holds: the texts themselves live with the owner of the slots.

use core::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

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

/// Finds the slot of a text: 8 bytes an entry, and growing touches no text.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    table: HashTable<Entry>,
}

/// Half of the hash is kept so that growing reads neither slots nor texts.
#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u32,
    slot: u32,
}

/// The part of a text's hash that an entry keeps.
#[inline]
fn kept(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// Spreads a kept hash over both the bits that choose a bucket and the bits that tag an entry.
#[inline]
fn spread(kept: u32) -> u64 {
    u64::from(kept) << 32 | u64::from(kept)
}

impl Directory {
    /// The slot with this hash for which `is` holds.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let hash = kept(hash);
        let found = self.table.find(spread(hash), |entry| entry.hash == hash && is(entry.slot));
        found.map(|entry| entry.slot)
    }

    /// Adds a slot that is not in the table.
    pub(crate) fn insert(&mut self, hash: u64, slot: u32) {
        let hash = kept(hash);
        let entry = Entry { hash, slot };
        self.table.insert_unique(spread(hash), entry, |entry| spread(entry.hash));
    }

    /// Takes a slot out.
    pub(crate) fn remove(&mut self, hash: u64, slot: u32) {
        let found = self.table.find_entry(spread(kept(hash)), |entry| entry.slot == slot);
        found.expect("a slot in use is in the directory").remove();
    }

    /// Bytes on the heap, capacity included.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.table.allocation_size()
    }
}

/// Makes room for one more element, a quarter at a time: a doubling would leave up to half of a large slab unused.
#[inline]
pub(crate) fn reserve_one<T>(slab: &mut Vec<T>) {
    if slab.len() == slab.capacity() {
        slab.reserve_exact((slab.capacity() / 4).max(8));
    }
}

/// What a text of `len` bytes costs on the heap with a usual allocator (8 bytes a block, blocks in steps of 16, at least 32).
pub(crate) fn text_bytes(len: usize) -> usize {
    if len == 0 { 0 } else { (len + 8).next_multiple_of(16).max(32) }
}
