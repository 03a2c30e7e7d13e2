//! The answer to a question: the next waiting messages of a session. Must not know threads.

use fjall::Slice;
use martlet_engine::store::{Loaded, Seq, SessionId, StoreLoad, StoredEntry, StoredMessage};

use crate::disk::Disk;
use crate::format::{BodyPlace, EntryView, FormatError, Key, Space, queue_range, read_message};

/// An answer, and what could not be read: the caller removes it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) loaded: Loaded,
    pub(crate) damaged: Vec<Seq>,
}

/// An answer while it is put together.
struct Filling {
    entries: Vec<StoredEntry>,
    bytes: u64,
    messages_max: usize,
    bytes_max: u64,
}

impl Filling {
    fn is_full(&self) -> bool {
        let has_some = !self.entries.is_empty();
        self.entries.len() >= self.messages_max || (has_some && self.bytes >= self.bytes_max)
    }

    fn push(&mut self, entry: StoredEntry) {
        self.bytes += entry.message.data.len() as u64;
        self.entries.push(entry);
    }
}

/// Answers `load`.
///
/// # Errors
/// When the disk cannot be read.
pub(crate) fn answer(load: &StoreLoad, disk: &Disk) -> fjall::Result<Answer> {
    let StoreLoad { session, from, messages_max, bytes_max } = *load;
    let messages_max = (messages_max as usize).max(1);
    let entries = Vec::with_capacity(messages_max.min(64));
    let mut filling = Filling { entries, bytes: 0, messages_max, bytes_max };
    let mut damaged = Vec::new();
    let mut waiting = Waiting::new(disk, session, from);
    let done = loop {
        let Some((seq, value)) = waiting.next().transpose()? else { break true };
        if filling.is_full() {
            break false;
        }
        match read_entry(disk, session, seq, &value)? {
            Some(entry) => filling.push(entry),
            None => damaged.push(seq),
        }
    };
    let (entries, lost) = (filling.entries, damaged.len() as u64);
    Ok(Answer { loaded: Loaded { session, from, entries, damaged: lost, done }, damaged })
}

/// The entries of a session on the disk that are neither in flight nor released, undecoded.
struct Waiting {
    records: fjall::Iter,
    /// The place of the last mark: its entry, if any, is in flight.
    marked: Option<Seq>,
}

impl Waiting {
    fn new(disk: &Disk, session: SessionId, from: Seq) -> Self {
        let (first, last) = queue_range(session, from);
        let records = disk.set(Space::Records).range(first..=last);
        Self { records, marked: None }
    }
}

impl Iterator for Waiting {
    type Item = fjall::Result<(Seq, Slice)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (key, value) = match self.records.next()?.into_inner() {
                Ok(record) => record,
                Err(error) => return Some(Err(error)),
            };
            match Key::read(Space::Records, &key) {
                Ok(Key::Mark(_, seq)) => self.marked = Some(seq),
                Ok(Key::Entry(_, seq)) => {
                    let is_in_flight =
                        EntryView::read(&value).is_ok_and(|view| view.packet_id.is_some());
                    if self.marked != Some(seq) && !is_in_flight {
                        return Some(Ok((seq, value)));
                    }
                }
                _ => {}
            }
        }
    }
}

/// An entry with its message; `None` when one of them is damaged or missing.
pub(crate) fn read_entry(
    disk: &Disk,
    session: SessionId,
    seq: Seq,
    value: &[u8],
) -> fjall::Result<Option<StoredEntry>> {
    let Ok(view) = EntryView::read(value) else { return Ok(None) };
    let message = match view.body() {
        Err(_) => return Ok(None),
        Ok(BodyPlace::Inline(message)) => Ok(message.to_stored()),
        Ok(BodyPlace::Shared(body)) => read_body(disk, Key::Body(body))?,
        Ok(BodyPlace::Own) => read_body(disk, Key::OwnBody(session, seq))?,
    };
    Ok(message.ok().map(|message| StoredEntry { seq, message, terms: view.terms() }))
}

fn read_body(disk: &Disk, key: Key<'_>) -> fjall::Result<Result<StoredMessage, FormatError>> {
    let mut bytes = Vec::with_capacity(20);
    key.put(&mut bytes);
    let Some(value) = disk.get(Space::Messages, &bytes)? else {
        return Ok(Err(FormatError::Short));
    };
    Ok(read_message(&value).map(|message| message.to_stored()))
}
