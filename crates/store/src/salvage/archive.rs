//! Reads the outer form of the storage engine's table and version files: named sections with a
//! table of contents at the end. Trusts nothing; must not know what a section means.
//!
//! The end of a file is `"SFA!" 1 0 xxh3_128(contents):u128 contents_pos:u64 contents_len:u64`; the
//! contents are `"TOC!" count:u32` and for each section `pos:u64 len:u64 name_len:u16 name`. All
//! numbers are little-endian.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use xxhash_rust::xxh3::xxh3_128;

use super::bytes::Reader;

const TRAILER_LEN: u64 = 4 + 1 + 1 + 16 + 8 + 8;
/// No file has a larger table of contents: some ten sections with short names.
const CONTENTS_MAX: u64 = 64 << 10;

/// Where a section lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) name: Vec<u8>,
    pub(super) pos: u64,
    pub(super) len: u64,
}

/// The sections of a file; `None` when its end is damaged or cut off.
pub(super) fn sections(file: &File) -> io::Result<Option<Vec<Section>>> {
    let file_len = file.metadata()?.len();
    let Some(trailer_pos) = file_len.checked_sub(TRAILER_LEN) else { return Ok(None) };
    let trailer = read_at(file, trailer_pos, TRAILER_LEN)?;
    let Some((checksum, pos)) = parse_trailer(&trailer) else { return Ok(None) };
    let Some(len) = trailer_pos.checked_sub(pos) else { return Ok(None) };
    if len > CONTENTS_MAX {
        return Ok(None);
    }
    let contents = read_at(file, pos, len)?;
    if xxh3_128(&contents) != checksum {
        return Ok(None);
    }
    let sections = parse_contents(&contents);
    Ok(sections
        .filter(|all| all.iter().all(|s| s.pos.checked_add(s.len).is_some_and(|end| end <= pos))))
}

/// The bytes of a range.
pub(super) fn read_at(file: &File, pos: u64, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, pos)?;
    Ok(bytes)
}

fn parse_trailer(trailer: &[u8]) -> Option<(u128, u64)> {
    let mut reader = Reader::new(trailer);
    (reader.take(6)? == b"SFA!\x01\x00").then_some(())?;
    Some((reader.u128()?, reader.u64()?))
}

fn parse_contents(contents: &[u8]) -> Option<Vec<Section>> {
    let mut reader = Reader::new(contents);
    (reader.take(4)? == b"TOC!").then_some(())?;
    let count = reader.u32()?;
    let mut sections = Vec::new();
    for _ in 0..count {
        let (pos, len) = (reader.u64()?, reader.u64()?);
        let name_len = usize::from(reader.u16()?);
        sections.push(Section { name: reader.take(name_len)?.to_vec(), pos, len });
    }
    Some(sections)
}
