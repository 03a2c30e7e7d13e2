//! Writes a new database from everything that can still be read of a damaged one: per keyspace all
//! tables in the order of their keys, and the journals on top; of a key the newest version wins,
//! and a removal is one. Must not know what the records mean.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fjall::{Database, Keyspace, PersistMode};

use super::archive::read_at;
use super::table_file::{TableItem, TableReader};
use super::tree_files::{TablePath, Tree};
use crate::alarm::Damage;
use crate::journal_scan::{self, Item};

/// Records written to the new database at once.
const BATCH_RECORDS: usize = 4096;
/// Bytes after which a batch is written in any case.
const BATCH_BYTES: usize = 4 << 20;

/// What was carried over, and what was not.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Carried {
    /// Records in the new database.
    pub(super) records: u64,
    /// Bytes of table files that could not be read.
    pub(super) bad_bytes: u64,
    /// Blocks of table files that could not be read.
    pub(super) bad_blocks: u64,
}

impl Carried {
    /// In words.
    pub(super) fn say(&self) -> Damage {
        let Self { records, bad_bytes, bad_blocks } = self;
        let mut what = format!("{records} records were carried into a new database");
        if *bad_blocks > 0 {
            let _ = write!(
                what,
                "; {bad_bytes} bytes in {bad_blocks} places of the tables were unreadable"
            );
        }
        Damage { what, aside: None, records: 0 }
    }
}

/// Where the newest word of the journals on a key is.
#[derive(Debug, Clone, Copy)]
struct JournalWord {
    seqno: u64,
    journal: usize,
    /// Position and length of the value; `None`: removed.
    value: Option<(u64, u64)>,
}

/// What the journals say, by keyspace.
#[derive(Debug, Default)]
pub(super) struct JournalWords {
    paths: Vec<PathBuf>,
    words: BTreeMap<u64, BTreeMap<Vec<u8>, JournalWord>>,
    /// Keyspaces that were emptied: what has a smaller sequence number is gone.
    cleared: BTreeMap<u64, u64>,
}

impl JournalWords {
    /// Reads the journals, which have been made sound. Keeps keys, and where values are.
    pub(super) fn read(paths: &[PathBuf]) -> io::Result<Self> {
        let mut all = Self { paths: paths.to_vec(), ..Self::default() };
        for (journal, path) in paths.iter().enumerate() {
            let bytes = fs::read(path)?;
            for batch in journal_scan::scan(&bytes).batches {
                for item in journal_scan::items(&bytes[batch.items()]) {
                    all.take(&bytes, journal, batch.seqno, &item);
                }
            }
        }
        Ok(all)
    }

    fn take(&mut self, bytes: &[u8], journal: usize, seqno: u64, item: &Item<'_>) {
        match *item {
            Item::Clear { keyspace } => {
                self.words.remove(&keyspace);
                self.cleared.insert(keyspace, seqno);
            }
            Item::Change { keyspace, key, value } => {
                let position = |value: &[u8]| {
                    let pos = value.as_ptr().addr() - bytes.as_ptr().addr();
                    (pos as u64, value.len() as u64)
                };
                let word = JournalWord { seqno, journal, value: value.map(position) };
                let words = self.words.entry(keyspace).or_default();
                let newer = words.get(key).is_none_or(|old| old.seqno <= seqno);
                if newer {
                    words.insert(key.to_vec(), word);
                }
            }
        }
    }

    /// Keyspaces that the journals speak of.
    pub(super) fn keyspaces(&self) -> impl Iterator<Item = u64> {
        self.words.keys().copied()
    }

    fn value(&self, word: &JournalWord) -> io::Result<Option<Vec<u8>>> {
        let Some((pos, len)) = word.value else { return Ok(None) };
        let file = fs::File::open(&self.paths[word.journal])?;
        read_at(&file, pos, len).map(Some)
    }
}

/// Gives all records of one keyspace in the order of their keys, each as its newest version.
pub(super) fn each_record(
    number: u64,
    tree: &Tree,
    journals: &mut JournalWords,
    give: &mut dyn FnMut(Vec<u8>, Vec<u8>) -> io::Result<()>,
) -> io::Result<Carried> {
    let mut words = journals.words.remove(&number).unwrap_or_default();
    if let Some(seqno_max) = tree.seqno_max {
        // What the tables already have may have been removed since, and its removal with it.
        words.retain(|_, word| word.seqno > seqno_max);
    }
    let cleared = journals.cleared.get(&number).copied();
    let mut words = words.into_iter().peekable();
    let mut tables = Tables::open(&tree.tables)?;
    let mut records = 0;
    loop {
        let from_tables = tables.peek_key();
        let from_journal = words.peek().map(|(key, _)| key);
        let key = match (from_tables, from_journal) {
            (Some(table), Some(journal)) => table.min(journal).clone(),
            (Some(key), None) | (None, Some(key)) => key.clone(),
            (None, None) => break,
        };
        let stored = tables.take_newest(&key)?;
        let stored = stored.filter(|item| cleared.is_none_or(|seqno| item.seqno > seqno));
        let word = words.next_if(|(next, _)| *next == key).map(|(_, word)| word);
        let value = match (stored, word) {
            (Some(stored), Some(word)) if stored.seqno > word.seqno => stored.value,
            (_, Some(word)) => journals.value(&word)?,
            (Some(stored), None) => stored.value,
            (None, None) => None,
        };
        if let Some(value) = value {
            records += 1;
            give(key, value)?;
        }
    }
    let (bad_bytes, bad_blocks) = tables.bad();
    Ok(Carried { records, bad_bytes, bad_blocks })
}

/// Carries one keyspace over.
pub(super) fn carry(
    number: u64,
    tree: &Tree,
    journals: &mut JournalWords,
    to: (&Database, &Keyspace),
) -> io::Result<Carried> {
    let mut out = Out::new(to.0, to.1);
    let carried = each_record(number, tree, journals, &mut |key, value| out.put(key, value))?;
    out.flush()?;
    Ok(carried)
}

/// All records of one tree without its journals, the newest of each key.
pub(super) fn read_tree(tree: &Tree) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut tables = Tables::open(&tree.tables)?;
    let mut records = BTreeMap::new();
    while let Some(key) = tables.peek_key().cloned() {
        if let Some(TableItem { value: Some(value), .. }) = tables.take_newest(&key)? {
            records.insert(key, value);
        }
    }
    Ok(records)
}

/// Key, sequence number and number of its reader: the smallest key first, of it the newest.
type Next = Reverse<(Vec<u8>, Reverse<u64>, usize)>;

/// The tables of a tree, read together in the order of keys.
struct Tables {
    readers: Vec<TableReader>,
    /// The next item of each reader: key, then the newest first.
    next: BinaryHeap<Next>,
    values: Vec<Option<Vec<u8>>>,
}

impl Tables {
    fn open(paths: &[TablePath]) -> io::Result<Self> {
        let open = |table: &TablePath| TableReader::open(&table.path, table.seqno_base);
        let readers = paths.iter().map(open).collect::<io::Result<Vec<_>>>()?;
        let values = vec![None; readers.len()];
        let mut tables = Self { readers, next: BinaryHeap::new(), values };
        for nth in 0..tables.readers.len() {
            tables.advance(nth)?;
        }
        Ok(tables)
    }

    fn advance(&mut self, nth: usize) -> io::Result<()> {
        if let Some(item) = self.readers[nth].next()? {
            self.values[nth] = item.value;
            self.next.push(Reverse((item.key, Reverse(item.seqno), nth)));
        }
        Ok(())
    }

    fn peek_key(&self) -> Option<&Vec<u8>> {
        self.next.peek().map(|Reverse((key, ..))| key)
    }

    /// The newest version of a key; all versions are passed.
    fn take_newest(&mut self, key: &[u8]) -> io::Result<Option<TableItem>> {
        let mut newest = None;
        while self.peek_key().is_some_and(|next| next == key) {
            let Some(Reverse((key, Reverse(seqno), nth))) = self.next.pop() else { break };
            let value = self.values[nth].take();
            newest.get_or_insert(TableItem { key, seqno, value });
            self.advance(nth)?;
        }
        Ok(newest)
    }

    fn bad(&self) -> (u64, u64) {
        let sum = |of: fn(&TableReader) -> u64| self.readers.iter().map(of).sum();
        (sum(|r| r.bad_bytes), sum(|r| r.bad_blocks))
    }
}

/// Writes records in batches.
struct Out<'a> {
    db: &'a Database,
    keyspace: &'a Keyspace,
    waiting: Vec<(Vec<u8>, Vec<u8>)>,
    waiting_bytes: usize,
}

impl<'a> Out<'a> {
    fn new(db: &'a Database, keyspace: &'a Keyspace) -> Self {
        Self { db, keyspace, waiting: Vec::new(), waiting_bytes: 0 }
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) -> io::Result<()> {
        self.waiting_bytes += key.len() + value.len();
        self.waiting.push((key, value));
        if self.waiting.len() >= BATCH_RECORDS || self.waiting_bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut batch = self.db.batch().durability(Some(PersistMode::Buffer));
        for (key, value) in self.waiting.drain(..) {
            batch.insert(self.keyspace, key, value);
        }
        self.waiting_bytes = 0;
        batch.commit().map_err(super::engine_error)
    }
}

/// Whether a path is a folder of a keyspace, and which.
pub(super) fn keyspace_number(path: &Path) -> Option<u64> {
    path.is_dir().then(|| super::tree_files::number(path)).flatten()
}
