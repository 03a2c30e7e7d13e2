//! redb: a copy-on-write B-tree.
//!
//! Owns how it is called: one write transaction a commit with `Durability::Immediate`, defaults
//! otherwise.

use std::path::Path;

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use crate::Result;
use crate::batch::{Batch, Space};
use crate::engines::{Scanned, Store};

pub(crate) struct RedbEngine {
    database: Database,
}

fn definition(space: Space) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(space.name())
}

impl RedbEngine {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let database = Database::create(folder.join("redb"))?;
        let write = database.begin_write()?;
        for space in Space::ALL {
            write.open_table(definition(space))?;
        }
        write.commit()?;
        Ok(Self { database })
    }
}

impl Store for RedbEngine {
    fn commit(&mut self, batch: &Batch) -> Result {
        let mut write = self.database.begin_write()?;
        write.set_durability(Durability::Immediate)?;
        {
            let [mut entries, mut bodies, mut retained] = {
                let open = |space| write.open_table(definition(space));
                [open(Space::Entries)?, open(Space::Bodies)?, open(Space::Retained)?]
            };
            for change in batch.iter() {
                let table = match change.space {
                    Space::Entries => &mut entries,
                    Space::Bodies => &mut bodies,
                    Space::Retained => &mut retained,
                };
                match change.value {
                    Some(value) => drop(table.insert(change.key, value)?),
                    None => drop(table.remove(change.key)?),
                }
            }
        }
        write.commit()?;
        Ok(())
    }

    fn scan(&mut self) -> Result<Scanned> {
        let mut scanned = Scanned::default();
        let read = self.database.begin_read()?;
        for space in Space::ALL {
            let table = read.open_table(definition(space))?;
            for record in table.iter()? {
                scanned.records += 1;
                scanned.bytes += record?.1.value().len() as u64;
            }
        }
        Ok(scanned)
    }
}
