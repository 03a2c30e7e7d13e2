//! How much room the file system has, and when that counts as full. Must not know what is stored.

use std::io;
use std::path::{Path, PathBuf};

/// Watches a file system.
#[derive(Debug)]
pub(crate) struct RoomWatch {
    dir: PathBuf,
    reserve_bytes: u64,
    is_full: bool,
}

/// What a look at the file system found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) free_bytes: u64,
    pub(crate) total_bytes: u64,
    pub(crate) reserve_bytes: u64,
    pub(crate) is_full: bool,
}

/// Space counts as back when there is so much more than the reserve: one part in so many of it.
/// Otherwise the store would go back and forth with each message.
const BACK_PART: u64 = 4;

impl RoomWatch {
    pub(crate) fn new(dir: &Path, reserve_bytes: u64, reserve_part: u64) -> Self {
        let total_bytes = look(dir).map_or(u64::MAX, |(_, total_bytes)| total_bytes);
        let part = total_bytes / reserve_part.max(1);
        let reserve_bytes = reserve_bytes.min(part);
        Self { dir: dir.to_owned(), reserve_bytes, is_full: false }
    }

    pub(crate) fn reserve_bytes(&self) -> u64 {
        self.reserve_bytes
    }

    /// Looks again. Without an answer there is room: the write will tell.
    pub(crate) fn look(&mut self) -> Room {
        let (free_bytes, total_bytes) = look(&self.dir).unwrap_or((u64::MAX, u64::MAX));
        let back = if self.is_full { self.reserve_bytes / BACK_PART } else { 0 };
        self.is_full = free_bytes < self.reserve_bytes + back;
        let Self { reserve_bytes, is_full, .. } = *self;
        Room { free_bytes, total_bytes, reserve_bytes, is_full }
    }
}

/// Free bytes for an ordinary user, and all bytes.
fn look(dir: &Path) -> io::Result<(u64, u64)> {
    let found = rustix::fs::statvfs(dir)?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Ok((bytes(found.f_bavail), bytes(found.f_blocks)))
}
