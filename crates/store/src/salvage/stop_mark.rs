//! What an orderly stop leaves: how the journals were, so that the next start can tell that one is
//! missing or shorter. After a crash there is no such file, and the end of the last journal may be
//! torn. Must not know what is in a journal.
//!
//! The file `stopped` has one line a journal, `number bytes xxh3`, and a last one with the xxh3 of
//! all before it; numbers but the first two in hexadecimal.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::aside::sync_folder;
use super::tree_files::entries;

const NAME: &str = "stopped";

/// A journal as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stopped {
    pub(super) number: u64,
    pub(super) bytes: u64,
    pub(super) checksum: u64,
}

/// Writes down how the journals of a database are that nobody has open any more.
pub(super) fn write(data: &Path, db: &Path) -> io::Result<()> {
    let mut text = String::new();
    for path in entries(db)? {
        let Some(number) = journal_number(&path) else { continue };
        let content = fs::read(&path)?;
        let (len, checksum) = (content.len(), xxh3_64(&content));
        writeln!(text, "{number} {len} {checksum:x}").map_err(io::Error::other)?;
    }
    let own = xxh3_64(text.as_bytes());
    writeln!(text, "{own:x}").map_err(io::Error::other)?;
    let partial = data.join("stopped.partial");
    fs::write(&partial, text)?;
    File::open(&partial)?.sync_all()?;
    fs::rename(partial, data.join(NAME))?;
    sync_folder(data)
}

/// Takes what the last stop left. `None`: it was no orderly one, or its file is damaged.
pub(super) fn read(data: &Path) -> io::Result<Option<Vec<Stopped>>> {
    match fs::read_to_string(data.join(NAME)) {
        Ok(text) => Ok(parse(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(error),
    }
}

/// From here on the journals change.
pub(super) fn remove(data: &Path) -> io::Result<()> {
    match fs::remove_file(data.join(NAME)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| sync_folder(data)),
    }
}

/// The number in the name of a journal.
pub(super) fn journal_number(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(".jnl")?;
    name.parse().ok().filter(|_| path.is_file())
}

fn parse(text: &str) -> Option<Vec<Stopped>> {
    let last = text.trim_end().rfind('\n').map_or(0, |end| end + 1);
    let (lines, own) = text.split_at(last);
    let own = u64::from_str_radix(own.trim_end(), 16).ok()?;
    (own == xxh3_64(lines.as_bytes())).then_some(())?;
    let parse_line = |line: &str| {
        let mut words = line.split(' ');
        let (number, bytes) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let checksum = u64::from_str_radix(words.next()?, 16).ok()?;
        Some(Stopped { number, bytes, checksum })
    };
    lines.lines().map(parse_line).collect()
}
