//! What the store has to say to whoever runs the broker. Must not know where it is written.

use std::fmt;
use std::path::PathBuf;

/// Something for the log, in words that say what happened and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Alarm {
    /// The disk is full, or nearly.
    Full {
        /// Bytes that the file system still has.
        free_bytes: u64,
        /// Bytes below which the store calls it full.
        reserve_bytes: u64,
    },
    /// Writing failed; it will be tried again.
    Failing {
        /// What the operating system or the storage engine said.
        cause: String,
    },
    /// The trouble is over.
    Healed,
    /// Something could not be read.
    Damaged(Damage),
}

/// A part of the store that could not be read, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// What is lost, in words.
    pub what: String,
    /// Where the bad part was set aside, if it was a file.
    pub aside: Option<PathBuf>,
    /// How many records are known to be lost.
    pub records: u64,
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { free_bytes, reserve_bytes } => write!(
                f,
                "the disk is full: {free_bytes} bytes free, below the reserve of {reserve_bytes}; \
                 what would have to be stored is refused until there is space"
            ),
            Self::Failing { cause } => write!(
                f,
                "writing the store failed: {cause}; nothing is acknowledged that is not stored; \
                 trying again"
            ),
            Self::Healed => write!(f, "the store takes messages again"),
            Self::Damaged(damage) => damage.fmt(f),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "damage in the store: {}", self.what)?;
        if self.records > 0 {
            write!(f, ", {} records lost", self.records)?;
        }
        match &self.aside {
            Some(path) => write!(f, ", set aside as {}", path.display()),
            None => Ok(()),
        }
    }
}
