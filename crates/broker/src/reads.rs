//! Reading: one buffer a connection a turn, in the order of the queue, up to a budget. Also the
//! accepted connection's first read. Must not know what the bytes mean.

use std::io;

use martlet_engine::{ConnId, Input, Now, TransportEnd};
use martlet_net::ReadOutcome;

use crate::transports::Flags;
use crate::turn::ShardLoop;

/// Bytes read per turn, of all connections together. Bounds how long a turn takes and what it can
/// put into other shards' mailboxes, and keeps what a turn touches within a core's cache; those not
/// served stay at the head of the queue.
const TURN_READ_BYTES_MAX: usize = 1 << 20;

impl ShardLoop {
    /// Serves the queue once, or as far as the budget goes.
    pub(crate) fn read_queue(&mut self, now: Now) {
        if !self.reads() {
            return;
        }
        let mut budget = TURN_READ_BYTES_MAX;
        // Those that are queued again by being read wait for the next turn.
        for _ in 0..self.queue.len() {
            if budget == 0 {
                return;
            }
            let Some(conn) = self.queue.pop_front() else { return };
            let Some((_, flags)) = self.transports.get(conn) else { continue };
            flags.clear(Flags::QUEUED);
            if flags.has(Flags::RELEASED) {
                budget = budget.saturating_sub(self.discard(conn));
            } else if !flags.has(Flags::PAUSED) {
                budget = budget.saturating_sub(self.read(now, conn));
            } else if flags.has(Flags::BROKEN) {
                self.transport_ended(now, conn, TransportEnd::Reset);
            }
        }
    }

    /// Reads once and gives the shard what came; returns how many bytes that was.
    pub(crate) fn read(&mut self, now: Now, conn: ConnId) -> usize {
        let Some((stream, flags)) = self.transports.get(conn) else { return 0 };
        match stream.read(&mut self.buffer) {
            ReadOutcome::Bytes(count) => {
                // A short read means that nothing is left, unless what follows is the peer's end.
                // That is read in the next turn, so that a client which closes early still gets its
                // answers.
                if count < self.buffer.len() && !flags.has(Flags::PEER_ENDED) {
                    flags.clear(Flags::READABLE);
                } else {
                    flags.set(Flags::READABLE.or(Flags::QUEUED));
                    self.queue.push_back(conn);
                }
                // What a client says may be about what another shard has done before (it saw that
                // shard's acknowledgement): mail that was there when the bytes came goes first.
                if self.mailboxes[usize::from(self.id.0)].is_filled() {
                    self.take_letters(now);
                }
                let bytes = &self.buffer[..count];
                self.shard.step(now, Input::Bytes { conn, bytes }, &mut self.out);
                count
            }
            ReadOutcome::Blocked => {
                flags.clear(Flags::READABLE);
                0
            }
            ReadOutcome::End => {
                self.transport_ended(now, conn, TransportEnd::Eof);
                0
            }
            ReadOutcome::Failed(kind) => {
                self.transport_ended(now, conn, end_of(kind));
                0
            }
        }
    }

    /// The transport is gone: tells the shard, unless it has let go of it before, and closes our
    /// side.
    pub(crate) fn transport_ended(&mut self, now: Now, conn: ConnId, end: TransportEnd) {
        let Some((stream, flags)) = self.transports.remove(conn) else { return };
        drop(stream);
        if !flags.has(Flags::RELEASED) {
            self.step(now, Input::Closed { conn, end });
            self.ended_late = true;
        }
    }
}

/// How the engine calls a failed read or write.
pub(crate) fn end_of(kind: io::ErrorKind) -> TransportEnd {
    match kind {
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => TransportEnd::Reset,
        _ => TransportEnd::Error,
    }
}
