//! Connections and sessions together: who gets what bytes. Owns the outboxes, the queues' budget
//! and the counters. Must not know routing: it is told which session gets which message on what
//! terms.

mod deliver;
mod feed;
mod hold;
mod keep;
mod queue;
mod send;
mod young;

pub(crate) use deliver::Delivered;
pub(crate) use hold::{Answer, Held};

use std::collections::VecDeque;

use crate::config::{Limits, QueueFull, ShardConfig};
use crate::conns::{Conn, Conns};
use crate::frame_pool::FramePool;
use crate::ids::{ConnId, SessionKey};
use crate::ledger::Ledger;
use crate::log::LogEvent;
use crate::outbox::OutboxPool;
use crate::sessions::{Session, Sessions};
use crate::stats::{Drop, Stats};
use crate::store::StoreToken;
use crate::time::Now;
use crate::timers::Timers;

/// The peers of a shard.
#[derive(Debug)]
pub(crate) struct Peers {
    pub(crate) conns: Conns,
    pub(crate) sessions: Sessions,
    pub(crate) limits: Limits,
    pub(crate) stats: Stats,
    pub(crate) timers: Timers,
    pub(crate) log: Vec<LogEvent>,
    /// Read once per input.
    pub(crate) now: Now,
    pub(crate) frames: FramePool,
    pool: OutboxPool,
    dirty: Vec<ConnId>,
    pause: Vec<ConnId>,
    resume: Vec<ConnId>,
    /// Unsent bytes of all connections, as of their last write.
    outboxes_bytes: usize,
    /// Bytes kept of messages in flight, of all sessions.
    in_flight_bytes: usize,
    /// Bytes of the messages whose answers are held back, of all connections.
    held_bytes: usize,
    /// Bytes waiting for durable sessions, on the disk or on their way there.
    stored_bytes: usize,
    pub(crate) ledger: Ledger,
    /// Durable sessions with something in flight that is not written, and when to look at them.
    lingering: VecDeque<(u64, SessionKey)>,
    ack_time: young::AckTime,
    drops: DropLog,
}

/// Drops since the last log lines about them.
#[derive(Debug, Default)]
struct DropLog {
    counts: [u64; Drop::ALL.len()],
    last: [Option<Box<str>>; Drop::ALL.len()],
    next_at_ms: u64,
}

/// Drops are told at most once in so many milliseconds: a flood of them must not become a flood of
/// lines.
const DROP_LOG_INTERVAL_MS: u64 = 1000;

impl Peers {
    pub(crate) fn new(config: &ShardConfig) -> Self {
        let (shard, seed, limits) = (config.shard, config.seed, config.limits.clone());
        let asks_always = limits.queue_full == QueueFull::Refuse;
        Self {
            stored_bytes: 0,
            ledger: Ledger::new(shard, config.shards, config.store, asks_always),
            lingering: VecDeque::new(),
            ack_time: young::AckTime::default(),
            conns: Conns::default(),
            sessions: Sessions::new(shard, seed),
            limits,
            stats: Stats::default(),
            timers: Timers::default(),
            log: Vec::new(),
            now: Now::default(),
            frames: FramePool::default(),
            pool: OutboxPool::default(),
            dirty: Vec::new(),
            pause: Vec::new(),
            resume: Vec::new(),
            outboxes_bytes: 0,
            in_flight_bytes: 0,
            held_bytes: 0,
            drops: DropLog::default(),
        }
    }

    /// Moves what this turn asks for into the caller's lists.
    pub(crate) fn flush_into(&mut self, out: &mut crate::Outputs) {
        let Self { conns, dirty, .. } = self;
        // What a connection may not say yet stays in its outbox.
        out.dirty.extend(dirty.drain(..).filter(|id| {
            conns.get_mut(*id).is_none_or(|conn| {
                conn.dirty = false;
                conn.embargo == StoreToken(0)
            })
        }));
        // What holds at the end of the turn counts: a connection may have been both in it.
        let Self { conns, pause, resume, .. } = self;
        let holds = |id: &ConnId, paused| conns.get(*id).is_some_and(|conn| conn.paused == paused);
        out.pause.extend(pause.drain(..).filter(|id| holds(id, true)));
        out.resume.extend(resume.drain(..).filter(|id| holds(id, false)));
        self.tell_drops();
        out.log.append(&mut self.log);
    }

    /// Counts a drop and remembers whom it hit.
    #[cold]
    pub(crate) fn drop_message(&mut self, reason: Drop, session: Option<u32>) {
        self.stats.drop(reason);
        let i = reason as usize;
        self.drops.counts[i] += 1;
        if self.drops.last[i].is_none() {
            let session = session.and_then(|slot| self.sessions.get(slot));
            self.drops.last[i] = session.map(|session| session.client_id.clone());
        }
    }

    fn tell_drops(&mut self) {
        if self.now.mono_ms < self.drops.next_at_ms || self.drops.counts.iter().all(|c| *c == 0) {
            return;
        }
        self.drops.next_at_ms = self.now.mono_ms + DROP_LOG_INTERVAL_MS;
        for (i, reason) in Drop::ALL.into_iter().enumerate() {
            let count = std::mem::take(&mut self.drops.counts[i]);
            let client_id = self.drops.last[i].take();
            if count > 0 {
                self.log.push(LogEvent::Dropped { reason, count, client_id });
            }
        }
    }

    /// When drops that were counted have to be told.
    pub(crate) fn drops_deadline_ms(&self) -> Option<u64> {
        self.drops.counts.iter().any(|count| *count > 0).then_some(self.drops.next_at_ms)
    }

    /// The connection has bytes to send: it is written at the end of this turn.
    #[inline]
    pub(crate) fn mark_dirty(conn: &mut Conn, id: ConnId, dirty: &mut Vec<ConnId>) {
        if !conn.dirty {
            conn.dirty = true;
            dirty.push(id);
        }
    }

    /// The transport took `bytes` of the outbox. Returns the session to feed, if there is room now.
    pub(crate) fn wrote(&mut self, id: ConnId, bytes: usize) -> Option<u32> {
        let conn = self.conns.get_mut(id)?;
        let outbox = conn.outbox.as_mut()?;
        outbox.advance(bytes);
        self.stats.bytes_sent += bytes as u64;
        self.outboxes_bytes = self.outboxes_bytes.saturating_sub(bytes);
        let left = outbox.len();
        if left == 0
            && let Some(outbox) = conn.outbox.take()
        {
            self.pool.give(outbox);
        }
        if bytes > 0 {
            conn.took_at_ms = self.now.mono_ms;
        }
        if left >= self.limits.outbox_low_bytes {
            return None;
        }
        if conn.paused && !conn.is_held() && !conn.stalls() {
            conn.paused = false;
            self.resume.push(id);
        }
        conn.session
    }

    /// Whether some connection has bytes to send.
    pub(crate) fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Whether some connection is to be read again.
    pub(crate) fn has_resumed(&self) -> bool {
        !self.resume.is_empty()
    }

    /// Stops reading a connection that does not take its acknowledgements.
    pub(crate) fn pause_if_full(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if !conn.paused && conn.outbox_len() >= self.limits.outbox_pause_bytes {
            conn.paused = true;
            conn.took_at_ms = self.now.mono_ms;
            self.pause.push(id);
        }
    }

    /// Stops reading a connection until its verdict is there.
    pub(crate) fn pause(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id)
            && !conn.paused
        {
            conn.paused = true;
            conn.took_at_ms = self.now.mono_ms;
            self.pause.push(id);
        }
    }

    /// Reads a paused connection again.
    pub(crate) fn resume(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id)
            && conn.paused
        {
            conn.paused = false;
            self.resume.push(id);
        }
    }

    /// A connection that ends before the store has what its CONNACK says never says it.
    pub(crate) fn silence(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if conn.embargo != StoreToken(0) {
            conn.embargo = StoreToken(0);
            self.outboxes_bytes = self.outboxes_bytes.saturating_sub(conn.outbox_len());
            conn.outbox = None;
        }
    }

    /// The batch that a connection's CONNACK waited for is durable.
    pub(crate) fn lift_embargo(&mut self, id: ConnId, serial: u32) {
        let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.serial == serial) else {
            return;
        };
        if conn.embargo != StoreToken(0) {
            conn.embargo = StoreToken(0);
            Self::mark_dirty(conn, id, &mut self.dirty);
        }
    }

    /// Counts what came with a session of an earlier life.
    pub(crate) fn count_restored(&mut self, slot: u32) {
        let Some(session) = self.sessions.get(slot) else { return };
        self.in_flight_bytes += session.in_flight_bytes;
        self.stats.in_flight += session.outgoing.in_flight() as u64;
        self.stats.queued += session.queue_len() as u64;
        self.stats.queued_bytes += session.queue_bytes() as u64;
        self.stored_bytes += session.queue_bytes();
    }

    /// Takes a session out, with everything that is counted of it.
    pub(crate) fn remove_session(&mut self, slot: u32) -> Option<Box<Session>> {
        let session = self.sessions.remove(slot)?;
        self.in_flight_bytes -= session.in_flight_bytes;
        self.stats.in_flight -= session.outgoing.in_flight() as u64;
        self.stats.queued -= session.queue_len() as u64;
        self.stats.queued_bytes -= session.queue_bytes() as u64;
        if session.durable.is_some() {
            self.stored_bytes -= session.queue_bytes();
        }
        Some(session)
    }

    /// Removes a connection and what it had not sent.
    pub(crate) fn remove_conn(&mut self, id: ConnId) -> Option<Box<Conn>> {
        self.forget_held(id);
        let conn = self.conns.remove(id)?;
        self.outboxes_bytes = self.outboxes_bytes.saturating_sub(conn.outbox_len());
        Some(conn)
    }

    /// The live session that `key` names.
    pub(crate) fn slot_of(&self, key: SessionKey) -> Option<u32> {
        self.sessions.by_key(key).map(|session| session.key.slot())
    }

    pub(crate) fn check_invariants(&self) {
        let mut queued = 0;
        let mut queued_bytes = 0;
        let mut connected = 0;
        let mut in_flight_bytes = 0;
        let mut stored_bytes = 0;
        for session in self.sessions.iter() {
            queued += session.queue_len() as u64;
            queued_bytes += session.queue_bytes() as u64;
            if session.durable.is_some() {
                stored_bytes += session.queue_bytes();
            }
            assert_eq!(session.kept_bytes(), session.in_flight_bytes, "kept bytes are counted");
            in_flight_bytes += session.in_flight_bytes;
            assert!(session.outgoing.unsent() <= session.outgoing.in_flight(), "unsent too large");
            if let Some(id) = session.conn {
                connected += 1;
                let conn = self.conns.get(id).expect("a session's connection exists");
                assert_eq!(conn.session, Some(session.key.slot()), "the connection knows it");
            }
        }
        assert_eq!(self.stats.queued, queued, "queued messages are counted");
        assert_eq!(self.stats.queued_bytes, queued_bytes, "queued bytes are counted");
        assert_eq!(self.stored_bytes, stored_bytes, "bytes in the store are counted");
        self.ledger.check_invariants();
        assert_eq!(self.in_flight_bytes, in_flight_bytes, "and those of all sessions");
        assert_eq!(self.stats.sessions_connected, connected, "connected sessions are counted");
        assert_eq!(self.stats.sessions, self.sessions.len() as u64, "sessions are counted");
        let held_bytes: usize =
            self.conns.iter().filter_map(|(_, conn)| conn.held.as_ref()).map(|h| h.bytes()).sum();
        assert_eq!(self.held_bytes, held_bytes, "bytes of what is held back are counted");
        for (id, conn) in self.conns.iter() {
            if let Some(slot) = conn.session {
                let session = self.sessions.get(slot).expect("a connection's session exists");
                assert_eq!(session.conn, Some(id), "the session knows its connection");
            }
        }
    }
}
