//! A file that only takes room. When the disk is full to the last byte it is removed, so that what
//! is to be removed can be written down and what was removed can be cleared away: without room a
//! store of this kind cannot even get smaller. Must not know when that is.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

/// Name of the file in the data directory.
pub(crate) const BALLAST_FILE: &str = "reserve";

#[derive(Debug)]
pub(crate) struct Ballast {
    path: PathBuf,
    bytes: u64,
    is_there: bool,
}

impl Ballast {
    /// One of `bytes`; not there yet unless an earlier life left it.
    pub(crate) fn new(dir: &Path, bytes: u64) -> Self {
        let path = dir.join(BALLAST_FILE);
        let is_there = path.metadata().is_ok_and(|metadata| metadata.len() == bytes);
        Self { path, bytes, is_there }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn is_there(&self) -> bool {
        self.is_there
    }

    /// Takes the room. That it cannot be had, or that the file system does not know how, is no
    /// trouble: it is tried again.
    pub(crate) fn take(&mut self) {
        self.is_there = self.try_take().is_ok();
        if !self.is_there {
            self.give();
        }
    }

    fn try_take(&self) -> io::Result<()> {
        let file: File =
            OpenOptions::new().write(true).create(true).truncate(true).open(&self.path)?;
        fallocate(&file, FallocateFlags::empty(), 0, self.bytes)?;
        Ok(())
    }

    /// Gives the room back.
    pub(crate) fn give(&mut self) {
        self.is_there = false;
        // Nothing can be done about a file that cannot be removed; there may be none.
        let _: io::Result<()> = fs::remove_file(&self.path);
    }
}
