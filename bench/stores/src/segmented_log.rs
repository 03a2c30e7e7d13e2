//! The least a log can be: preallocated segments, a checksum for each batch, fdatasync, and an
//! index in memory.
//!
//! Owns its format and its index. It is here to show what a log would cost at best, and lacks what
//! a product needs: segments go only from the oldest on, so one session at rest keeps
//! everything after it (no copying forward); damage anywhere ends the replay; one writer only;
//! every message costs memory; no limit, no backup, no other readers.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::Result;
use crate::batch::{Batch, Change, Space};
use crate::engines::{Scanned, Store};

/// Zeros are written ahead, so that fdatasync need not write metadata of the file system.
const SEGMENT_BYTES: usize = 64 << 20;
/// Segments that are ready when the log is opened.
const SPARE: usize = 2;
/// Length of the body (u32), checksum (u32) over generation and body, generation (u64).
const HEADER_BYTES: usize = 16;
/// Space and kind (u8), length of the key (u8), length of the value (u32).
const CHANGE_BYTES: usize = 6;
const REMOVES: u8 = 0x80;

/// Where a value is.
#[derive(Debug, Clone, Copy)]
struct Place {
    generation: u64,
    offset: u32,
    len: u32,
}

struct Segment {
    file: File,
    path: PathBuf,
    live: u64,
}

pub(crate) struct SegmentedLog {
    /// By generation: the first is the oldest, the last is written to.
    segments: BTreeMap<u64, Segment>,
    written: usize,
    index: Index,
    buffer: Vec<u8>,
    /// Files that are free to be used again.
    free: Vec<(File, PathBuf)>,
    /// Asks a thread for one more file, before it is needed.
    ask: Sender<()>,
    fresh: Receiver<std::io::Result<(File, PathBuf)>>,
}

#[derive(Default)]
struct Index {
    entries: HashMap<u64, VecDeque<(u64, Place)>>,
    others: HashMap<Box<[u8]>, Place>,
}

impl Index {
    /// Notes a change and returns the place that does not count any more.
    fn apply(&mut self, change: &Change<'_>, place: Place) -> Option<Place> {
        if change.space != Space::Entries {
            let mut key = vec![change.space as u8];
            key.extend_from_slice(change.key);
            return match change.value {
                Some(_) => self.others.insert(key.into(), place),
                None => self.others.remove(key.as_slice()),
            };
        }
        let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("eight bytes"));
        let (session, at) = (number(&change.key[2..10]), number(&change.key[10..18]));
        let queue = self.entries.entry(session).or_default();
        let found = queue.binary_search_by_key(&at, |(at, _)| *at);
        match (found, change.value.is_some()) {
            (Ok(found), true) => Some(std::mem::replace(&mut queue[found].1, place)),
            (Ok(found), false) => queue.remove(found).map(|(_, place)| place),
            (Err(found), true) => {
                queue.insert(found, (at, place));
                None
            }
            (Err(_), false) => None,
        }
    }

    fn places(&self) -> impl Iterator<Item = Place> {
        let entries = self.entries.values().flatten().map(|(_, place)| *place);
        entries.chain(self.others.values().copied())
    }
}

impl SegmentedLog {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let folder = folder.join("log");
        std::fs::create_dir_all(&folder)?;
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(&folder)?.map(|file| Ok(file?.path())).collect::<Result<_>>()?;
        files.sort();
        let next_name = files.len();
        let (ask, asked) = channel();
        let (give, fresh) = channel();
        std::thread::spawn(move || prepare(&folder, next_name, &asked, &give));
        let mut log = Self {
            segments: BTreeMap::new(),
            written: SEGMENT_BYTES,
            index: Index::default(),
            buffer: Vec::new(),
            free: Vec::new(),
            ask,
            fresh,
        };
        log.replay(files)?;
        for _ in log.free.len()..SPARE {
            log.ask.send(())?;
            log.free.push(log.fresh.recv()??);
        }
        Ok(log)
    }

    /// Reads all segments in order of their generation and builds the index.
    fn replay(&mut self, files: Vec<PathBuf>) -> Result {
        let mut by_generation = BTreeMap::new();
        for path in files {
            let file = File::options().read(true).write(true).open(&path)?;
            let mut header = [0; HEADER_BYTES];
            file.read_exact_at(&mut header, 0)?;
            match u64_at(&header, 8) {
                0 => self.free.push((file, path)),
                generation => drop(by_generation.insert(generation, (file, path))),
            }
        }
        for (generation, (file, path)) in by_generation {
            self.segments.insert(generation, Segment { file, path, live: 0 });
            let text = std::fs::read(&self.segments[&generation].path)?;
            let mut at = 0;
            while let Some(body) = body_at(&text, at, generation) {
                self.apply(body.changes, generation, body.start);
                at = body.start + body.changes.len();
            }
            self.written = at;
        }
        Ok(())
    }

    /// Puts the changes of a body, which stands at `start` of the segment, into the index.
    fn apply(&mut self, body: &[u8], generation: u64, start: usize) {
        let mut at = 0;
        while at < body.len() {
            let (kind, key_len) = (body[at], usize::from(body[at + 1]));
            let len = u32::from_le_bytes(body[at + 2..at + 6].try_into().expect("four bytes"));
            let key_at = at + CHANGE_BYTES;
            let value_at = key_at + key_len;
            let value_end = value_at + len as usize;
            let change = Change {
                space: Space::ALL[usize::from(kind & !REMOVES)],
                key: &body[key_at..value_at],
                value: (kind & REMOVES == 0).then(|| &body[value_at..value_end]),
            };
            let place = Place { generation, offset: (start + value_at) as u32, len };
            let gone = self.index.apply(&change, place);
            if change.value.is_some() {
                self.segments.get_mut(&generation).expect("it is written to").live += 1;
            }
            if let Some(segment) = gone.and_then(|gone| self.segments.get_mut(&gone.generation)) {
                segment.live -= 1;
            }
            at = value_end;
        }
    }

    /// Starts the next segment; gives back what is empty at the old end.
    fn next_segment(&mut self) -> Result {
        let newest = self.segments.last_key_value().map_or(0, |(generation, _)| *generation);
        while self.segments.first_key_value().is_some_and(|(_, oldest)| oldest.live == 0) {
            let (_, oldest) = self.segments.pop_first().expect("looked at");
            self.free.push((oldest.file, oldest.path));
        }
        while let Ok(fresh) = self.fresh.try_recv() {
            self.free.push(fresh?);
        }
        let (file, path) = match self.free.pop() {
            Some(free) => free,
            None => self.fresh.recv()??,
        };
        if self.free.is_empty() {
            self.ask.send(())?;
        }
        self.segments.insert(newest + 1, Segment { file, path, live: 0 });
        self.written = 0;
        Ok(())
    }
}

struct Body<'a> {
    start: usize,
    changes: &'a [u8],
}

/// The batch at `at`, if it is whole and of this generation.
fn body_at(text: &[u8], at: usize, generation: u64) -> Option<Body<'_>> {
    let header = text.get(at..at + HEADER_BYTES)?;
    let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
    let start = at + HEADER_BYTES;
    let changes = text.get(start..start + word(0) as usize)?;
    let whole = u64_at(header, 8) == generation && checksum(&header[8..], changes) == word(4);
    (whole && !changes.is_empty()).then_some(Body { start, changes })
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn checksum(generation: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(generation);
    hasher.update(body);
    hasher.finalize()
}

/// Makes a segment each time it is asked.
fn prepare(
    folder: &Path,
    first: usize,
    asked: &Receiver<()>,
    give: &Sender<std::io::Result<(File, PathBuf)>>,
) {
    for (number, ()) in (first..).zip(asked) {
        if give.send(segment(folder, number)).is_err() {
            return;
        }
    }
}

fn segment(folder: &Path, number: usize) -> std::io::Result<(File, PathBuf)> {
    let path = folder.join(format!("{number:06}"));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    let zeros = vec![0; 1 << 20];
    for at in (0..SEGMENT_BYTES).step_by(zeros.len()) {
        file.write_all_at(&zeros, at as u64)?;
    }
    file.sync_all()?;
    File::open(folder)?.sync_all()?;
    Ok((file, path))
}

impl Store for SegmentedLog {
    fn commit(&mut self, batch: &Batch) -> Result {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.resize(HEADER_BYTES, 0);
        for change in batch.iter() {
            let removes = if change.value.is_none() { REMOVES } else { 0 };
            let value = change.value.unwrap_or_default();
            buffer.push(change.space as u8 | removes);
            buffer.push(u8::try_from(change.key.len())?);
            buffer.extend_from_slice(&u32::try_from(value.len())?.to_le_bytes());
            buffer.extend_from_slice(change.key);
            buffer.extend_from_slice(value);
        }
        if self.written + buffer.len() > SEGMENT_BYTES {
            self.next_segment()?;
        }
        let (generation, segment) = self.segments.last_key_value().expect("one is written to");
        let (generation, len) = (*generation, (buffer.len() - HEADER_BYTES) as u32);
        buffer[8..16].copy_from_slice(&generation.to_le_bytes());
        let checksum = checksum(&buffer[8..16], &buffer[HEADER_BYTES..]);
        buffer[..4].copy_from_slice(&len.to_le_bytes());
        buffer[4..8].copy_from_slice(&checksum.to_le_bytes());
        segment.file.write_all_at(&buffer, self.written as u64)?;
        segment.file.sync_data()?;
        self.apply(&buffer[HEADER_BYTES..], generation, self.written + HEADER_BYTES);
        self.written += buffer.len();
        self.buffer = buffer;
        Ok(())
    }

    fn scan(&mut self) -> Result<Scanned> {
        let mut scanned = Scanned::default();
        let mut value = Vec::new();
        for place in self.index.places() {
            value.resize(place.len as usize, 0);
            let segment = &self.segments[&place.generation];
            segment.file.read_exact_at(&mut value, u64::from(place.offset))?;
            scanned.records += 1;
            scanned.bytes += value.len() as u64;
        }
        Ok(scanned)
    }
}
