//! Backups: everything that is stored, in one file that does not depend on the storage engine.
//! Owns the format; must not know what the records mean.
//!
//! The file begins with `"MARTLETB"` and the version of this format as u16. Blocks follow:
//!
//! ```text
//! kind:u8 len:u32 payload xxh3(kind, len, payload):u64
//!   kind 1, the first block: format of the records u32, identity u128, time in wall-clock ms u64
//!   kind 2, any number:      one or more of: space u8, key_len u16, value_len u32, key, value
//!   kind 3, the last block:  records u64, bytes of keys and values u64, unreadable records u64,
//!                            xxh3 of the checksums of all blocks before it u64
//! ```
//!
//! Numbers are big-endian. Nothing follows the last block: a file without it is not whole.

mod dir;
mod read;
mod write;

use std::fmt;
use std::io;

pub use dir::{BackupDirError, RestoreError, backup_dir, restore_backup};
pub(crate) use read::{Given, TakeError, read};
pub(crate) use write::BackupWriter;

const MAGIC: &[u8; 8] = b"MARTLETB";
const VERSION: u16 = 1;
const HEAD: u8 = 1;
const RECORDS: u8 = 2;
const END: u8 = 3;
/// Bytes of the payload of a block of records; more only for a single larger record.
const BLOCK_BYTES: usize = 256 << 10;
/// No block is larger: a record is at most a message of MQTT and a little.
const BLOCK_BYTES_MAX: u32 = 512 << 20;

/// What is in a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BackupCounts {
    /// Records.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Records that could not be read when the backup was made, as far as known.
    pub unreadable: u64,
    /// When it was made, in wall-clock milliseconds.
    pub made_at_wall_ms: u64,
}

/// What a backup begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Format of the records.
    pub(crate) format: u32,
    pub(crate) identity: u128,
    pub(crate) made_at_wall_ms: u64,
}

/// Why a backup cannot be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackupError {
    /// What the operating system said.
    Io(io::Error),
    /// It does not begin like one.
    NotABackup,
    /// A later version of Martlet made it.
    Newer {
        /// What is newer.
        what: &'static str,
        /// Its version.
        found: u32,
        /// The newest that this version reads.
        known: u32,
    },
    /// It is not what was written.
    Damaged {
        /// The byte at which the bad block begins.
        at: u64,
        /// What is wrong.
        what: String,
    },
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::NotABackup => f.write_str("this is no backup of Martlet"),
            Self::Newer { what, found, known } => write!(
                f,
                "{what} {found} is newer than what this version knows ({known}); use the version \
                 that made the backup, or a later one"
            ),
            Self::Damaged { at, what } => write!(f, "the backup is damaged at byte {at}: {what}"),
        }
    }
}

impl std::error::Error for BackupError {}

impl From<io::Error> for BackupError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Space;

    type Records = Vec<(Space, Vec<u8>, Vec<u8>)>;

    fn records() -> Records {
        let long = vec![7; 600_000];
        let numbered = (0..500u32).map(|n| {
            let space = if n % 3 == 0 { Space::Messages } else { Space::Records };
            (space, n.to_be_bytes().to_vec(), vec![n as u8; n as usize * 3])
        });
        numbered.chain([(Space::Messages, b"long".to_vec(), long)]).collect()
    }

    fn head() -> Head {
        Head { format: 1, identity: 77, made_at_wall_ms: 5 }
    }

    fn written() -> Vec<u8> {
        let mut writer = BackupWriter::new(Vec::new(), head()).unwrap();
        for (space, key, value) in records() {
            writer.put(space, &key, &value).unwrap();
        }
        writer.finish(3).unwrap().0
    }

    fn read_all(mut bytes: &[u8]) -> Result<(Head, Records, BackupCounts), BackupError> {
        let (mut found, mut head) = (Records::new(), None);
        let counts = read(&mut bytes, 1, &mut |given| {
            match given {
                Given::Head(given) => head = Some(given),
                Given::Record(space, key, value) => {
                    found.push((space, key.to_vec(), value.to_vec()));
                }
            }
            Ok(())
        })?;
        Ok((head.unwrap(), found, counts))
    }

    #[test]
    fn what_is_written_is_read() {
        let (found_head, found, counts) = read_all(&written()).unwrap();
        assert_eq!((found_head, found), (head(), records()));
        assert_eq!((counts.records, counts.unreadable, counts.made_at_wall_ms), (501, 3, 5));
    }

    #[test]
    fn no_end_no_flip_and_no_addition_goes_unseen() {
        let good = written();
        for len in (0..good.len()).step_by(997).chain([good.len() - 1]) {
            assert!(read_all(&good[..len]).is_err(), "cut to {len}");
        }
        for at in (0..good.len()).step_by(1009) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            assert!(read_all(&bad).is_err(), "flipped at {at}");
        }
        let more = [&good[..], b"x"].concat();
        let error = read_all(&more).unwrap_err().to_string();
        assert!(error.ends_with("something follows its end"), "{error}");
    }

    #[test]
    fn what_is_newer_says_so() {
        let mut bytes = written();
        bytes[9] = 2;
        let error = read_all(&bytes).unwrap_err().to_string();
        assert!(error.starts_with("the format of the backup 2 is newer"), "{error}");
        let writer = BackupWriter::new(Vec::new(), Head { format: 9, ..head() }).unwrap();
        let error = read_all(&writer.finish(0).unwrap().0).unwrap_err().to_string();
        assert!(error.starts_with("the format of the records 9 is newer"), "{error}");
        assert!(matches!(read_all(b"hello, world"), Err(BackupError::NotABackup)));
    }
}
