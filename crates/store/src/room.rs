//! How much room the file system has, and when that counts as full. Must not know what is stored.

use std::io;
use std::path::{Path, PathBuf};

use crate::ballast::Ballast;

/// Watches a file system.
#[derive(Debug)]
pub(crate) struct RoomWatch {
    dir: PathBuf,
    reserve_bytes: u64,
    is_full: bool,
    ballast: Ballast,
}

/// What a look at the file system found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) free_bytes: u64,
    pub(crate) total_bytes: u64,
    pub(crate) wanted_bytes: u64,
    pub(crate) is_full: bool,
}

/// The ballast is one part in so many of the reserve: the rest is for what is written before
/// anybody has looked.
const BALLAST_PART: u64 = 2;
/// Space counts as back when there is so much more than the reserve: one part in so many of it.
/// Otherwise the store would go back and forth with each message.
const BACK_PART: u64 = 4;

impl RoomWatch {
    pub(crate) fn new(dir: &Path, reserve_bytes: u64, reserve_part: u64) -> Self {
        let total_bytes = look(dir).map_or(u64::MAX, |(_, total_bytes)| total_bytes);
        let part = total_bytes / reserve_part.max(1);
        let reserve_bytes = reserve_bytes.min(part);
        let ballast = Ballast::new(dir, reserve_bytes / BALLAST_PART);
        Self { dir: dir.to_owned(), reserve_bytes, is_full: false, ballast }
    }

    pub(crate) fn reserve_bytes(&self) -> u64 {
        self.reserve_bytes
    }

    /// Looks again. Without an answer there is room: the write will tell. There is not enough when
    /// the reserve and `merge_bytes` beside it are not free, or the ballast is not there.
    pub(crate) fn look(&mut self, merge_bytes: u64) -> Room {
        let (free_bytes, total_bytes) = look(&self.dir).unwrap_or((u64::MAX, u64::MAX));
        let back = if self.is_full { self.reserve_bytes / BACK_PART } else { 0 };
        let ballast = if self.ballast.is_there() { 0 } else { self.ballast.bytes() };
        let wanted_bytes = self.reserve_bytes + merge_bytes;
        self.is_full = free_bytes < wanted_bytes + back + ballast;
        if !self.is_full && !self.ballast.is_there() {
            self.ballast.take();
        }
        Room { free_bytes, total_bytes, wanted_bytes, is_full: self.is_full }
    }

    /// The disk is full to the last byte: what was kept for that is given back.
    pub(crate) fn spend(&mut self) {
        self.ballast.give();
    }
}

/// All bytes of a file system, when they can be had.
pub(crate) fn total_bytes(dir: &Path) -> Option<u64> {
    look(dir).ok().map(|(_, total_bytes)| total_bytes)
}

/// Free bytes for an ordinary user, and all bytes.
fn look(dir: &Path) -> io::Result<(u64, u64)> {
    let found = rustix::fs::statvfs(dir)?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Ok((bytes(found.f_bavail), bytes(found.f_blocks)))
}
