//! The storage engine, opened: two sorted sets with one journal. Owns how it is tuned and the traps
//! it has. Must not know what the records mean.
//!
//! Of the engine's traps these shape this file:
//! - A commit waits without end for a background thread that has died on a full disk, when too many
//!   sorted runs or memtables have piled up. [`Disk::is_congested`] asks before each commit, with
//!   room to spare, so that a commit never starts such a wait.
//! - All operations of one batch have one sequence number: a key may occur only once in it.
//! - With two background threads one of them spins while the other merges; so there is one.
//! - "Weak" removal gives back space sooner, but a key that is ever written again may come back
//!   from the dead. Places and session numbers start again from what is left in the store, so keys
//!   are written again: only ordinary removal is used.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fjall::compaction::Leveled;
use fjall::config::{BlockSizePolicy, BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry};
use fjall::{
    AbstractTree, Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode,
    Readable, Slice, Snapshot,
};

use crate::format::Space;
use crate::room;

/// Bytes of the memtable of each of the two sets; up to two full ones of each wait for the
/// background thread.
const MEMTABLE_BYTES: u64 = 8 << 20;
/// On a small file system they are so small a part of it: what is written out at once must not fill
/// it. Decided when the store is made.
const MEMTABLE_PART: u64 = 64;
/// The least for which it makes sense.
const MEMTABLE_BYTES_MIN: u64 = 256 << 10;
/// Blocks of tables kept in memory: questions read forward, so a window is enough.
const CACHE_BYTES: u64 = 8 << 20;
/// Bytes of journals after which the set that holds the oldest one back is written out. The least
/// that the engine takes.
const JOURNALS_BYTES: u64 = 64 << 20;
/// Bytes of one table: a merge takes at least one, and blocks the background thread for so long.
const TABLE_BYTES: u64 = 16 << 20;
/// Bytes of one merge at most: four full memtables into a first level of four tables, and about the
/// same further down.
const MERGE_BYTES_MAX: u64 = 192 << 20;
/// Open files that the engine keeps; its own number would be most of a usual limit of 1024.
const FILES_MAX: usize = 128;
/// Bytes of a block: the least that is read for one record.
const BLOCK_BYTES: u32 = 8 << 10;
/// Full memtables of one set at which no commit is begun: a commit adds at most one, and the engine
/// waits at four.
const SEALED_MAX: usize = 2;
/// Sorted runs at which no commit is begun: the engine slows down at 20 and waits at 30.
const RUNS_MAX: usize = 16;

/// What one operation does to one key.
#[derive(Debug, Clone)]
pub(crate) struct DiskOp {
    pub(crate) space: Space,
    pub(crate) key: Slice,
    /// `None` removes.
    pub(crate) value: Option<Slice>,
}

/// An open engine.
pub(crate) struct Disk {
    database: Database,
    records: Keyspace,
    messages: Keyspace,
    upkeep: Upkeep,
    /// One more for each snapshot.
    snapshots: Arc<()>,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk").finish_non_exhaustive()
    }
}

/// Name of the engine's directory in the data directory.
pub(crate) const ENGINE_DIR: &str = "store";
/// Names of the two sets, in the order in which they are made.
pub(crate) const KEYSPACES: [&str; 2] = ["records", "messages"];

fn strategy() -> Leveled {
    Leveled::default().with_table_target_size(TABLE_BYTES)
}

fn options(engine_dir: &Path) -> KeyspaceCreateOptions {
    let total_bytes = room::total_bytes(engine_dir).unwrap_or(u64::MAX);
    let memtable_bytes = (total_bytes / MEMTABLE_PART).clamp(MEMTABLE_BYTES_MIN, MEMTABLE_BYTES);
    let bloom = FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(10.0));
    KeyspaceCreateOptions::default()
        .max_memtable_size(memtable_bytes)
        .manual_journal_persist(true)
        .data_block_size_policy(BlockSizePolicy::all(BLOCK_BYTES))
        .filter_policy(FilterPolicy::all(bloom))
        .expect_point_read_hits(true)
        .compaction_strategy(Arc::new(strategy()))
}

/// Opens or creates the engine in its own directory, with both sets.
pub(crate) fn create(engine_dir: &Path) -> fjall::Result<(Database, Vec<Keyspace>)> {
    create_with(engine_dir, 1)
}

fn create_with(engine_dir: &Path, threads: usize) -> fjall::Result<(Database, Vec<Keyspace>)> {
    let database = Database::builder(engine_dir)
        .cache_size(CACHE_BYTES)
        .max_cached_files(Some(FILES_MAX))
        .max_journaling_size(JOURNALS_BYTES)
        .manual_journal_persist(true)
        .worker_threads_unchecked(threads)
        .open()?;
    let sets = KEYSPACES.into_iter().map(|name| database.keyspace(name, || options(engine_dir)));
    let sets = sets.collect::<fjall::Result<Vec<Keyspace>>>()?;
    Ok((database, sets))
}

/// Who writes tables and merges them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upkeep {
    /// The engine's thread, whenever it sees fit. When that runs out of room, the engine gives up.
    Background,
    /// Nobody, until [`Disk::flush_here`] or [`Disk::compact_here`] is called: for a full disk.
    Here,
}

impl Disk {
    /// Opens or creates the engine in its own directory.
    pub(crate) fn open(engine_dir: &Path) -> fjall::Result<Self> {
        Self::open_with(engine_dir, Upkeep::Background)
    }

    pub(crate) fn open_with(engine_dir: &Path, upkeep: Upkeep) -> fjall::Result<Self> {
        let (database, mut sets) =
            create_with(engine_dir, usize::from(upkeep == Upkeep::Background))?;
        let messages = sets.pop().ok_or(fjall::Error::Unrecoverable)?;
        let records = sets.pop().ok_or(fjall::Error::Unrecoverable)?;
        Ok(Self { database, records, messages, upkeep, snapshots: Arc::new(()) })
    }

    pub(crate) fn upkeep(&self) -> Upkeep {
        self.upkeep
    }

    /// Whether anybody reads a snapshot: then the engine cannot be closed.
    pub(crate) fn has_snapshots(&self) -> bool {
        Arc::strong_count(&self.snapshots) > 1
    }

    pub(crate) fn set(&self, space: Space) -> &Keyspace {
        match space {
            Space::Records => &self.records,
            Space::Messages => &self.messages,
        }
    }

    /// Whether a commit could have to wait for the background thread.
    pub(crate) fn is_congested(&self) -> bool {
        [&self.records, &self.messages].into_iter().any(|set| {
            set.sealed_memtable_count() >= SEALED_MAX || set.tree.l0_run_count() >= RUNS_MAX
        })
    }

    /// Fails when the engine has given up: it must then be dropped and opened again.
    pub(crate) fn check(&self) -> fjall::Result<()> {
        self.database.persist(PersistMode::Buffer)
    }

    /// Writes all operations as one, no key twice; with `sync` they are on the device when this
    /// returns.
    pub(crate) fn commit(&self, ops: &[DiskOp], sync: bool) -> fjall::Result<()> {
        let mode = if sync { PersistMode::SyncData } else { PersistMode::Buffer };
        let mut batch = OwnedWriteBatch::with_capacity(self.database.clone(), ops.len());
        for DiskOp { space, key, value } in ops {
            match value {
                Some(value) => batch.insert(self.set(*space), key.clone(), value.clone()),
                None => batch.remove(self.set(*space), key.clone()),
            }
        }
        batch.durability(Some(mode)).commit()
    }

    /// Makes everything that is committed survive a power cut.
    pub(crate) fn sync(&self) -> fjall::Result<()> {
        self.database.persist(PersistMode::SyncData)
    }

    pub(crate) fn get(&self, space: Space, key: &[u8]) -> fjall::Result<Option<Slice>> {
        self.set(space).get(key)
    }

    /// Everything as it is now, whatever is written afterwards.
    pub(crate) fn snapshot(&self) -> DiskSnapshot {
        let (records, messages) = (self.records.clone(), self.messages.clone());
        let counted = Arc::clone(&self.snapshots);
        DiskSnapshot { snapshot: self.database.snapshot(), records, messages, _counted: counted }
    }

    /// Writes all memtables out as tables. Whether it was done within `limit`.
    ///
    /// # Errors
    /// When the engine has given up.
    fn flush(&self, limit: Duration) -> fjall::Result<bool> {
        let until = Instant::now() + limit;
        let sets = [&self.records, &self.messages];
        for set in sets {
            set.rotate_memtable()?;
        }
        while sets.iter().any(|set| set.sealed_memtable_count() > 0) {
            self.check()?;
            if Instant::now() > until {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(sets.iter().all(|set| set.tree.active_memtable().is_empty()))
    }

    /// Closes the engine with its journals emptied, if that can be done within `limit`. The engine
    /// itself gives a journal up only beyond 64 MB: too much for a small or full disk.
    pub(crate) fn close_small(self, engine_dir: &Path, limit: Duration) -> fjall::Result<()> {
        let is_flushed = self.flush(limit)?;
        drop(self);
        if is_flushed {
            empty_journals(engine_dir)?;
        }
        Ok(())
    }

    /// With [`Upkeep::Here`]: writes all memtables out as tables, unless so many tables are there
    /// that more would stop commits.
    pub(crate) fn flush_here(&self) -> fjall::Result<bool> {
        let sets = [&self.records, &self.messages];
        if sets.iter().any(|set| set.tree.l0_run_count() >= RUNS_MAX - 2) {
            return Ok(false);
        }
        // Nobody reads what is older, so it need not be kept.
        let read_from = if self.has_snapshots() { 0 } else { self.database.snapshot().seqno() };
        for set in sets {
            set.rotate_memtable()?;
            let lock = set.tree.get_flush_lock();
            set.tree.flush(&lock, read_from.saturating_sub(1))?;
        }
        Ok(sets.iter().all(|set| set.tree.active_memtable().is_empty()))
    }

    /// Closes the engine whose tables have everything, with its journals emptied.
    pub(crate) fn close_flushed(self, engine_dir: &Path) -> io::Result<()> {
        drop(self);
        empty_journals(engine_dir)
    }

    /// With [`Upkeep::Here`]: merges what can be merged in so many bytes.
    pub(crate) fn compact_here(&self, free_bytes: u64) -> fjall::Result<()> {
        for set in [&self.messages, &self.records] {
            if set.disk_space() <= free_bytes {
                set.major_compact()?;
            } else if free_bytes >= MERGE_BYTES_MAX && !self.has_snapshots() {
                let read_from = self.database.snapshot().seqno();
                set.tree.compact(Arc::new(strategy()), read_from.saturating_sub(1))?;
            }
        }
        Ok(())
    }

    /// Room that the next merge may need: it writes before it removes.
    pub(crate) fn merge_bytes(&self) -> u64 {
        self.records.disk_space().max(self.messages.disk_space()).min(MERGE_BYTES_MAX)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.database.disk_space().unwrap_or_default()
    }
}

/// The whole store at one moment. As long as one exists, the engine cannot be opened again after an
/// error.
pub(crate) struct DiskSnapshot {
    snapshot: Snapshot,
    records: Keyspace,
    messages: Keyspace,
    _counted: Arc<()>,
}

impl DiskSnapshot {
    /// All records of a set in the order of their keys.
    pub(crate) fn iter(
        &self,
        space: Space,
    ) -> impl Iterator<Item = fjall::Result<(Slice, Slice)>> + use<> {
        let set = match space {
            Space::Records => &self.records,
            Space::Messages => &self.messages,
        };
        self.snapshot.iter(set).map(fjall::Guard::into_inner)
    }
}

/// The engine's journals, in no order.
fn journals(engine_dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut journals = Vec::new();
    for entry in fs::read_dir(engine_dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            journals.push(path);
        }
    }
    Ok(journals)
}

/// Bytes that the journals really take: the engine makes each longer than what is in it.
pub(crate) fn journal_bytes(engine_dir: &Path) -> u64 {
    const BLOCK_BYTES: u64 = 512;
    let journals = journals(engine_dir).unwrap_or_default();
    let blocks = |path: &PathBuf| path.metadata().map_or(0, |metadata| metadata.blocks());
    journals.iter().map(blocks).sum::<u64>() * BLOCK_BYTES
}

/// Writes all journals of a closed engine anew. After a failed fsync the operating system takes
/// pages for written that never reached the device, and a later fsync says nothing of them: what
/// can still be read must be written again before anything is built on it.
pub(crate) fn rewrite_journals(engine_dir: &Path) -> io::Result<()> {
    for path in journals(engine_dir)? {
        let copy = path.with_extension("copy");
        let copied = fs::copy(&path, &copy).and_then(|_| File::open(&copy)?.sync_all());
        if let Err(error) = copied {
            // It may be for want of room: a part of a copy must not take any.
            let _: io::Result<()> = fs::remove_file(&copy);
            return Err(error);
        }
        fs::rename(&copy, &path)?;
    }
    File::open(engine_dir)?.sync_all()
}

/// Empties the journals of a closed engine whose tables have everything.
fn empty_journals(engine_dir: &Path) -> io::Result<()> {
    let mut journals = journals(engine_dir)?;
    // By number: the last one stays, for the engine numbers its writes by what it finds.
    journals.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    let Some(last) = journals.pop() else { return Ok(()) };
    journals.iter().try_for_each(fs::remove_file)?;
    OpenOptions::new().write(true).open(last)?.set_len(0)?;
    File::open(engine_dir)?.sync_all()
}
