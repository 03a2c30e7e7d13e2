//! Changes that become durable together, in one block of memory.
//!
//! Owns the layout of keys. Must not know engines.

use std::ops::Range;

/// The kinds of records; each is a table of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Space {
    /// Partition (u16), session (u64), place (u64), big-endian: a message of a session.
    Entries,
    /// Number (u64): what several entries share.
    Bodies,
    /// A topic name.
    Retained,
}

impl Space {
    pub(crate) const ALL: [Self; 3] = [Self::Entries, Self::Bodies, Self::Retained];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Entries => "entries",
            Self::Bodies => "bodies",
            Self::Retained => "retained",
        }
    }
}

/// Partitions of the sessions, as in the broker.
const PARTITIONS: u64 = 1024;

/// The key of a session's message.
pub(crate) fn entry_key(session: u64, place: u64) -> [u8; 18] {
    let mut key = [0; 18];
    // The broker takes a hash of the client identifier: neighbours are far apart.
    let partition = session.wrapping_mul(0x9E37_79B9_7F4A_7C15) % PARTITIONS;
    key[..2].copy_from_slice(&(partition as u16).to_be_bytes());
    key[2..10].copy_from_slice(&session.to_be_bytes());
    key[10..].copy_from_slice(&place.to_be_bytes());
    key
}

/// One change of a batch; without a value it removes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'a> {
    pub(crate) space: Space,
    pub(crate) key: &'a [u8],
    pub(crate) value: Option<&'a [u8]>,
}

/// Changes in order.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    changes: Vec<(Space, Range<usize>, Option<Range<usize>>)>,
}

impl Batch {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.changes.clear();
    }

    pub(crate) fn put(&mut self, space: Space, key: &[u8], value: &[u8]) {
        let (key, value) = (self.keep(key), self.keep(value));
        self.changes.push((space, key, Some(value)));
    }

    pub(crate) fn remove(&mut self, space: Space, key: &[u8]) {
        let key = self.keep(key);
        self.changes.push((space, key, None));
    }

    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Change<'_>> {
        self.changes.iter().map(|(space, key, value)| Change {
            space: *space,
            key: &self.bytes[key.clone()],
            value: value.clone().map(|value| &self.bytes[value]),
        })
    }

    fn keep(&mut self, part: &[u8]) -> Range<usize> {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(part);
        from..self.bytes.len()
    }
}
