//! fjall: a log-structured merge tree with a write-ahead journal.
//!
//! Owns how it is called: one batch a commit, fdatasync of the journal, defaults otherwise.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::Result;
use crate::batch::{Batch, Space};
use crate::engines::{Scanned, Store};

pub(crate) struct FjallEngine {
    database: Database,
    spaces: [Keyspace; 3],
}

impl FjallEngine {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let database = Database::builder(folder.join("fjall")).open()?;
        let open = |space: Space| database.keyspace(space.name(), KeyspaceCreateOptions::default);
        let [entries, bodies, retained] = Space::ALL.map(open);
        let spaces = [entries?, bodies?, retained?];
        Ok(Self { database, spaces })
    }
}

impl Store for FjallEngine {
    fn commit(&mut self, batch: &Batch) -> Result {
        let mut write = fjall::OwnedWriteBatch::with_capacity(self.database.clone(), batch.len());
        for change in batch.iter() {
            let space = &self.spaces[change.space as usize];
            match change.value {
                Some(value) => write.insert(space, change.key, value),
                None => write.remove(space, change.key),
            }
        }
        write.durability(Some(PersistMode::SyncData)).commit()?;
        Ok(())
    }

    fn scan(&mut self) -> Result<Scanned> {
        let mut scanned = Scanned::default();
        for space in &self.spaces {
            for record in space.iter() {
                scanned.records += 1;
                scanned.bytes += record.value()?.len() as u64;
            }
        }
        Ok(scanned)
    }
}
