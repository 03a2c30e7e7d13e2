//! The trait that all engines stand behind, and the list of them.
//!
//! Owns what is asked of an engine: a commit that is durable when it returns, and a full scan.

use std::path::Path;

use crate::Result;
use crate::batch::Batch;
use crate::fjall_engine::FjallEngine;
use crate::redb_engine::RedbEngine;
use crate::segmented_log::SegmentedLog;

/// What a full scan found.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Scanned {
    pub(crate) records: u64,
    /// Bytes of the values; each was read.
    pub(crate) bytes: u64,
}

/// An open store.
pub(crate) trait Store {
    /// All changes or none survive a crash from the moment this returns.
    fn commit(&mut self, batch: &Batch) -> Result;
    /// Reads every record.
    fn scan(&mut self) -> Result<Scanned>;
}

/// The engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Fjall,
    Redb,
    Log,
}

impl Engine {
    pub(crate) const ALL: [Self; 3] = [Self::Fjall, Self::Redb, Self::Log];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fjall => "fjall",
            Self::Redb => "redb",
            Self::Log => "log",
        }
    }

    pub(crate) fn named(name: &str) -> Result<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|engine| engine.name() == name).ok_or_else(|| format!("no engine '{name}'").into())
    }

    /// Creates the store in `folder`, or opens the one that is there.
    pub(crate) fn open(self, folder: &Path) -> Result<Box<dyn Store>> {
        Ok(match self {
            Self::Fjall => Box::new(FjallEngine::open(folder)?),
            Self::Redb => Box::new(RedbEngine::open(folder)?),
            Self::Log => Box::new(SegmentedLog::open(folder)?),
        })
    }
}
