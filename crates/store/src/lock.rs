//! One owner of a data directory at a time. Must not know what is in it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

/// Held for as long as the directory is owned; the operating system lets go of it when the
/// process ends, however it ends.
#[derive(Debug)]
pub(crate) struct DirLock {
    _file: File,
}

/// Why a directory could not be had.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Somebody else has it; with the process id that stands in the file.
    Held(Option<u32>),
    /// The file could not be made or written.
    Io(io::Error),
}

/// Name of the lock file in the data directory.
pub(crate) const LOCK_FILE: &str = "lock";

impl DirLock {
    /// Takes the directory, and writes the process id for whoever comes next.
    pub(crate) fn take(dir: &Path) -> Result<Self, LockError> {
        let path = dir.join(LOCK_FILE);
        let open =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = open.map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held(read_pid(&mut file))),
            Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
        }
        write_pid(&mut file);
        Ok(Self { _file: file })
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// The number only makes a message clearer: a full disk is no reason not to start.
fn write_pid(file: &mut File) {
    let text = format!("{}\n", std::process::id());
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(text.as_bytes())
    };
    let _: io::Result<()> = write(file);
}
