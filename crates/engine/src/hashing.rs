//! Seeded hashing for the tables of a shard: the same seed gives the same run.

use core::hash::{BuildHasher, Hasher};

/// A hash function that only its seed decides.
#[derive(Debug, Clone)]
pub(crate) struct Hashing(foldhash::fast::FixedState);

impl Hashing {
    pub(crate) fn new(seed: u64) -> Self {
        Self(foldhash::fast::FixedState::with_seed(seed))
    }

    #[inline]
    pub(crate) fn str(&self, text: &str) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write(text.as_bytes());
        hasher.finish()
    }
}
