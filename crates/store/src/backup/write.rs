//! Writes a backup. Must not know where it goes.

use std::io::{self, Write};

use xxhash_rust::xxh3::Xxh3;

use super::{BLOCK_BYTES, BackupCounts, END, HEAD, Head, MAGIC, RECORDS, VERSION};
use crate::format::Space;

/// A backup being written.
#[derive(Debug)]
pub(crate) struct BackupWriter<W> {
    to: W,
    block: Vec<u8>,
    checksums: Xxh3Debug,
    counts: BackupCounts,
}

/// The hash has no `Debug`.
struct Xxh3Debug(Xxh3);

impl std::fmt::Debug for Xxh3Debug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Xxh3")
    }
}

impl<W: Write> BackupWriter<W> {
    /// Begins one.
    pub(crate) fn new(mut to: W, head: Head) -> io::Result<Self> {
        to.write_all(MAGIC)?;
        to.write_all(&VERSION.to_be_bytes())?;
        let made_at_wall_ms = head.made_at_wall_ms;
        let counts = BackupCounts { made_at_wall_ms, ..BackupCounts::default() };
        let checksums = Xxh3Debug(Xxh3::new());
        let mut writer = Self { to, block: Vec::new(), checksums, counts };
        writer.block.extend_from_slice(&head.format.to_be_bytes());
        writer.block.extend_from_slice(&head.identity.to_be_bytes());
        writer.block.extend_from_slice(&made_at_wall_ms.to_be_bytes());
        writer.write_block(HEAD)?;
        Ok(writer)
    }

    /// Adds a record.
    pub(crate) fn put(&mut self, space: Space, key: &[u8], value: &[u8]) -> io::Result<()> {
        let too_long = |_| io::Error::other("a record is longer than a record can be");
        let key_len = u16::try_from(key.len()).map_err(too_long)?;
        let value_len = u32::try_from(value.len()).map_err(too_long)?;
        let record_len = 1 + 2 + 4 + key.len() + value.len();
        if !self.block.is_empty() && self.block.len() + record_len > BLOCK_BYTES {
            self.write_block(RECORDS)?;
        }
        let space = match space {
            Space::Records => 0,
            Space::Messages => 1,
        };
        self.block.push(space);
        self.block.extend_from_slice(&key_len.to_be_bytes());
        self.block.extend_from_slice(&value_len.to_be_bytes());
        self.block.extend_from_slice(key);
        self.block.extend_from_slice(value);
        self.counts.records += 1;
        self.counts.bytes += (key.len() + value.len()) as u64;
        Ok(())
    }

    /// Ends it.
    pub(crate) fn finish(mut self, unreadable: u64) -> io::Result<(W, BackupCounts)> {
        if !self.block.is_empty() {
            self.write_block(RECORDS)?;
        }
        self.counts.unreadable = unreadable;
        let of_all = self.checksums.0.digest();
        for number in [self.counts.records, self.counts.bytes, unreadable, of_all] {
            self.block.extend_from_slice(&number.to_be_bytes());
        }
        self.write_block(END)?;
        self.to.flush()?;
        Ok((self.to, self.counts))
    }

    fn write_block(&mut self, kind: u8) -> io::Result<()> {
        let len = u32::try_from(self.block.len()).map_err(io::Error::other)?;
        let mut head = [kind, 0, 0, 0, 0];
        head[1..].copy_from_slice(&len.to_be_bytes());
        let mut hasher = Xxh3::new();
        hasher.update(&head);
        hasher.update(&self.block);
        let checksum = hasher.digest().to_be_bytes();
        self.checksums.0.update(&checksum);
        self.to.write_all(&head)?;
        self.to.write_all(&self.block)?;
        self.to.write_all(&checksum)?;
        self.block.clear();
        Ok(())
    }
}
