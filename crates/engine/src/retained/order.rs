//! Owns the canonical order of topics: a comparison in which every subtree is contiguous, and a
//! list of slots in that order. Must not know what a slot holds; the list asks its caller to
//! compare.

use core::cmp::Ordering;

/// Compares topics (or bounds between them) byte by byte, `/` before all others: a topic, then
/// everything below it, then the rest.
#[inline]
pub(super) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let same = common_prefix(a, b);
    match (a.get(same), b.get(same)) {
        (Some(&a), Some(&b)) => rank(a).cmp(&rank(b)),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

/// `/` first, the bytes before it one up: a permutation, so that different topics never compare
/// equal.
#[inline]
fn rank(byte: u8) -> u8 {
    match byte.cmp(&b'/') {
        Ordering::Less => byte + 1,
        Ordering::Equal => 0,
        Ordering::Greater => byte,
    }
}

/// The byte of the second rank: appended to a topic it makes the lowest bound above everything
/// below the topic.
pub(super) const AFTER_SUBTREE: char = '\0';

#[inline]
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let mut at = 0;
    while let (Some(x), Some(y)) = (a[at..].first_chunk::<8>(), b[at..].first_chunk::<8>()) {
        let differing = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
        if differing != 0 {
            return at + differing.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + a[at..].iter().zip(&b[at..]).take_while(|(x, y)| x == y).count()
}

/// The most slots in a block.
const BLOCK_MAX: usize = 256;

/// A sorted list of slots in blocks: an insertion moves at most one block and, once in a hundred
/// times, the list of blocks.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// None is empty.
    blocks: Vec<Vec<u32>>,
    block_bytes: usize,
}

/// A place in the list; valid until the list changes. May be at the end of a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    block: usize,
    at: usize,
}

impl Order {
    /// The first position.
    pub(super) fn start(&self) -> Position {
        Position { block: 0, at: 0 }
    }

    /// The slot at a position; `None` at the end of the list.
    #[inline]
    pub(super) fn get(&self, position: Position) -> Option<u32> {
        let block = self.blocks.get(position.block)?;
        match block.get(position.at) {
            Some(&slot) => Some(slot),
            None => self.blocks.get(position.block + 1).map(|block| block[0]),
        }
    }

    /// The position after `position`, which is not the end.
    #[inline]
    pub(super) fn next(&self, position: Position) -> Position {
        if position.at < self.blocks[position.block].len() {
            Position { at: position.at + 1, ..position }
        } else {
            Position { block: position.block + 1, at: 1 }
        }
    }

    /// The first position whose slot is not `before` the target. `before` holds for a prefix of the
    /// list.
    pub(super) fn lower_bound(&self, before: impl Fn(u32) -> bool) -> Position {
        let block = self.blocks.partition_point(|block| before(block[0])).saturating_sub(1);
        let at =
            self.blocks.get(block).map_or(0, |block| block.partition_point(|&slot| before(slot)));
        Position { block, at }
    }

    /// Like [`Self::lower_bound`] for a target after `from`: the cost depends on the distance only.
    pub(super) fn seek(&self, from: Position, before: impl Fn(u32) -> bool) -> Position {
        let Position { mut block, mut at } = from;
        if at >= self.blocks[block].len() {
            (block, at) = (block + 1, 0);
        }
        let Some(slots) = self.blocks.get(block) else { return from };
        if before(slots[slots.len() - 1]) {
            let next = block + 1;
            let ahead = gallop(self.blocks.len() - next, |i| before(self.blocks[next + i][0]));
            // The target is in the last block that starts before it, or at the start of the next
            // one.
            if ahead == 0 {
                return Position { block, at: slots.len() };
            }
            (block, at) = (next + ahead - 1, 0);
        }
        let slots = &self.blocks[block];
        Position { block, at: at + gallop(slots.len() - at, |i| before(slots[at + i])) }
    }

    /// Puts a slot at a position that [`Self::lower_bound`] gave for it.
    pub(super) fn insert(&mut self, position: Position, slot: u32) {
        let Position { mut block, mut at } = position;
        if self.blocks.is_empty() {
            self.blocks.push(Vec::new());
        }
        let len = self.blocks[block].len();
        if len == BLOCK_MAX {
            let keep = if at == len && block + 1 == self.blocks.len() {
                len // topics that come in order leave full blocks behind
            } else {
                len / 2
            };
            let upper = self.blocks[block].split_off(keep);
            self.block_bytes += upper.capacity() * size_of::<u32>();
            self.blocks.insert(block + 1, upper);
            if at > keep || keep == len {
                (block, at) = (block + 1, at - keep);
            }
        }
        let slots = &mut self.blocks[block];
        self.block_bytes -= slots.capacity() * size_of::<u32>();
        slots.insert(at, slot);
        self.block_bytes += slots.capacity() * size_of::<u32>();
    }

    /// Takes the slot at a position out; the position is not the end.
    pub(super) fn remove(&mut self, position: Position) -> u32 {
        let Position { mut block, mut at } = position;
        if at == self.blocks[block].len() {
            (block, at) = (block + 1, 0);
        }
        let slot = self.blocks[block].remove(at);
        if self.blocks[block].is_empty() {
            self.drop_block(block);
        } else if block > 0 && self.blocks[block].len() < BLOCK_MAX / 4 {
            self.merge(block - 1);
        } else if block + 1 < self.blocks.len() && self.blocks[block].len() < BLOCK_MAX / 4 {
            self.merge(block);
        }
        slot
    }

    /// All slots in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.blocks.iter().flatten().copied()
    }

    /// Bytes on the heap, capacity included.
    pub(super) fn heap_bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<Vec<u32>>() + self.block_bytes
    }

    /// Joins a block with the next one if that leaves room for more.
    fn merge(&mut self, block: usize) {
        if self.blocks[block].len() + self.blocks[block + 1].len() > BLOCK_MAX / 2 {
            return;
        }
        let upper = core::mem::take(&mut self.blocks[block + 1]);
        self.block_bytes -= self.blocks[block].capacity() * size_of::<u32>();
        self.blocks[block].extend_from_slice(&upper);
        self.block_bytes += self.blocks[block].capacity() * size_of::<u32>();
        self.blocks[block + 1] = upper;
        self.drop_block(block + 1);
    }

    fn drop_block(&mut self, block: usize) {
        let dropped = self.blocks.remove(block);
        self.block_bytes -= dropped.capacity() * size_of::<u32>();
        if self.blocks.is_empty() {
            self.blocks = Vec::new();
        }
    }

    /// Checks what the list promises of itself.
    pub(super) fn check_invariants(&self) {
        assert!(self.blocks.iter().all(|block| !block.is_empty() && block.len() <= BLOCK_MAX));
        let bytes: usize =
            self.blocks.iter().map(|block| block.capacity() * size_of::<u32>()).sum();
        assert_eq!(bytes, self.block_bytes);
    }
}

/// The first index below `len` for which `before` does not hold, or `len`; cheap when it is a low
/// one.
fn gallop(len: usize, before: impl Fn(usize) -> bool) -> usize {
    let mut low = 0;
    let mut step = 1;
    while low + step <= len && before(low + step - 1) {
        low += step;
        step *= 2;
    }
    let mut high = (low + step - 1).min(len);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_followed_by_everything_below_it() {
        let sorted =
            ["a", "a/", "a//", "a/b", "a/b/c", "a/c", "a\0", "a\x01", "a ", "a-b", "ab", "b"];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(compare(a.as_bytes(), b.as_bytes()), i.cmp(&j), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn gallop_finds_every_boundary() {
        for len in 0..70 {
            for boundary in 0..=len {
                assert_eq!(gallop(len, |i| i < boundary), boundary, "of {len}");
            }
        }
    }
}
