//! One turn of one shard: read the clock once, give the shard everything that happened, carry out
//! what it asks for. This file owns the order of a turn; `reads`, `accept` and `carry` own its
//! steps, `thread` decides when there is one. Must not know MQTT: it feeds bytes in and carries
//! bytes out.

use std::collections::VecDeque;
use std::sync::Arc;

use martlet_engine::store::StoreFigures;
use martlet_engine::{ConnId, Input, Now, Outputs, Shard, ShardId};
use martlet_net::{Key, Poller, Ready, Registry};
use martlet_store::StoreHandle;

use crate::accept::Door;
use crate::carry::Lingering;
use crate::clock::Clock;
use crate::log::Log;
use crate::mailbox::{Letter, Mailbox, ShardSet};
use crate::transports::{Flags, NUMBERS_MAX, Transports};

/// The poller's key of the shard's own waker.
pub(crate) const WAKER: Key = Key(u32::MAX);

/// Events taken from the poller per turn.
pub(crate) const EVENTS_MAX: usize = 1024;

/// The one read buffer of a shard: no read is larger.
pub(crate) const READ_BUFFER_BYTES: usize = 256 * 1024;

/// The store's figures are read at most so often; they are shown with those of `$SYS`.
const FIGURES_INTERVAL_MS: u64 = 1000;

/// How long a stopping shard waits until its clients have taken their last bytes and closed.
const STOP_WITHIN_MS: u64 = 2000;

/// One shard with its sockets: everything that a turn needs, on whichever thread it happens.
#[derive(Debug)]
pub(crate) struct ShardLoop {
    pub(crate) id: ShardId,
    pub(crate) shard: Shard,
    pub(crate) out: Outputs,
    pub(crate) registry: Registry,
    pub(crate) mailboxes: Arc<[Mailbox]>,
    /// `None`: everything is in memory only.
    pub(crate) store: Option<StoreHandle>,
    pub(crate) transports: Transports,
    pub(crate) buffer: Box<[u8]>,
    /// Connections with bytes to read, in the order in which they are served.
    pub(crate) queue: VecDeque<ConnId>,
    /// Connections with bytes to write whose socket takes them again.
    pub(crate) rewrite: Vec<ConnId>,
    /// Connections that came in this turn; those that stay are registered with the poller at its
    /// end.
    pub(crate) fresh: Vec<ConnId>,
    pub(crate) door: Door,
    pub(crate) lingering: Lingering,
    /// Shards whose mailbox this one has overfilled: while there are any, no socket is read.
    pub(crate) waiting_for: ShardSet,
    pub(crate) log: Log,
    pub(crate) clock: Clock,
    /// Shards with new letters that are to be woken, or turned, when this turn is over.
    pub(crate) nudge: ShardSet,
    /// Connections written to in this turn.
    pub(crate) writes: usize,
    /// When its own thread means to be back at the latest; `None`: when it is woken.
    pub(crate) thread_due_ms: Option<u64>,
    /// When the store's figures are to be read again.
    figures_at_ms: u64,
    /// Set by the order to stop: when to be gone at the latest.
    stop_at_ms: Option<u64>,
    letters: Vec<Letter>,
    /// A transport ended while the turn was carried out: what the shard made of it waits for
    /// another turn.
    pub(crate) ended_late: bool,
}

/// What a [`ShardLoop`] is made of.
pub(crate) struct Parts {
    pub(crate) id: ShardId,
    pub(crate) shard: Shard,
    pub(crate) registry: Registry,
    pub(crate) mailboxes: Arc<[Mailbox]>,
    pub(crate) store: Option<StoreHandle>,
    pub(crate) door: Door,
    pub(crate) log: Log,
    pub(crate) clock: Clock,
}

/// What a turn leaves behind for the thread.
#[derive(Debug)]
pub(crate) struct AfterTurn {
    /// When the next turn is due if nothing comes in: 0 for at once, `None` for never.
    pub(crate) due_ms: Option<u64>,
    /// Shards that have got a little mail, and may sleep.
    pub(crate) nudge: ShardSet,
    /// Shards whose mailbox has to be drained before sockets are read again.
    pub(crate) waiting_for: ShardSet,
    /// Connections written to.
    pub(crate) writes: usize,
    /// The order to stop has been carried out.
    pub(crate) stopped: bool,
}

impl ShardLoop {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            id: parts.id,
            shard: parts.shard,
            out: Outputs::default(),
            registry: parts.registry,
            mailboxes: parts.mailboxes,
            store: parts.store,
            transports: Transports::new(),
            buffer: vec![0; READ_BUFFER_BYTES].into_boxed_slice(),
            queue: VecDeque::new(),
            rewrite: Vec::new(),
            fresh: Vec::new(),
            door: parts.door,
            lingering: Lingering::default(),
            waiting_for: ShardSet::default(),
            log: parts.log,
            clock: parts.clock,
            nudge: ShardSet::default(),
            writes: 0,
            thread_due_ms: None,
            figures_at_ms: 0,
            stop_at_ms: None,
            letters: Vec::new(),
            ended_late: false,
        }
    }

    /// One turn on the shard's own thread, with what its poller reported.
    pub(crate) fn own_turn(&mut self, poller: &Poller) -> AfterTurn {
        self.take_events(poller);
        let after = self.turn();
        // Only now: until its thread looked at them, events may name connections that ended in
        // covered turns.
        self.transports.turn_ends();
        self.thread_due_ms = after.due_ms;
        after
    }

    /// One turn on the thread of another shard that has mail for this one, while this one's thread
    /// sleeps.
    pub(crate) fn covered_turn(&mut self) -> AfterTurn {
        self.turn()
    }

    fn turn(&mut self) -> AfterTurn {
        let now = self.clock.now();
        self.out.more = false;
        self.ended_late = false;
        self.writes = 0;
        self.take_letters(now);
        self.tell_figures(now);
        self.read_queue(now);
        self.accept(now);
        self.step(now, Input::TurnEnd);
        self.note_changes();
        self.carry_out(now);
        self.expire_lingering(now);
        self.log.flush();
        AfterTurn {
            due_ms: self.due_ms(),
            nudge: std::mem::take(&mut self.nudge),
            waiting_for: self.waiting_for,
            writes: self.writes,
            stopped: self
                .stop_at_ms
                .is_some_and(|at| self.transports.open() == 0 || now.mono_ms >= at),
        }
    }

    /// When the next turn is due if nothing comes in: 0 for at once, `None` for never.
    fn due_ms(&self) -> Option<u64> {
        let reading = self.reads();
        let busy = self.out.more
            || !self.out.dirty.is_empty()
            || !self.rewrite.is_empty()
            || self.ended_late
            || (reading && (!self.queue.is_empty() || self.door.is_open()));
        if busy {
            return Some(0);
        }
        let deadlines = [
            self.shard.next_deadline_ms(),
            self.lingering.next_deadline_ms(),
            self.door.next_deadline_ms(),
            self.stop_at_ms,
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Whether sockets are read: neither another shard nor the store has too much of this one's.
    pub(crate) fn reads(&self) -> bool {
        self.waiting_for.is_empty() && !self.shard.is_ahead_of_store()
    }

    /// Takes what the other threads sent, in the order in which they did.
    pub(crate) fn take_letters(&mut self, now: Now) {
        for shard in self.waiting_for.iter() {
            if self.mailboxes[usize::from(shard.0)].has_room() {
                self.waiting_for.remove(shard);
            }
        }
        let mut letters = std::mem::take(&mut self.letters);
        let relieved = self.mailboxes[usize::from(self.id.0)].drain(&mut letters);
        for shard in relieved.iter() {
            self.mailboxes[usize::from(shard.0)].wake();
        }
        for letter in letters.drain(..) {
            match letter {
                Letter::Mail(mail) => self.step(now, Input::Mail(mail)),
                // A stopping shard takes nobody in; the client finds its connection closed.
                Letter::Moved { .. } if self.stop_at_ms.is_some() => {}
                Letter::Moved { stream, moved } => {
                    let conn = self.transports.insert(stream);
                    self.fresh.push(conn);
                    self.step(now, Input::Adopted { conn, moved });
                }
                Letter::Store(event) => self.step(now, Input::Store(event)),
                Letter::Shutdown => self.begin_to_stop(now),
            }
        }
        self.letters = letters;
    }

    /// The first shard publishes the store's figures with its own.
    fn tell_figures(&mut self, now: Now) {
        let Some(store) = self.store.as_ref().filter(|_| self.id == ShardId(0)) else { return };
        if now.mono_ms < self.figures_at_ms {
            return;
        }
        self.figures_at_ms = now.mono_ms + FIGURES_INTERVAL_MS;
        let stats = store.stats();
        let figures = StoreFigures {
            commits: stats.commits,
            ops: stats.ops,
            records: stats.records,
            bytes: stats.bytes,
            damaged: stats.damaged,
            disk_bytes: stats.disk_bytes,
            free_bytes: stats.free_bytes,
        };
        self.step(now, Input::StoreFigures(figures));
    }

    fn begin_to_stop(&mut self, now: Now) {
        if self.stop_at_ms.is_none() {
            self.stop_at_ms = Some(now.mono_ms + STOP_WITHIN_MS);
            self.door.close();
            self.step(now, Input::Shutdown);
        }
    }

    /// Notes in the transports what the poller reported. Reads and writes nothing yet.
    fn take_events(&mut self, poller: &Poller) {
        for ready in poller.ready() {
            if ready.key == WAKER {
                continue;
            }
            if ready.key.0 >= NUMBERS_MAX {
                self.door.knock(ready.key);
                continue;
            }
            let conn = ConnId(ready.key.0);
            // A connection that was closed in the turn in which it became ready.
            let Some((_, flags)) = self.transports.get(conn) else { continue };
            if ready.writable && flags.has(Flags::WRITE_BLOCKED) {
                flags.clear(Flags::WRITE_BLOCKED);
                self.rewrite.push(conn);
            }
            if !ready.readable {
                continue;
            }
            flags.set(noted(&ready));
            // A paused connection is not read, but its breaking is noticed.
            let serve = !flags.has(Flags::PAUSED) || flags.has(Flags::BROKEN);
            if serve && !flags.has(Flags::QUEUED) {
                flags.set(Flags::QUEUED);
                self.queue.push_back(conn);
            }
        }
    }

    /// Gives the shard one input. What it asks for stands in `out` after the turn's end.
    #[inline]
    pub(crate) fn step(&mut self, now: Now, input: Input<'_>) {
        self.shard.step(now, input, &mut self.out);
    }

    /// Marks the connections that the shard lets go of with this turn and those it does (not) want
    /// to read.
    fn note_changes(&mut self) {
        let closed = self.out.close.iter().copied();
        let moved = self.out.moves.iter().map(|(conn, _, _)| *conn);
        for conn in closed.chain(moved) {
            if let Some((_, flags)) = self.transports.get(conn) {
                flags.set(Flags::RELEASED);
            }
        }
        for conn in self.out.pause.drain(..) {
            if let Some((_, flags)) = self.transports.get(conn) {
                flags.set(Flags::PAUSED);
            }
        }
        for conn in self.out.resume.drain(..) {
            let Some((_, flags)) = self.transports.get(conn) else { continue };
            flags.clear(Flags::PAUSED);
            if flags.has(Flags::READABLE) && !flags.has(Flags::QUEUED) {
                flags.set(Flags::QUEUED);
                self.queue.push_back(conn);
            }
        }
    }
}

/// What a "readable" event says about a transport.
fn noted(ready: &Ready) -> Flags {
    let mut flags = Flags::READABLE;
    if ready.read_closed {
        flags.set(Flags::PEER_ENDED);
    }
    if ready.broken {
        flags.set(Flags::BROKEN);
    }
    flags
}
