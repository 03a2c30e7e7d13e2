//! Owns the table that finds a slot by a hash: of a topic, a filter or a path in a trie.
//! Must not know what a slot holds: the caller says whether a slot is the one that it looks for.
//!
//! Routing in a large index waits for memory, and in a small one for branches that the processor did not foresee. So an
//! entry is in the one cache line that its hash names, where seven hashes are compared without a branch; and the table knows
//! enough of each hash to grow without reading a slot: one that had to hash a million texts again would stall a shard.

/// Slots by hash: seven entries in 64 bytes, of which about half to four in five are in use.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    buckets: Vec<Bucket>,
    len: usize,
}

/// One cache line. An entry that finds its bucket full goes into the next one that is not.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Bucket {
    hashes: [u32; WIDTH],
    /// How many entries are not here but in a bucket further on because this one was full.
    passed: u32,
    slots: [u32; WIDTH],
    len: u32,
}

const WIDTH: usize = 7;

impl Bucket {
    const EMPTY: Bucket = Bucket { hashes: [0; WIDTH], passed: 0, slots: [0; WIDTH], len: 0 };

    /// One bit for each entry with this hash.
    #[inline]
    fn matching(&self, hash: u32) -> u32 {
        let mut found = 0;
        for (lane, own) in self.hashes.iter().enumerate() {
            found |= u32::from(*own == hash) << lane;
        }
        found & ((1 << self.len) - 1)
    }
}

impl Directory {
    /// The slot with this hash for which `is` holds.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let hash = kept(hash);
        let mut at = self.home(hash);
        for _ in 0..self.buckets.len() {
            let bucket = &self.buckets[at];
            let mut matching = bucket.matching(hash);
            while matching != 0 {
                let slot = bucket.slots[matching.trailing_zeros() as usize];
                if is(slot) {
                    return Some(slot);
                }
                matching &= matching - 1;
            }
            if bucket.passed == 0 {
                return None;
            }
            at = self.after(at);
        }
        None
    }

    /// Adds a slot that is not in the table.
    pub(crate) fn insert(&mut self, hash: u64, slot: u32) {
        if self.len * 5 >= self.buckets.len() * WIDTH * 4 {
            self.rebuild((self.buckets.len() + self.buckets.len() / 2).max(self.buckets.len() + 1));
        }
        self.put(kept(hash), slot);
        self.len += 1;
    }

    /// Takes a slot out.
    pub(crate) fn remove(&mut self, hash: u64, slot: u32) {
        let hash = kept(hash);
        let mut at = self.home(hash);
        for _ in 0..self.buckets.len() {
            let bucket = &mut self.buckets[at];
            let len = bucket.len as usize;
            if let Some(lane) = bucket.slots[..len].iter().position(|&own| own == slot) {
                bucket.hashes.swap(lane, len - 1);
                bucket.slots.swap(lane, len - 1);
                bucket.len -= 1;
                self.len -= 1;
                return self.give_back();
            }
            bucket.passed -= 1;
            at = self.after(at);
        }
        unreachable!("a slot in use is in the directory");
    }

    /// Bytes on the heap, capacity included.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<Bucket>()
    }

    /// The bucket for a hash: higher hashes do not come before lower ones, so that growing goes through memory in order.
    #[inline]
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.buckets.len() as u64) >> 32) as usize
    }

    #[inline]
    fn after(&self, at: usize) -> usize {
        if at + 1 == self.buckets.len() { 0 } else { at + 1 }
    }

    fn put(&mut self, hash: u32, slot: u32) {
        let mut at = self.home(hash);
        while self.buckets[at].len as usize == WIDTH {
            self.buckets[at].passed += 1;
            at = self.after(at);
        }
        let bucket = &mut self.buckets[at];
        let lane = bucket.len as usize;
        bucket.hashes[lane] = hash;
        bucket.slots[lane] = slot;
        bucket.len += 1;
    }

    /// Gives memory back after a removal, so seldom that a removal costs constant time on average.
    fn give_back(&mut self) {
        if self.len == 0 {
            *self = Self::default();
        } else if self.len * 8 < self.buckets.len() * WIDTH {
            self.rebuild(self.buckets.len() / 4 + 1);
        }
    }

    fn rebuild(&mut self, buckets: usize) {
        let old = core::mem::replace(&mut self.buckets, vec![Bucket::EMPTY; buckets]);
        for bucket in &old {
            for lane in 0..bucket.len as usize {
                self.put(bucket.hashes[lane], bucket.slots[lane]);
            }
        }
    }
}

/// The part of a hash that an entry keeps.
#[inline]
fn kept(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn check(directory: &Directory, model: &BTreeMap<u32, u64>) {
        assert_eq!(size_of::<Bucket>(), 64);
        assert_eq!(directory.len, model.len());
        let used: u32 = directory.buckets.iter().map(|bucket| bucket.len).sum();
        assert_eq!(used as usize, model.len());
        for (&slot, &hash) in model {
            assert_eq!(directory.find(hash, |found| found == slot), Some(slot));
            assert_eq!(directory.find(hash, |_| false), None);
        }
        if model.is_empty() {
            assert_eq!(directory.find(0, |_| true), None);
        }
    }

    /// Equal hashes, the lowest and the highest ones, and entries that go on from the last bucket to the first.
    #[test]
    fn finds_what_is_in_it_while_it_grows_and_shrinks() {
        let spread: fn(u32) -> u64 = |slot| u64::from(slot).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let hashes: [fn(u32) -> u64; 5] = [
            spread,
            |_| 0,
            |_| u64::MAX,
            |slot| u64::MAX - (u64::from(slot) << 32),
            |slot| u64::from(slot % 7) << 61,
        ];
        for hash in hashes {
            let mut directory = Directory::default();
            let mut model = BTreeMap::new();
            check(&directory, &model);
            for slot in 0..300 {
                directory.insert(hash(slot), slot);
                model.insert(slot, hash(slot));
                check(&directory, &model);
            }
            for step in 0..300 {
                let slot = step * 7 % 300;
                directory.remove(hash(slot), slot);
                model.remove(&slot);
                check(&directory, &model);
            }
            assert_eq!(directory.heap_bytes(), 0);
        }
    }
}
