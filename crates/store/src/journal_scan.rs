//! Reads a journal file of the storage engine without trusting it: which batches are whole, what
//! lies between them, and whether the end is torn or merely damaged. Must not know records.
//!
//! The engine itself stops at the first batch that it cannot read and cuts the rest off, so that
//! one flipped bit would silently take everything behind it. Therefore this scan goes first.
//!
//! The format (all numbers little-endian): a batch is `1 count:u32 seqno:u64`, then `count` items
//! `2 type:u8 compression:u8 keyspace:u64 key_len:u16 value_len:u32 stored_len:u32 key value` or
//! `4 keyspace:u64` (the keyspace is cleared), then `3 xxh3(items):u64 "FJL" 3`. Space that was
//! reserved and not written is zero.

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const START_LEN: usize = 1 + 4 + 8;
const ITEM_HEAD_LEN: usize = 1 + 1 + 1 + 8 + 2 + 4 + 4;
const CLEAR_LEN: usize = 1 + 8;
const END_LEN: usize = 1 + 8 + 4;
const END_MAGIC: &[u8] = b"FJL\x03";

/// How much larger than its predecessor's a sequence number may be where no successor bounds it:
/// more than a journal has batches. Sequence numbers are not covered by a checksum.
const SEQNO_STEP_MAX: u64 = 1 << 24;
/// Items that the search behind a broken batch looks at, at most: what clients published may look
/// like batches in a way that makes the search long. Behind that, what is left counts as a hole.
const SEARCH_ITEMS_MAX: u64 = 50_000_000;
/// A write of the disk; where a whole one is zero, it may never have come to pass.
const SECTOR: usize = 512;

/// A whole batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BatchSpan {
    /// Where it lies in the file.
    pub(crate) bytes: Range<usize>,
    /// Its sequence number; corrected where the stored one cannot be right.
    pub(crate) seqno: u64,
    /// Whether `seqno` is what the file says.
    pub(crate) seqno_corrected: bool,
}

impl BatchSpan {
    /// Its items, as they lie in the file.
    pub(crate) fn items(&self) -> Range<usize> {
        self.bytes.start + START_LEN..self.bytes.end - END_LEN
    }
}

/// What a journal file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct JournalScan {
    /// The whole batches in order, with ascending sequence numbers.
    pub(crate) batches: Vec<BatchSpan>,
    /// Ranges before the last whole batch, or at the end but complete, that are no batch: damage.
    pub(crate) holes: Vec<Range<usize>>,
    /// What follows the last whole batch and is not complete: what a crash leaves of a batch
    /// that was being written. Nothing that was ever acknowledged under `sync`.
    pub(crate) torn: Option<Range<usize>>,
}

impl JournalScan {
    /// Whether anything but the torn end is wrong.
    pub(crate) fn is_damaged(&self) -> bool {
        !self.holes.is_empty() || self.batches.iter().any(|batch| batch.seqno_corrected)
    }

    /// Tells a batch that was being written from one that was written and is damaged. Complete to
    /// its end mark it had been written, unless a part of it never reached the disk.
    fn end_badly(&mut self, bytes: &[u8], rest: Range<usize>) {
        let written = &bytes[rest.clone()];
        let sectors = rest.start.next_multiple_of(SECTOR)..rest.end;
        let unwritten_sector = bytes[sectors.start.min(rest.end)..rest.end]
            .chunks_exact(SECTOR)
            .any(|sector| sector.iter().all(|&b| b == 0));
        if written.ends_with(END_MAGIC) && !unwritten_sector {
            self.holes.push(rest);
        } else {
            self.torn = Some(rest);
        }
    }

    /// The end of the last whole batch.
    pub(crate) fn end(&self) -> usize {
        self.batches.last().map_or(0, |batch| batch.bytes.end)
    }
}

/// One item of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// A value, or (without one) the removal of a key.
    Change {
        /// The number of the keyspace.
        keyspace: u64,
        /// The key.
        key: &'a [u8],
        /// The value.
        value: Option<&'a [u8]>,
    },
    /// Everything in a keyspace is removed.
    Clear {
        /// The number of the keyspace.
        keyspace: u64,
    },
}

enum Walk {
    /// Whole and true to its checksum.
    Good { end: usize, seqno: u64 },
    /// Its frame is intact, its content is not.
    BadContent { end: usize },
    /// Incomplete, or something that no batch contains.
    Broken,
}

/// Looks at a whole file.
pub(crate) fn scan(bytes: &[u8]) -> JournalScan {
    let written = written_len(bytes);
    let mut no_bound = u64::MAX;
    let mut found = JournalScan::default();
    let mut pos = 0;
    while pos < written {
        match walk(bytes, pos, &mut no_bound) {
            Walk::Good { end, seqno } => {
                found.batches.push(span(pos..end, seqno));
                pos = end;
            }
            Walk::BadContent { end } if end < written => {
                found.holes.push(pos..end);
                pos = end;
            }
            Walk::BadContent { .. } => {
                found.end_badly(bytes, pos..written);
                break;
            }
            Walk::Broken => {
                let last_seqno = found.batches.last().map_or(0, |batch| batch.seqno);
                let behind = chains_behind(bytes, pos + 1..written, last_seqno);
                if behind.is_empty() {
                    found.end_badly(bytes, pos..written);
                    break;
                }
                for batch in behind {
                    if batch.bytes.start > pos {
                        found.holes.push(pos..batch.bytes.start);
                    }
                    pos = batch.bytes.end;
                    found.batches.push(batch);
                }
            }
        }
    }
    correct_seqnos(&mut found.batches);
    found
}

/// What comes before the zeros of space that was reserved. Quick on much space.
fn written_len(bytes: &[u8]) -> usize {
    let zeros = [0; 8 * SECTOR];
    let mut len = bytes.len();
    while len > zeros.len() && bytes[len - zeros.len()..len] == zeros {
        len -= zeros.len();
    }
    bytes[..len].iter().rposition(|&b| b != 0).map_or(0, |last| last + 1)
}

/// The items of a batch, from the range that [`BatchSpan::items`] gave.
pub(crate) fn items(bytes: &[u8]) -> impl Iterator<Item = Item<'_>> {
    let mut pos = 0;
    std::iter::from_fn(move || {
        let end = item_end(bytes, pos)?;
        let item = read_item(&bytes[pos..end]);
        pos = end;
        item
    })
}

/// How many items the first batch of a hole says it has; 0 when that cannot be told.
pub(crate) fn items_said(hole: &[u8]) -> u64 {
    let said = (hole.first() == Some(&START)).then(|| u32_at(hole, 1)).flatten().unwrap_or(0);
    // An item takes at least as much as a clear.
    if said as usize <= hole.len() / CLEAR_LEN { u64::from(said) } else { 0 }
}

/// The start of a batch with another sequence number.
pub(crate) fn start_with_seqno(start: &[u8], seqno: u64) -> [u8; START_LEN] {
    let mut corrected = [0; START_LEN];
    corrected.copy_from_slice(&start[..START_LEN]);
    corrected[5..].copy_from_slice(&seqno.to_le_bytes());
    corrected
}

fn span(bytes: Range<usize>, seqno: u64) -> BatchSpan {
    BatchSpan { bytes, seqno, seqno_corrected: false }
}

/// Takes one from `items_left` for each item it looks at.
fn walk(bytes: &[u8], start: usize, items_left: &mut u64) -> Walk {
    if bytes.get(start) != Some(&START) {
        return Walk::Broken;
    }
    let (Some(count), Some(seqno)) = (u32_at(bytes, start + 1), u64_at(bytes, start + 5)) else {
        return Walk::Broken;
    };
    let items_start = start + START_LEN;
    let mut pos = items_start;
    for _ in 0..count {
        *items_left = items_left.saturating_sub(1);
        match item_end(bytes, pos) {
            Some(end) if *items_left > 0 => pos = end,
            _ => return Walk::Broken,
        }
    }
    let Some(mark) = bytes.get(pos..pos + END_LEN) else {
        return Walk::Broken;
    };
    if mark[0] != END || &mark[9..] != END_MAGIC {
        return Walk::Broken;
    }
    let end = pos + END_LEN;
    if u64_at(bytes, pos + 1) == Some(xxh3_64(&bytes[items_start..pos])) {
        Walk::Good { end, seqno }
    } else {
        Walk::BadContent { end }
    }
}

fn item_end(bytes: &[u8], pos: usize) -> Option<usize> {
    let end = match *bytes.get(pos)? {
        ITEM => {
            let head = bytes.get(pos..pos + ITEM_HEAD_LEN)?;
            // No value is compressed: the engine is built without.
            if head[1] > 2 || head[2] != 0 {
                return None;
            }
            let key_len = usize::from(u16::from_le_bytes([head[11], head[12]]));
            let value_len = u32_at(head, 13)?;
            let stored_len = u32_at(head, 17)?;
            if value_len != stored_len {
                return None;
            }
            pos + ITEM_HEAD_LEN + key_len + stored_len as usize
        }
        CLEAR => pos + CLEAR_LEN,
        _ => return None,
    };
    (end <= bytes.len()).then_some(end)
}

fn read_item(item: &[u8]) -> Option<Item<'_>> {
    if item[0] == CLEAR {
        return Some(Item::Clear { keyspace: u64_at(item, 1)? });
    }
    let key_len = usize::from(u16::from_le_bytes([item[11], item[12]]));
    let (key, value) = item[ITEM_HEAD_LEN..].split_at(key_len);
    let value = (item[1] == 0).then_some(value);
    Some(Item::Change { keyspace: u64_at(item, 3)?, key, value })
}

/// The whole batches behind a place where nothing fits, without those that cannot belong there.
///
/// What a client published lies in the file as it is, and might look like a batch. A real one has a
/// sequence number between those of its neighbours.
fn chains_behind(bytes: &[u8], range: Range<usize>, last_seqno: u64) -> Vec<BatchSpan> {
    let mut items_left = SEARCH_ITEMS_MAX;
    let mut chains: Vec<Vec<BatchSpan>> = Vec::new();
    let mut pos = range.start;
    while let Some(step) = bytes[pos..range.end].iter().position(|&b| b == START) {
        pos += step;
        let mut chain = Vec::new();
        let mut next = pos;
        while let Walk::Good { end, seqno } = walk(bytes, next, &mut items_left) {
            chain.push(span(next..end, seqno));
            next = end;
        }
        if chain.is_empty() {
            pos += 1;
        } else {
            chains.push(chain);
            pos = next;
        }
    }
    let mut upper = last_seqno.saturating_add(SEQNO_STEP_MAX);
    let mut kept = Vec::new();
    for chain in chains.into_iter().rev() {
        let (Some(first), Some(last)) = (chain.first(), chain.last()) else { continue };
        if first.seqno > last_seqno && last.seqno < upper {
            upper = first.seqno;
            kept.push(chain);
        }
    }
    kept.into_iter().rev().flatten().collect()
}

/// Sequence numbers rise. One that does not fit its neighbours is replaced by one that does.
fn correct_seqnos(batches: &mut [BatchSpan]) {
    for i in 0..batches.len() {
        let before = i.checked_sub(1).map(|b| batches[b].seqno);
        let after = batches.get(i + 1).map(|b| b.seqno);
        let this = batches[i].seqno;
        let too_small = before.is_some_and(|before| this <= before);
        let too_large = match (before, after) {
            // With three in a row the one in the middle is wrong when the outer two agree.
            (Some(before), Some(after)) => this >= after && after > before + 1,
            (None, Some(after)) => {
                let second = batches.get(i + 2).map_or(u64::MAX, |b| b.seqno);
                this >= after && after < second
            }
            (Some(before), None) => this - before.min(this) > SEQNO_STEP_MAX,
            (None, None) => false,
        };
        if too_small || too_large {
            batches[i].seqno = match (before, after) {
                (Some(before), _) => before + 1,
                (None, Some(after)) => after.saturating_sub(1),
                (None, None) => this,
            };
            batches[i].seqno_corrected = true;
        }
    }
}

fn u32_at(bytes: &[u8], pos: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(pos..pos + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], pos: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(pos..pos + 8)?.try_into().ok()?))
}
