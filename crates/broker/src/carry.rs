//! Carrying out what a turn produced, in the order that the engine asks for: mail, writes, closes,
//! moves, log. Also the end of connections: our end goes out behind the last bytes, and what the
//! peer still sends is discarded for a while, because closing with unread bytes would reset the
//! connection and destroy them.

use std::collections::VecDeque;
use std::io::IoSlice;

use martlet_engine::{ConnId, Input, Now, Outbox, TransportEnd};
use martlet_net::{ReadOutcome, Stream, WriteOutcome};

use crate::mailbox::{Letter, ShardSet};
use crate::reads::end_of;
use crate::transports::{Flags, key};
use crate::turn::ShardLoop;

/// Slices given to one write. An outbox with more is written on in the next turn.
const SLICES_MAX: usize = 64;

/// Mail of so many bytes at most is little: a dozen small messages. Its receiver, if it sleeps, is
/// not woken at once but when this turn is over, and then perhaps turned by this thread (see
/// `thread`).
const NUDGE_MAIL_BYTES_MAX: usize = 2048;

/// With more connections to write to than this, the turn takes so long that the receiver is better
/// woken.
const NUDGE_WRITES_MAX: usize = 16;

/// Moved connections that are little as well.
const NUDGE_MOVES_MAX: usize = 2;

/// How long a closed connection may take to end its side before the descriptor is given back.
const LINGER_MS: u64 = 1000;

/// Closed connections that linger at the same time; with more, the oldest goes.
const LINGERING_MAX: usize = 4096;

/// Connections whose end was sent, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Lingering {
    /// A number may have been reused since: only a transport that lingers is meant.
    queue: VecDeque<(u64, ConnId)>,
}

impl Lingering {
    pub(crate) fn next_deadline_ms(&self) -> Option<u64> {
        self.queue.front().map(|(deadline_ms, _)| *deadline_ms)
    }
}

/// What a write did, with the number of bytes it had to do.
enum Written {
    All(usize),
    Part(usize),
    Failed(TransportEnd),
}

fn write(stream: &Stream, outbox: &Outbox) -> Written {
    let outcome = |wanted, outcome| match outcome {
        WriteOutcome::Complete => Written::All(wanted),
        WriteOutcome::Blocked(part) => Written::Part(part),
        WriteOutcome::Failed(kind) => Written::Failed(end_of(kind)),
    };
    if let Some(bytes) = outbox.contiguous() {
        return outcome(bytes.len(), stream.write(&[IoSlice::new(bytes)]));
    }
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let count = outbox.slices(&mut slices);
    let slices = &slices[..count];
    outcome(slices.iter().map(|slice| slice.len()).sum(), stream.write(slices))
}

impl ShardLoop {
    /// Does what the shard asked for in this turn.
    pub(crate) fn carry_out(&mut self, now: Now) {
        self.submit();
        self.send_mail();
        self.write_dirty(now);
        self.close_released(now);
        self.move_released();
        self.register_fresh(now);
        for event in self.out.log.drain(..) {
            self.log.event(now, &event);
        }
        assert!(self.out.auth.is_empty(), "nobody is there to answer authentication requests");
    }

    /// What is to be made durable goes before the mail: what other shards make of that must not be
    /// there first.
    fn submit(&mut self) {
        let Some(store) = &self.store else { return };
        for batch in self.out.store.drain(..) {
            store.submit(self.id, batch);
        }
        for load in self.out.loads.drain(..) {
            store.load(self.id, load);
        }
    }

    /// Mail goes before any write: an acknowledgement that a client sees must mean that what it
    /// acknowledges is in the mailboxes already.
    fn send_mail(&mut self) {
        let mut to_wake = ShardSet::default();
        let idle = self.out.dirty.len() <= NUDGE_WRITES_MAX;
        for (shard, mail) in self.out.mail.drain(..) {
            let little = idle && mail.bytes() <= NUDGE_MAIL_BYTES_MAX;
            let roomy = self.mailboxes[usize::from(shard.0)].push(self.id, Letter::Mail(mail));
            if !roomy {
                self.waiting_for.insert(shard);
            }
            if little && roomy {
                self.nudge.insert(shard);
            } else {
                to_wake.insert(shard);
            }
        }
        self.wake(to_wake);
    }

    fn wake(&self, shards: ShardSet) {
        for shard in shards.iter() {
            self.mailboxes[usize::from(shard.0)].wake();
        }
    }

    /// One write for each connection that has something to say and a socket with room.
    fn write_dirty(&mut self, now: Now) {
        let mut dirty = std::mem::take(&mut self.out.dirty);
        for conn in dirty.drain(..) {
            self.write_one(now, conn);
        }
        let mut rewrite = std::mem::take(&mut self.rewrite);
        for conn in rewrite.drain(..) {
            self.write_one(now, conn);
        }
        // What these writes added is for the next turn. The lists keep their memory.
        dirty.append(&mut self.out.dirty);
        self.out.dirty = dirty;
        rewrite.append(&mut self.rewrite);
        self.rewrite = rewrite;
    }

    fn write_one(&mut self, now: Now, conn: ConnId) {
        let Some((stream, flags)) = self.transports.get(conn) else { return };
        if flags.has(Flags::WRITE_BLOCKED.or(Flags::RELEASED)) {
            return;
        }
        let Some(outbox) = self.shard.outbox(conn) else { return };
        if outbox.is_empty() {
            return;
        }
        self.writes += 1;
        match write(stream, outbox) {
            Written::All(bytes) => {
                let more = outbox.len() > bytes;
                self.step(now, Input::Wrote { conn, bytes });
                if more {
                    self.rewrite.push(conn);
                }
            }
            Written::Part(bytes) => {
                flags.set(Flags::WRITE_BLOCKED);
                let watch = !flags.has(Flags::WATCHING_WRITABLE) && flags.has(Flags::REGISTERED);
                if watch && self.registry.watch_writable(stream, key(conn)).is_err() {
                    return self.transport_ended(now, conn, TransportEnd::Error);
                }
                if watch {
                    flags.set(Flags::WATCHING_WRITABLE);
                }
                if bytes > 0 {
                    self.step(now, Input::Wrote { conn, bytes });
                }
            }
            Written::Failed(end) => self.transport_ended(now, conn, end),
        }
    }

    /// Closes what the shard asked to close, after what one write takes of its outbox.
    fn close_released(&mut self, now: Now) {
        // By index: closing asks the shard for the outbox, but nothing of a step.
        for index in 0..self.out.close.len() {
            self.close(now, self.out.close[index]);
        }
        self.out.close.clear();
    }

    /// The network connection ends: last bytes, our end, then the descriptor.
    fn close(&mut self, now: Now, conn: ConnId) {
        // [MQTT-4.13.1-1] [MQTT-4.13.2-1] [MQTT-3.14.4-2] [MQTT3-4.8.0-1] [MQTT3-3.14.4-1]
        let Some((stream, flags)) = self.transports.get(conn) else { return };
        let last_words = match self.shard.outbox(conn) {
            Some(outbox) if !outbox.is_empty() && !flags.has(Flags::WRITE_BLOCKED) => {
                matches!(write(stream, outbox), Written::All(_))
            }
            _ => false,
        };
        // Somebody who was told why, or who may be in the middle of sending, gets the time to read
        // it.
        if !last_words || flags.has(Flags::BROKEN) {
            self.transports.remove(conn);
            return;
        }
        stream.end_writing();
        if !flags.has(Flags::REGISTERED) {
            if self.registry.register(stream, key(conn)).is_err() {
                self.transports.remove(conn);
                return;
            }
            flags.set(Flags::REGISTERED);
        }
        flags.set(Flags::LINGERING);
        flags.clear(Flags::PAUSED);
        self.lingering.queue.push_back((now.mono_ms + LINGER_MS, conn));
        self.discard(conn);
        if self.lingering.queue.len() > LINGERING_MAX {
            self.drop_oldest_lingering();
        }
    }

    /// Reads what a closed connection still sends, one buffer, into nothing; returns how many bytes
    /// that was.
    pub(crate) fn discard(&mut self, conn: ConnId) -> usize {
        let Some((stream, flags)) = self.transports.get(conn) else { return 0 };
        if !flags.has(Flags::LINGERING) {
            return 0;
        }
        match stream.read(&mut self.buffer) {
            ReadOutcome::Bytes(count) => {
                if count == self.buffer.len() || flags.has(Flags::PEER_ENDED) {
                    flags.set(Flags::QUEUED);
                    self.queue.push_back(conn);
                }
                count
            }
            ReadOutcome::Blocked => 0,
            ReadOutcome::End | ReadOutcome::Failed(_) => {
                self.transports.remove(conn);
                0
            }
        }
    }

    /// Gives up on closed connections whose peers do not end their side.
    pub(crate) fn expire_lingering(&mut self, now: Now) {
        while self.lingering.next_deadline_ms().is_some_and(|at| now.mono_ms >= at) {
            self.drop_oldest_lingering();
        }
    }

    /// Gives all their descriptors back, when the process needs them.
    pub(crate) fn drop_lingering(&mut self) {
        while !self.lingering.queue.is_empty() {
            self.drop_oldest_lingering();
        }
    }

    fn drop_oldest_lingering(&mut self) {
        let Some((_, conn)) = self.lingering.queue.pop_front() else { return };
        let Some((_, flags)) = self.transports.get(conn) else { return };
        if flags.has(Flags::LINGERING) {
            self.transports.remove(conn);
        }
    }

    /// Hands connections to their home shard.
    fn move_released(&mut self) {
        let few = self.out.moves.len() <= NUDGE_MOVES_MAX;
        let mut homes = ShardSet::default();
        for (conn, shard, moved) in self.out.moves.drain(..) {
            let Some((mut stream, flags)) = self.transports.remove(conn) else { continue };
            if flags.has(Flags::REGISTERED) && self.registry.deregister(&mut stream).is_err() {
                continue;
            }
            homes.insert(shard);
            let letter = Letter::Moved { stream, moved };
            if !self.mailboxes[usize::from(shard.0)].push(self.id, letter) {
                self.waiting_for.insert(shard);
            }
        }
        if few {
            homes.iter().for_each(|shard| self.nudge.insert(shard));
        } else {
            self.wake(homes);
        }
    }

    /// Tells the poller of the connections that came in this turn and stay. What they sent
    /// meanwhile is reported by the next wait.
    fn register_fresh(&mut self, now: Now) {
        while let Some(conn) = self.fresh.pop() {
            let Some((stream, flags)) = self.transports.get(conn) else { continue };
            if flags.has(Flags::REGISTERED) {
                continue;
            }
            let mut result = self.registry.register(stream, key(conn));
            if result.is_ok() && flags.has(Flags::WRITE_BLOCKED) {
                result = self.registry.watch_writable(stream, key(conn));
                flags.set(Flags::WATCHING_WRITABLE);
            }
            flags.set(Flags::REGISTERED);
            if let Err(error) = result {
                self.log.warn(now, format_args!("cannot watch a connection: {error}"));
                self.transport_ended(now, conn, TransportEnd::Error);
            }
        }
    }
}
