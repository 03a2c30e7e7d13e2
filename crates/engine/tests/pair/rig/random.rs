//! Numbers that look random and are the same in every run of a seed.

/// A generator (splitmix64).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// How many of `len` bytes come in one read: often one or a few, sometimes all.
    pub(crate) fn piece(&mut self, len: usize) -> usize {
        match self.below(4) {
            0 => 1,
            1 => 1 + self.below(len.min(16)),
            2 => 1 + self.below(len),
            _ => len,
        }
    }
}
