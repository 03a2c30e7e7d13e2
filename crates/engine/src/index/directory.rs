//! Owns the table that finds a slot by a hash: of a topic, a filter or a path in a trie.
//! Must not know what a slot holds: the caller says whether a slot is the one that it looks for.

use hashbrown::HashTable;

/// Slots by hash. Half of each hash is kept, so that growing reads neither slots nor texts: a table
/// that stops to hash a million texts again would stall a shard.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    table: HashTable<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u32,
    slot: u32,
}

/// The part of a hash that an entry keeps.
#[inline]
fn kept(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// Spreads a kept hash over both the bits that choose a bucket and those that tag an entry.
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
        if self.table.is_empty() {
            self.table = HashTable::new();
        }
    }

    /// Bytes on the heap, capacity included.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.table.allocation_size()
    }
}
