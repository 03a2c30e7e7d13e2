//! Reads one table file of the storage engine block by block, past the bad ones. Trusts nothing.
//! Must not know trees, journals or records.
//!
//! A table file is an archive (see `archive`): blocks of sorted items, then their index, filters
//! and properties. A block is `"LSM" 3 type:u8 xxh3_128(data):u128 len:u32 plain_len:u32`, the low
//! half of that head's own xxh3_128 as u32, and `len` bytes of data.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::archive::{self, Section, read_at};
use super::bytes::Reader;

const HEAD_LEN: usize = 4 + 1 + 16 + 4 + 4 + 4;
const HEAD_LEN_U64: u64 = HEAD_LEN as u64;
const MAGIC: &[u8] = b"LSM\x03";
const DATA: u8 = 0;
const INDEX: u8 = 1;
const META: u8 = 3;
/// What ends the items of a block.
const ITEMS_END: u8 = 255;
/// A block ends with its restart interval, other facts that reading in order needs not, and the
/// count of its items.
const BLOCK_TAIL_LEN: usize = 31;
/// Bytes of a file that are read at once.
const CHUNK: u64 = 1 << 20;

/// What a key has in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableItem {
    pub(super) key: Vec<u8>,
    pub(super) seqno: u64,
    /// `None`: removed.
    pub(super) value: Option<Vec<u8>>,
}

/// How closely a table is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// What opening the engine reads: all but the items.
    Frame,
    /// Every byte.
    Whole,
}

/// What is wrong with a table file, in a few words; `None`: nothing.
pub(super) fn verify(path: &Path, checksum: u128, look: Look) -> io::Result<Option<&'static str>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some("missing")),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Ok(Some("not a file"));
    }
    let Some(sections) = archive::sections(&file)? else { return Ok(Some("cut off or damaged")) };
    if look == Look::Whole {
        return Ok((whole_checksum(&file)? != checksum).then_some("damaged"));
    }
    for section in sections.iter().filter(|s| s.name != b"data") {
        if is_blocks(section) && !blocks_are_whole(&read_at(&file, section.pos, section.len)?) {
            return Ok(Some("damaged in its index"));
        }
    }
    let known = |name: &[u8]| sections.iter().any(|s| s.name == name);
    if !known(b"tli") || !known(b"meta") || properties(&file, &sections)?.is_none() {
        return Ok(Some("damaged in its index"));
    }
    Ok(None)
}

/// The largest sequence number in a table, without what its tree adds; `None` when it is damaged.
pub(super) fn seqno_max(path: &Path) -> io::Result<Option<u64>> {
    let file = File::open(path)?;
    let Some(sections) = archive::sections(&file)? else { return Ok(None) };
    let Some(properties) = properties(&file, &sections)? else { return Ok(None) };
    let value = properties.into_iter().find(|item| item.key == b"seqno#max");
    Ok(value.and_then(|item| Reader::new(&item.value?).u64()))
}

fn is_blocks(section: &Section) -> bool {
    matches!(section.name.as_slice(), b"tli" | b"index" | b"filter_tli" | b"filter" | b"meta")
}

fn whole_checksum(file: &File) -> io::Result<u128> {
    let len = file.metadata()?.len();
    let mut hasher = Xxh3::new();
    let mut pos = 0;
    while pos < len {
        let chunk = read_at(file, pos, CHUNK.min(len - pos))?;
        hasher.update(&chunk);
        pos += chunk.len() as u64;
    }
    Ok(hasher.digest128())
}

fn blocks_are_whole(mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let Some(head) = Head::parse(bytes) else { return false };
        let Some(data) = bytes.get(HEAD_LEN..HEAD_LEN + head.len) else { return false };
        if xxh3_128(data) != head.checksum {
            return false;
        }
        bytes = &bytes[HEAD_LEN + head.len..];
    }
    true
}

fn properties(file: &File, sections: &[Section]) -> io::Result<Option<Vec<TableItem>>> {
    let Some(section) = sections.iter().find(|s| s.name == b"meta") else { return Ok(None) };
    if section.len > CHUNK {
        return Ok(None);
    }
    let bytes = read_at(file, section.pos, section.len)?;
    Ok(block_data(&bytes, META).and_then(decode_items))
}

struct Head {
    kind: u8,
    checksum: u128,
    len: usize,
}

impl Head {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..HEAD_LEN)?;
        let mut reader = Reader::new(head);
        (reader.take(4)? == MAGIC).then_some(())?;
        let kind = reader.u8()?;
        let checksum = reader.u128()?;
        let (len, plain_len) = (reader.u32()?, reader.u32()?);
        let own = u128::from(reader.u32()?);
        let sound = xxh3_128(&head[..HEAD_LEN - 4]) & u128::from(u32::MAX) == own;
        // The engine is built without compression.
        (sound && len == plain_len).then_some(Self { kind, checksum, len: len as usize })
    }
}

fn block_data(bytes: &[u8], kind: u8) -> Option<&[u8]> {
    let head = Head::parse(bytes)?;
    let data = bytes.get(HEAD_LEN..HEAD_LEN + head.len)?;
    (head.kind == kind && xxh3_128(data) == head.checksum).then_some(data)
}

/// The items of a block. Every `interval`th has its key whole, those between share the beginning
/// of its key.
fn decode_items(data: &[u8]) -> Option<Vec<TableItem>> {
    let tail = data.len().checked_sub(BLOCK_TAIL_LEN)?;
    let interval = u32::from(data[tail]).max(1);
    let count = u32::from_le_bytes(data[data.len() - 4..].try_into().ok()?);
    let mut reader = Reader::new(&data[..tail]);
    let mut items: Vec<TableItem> = Vec::new();
    let mut base: Vec<u8> = Vec::new();
    for nth in 0..count {
        let kind = reader.u8()?;
        if kind == ITEMS_END {
            return None;
        }
        let seqno = reader.varint()?;
        let key = if nth % interval == 0 {
            let len = usize::try_from(reader.varint()?).ok()?;
            base = reader.take(len)?.to_vec();
            base.clone()
        } else {
            let shared = usize::try_from(reader.varint()?).ok()?;
            let rest = usize::try_from(reader.varint()?).ok()?;
            [base.get(..shared)?, reader.take(rest)?].concat()
        };
        let value = match kind {
            0 => {
                let len = usize::try_from(reader.varint()?).ok()?;
                Some(reader.take(len)?.to_vec())
            }
            1 | 2 => None,
            _ => return None,
        };
        items.push(TableItem { key, seqno, value });
    }
    Some(items)
}

/// Where the blocks of items begin, as the index says; `None` when it is damaged.
fn index_positions(file: &File, sections: &[Section]) -> io::Result<Option<Vec<u64>>> {
    let names: [&[u8]; 2] = [b"index", b"tli"];
    let index = names.iter().find_map(|name| sections.iter().find(|s| s.name == *name));
    let Some(index) = index else { return Ok(None) };
    let bytes = read_at(file, index.pos, index.len)?;
    let mut rest = bytes.as_slice();
    let mut positions = Vec::new();
    while !rest.is_empty() {
        let Some(data) = block_data(rest, INDEX) else { return Ok(None) };
        if decode_index(data, &mut positions).is_none() {
            return Ok(None);
        }
        rest = &rest[HEAD_LEN + data.len()..];
    }
    Ok(Some(positions))
}

fn decode_index(data: &[u8], positions: &mut Vec<u64>) -> Option<()> {
    let tail = data.len().checked_sub(BLOCK_TAIL_LEN)?;
    let mut reader = Reader::new(&data[..tail]);
    while reader.u8()? != ITEMS_END {
        positions.push(reader.varint()?);
        let (_len, _seqno) = (reader.varint()?, reader.varint()?);
        let key_len = usize::try_from(reader.varint()?).ok()?;
        reader.take(key_len)?;
    }
    Some(())
}

/// All items of a table that can be read, in the order of their keys, the newest of a key first.
/// Holds one block, and no open file.
#[derive(Debug)]
pub(super) struct TableReader {
    path: PathBuf,
    pos: u64,
    /// Where the blocks end.
    end: u64,
    /// Where blocks begin, as far as the index is readable, in descending order.
    known: Option<Vec<u64>>,
    /// What the tree adds to the sequence numbers.
    seqno_base: u64,
    items: std::vec::IntoIter<TableItem>,
    last_key: Vec<u8>,
    /// Bytes that no block could be read from.
    pub(super) bad_bytes: u64,
    /// Blocks, or rows of bad blocks, that were skipped.
    pub(super) bad_blocks: u64,
}

impl TableReader {
    /// Prepares to read a table. A file that is not there is an error.
    pub(super) fn open(path: &Path, seqno_base: u64) -> io::Result<Self> {
        let file = File::open(path)?;
        let file_len = file.metadata()?.len();
        let sections = archive::sections(&file)?.unwrap_or_default();
        let end = sections.iter().find(|s| s.name == b"data").map_or(file_len, |s| s.pos + s.len);
        let mut known = index_positions(&file, &sections)?;
        if let Some(positions) = &mut known {
            positions.reverse();
        }
        Ok(Self {
            path: path.to_path_buf(),
            pos: 0,
            end,
            known,
            seqno_base,
            items: Vec::new().into_iter(),
            last_key: Vec::new(),
            bad_bytes: 0,
            bad_blocks: 0,
        })
    }

    /// The next item; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<TableItem>> {
        loop {
            if let Some(mut item) = self.items.next() {
                // In a sound table keys never descend: what does is no block of this table.
                if item.key < self.last_key {
                    self.bad_blocks += 1;
                    self.items = Vec::new().into_iter();
                    continue;
                }
                item.seqno = item.seqno.saturating_add(self.seqno_base);
                self.last_key.clone_from(&item.key);
                return Ok(Some(item));
            }
            if self.pos >= self.end || !self.next_block()? {
                return Ok(None);
            }
        }
    }

    /// Reads the next block, or goes past a bad one. `false`: there is none.
    fn next_block(&mut self) -> io::Result<bool> {
        let file = File::open(&self.path)?;
        let left = self.end - self.pos;
        let head = read_at(&file, self.pos, HEAD_LEN_U64.min(left))?;
        if let Some(head) = Head::parse(&head) {
            let len = HEAD_LEN_U64 + head.len as u64;
            if head.kind != DATA && self.known.is_none() {
                // Behind the blocks of items, in a file whose contents are not known.
                return Ok(false);
            }
            if len <= left {
                let bytes = read_at(&file, self.pos, len)?;
                self.pos += len;
                match block_data(&bytes, DATA).and_then(decode_items) {
                    Some(items) => self.items = items.into_iter(),
                    None => self.skipped(len),
                }
                return Ok(true);
            }
        }
        let next = self.find_block(&file)?;
        self.skipped(next - self.pos);
        self.pos = next;
        Ok(true)
    }

    fn skipped(&mut self, bytes: u64) {
        self.bad_bytes += bytes;
        self.bad_blocks += 1;
    }

    /// Where the next block begins behind a place that has none.
    fn find_block(&mut self, file: &File) -> io::Result<u64> {
        if let Some(known) = &mut self.known {
            while known.last().is_some_and(|&start| start <= self.pos) {
                known.pop();
            }
            return Ok(known.last().copied().unwrap_or(self.end).min(self.end));
        }
        let mut from = self.pos + 1;
        while from + HEAD_LEN_U64 <= self.end {
            let chunk = read_at(file, from, (CHUNK + HEAD_LEN_U64).min(self.end - from))?;
            let found = chunk.windows(HEAD_LEN).position(|head| Head::parse(head).is_some());
            if let Some(at) = found {
                return Ok(from + at as u64);
            }
            from += CHUNK;
        }
        Ok(self.end)
    }
}
