//! fjall: a log-structured merge tree with a write-ahead journal.
//!
//! Owns how it is called: one batch a commit, fdatasync of the journal, and the settings of the
//! broker's store (small memtables, one background thread, no compression).

use std::path::Path;
use std::sync::Arc;

use fjall::compaction::Leveled;
use fjall::config::BlockSizePolicy;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::Result;
use crate::batch::{Batch, Space};
use crate::engines::{Scanned, Store};

pub(crate) struct FjallEngine {
    database: Database,
    spaces: [Keyspace; 3],
}

fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(8 << 20)
        .manual_journal_persist(true)
        .data_block_size_policy(BlockSizePolicy::all(8 << 10))
        .compaction_strategy(Arc::new(Leveled::default().with_table_target_size(16 << 20)))
}

impl FjallEngine {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let database = Database::builder(folder.join("fjall"))
            .cache_size(8 << 20)
            .max_journaling_size(64 << 20)
            .manual_journal_persist(true)
            .worker_threads(1)
            .open()?;
        let open = |space: Space| database.keyspace(space.name(), options);
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
