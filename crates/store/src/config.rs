//! What an operator may say about the store. Must not know what the values bring about.

use std::path::PathBuf;
use std::time::Duration;

/// When a batch counts as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// When it is on the device: it survives a power cut.
    Sync,
    /// When the operating system has it: it survives the end of the process, and a power cut
    /// takes at most what was stored during the last interval.
    Interval(Duration),
}

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// The data directory; created when missing.
    pub dir: PathBuf,
    /// When a batch counts as stored.
    pub durability: Durability,
    /// Free bytes of the file system below which the store says that it is full, while it can
    /// still write. The smaller of this and [`StoreConfig::reserve_part`] counts.
    pub reserve_bytes: u64,
    /// The same as a part of the file system: one in so many bytes.
    pub reserve_part: u64,
}

impl StoreConfig {
    /// Enough for a journal file that is being replaced.
    pub const RESERVE_BYTES: u64 = 64 << 20;
    /// An eighth: leaves a file system of 32 MiB usable.
    pub const RESERVE_PART: u64 = 8;

    /// The directory and the durability; everything else as it usually is.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, durability: Durability) -> Self {
        let (reserve_bytes, reserve_part) = (Self::RESERVE_BYTES, Self::RESERVE_PART);
        Self { dir: dir.into(), durability, reserve_bytes, reserve_part }
    }
}
