//! Reads what a keyspace's folder says about its tables. Trusts nothing; must not know items.
//!
//! A folder has `current` (`version:u64 xxh3_128(version file):u128 0`), the version file
//! `v<version>` (an archive; its section `tables` lists levels, runs and tables), and
//! `tables/<id>`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

use super::archive;
use super::bytes::Reader;
use super::table_file::{self, Look};

const CURRENT_LEN: usize = 8 + 16 + 1;
/// Part of a folder's name.
const TABLES: &str = "tables";

/// A table that a version lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listed {
    id: u64,
    checksum: u128,
    seqno_base: u64,
}

/// A table file to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TablePath {
    pub(super) path: PathBuf,
    pub(super) seqno_base: u64,
}

/// A bad file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadFile {
    pub(super) path: PathBuf,
    pub(super) what: &'static str,
}

/// What is known of a tree.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// The tables that there are: those the version lists, or without it all that lie there.
    pub(super) tables: Vec<TablePath>,
    /// What is wrong.
    pub(super) bad: Vec<BadFile>,
    /// The largest sequence number in the tables, when all of them could be asked and none is
    /// wrong.
    pub(super) seqno_max: Option<u64>,
}

/// Looks at the folder of a tree.
pub(super) fn look_at(folder: &Path, look: Look) -> io::Result<Tree> {
    let mut tree = Tree::default();
    let listed = match version(folder)? {
        Ok(listed) => listed,
        Err(bad) => {
            tree.bad.push(bad);
            tree.tables = all_tables(folder)?;
            return Ok(tree);
        }
    };
    let mut seqnos = Vec::new();
    for table in listed {
        let path = folder.join(TABLES).join(table.id.to_string());
        match table_file::verify(&path, table.checksum, look)? {
            Some(what) => {
                if path.is_file() {
                    tree.tables
                        .push(TablePath { path: path.clone(), seqno_base: table.seqno_base });
                }
                tree.bad.push(BadFile { path, what });
            }
            None => {
                seqnos.push(table_file::seqno_max(&path)?.map(|max| max + table.seqno_base));
                tree.tables.push(TablePath { path, seqno_base: table.seqno_base });
            }
        }
    }
    tree.bad.extend(strangers(folder)?);
    if tree.bad.is_empty() {
        tree.seqno_max = seqnos.into_iter().try_fold(0, |max, seqno| Some(seqno?.max(max)));
    }
    Ok(tree)
}

/// Whether a folder holds tables at all.
pub(super) fn has_tables(folder: &Path) -> io::Result<bool> {
    Ok(!all_tables(folder)?.is_empty())
}

/// Bytes of the tables in a folder.
pub(super) fn tables_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for table in all_tables(folder)? {
        bytes += fs::metadata(&table.path)?.len();
    }
    Ok(bytes)
}

fn version(folder: &Path) -> io::Result<Result<Vec<Listed>, BadFile>> {
    let current_path = folder.join("current");
    let bad = |path: &Path, what| Ok(Err(BadFile { path: path.to_path_buf(), what }));
    let Some(current) = read(&current_path)? else { return bad(&current_path, "missing") };
    let mut reader = Reader::new(&current);
    let parsed = (reader.u64(), reader.u128(), reader.u8());
    let (Some(number), Some(checksum), Some(0)) = parsed else {
        return bad(&current_path, "damaged");
    };
    if current.len() != CURRENT_LEN {
        return bad(&current_path, "damaged");
    }
    let version_path = folder.join(format!("v{number}"));
    let Some(version) = read(&version_path)? else {
        return bad(&version_path, "missing, or the file current is damaged");
    };
    if xxh3_128(&version) != checksum {
        return bad(&version_path, "damaged");
    }
    let sections = archive::sections(&fs::File::open(&version_path)?)?.unwrap_or_default();
    let listed = sections.iter().find(|s| s.name == b"tables").and_then(|section| {
        let (pos, len) = (usize::try_from(section.pos).ok()?, usize::try_from(section.len).ok()?);
        parse_tables(version.get(pos..pos + len)?)
    });
    match listed {
        Some(listed) => Ok(Ok(listed)),
        None => bad(&version_path, "damaged"),
    }
}

fn parse_tables(section: &[u8]) -> Option<Vec<Listed>> {
    let mut reader = Reader::new(section);
    let mut listed = Vec::new();
    for _level in 0..reader.u8()? {
        for _run in 0..reader.u8()? {
            for _table in 0..reader.u32()? {
                let id = reader.u64()?;
                (reader.u8()? == 0).then_some(())?;
                let (checksum, seqno_base) = (reader.u128()?, reader.u64()?);
                listed.push(Listed { id, checksum, seqno_base });
            }
        }
    }
    reader.is_empty().then_some(listed)
}

/// Entries of the folder of tables that make the engine give up.
fn strangers(folder: &Path) -> io::Result<Vec<BadFile>> {
    let mut found = Vec::new();
    for path in entries(&folder.join(TABLES))? {
        if number(&path).is_none() || !path.is_file() {
            found.push(BadFile { path, what: "not a file of the store" });
        }
    }
    Ok(found)
}

fn all_tables(folder: &Path) -> io::Result<Vec<TablePath>> {
    let all = entries(&folder.join(TABLES))?.into_iter();
    let tables = all.filter(|path| path.is_file() && number(path).is_some());
    Ok(tables.map(|path| TablePath { path, seqno_base: 0 }).collect())
}

/// The number that a file is called by.
pub(super) fn number(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.parse().ok()
}

/// What a folder holds, in the order of names; nothing when it is not there.
pub(super) fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let listing = match fs::read_dir(folder) {
        Err(error) if missing(&error) => return Ok(Vec::new()),
        listing => listing?,
    };
    let mut paths = listing.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if missing(&error) || error.kind() == io::ErrorKind::IsADirectory => Ok(None),
        Err(error) => Err(error),
    }
}

fn missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
