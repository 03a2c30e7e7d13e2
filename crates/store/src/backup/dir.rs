//! Backups of data directories, of running stores, and back. Owns what a restored directory looks
//! like before it is whole. Must not know commands or sockets.

use std::fmt;
use std::fs::{self, DirEntry};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{BackupCounts, BackupError, BackupWriter, Given, Head, TakeError, read};
use crate::alarm::Damage;
use crate::check::{CheckError, each_record, passport, take};
use crate::device::place;
use crate::disk::{Disk, DiskOp, ENGINE_DIR};
use crate::format::{FORMAT, Space, decode};
use crate::handle::StoreHandle;
use crate::lock::{DirLock, LOCK_FILE, LockError};
use crate::passport::{Passport, new_identity};
use crate::private::create_folder;
use crate::salvage::{self, sync_folder};

/// Records written to the engine at once, and bytes of them.
const BATCH_RECORDS: usize = 4096;
const BATCH_BYTES: usize = 4 << 20;
/// Where a restore works, in a directory that was there.
const PARTIAL: &str = "restore.partial";

/// Why a backup could not be made of a directory.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackupDirError {
    /// It holds no store, a broker has it, or it cannot be read.
    Dir(CheckError),
    /// The backup cannot be written.
    Output(io::Error),
}

impl fmt::Display for BackupDirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dir(error) => error.fmt(f),
            Self::Output(error) => write!(f, "cannot write the backup: {error}"),
        }
    }
}

impl std::error::Error for BackupDirError {}

/// Why a backup was not restored. The directory is as it was.
#[derive(Debug)]
#[non_exhaustive]
pub enum RestoreError {
    /// There is something in the directory.
    NotEmpty(PathBuf),
    /// Another restore is at work there.
    Busy(PathBuf),
    /// The backup cannot be read, or not wholly.
    Backup(BackupError),
    /// The result cannot be written.
    Output(PathBuf, io::Error),
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEmpty(dir) => write!(
                f,
                "{} is not empty: give a directory that does not exist yet, or move that one away",
                dir.display()
            ),
            Self::Busy(dir) => write!(f, "another restore works in {}", dir.display()),
            Self::Backup(error) => error.fmt(f),
            Self::Output(path, error) => write!(f, "cannot write {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for RestoreError {}

/// Writes a backup of a store that no broker has open, and says what of it could not be read.
///
/// # Errors
/// See [`BackupDirError`]. Damage is none: a backup has what can be read.
pub fn backup_dir(
    dir: &Path,
    to: &mut dyn Write,
) -> Result<(BackupCounts, Vec<Damage>), BackupDirError> {
    let _lock = take(dir).map_err(BackupDirError::Dir)?;
    let mut damage = Vec::new();
    passport(dir, &mut damage).map_err(|error| BackupDirError::Dir(CheckError::Open(error)))?;
    let identity = match Passport::read(dir) {
        Ok(Some(passport)) => passport.identity,
        // As with a start: there is none any more, so there will be a new one.
        _ => new_identity().map_err(BackupDirError::Output)?,
    };
    let mut writer = BackupWriter::new(to, head(identity)).map_err(BackupDirError::Output)?;
    // What is not to be read is told by the files that it was in.
    let found = each_record(
        place(dir, &dir.join(ENGINE_DIR)),
        &mut |space, key, value| match decode(space, key, value) {
            Ok(_) => writer.put(space, key, value),
            Err(_) => Ok(()),
        },
    );
    let repair = found.map_err(BackupDirError::Output)?;
    damage.extend(repair.damage);
    let unreadable = damage.iter().map(|damage| damage.records).sum();
    let (_, counts) = writer.finish(unreadable).map_err(BackupDirError::Output)?;
    Ok((counts, damage))
}

impl StoreHandle {
    /// Writes a backup of the store as it is when this begins, while it goes on working.
    ///
    /// # Errors
    /// What writing says; and when the store ends or has to repair itself meanwhile.
    pub fn backup(&self, to: &mut dyn Write) -> io::Result<BackupCounts> {
        let gone = || io::Error::other("the store is stopping or repairing itself; try again");
        let snapshot = self.shared.snapshot().ok_or_else(gone)?;
        let mut writer = BackupWriter::new(to, head(self.identity))?;
        let mut unreadable = 0;
        let mut records = 0u64;
        for space in [Space::Records, Space::Messages] {
            for item in snapshot.iter(space) {
                let Ok((key, value)) = item else {
                    unreadable += 1;
                    continue;
                };
                match decode(space, &key, &value) {
                    Ok(_) => writer.put(space, &key, &value)?,
                    Err(_) => unreadable += 1,
                }
                records += 1;
                // As long as this has a snapshot, the engine cannot be opened again.
                if records.is_multiple_of(1024) && self.shared.snapshot().is_none() {
                    return Err(gone());
                }
            }
        }
        Ok(writer.finish(unreadable)?.1)
    }
}

fn head(identity: u128) -> Head {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    Head { format: FORMAT, identity, made_at_wall_ms: u64::try_from(now).unwrap_or(u64::MAX) }
}

/// Makes a data directory from a backup. It appears, or its content does when it is there already,
/// only when the backup has been read and checked wholly.
///
/// # Errors
/// See [`RestoreError`].
pub fn restore_backup(from: &mut dyn Read, dir: &Path) -> Result<BackupCounts, RestoreError> {
    let output = |error| RestoreError::Output(dir.to_path_buf(), error);
    let is_there = match fs::read_dir(dir) {
        Ok(entries) => {
            let entries = entries.collect::<io::Result<Vec<_>>>().map_err(output)?;
            // These a restore that was killed has left.
            let is_ours = |entry: &DirEntry| {
                [LOCK_FILE, PARTIAL].iter().any(|name| entry.file_name() == *name)
            };
            if !entries.iter().all(is_ours) {
                return Err(RestoreError::NotEmpty(dir.to_path_buf()));
            }
            true
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(RestoreError::NotEmpty(dir.to_path_buf()));
        }
        Err(error) => return Err(output(error)),
    };
    if is_there { restore_into(from, dir) } else { restore_as(from, dir) }
}

/// Makes the directory under another name, beside its place.
fn restore_as(from: &mut dyn Read, dir: &Path) -> Result<BackupCounts, RestoreError> {
    let output = |error| RestoreError::Output(dir.to_path_buf(), error);
    let partial = partial_of(dir);
    let (_lock, counts) = filled(from, &partial)?;
    // Over an empty directory the system renames, over any other it refuses.
    fs::rename(&partial, dir).map_err(output)?;
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_folder(parent.unwrap_or(Path::new("."))).map_err(output)?;
    Ok(counts)
}

/// Fills a directory that is there. It may be the root of a file system, which cannot be renamed
/// over, and beside which is another one: so the work is done in it.
fn restore_into(from: &mut dyn Read, dir: &Path) -> Result<BackupCounts, RestoreError> {
    let output = |error| RestoreError::Output(dir.to_path_buf(), error);
    let _lock = lock(dir)?;
    let partial = dir.join(PARTIAL);
    let made = filled(from, &partial);
    if made.is_err() {
        let _ = fs::remove_file(dir.join(LOCK_FILE));
    }
    let (_inner, counts) = made?;
    let put = |path: PathBuf| match path.file_name() {
        Some(name) => fs::rename(&path, dir.join(name)),
        None => Ok(()),
    };
    let is_last = |path: &PathBuf| path.ends_with(ENGINE_DIR);
    let place = || {
        let paths = fs::read_dir(&partial)?.map(|entry| entry.map(|entry| entry.path()));
        let (last, first): (Vec<_>, Vec<_>) =
            paths.collect::<io::Result<Vec<_>>>()?.into_iter().partition(is_last);
        // Without the engine's directory a start says that everything is lost.
        first.into_iter().filter(|path| !path.ends_with(LOCK_FILE)).try_for_each(put)?;
        sync_folder(dir)?;
        last.into_iter().try_for_each(put)?;
        fs::remove_dir_all(&partial)?;
        sync_folder(dir)
    };
    place().map_err(output)?;
    Ok(counts)
}

fn partial_of(dir: &Path) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_os_string();
    name.push(".partial");
    dir.with_file_name(name)
}

fn lock(dir: &Path) -> Result<DirLock, RestoreError> {
    DirLock::take(dir).map_err(|error| match error {
        LockError::Held(_) => RestoreError::Busy(dir.to_path_buf()),
        LockError::Io(error) => RestoreError::Output(dir.to_path_buf(), error),
    })
}

/// As [`fill`]; when it fails nothing is left, unless somebody else is at work there.
fn filled(from: &mut dyn Read, partial: &Path) -> Result<(DirLock, BackupCounts), RestoreError> {
    let made = fill(from, partial);
    if !matches!(made, Ok(_) | Err(RestoreError::Busy(_))) {
        let _ = fs::remove_dir_all(partial);
    }
    made
}

/// Makes the directory under its preliminary name.
fn fill(from: &mut dyn Read, partial: &Path) -> Result<(DirLock, BackupCounts), RestoreError> {
    let output = |error| RestoreError::Output(partial.to_path_buf(), error);
    create_folder(partial).map_err(output)?;
    let lock = lock(partial)?;
    // What a restore that was killed has left.
    let engine_dir = partial.join(ENGINE_DIR);
    if engine_dir.exists() {
        fs::remove_dir_all(&engine_dir).map_err(output)?;
    }
    let disk = Disk::open(&engine_dir).map_err(salvage::engine_error).map_err(output)?;
    let mut into = Into { disk: &disk, waiting: Vec::new(), waiting_bytes: 0 };
    let mut identity = 0;
    let counts = read(from, FORMAT, &mut |given| match given {
        Given::Head(head) => {
            identity = head.identity;
            Ok(())
        }
        Given::Record(space, key, value) => into.put(space, key, value),
    });
    let counts = counts.map_err(RestoreError::Backup)?;
    into.flush().and_then(|()| disk.sync().map_err(salvage::engine_error)).map_err(output)?;
    drop(disk);
    Passport { format: FORMAT, identity }.write(partial).map_err(output)?;
    salvage::mark_stopped(place(partial, &engine_dir)).map_err(output)?;
    sync_folder(partial).map_err(output)?;
    Ok((lock, counts))
}

/// Writes records in batches.
struct Into<'a> {
    disk: &'a Disk,
    waiting: Vec<DiskOp>,
    waiting_bytes: usize,
}

impl Into<'_> {
    fn put(&mut self, space: Space, key: &[u8], value: &[u8]) -> Result<(), TakeError> {
        let bad = |error: crate::format::FormatError| TakeError::Bad(format!("a record: {error}"));
        decode(space, key, value).map_err(bad)?;
        self.waiting.push(DiskOp { space, key: key.into(), value: Some(value.into()) });
        self.waiting_bytes += key.len() + value.len();
        if self.waiting.len() >= BATCH_RECORDS || self.waiting_bytes >= BATCH_BYTES {
            self.flush().map_err(TakeError::Io)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        // A backup has each key once: it was read in the order of keys.
        self.disk.commit(&self.waiting, false).map_err(salvage::engine_error)?;
        self.waiting.clear();
        self.waiting_bytes = 0;
        Ok(())
    }
}
