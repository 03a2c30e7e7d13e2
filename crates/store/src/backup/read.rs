//! Reads a backup, checking everything. Trusts nothing; must not know where it comes from.

use std::io::{self, Read};

use xxhash_rust::xxh3::Xxh3;

use super::{BLOCK_BYTES_MAX, BackupCounts, BackupError, END, HEAD, Head, MAGIC, RECORDS, VERSION};
use crate::format::Space;

/// What a backup gives, in order.
#[derive(Debug)]
pub(crate) enum Given<'a> {
    /// Once, first.
    Head(Head),
    /// A record.
    Record(Space, &'a [u8], &'a [u8]),
}

/// Takes what a backup gives; the text says what is wrong with it.
type Take<'a> = dyn FnMut(Given<'_>) -> Result<(), TakeError> + 'a;

/// Why something of a backup is not taken.
#[derive(Debug)]
pub(crate) enum TakeError {
    /// What the operating system or the storage engine said.
    Io(io::Error),
    /// The record is not one.
    Bad(String),
}

/// Reads a whole backup. Only when this has returned without an error was it a whole one.
pub(crate) fn read(
    from: &mut dyn Read,
    format_max: u32,
    take: &mut Take<'_>,
) -> Result<BackupCounts, BackupError> {
    let mut blocks = Blocks { from, at: 0, checksums: Xxh3::new() };
    blocks.begin()?;
    let mut counts = BackupCounts::default();
    let (kind, payload, _) = blocks.next()?;
    let at = MAGIC.len() as u64 + 2;
    let head = (kind == HEAD).then(|| parse_head(&payload)).flatten();
    let head = head.ok_or_else(|| damaged(at, "its first block is no head"))?;
    if head.format > format_max {
        let what = "the format of the records";
        return Err(BackupError::Newer { what, found: head.format, known: format_max });
    }
    counts.made_at_wall_ms = head.made_at_wall_ms;
    give(take, at, Given::Head(head))?;
    loop {
        let at = blocks.at;
        let (kind, payload, checksum) = blocks.next()?;
        match kind {
            RECORDS => records(&payload, at, &mut counts, take)?,
            END => {
                check_end(&payload, at, checksum, &mut counts)?;
                blocks.end()?;
                return Ok(counts);
            }
            _ => return Err(damaged(at, "a block is of no known kind")),
        }
    }
}

fn damaged(at: u64, what: &str) -> BackupError {
    BackupError::Damaged { at, what: what.to_owned() }
}

fn give(take: &mut Take<'_>, at: u64, given: Given<'_>) -> Result<(), BackupError> {
    take(given).map_err(|error| match error {
        TakeError::Io(error) => BackupError::Io(error),
        TakeError::Bad(what) => BackupError::Damaged { at, what },
    })
}

fn records(
    payload: &[u8],
    at: u64,
    counts: &mut BackupCounts,
    take: &mut Take<'_>,
) -> Result<(), BackupError> {
    let mut rest = payload;
    while !rest.is_empty() {
        let Some((space, key, value, behind)) = split_record(rest) else {
            return Err(damaged(at, "a record is cut off"));
        };
        counts.records += 1;
        counts.bytes += (key.len() + value.len()) as u64;
        give(take, at, Given::Record(space, key, value))?;
        rest = behind;
    }
    Ok(())
}

/// Space, key, value and what follows.
type Split<'a> = (Space, &'a [u8], &'a [u8], &'a [u8]);

fn split_record(bytes: &[u8]) -> Option<Split<'_>> {
    let (space, rest) = bytes.split_first()?;
    let space = match space {
        0 => Space::Records,
        1 => Space::Messages,
        _ => return None,
    };
    let (key_len, rest) = rest.split_first_chunk()?;
    let (value_len, rest) = rest.split_first_chunk()?;
    let (key, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*key_len)))?;
    let value_len = usize::try_from(u32::from_be_bytes(*value_len)).ok()?;
    let (value, rest) = rest.split_at_checked(value_len)?;
    Some((space, key, value, rest))
}

fn parse_head(payload: &[u8]) -> Option<Head> {
    let (format, rest) = payload.split_first_chunk()?;
    let (identity, rest) = rest.split_first_chunk()?;
    let made_at_wall_ms = u64::from_be_bytes(rest.try_into().ok()?);
    let (format, identity) = (u32::from_be_bytes(*format), u128::from_be_bytes(*identity));
    Some(Head { format, identity, made_at_wall_ms })
}

fn check_end(
    payload: &[u8],
    at: u64,
    checksum: u64,
    counts: &mut BackupCounts,
) -> Result<(), BackupError> {
    let number = |nth: usize| {
        let bytes = payload.get(nth * 8..nth * 8 + 8)?;
        Some(u64::from_be_bytes(bytes.try_into().ok()?))
    };
    let said = (number(0), number(1), number(3));
    let found = (Some(counts.records), Some(counts.bytes), Some(checksum));
    if payload.len() != 32 || said != found {
        return Err(damaged(at, "blocks are missing: its end counts others than there are"));
    }
    counts.unreadable = number(2).unwrap_or(0);
    Ok(())
}

/// The blocks of a backup.
struct Blocks<'a> {
    from: &'a mut dyn Read,
    at: u64,
    checksums: Xxh3,
}

impl Blocks<'_> {
    fn begin(&mut self) -> Result<(), BackupError> {
        let magic = self.take(MAGIC.len()).map_err(|error| match error {
            BackupError::Damaged { .. } => BackupError::NotABackup,
            other => other,
        })?;
        if magic != MAGIC {
            return Err(BackupError::NotABackup);
        }
        let version = self.take(2)?;
        let found = u32::from(u16::from_be_bytes([version[0], version[1]]));
        if found != u32::from(VERSION) {
            let what = "the format of the backup";
            return Err(BackupError::Newer { what, found, known: u32::from(VERSION) });
        }
        self.at = MAGIC.len() as u64 + 2;
        Ok(())
    }

    /// Kind, payload, and the checksum over all blocks before.
    fn next(&mut self) -> Result<(u8, Vec<u8>, u64), BackupError> {
        let before = self.checksums.digest();
        let head = self.take(5)?;
        let len = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        if len > BLOCK_BYTES_MAX {
            return Err(damaged(self.at, "a block is longer than a block can be"));
        }
        let payload = self.take(len as usize)?;
        let said = self.take(8)?;
        let mut hasher = Xxh3::new();
        hasher.update(&head);
        hasher.update(&payload);
        if hasher.digest().to_be_bytes() != said[..] {
            return Err(damaged(self.at, "a block is not what was written"));
        }
        self.checksums.update(&said);
        self.at += 5 + payload.len() as u64 + 8;
        Ok((head[0], payload, before))
    }

    /// Exactly so many bytes; memory is taken as they come.
    fn take(&mut self, len: usize) -> Result<Vec<u8>, BackupError> {
        let mut bytes = Vec::new();
        (&mut *self.from).take(len as u64).read_to_end(&mut bytes)?;
        if bytes.len() < len {
            return Err(damaged(self.at, "it is cut off"));
        }
        Ok(bytes)
    }

    fn end(&mut self) -> Result<(), BackupError> {
        let mut more = [0];
        match self.from.read(&mut more)? {
            0 => Ok(()),
            _ => Err(damaged(self.at, "something follows its end")),
        }
    }
}
