//! The sockets of one shard under dense numbers, eight bytes each. Grows in chunks, so that a
//! million connections are never copied. Must not know the engine's side of a connection.

use martlet_engine::ConnId;
use martlet_net::{Key, Stream};

/// What the loop remembers of a transport beside its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flags(u32);

impl Flags {
    /// The poller knows it.
    pub(crate) const REGISTERED: Self = Self(1);
    /// The poller also reports when it takes bytes again.
    pub(crate) const WATCHING_WRITABLE: Self = Self(1 << 1);
    /// The last write did not take everything: wait for "writable".
    pub(crate) const WRITE_BLOCKED: Self = Self(1 << 2);
    /// The shard does not want to be given its bytes.
    pub(crate) const PAUSED: Self = Self(1 << 3);
    /// There may be unread bytes, for which no further event will come.
    pub(crate) const READABLE: Self = Self(1 << 4);
    /// It stands in the queue of those to be read.
    pub(crate) const QUEUED: Self = Self(1 << 5);
    /// The peer sends no more: read on until the end is read.
    pub(crate) const PEER_ENDED: Self = Self(1 << 6);
    /// Reset: there is nothing to wait for.
    pub(crate) const BROKEN: Self = Self(1 << 7);
    /// The shard has let go of it: no further input for it.
    pub(crate) const RELEASED: Self = Self(1 << 8);
    /// Our end was sent; what still comes is discarded until the peer's end or a deadline.
    pub(crate) const LINGERING: Self = Self(1 << 9);

    pub(crate) fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }

    pub(crate) fn set(&mut self, flags: Self) {
        self.0 |= flags.0;
    }

    pub(crate) fn clear(&mut self, flags: Self) {
        self.0 &= !flags.0;
    }

    /// Several flags as one.
    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[derive(Debug)]
struct Slot {
    stream: Option<Stream>,
    /// The flags of an occupied slot; the next free slot's number of a free one.
    word: Flags,
}

#[cfg(not(debug_assertions))]
const _: () = assert!(size_of::<Slot>() == 8, "a transport at rest costs eight bytes");

/// Slots are allocated by so many.
const CHUNK_SLOTS: usize = 1024;

/// The end of the list of free slots.
const NONE: u32 = u32::MAX;

/// Numbers from here on are the poller's keys of other things than transports.
pub(crate) const NUMBERS_MAX: u32 = u32::MAX - 1024;

/// The transports of one shard.
#[derive(Debug)]
pub(crate) struct Transports {
    chunks: Vec<Box<[Slot]>>,
    free: u32,
    open: usize,
    /// Slots emptied in this turn: an event or an output of the same turn may still name them.
    emptied: Vec<ConnId>,
}

/// The poller's key of a connection.
pub(crate) fn key(conn: ConnId) -> Key {
    Key(conn.0)
}

impl Transports {
    pub(crate) fn new() -> Self {
        Self { chunks: Vec::new(), free: NONE, open: 0, emptied: Vec::new() }
    }

    /// How many there are.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// Takes a stream in, under the number of the slot that became free last.
    pub(crate) fn insert(&mut self, stream: Stream) -> ConnId {
        if self.free == NONE {
            self.grow();
        }
        let conn = ConnId(self.free);
        let slot = self.slot(conn).expect("the list of free slots holds slots");
        debug_assert!(slot.stream.is_none());
        let next = slot.word.0;
        *slot = Slot { stream: Some(stream), word: Flags::default() };
        self.free = next;
        self.open += 1;
        conn
    }

    /// The stream and its flags, if the number is in use.
    pub(crate) fn get(&mut self, conn: ConnId) -> Option<(&mut Stream, &mut Flags)> {
        let slot = self.slot(conn)?;
        Some((slot.stream.as_mut()?, &mut slot.word))
    }

    /// Takes a stream out. Its number becomes free with [`Transports::turn_ends`].
    pub(crate) fn remove(&mut self, conn: ConnId) -> Option<(Stream, Flags)> {
        let slot = self.slot(conn)?;
        let stream = slot.stream.take()?;
        let flags = slot.word;
        self.open -= 1;
        self.emptied.push(conn);
        Some((stream, flags))
    }

    /// The numbers freed in this turn may be used again.
    pub(crate) fn turn_ends(&mut self) {
        while let Some(conn) = self.emptied.pop() {
            let next = self.free;
            self.slot(conn).expect("it was in use").word = Flags(next);
            self.free = conn.0;
        }
    }

    fn slot(&mut self, conn: ConnId) -> Option<&mut Slot> {
        let index = conn.0 as usize;
        self.chunks.get_mut(index / CHUNK_SLOTS)?.get_mut(index % CHUNK_SLOTS)
    }

    fn grow(&mut self) {
        let first = (self.chunks.len() * CHUNK_SLOTS) as u32;
        let end = first + CHUNK_SLOTS as u32;
        assert!(end <= NUMBERS_MAX, "more connections than the system has descriptors");
        let next_free = |number| Flags(if number + 1 == end { NONE } else { number + 1 });
        self.chunks.push(
            (first..end).map(|number| Slot { stream: None, word: next_free(number) }).collect(),
        );
        self.free = first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use martlet_net::{Accepted, Listener};

    fn streams(count: usize) -> Vec<Stream> {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut streams = Vec::new();
        while streams.len() < count {
            let peer = std::net::TcpStream::connect(listener.address()).unwrap();
            loop {
                if let Accepted::Connection(stream, _) = listener.accept() {
                    streams.push(stream);
                    break;
                }
            }
            drop(peer);
        }
        streams
    }

    #[test]
    fn numbers_are_dense_and_reused_only_in_a_later_turn() {
        let mut transports = Transports::new();
        let mut streams = streams(5);
        let numbers: Vec<_> =
            streams.drain(..3).map(|stream| transports.insert(stream).0).collect();
        assert_eq!(numbers, [0, 1, 2]);
        transports.get(ConnId(1)).unwrap().1.set(Flags::PAUSED.or(Flags::READABLE));
        let (_, flags) = transports.remove(ConnId(1)).unwrap();
        assert!(flags.has(Flags::PAUSED) && !flags.has(Flags::QUEUED));
        assert!(transports.get(ConnId(1)).is_none());
        assert!(transports.remove(ConnId(1)).is_none());
        assert_eq!(transports.insert(streams.pop().unwrap()), ConnId(3), "not within the turn");
        transports.turn_ends();
        assert_eq!(transports.insert(streams.pop().unwrap()), ConnId(1));
        assert_eq!(*transports.get(ConnId(1)).unwrap().1, Flags::default());
        assert_eq!(transports.open(), 4);
    }

    #[test]
    fn chunks_follow_each_other() {
        let mut transports = Transports::new();
        for (stream, expected) in streams(CHUNK_SLOTS + 3).into_iter().zip(0..) {
            assert_eq!(transports.insert(stream), ConnId(expected));
        }
        assert_eq!(transports.open(), CHUNK_SLOTS + 3);
        assert!(transports.get(ConnId(50_000_000)).is_none());
    }
}
