//! Messages of durable sessions: what of them the store is given, and when they may go out. Must
//! not know how the session was found, nor the store beyond the ledger.
//!
//! A QoS 1 message goes out at once and is written with the turn; when the client acknowledges
//! promptly, writing waits a little, and what is acknowledged first is never written. A QoS 2
//! message goes out when it is durable with its packet identifier: else its receiver might get it
//! twice.

use std::sync::Arc;

use martlet_proto::{PacketId, Qos};

use super::Peers;
use super::send::{Sent, Wire};
use crate::config::QueueFull;
use crate::conns::Conn;
use crate::delivery::{Pending, Place, Queue, Terms, Written, stored_bytes};
use crate::durable::{Asked, Tail};
use crate::ids::SessionKey;
use crate::ledger::Ledger;
use crate::message::{Message, PublishView};
use crate::sessions::Session;
use crate::stats::Drop;
use crate::store::{Loaded, Seq, SessionId, StoreLoad, StoreOp, StoreToken};

/// A message is written when its acknowledgement takes so many times as long as usual.
const LINGER_FACTOR: u64 = 4;

/// How long clients take to acknowledge, on average of late.
#[derive(Debug, Default)]
pub(super) struct AckTime {
    /// In 1/64 of a millisecond.
    average: u64,
}

impl AckTime {
    /// Each sample counts for so much of the average.
    const SHIFT: u32 = 6;

    fn average_ms(&self) -> u64 {
        self.average >> Self::SHIFT
    }

    /// Samples beyond `max_ms` are of clients that were away.
    fn add(&mut self, sample_ms: u32, max_ms: u64) {
        if u64::from(sample_ms) <= max_ms {
            self.average = self.average + u64::from(sample_ms) - (self.average >> Self::SHIFT);
        }
    }
}

impl Peers {
    pub(super) fn deliver_durable(&mut self, slot: u32, view: &mut PublishView<'_>, terms: Terms) {
        let message = view.keep(&mut self.frames);
        let id = match self.may_begin(slot) {
            true => self.sessions.get_mut(slot).and_then(|session| session.outgoing.next_id()),
            false => None,
        };
        let Some(id) = id else { return self.enqueue_durable(slot, message, terms) };
        // What is received once only must be durable before it is sent; and what was published at
        // QoS 2 becomes durable in one go with its packet identifier at the publisher's session.
        let waits = terms.qos == Qos::ExactlyOnce || message.qos == Qos::ExactlyOnce;
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let goes = !waits && session.outgoing.unsent() == 0;
        let lingers = goes && session.durable.as_ref().is_some_and(|own| own.acks_promptly);
        if !waits && !lingers {
            self.write_what_is_before(slot);
        }
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let Some(durable) = &mut session.durable else { return };
        let seq = durable.next_seq();
        let mut place = Place { seq, sent_at_ms: self.now.mono_ms as u32, ..Place::default() };
        if lingers {
            durable.has_unwritten = true;
            place.written = Written::Nothing(self.ledger.wait_young());
        } else {
            let put = StoreOp::PutEntry {
                session: durable.id,
                seq,
                message: Arc::clone(&message),
                terms: terms.to_entry(Some(id)),
            };
            place.written = Written::Flight;
            let token = self.ledger.push(put, stored_bytes(&message));
            place.token = if waits { token } else { StoreToken(0) };
        }
        let (qos, key) = (terms.qos, session.key);
        let pending = Box::new(Pending { message, terms, place });
        let bytes = pending.bytes();
        session.outgoing.begin_unsent_as(id, qos, Some(pending));
        self.account_in_flight(slot, bytes);
        if goes {
            self.send_first(slot, view);
        } else if waits {
            self.ledger.wake_session(place.token, key);
        }
    }

    /// Whether the next message can have its packet identifier now: nothing waits before it, and
    /// the client takes so many [MQTT-3.3.4-9].
    fn may_begin(&self, slot: u32) -> bool {
        let Some(session) = self.sessions.get(slot) else { return false };
        let Some(conn) = session.conn.and_then(|id| self.conns.get(id)) else { return false };
        session.queue_len() == 0 && self.has_identifiers(session, conn) && {
            session.outgoing.unsent() > 0 || self.has_room(slot)
        }
    }

    /// Whether another message may be in flight to the client.
    fn has_identifiers(&self, session: &Session, conn: &Conn) -> bool {
        session.outgoing.in_flight() < usize::from(conn.proto.receive_max_out())
            && self.may_keep_more(session)
    }

    /// Sends the one message that is not sent yet, for the first time. The window is open.
    fn send_first(&mut self, slot: u32, view: &mut PublishView<'_>) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let Some(conn) = session.conn else { return };
        let Some(Some(pending)) = session.outgoing.first_unsent_mut() else { return };
        pending.place.sent = true;
        let terms = pending.terms.clone();
        let is_young = pending.place.written != Written::Flight;
        let Some(packet_id) = session.outgoing.first_unsent().map(|flow| flow.id()) else { return };
        session.outgoing.pass();
        let wire = Wire { packet_id: Some(packet_id), dup: false };
        if self.send_publish(conn, view, &terms, wire) == Sent::TooLarge {
            self.abandon(slot, packet_id);
            self.drop_message(Drop::PacketTooLarge, Some(slot));
        } else if is_young {
            self.watch(slot);
        }
    }

    fn account_in_flight(&mut self, slot: u32, bytes: usize) {
        self.stats.in_flight += 1;
        self.in_flight_bytes += bytes;
        if let Some(session) = self.sessions.get_mut(slot) {
            session.in_flight_bytes += bytes;
        }
    }

    /// Puts a message at the end of a durable session's queue: to the store, and into memory as
    /// long as a connected client may want it soon.
    fn enqueue_durable(&mut self, slot: u32, message: Arc<Message>, terms: Terms) {
        let bytes = stored_bytes(&message);
        let limits = &self.limits;
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let is_full = session.queue_len() >= limits.stored_queue_messages_max
            || session.queue_bytes() + bytes > limits.stored_queue_bytes_max;
        let are_full = self.stored_bytes + bytes > limits.stored_queues_bytes_max;
        let full = limits.queue_full;
        if (is_full || are_full) && full != QueueFull::DropOldest {
            let reason = if is_full { Drop::QueueFull } else { Drop::QueuesFull };
            if full == QueueFull::Refuse {
                self.ledger.refuse_effects();
            }
            return self.drop_message(reason, Some(slot));
        }
        let is_connected = session.conn.is_some();
        let Some(durable) = &mut session.durable else { return };
        let seq = durable.next_seq();
        let put = StoreOp::PutEntry {
            session: durable.id,
            seq,
            message: Arc::clone(&message),
            terms: terms.to_entry(None),
        };
        let token = self.ledger.push(put, bytes);
        if self.ledger.is_joined() {
            durable.joined = token;
        }
        self.stats.queued += 1;
        self.stats.queued_bytes += bytes as u64;
        self.stored_bytes += bytes;
        let has_tail = durable.tail.messages > 0;
        let head = session.queue.as_ref();
        let fits = head.is_none_or(|head| {
            head.len() < limits.window_messages && head.bytes() < limits.window_bytes
        });
        if is_connected && !has_tail && fits {
            let place = Place { seq, token, ..Place::default() };
            let queue = session.queue.get_or_insert_with(Box::<Queue>::default);
            queue.push(Pending { message, terms, place });
        } else {
            durable.tail.add(seq, bytes as u64, terms.group.is_some());
            if let Some(asked) = &mut durable.asked {
                asked.since.add(seq, bytes as u64, false);
            }
        }
        if is_full || are_full {
            self.trim(slot);
        }
    }

    /// Drops the oldest messages of a queue until it keeps its bounds; what has to be read first
    /// is dropped when it has been.
    fn trim(&mut self, slot: u32) {
        loop {
            let limits = &self.limits;
            let Some(session) = self.sessions.get_mut(slot) else { return };
            let is_full = session.queue_len() > limits.stored_queue_messages_max
                || session.queue_bytes() > limits.stored_queue_bytes_max
                || self.stored_bytes > limits.stored_queues_bytes_max;
            if !is_full || session.queue_len() <= 1 {
                return;
            }
            let Some(pending) = self.pop_queued(slot) else { return self.ask_for_more(slot) };
            self.remove_entry(slot, &pending);
            self.drop_message(Drop::QueueOldest, Some(slot));
        }
    }

    /// Takes the first message off the part of a durable queue that is in memory.
    fn pop_queued(&mut self, slot: u32) -> Option<Pending> {
        let session = self.sessions.get_mut(slot)?;
        let queue = session.queue.as_mut()?;
        let popped = queue.pop();
        if queue.len() == 0 {
            session.queue = None;
        }
        let pending = popped?;
        let bytes = pending.bytes();
        self.stats.queued -= 1;
        self.stats.queued_bytes -= bytes as u64;
        self.stored_bytes -= bytes;
        Some(pending)
    }

    fn remove_entry(&mut self, slot: u32, pending: &Pending) {
        let durable = self.sessions.get(slot).and_then(|session| session.durable.as_ref());
        if let Some(session) = durable.map(|durable| durable.id) {
            self.ledger.push(StoreOp::RemoveEntry { session, seq: pending.place.seq }, 0);
        }
    }

    /// Gives the next message of a durable session's queue a packet identifier, to be sent behind
    /// what is not sent yet. False when there is none or it has to wait.
    pub(super) fn prepare_next(&mut self, slot: u32) -> bool {
        let Some(session) = self.sessions.get(slot) else { return false };
        let Some(conn) = session.conn.and_then(|id| self.conns.get(id)) else { return false };
        if !self.has_identifiers(session, conn) {
            return false;
        }
        let key = session.key;
        let Some(front) = session.queue.as_ref().and_then(|queue| queue.front()) else {
            self.ask_for_more(slot);
            return false;
        };
        // What was published at QoS 2 is not sent before it is durable.
        let token = front.place.token;
        if front.message.qos == Qos::ExactlyOnce && !self.ledger.is_stored(token) {
            self.ledger.wake_session(token, key);
            return false;
        }
        let Some(pending) = self.pop_queued(slot) else { return false };
        // [MQTT-3.3.2-5]
        if pending.message.expires_at_ms <= self.now.mono_ms {
            self.remove_entry(slot, &pending);
            self.drop_message(Drop::Expired, Some(slot));
        } else {
            self.begin_queued(slot, pending);
        }
        let left = self.sessions.get(slot).and_then(|session| session.queue.as_ref());
        if left.map_or(0, |queue| queue.len()) < self.limits.window_messages / 2 {
            self.ask_for_more(slot);
        }
        true
    }

    fn begin_queued(&mut self, slot: u32, mut pending: Pending) {
        let bytes = pending.bytes();
        self.account_in_flight(slot, bytes);
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let Some(packet_id) = session.outgoing.next_id() else { return };
        let qos = pending.terms.qos;
        pending.place.token = StoreToken(0);
        let Some(durable) = &mut session.durable else { return };
        if qos == Qos::ExactlyOnce {
            let (session, seq) = (durable.id, pending.place.seq);
            let put = StoreOp::PutFlight { session, seq, packet_id };
            pending.place.token = self.ledger.push(put, 0);
            pending.place.written = Written::Flight;
        } else {
            durable.has_unwritten = true;
        }
        session.outgoing.begin_unsent_as(packet_id, qos, Some(Box::new(pending)));
    }

    /// Asks the store for the next part of a queue, unless it has been asked.
    pub(super) fn ask_for_more(&mut self, slot: u32) {
        let limits = &self.limits;
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let key = session.key;
        let Some(durable) = &mut session.durable else { return };
        if durable.tail.messages == 0 || durable.asked.is_some() {
            return;
        }
        if !self.ledger.is_stored(durable.joined) {
            return self.ledger.wake_session(durable.joined, key);
        }
        let from = durable.tail.from;
        durable.asked = Some(Asked { from, since: Tail::default(), is_stale: false });
        let load = StoreLoad {
            session: durable.id,
            from,
            messages_max: limits.window_messages.max(1) as u32,
            bytes_max: limits.window_bytes as u64,
        };
        self.ledger.load(load, key);
    }

    /// The next part of a queue is there.
    pub(crate) fn on_loaded(&mut self, key: SessionKey, loaded: Loaded) {
        let Some(slot) = self.slot_of(key) else { return };
        let now = self.now;
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let before = (session.queue_len(), session.queue_bytes());
        let Some(durable) = &mut session.durable else { return };
        let Some(asked) = durable.asked.take() else { return };
        if asked.is_stale {
            return;
        }
        debug_assert_eq!(asked.from, loaded.from, "one question at a time");
        let queue = session.queue.get_or_insert_with(Box::<Queue>::default);
        let tail = &mut durable.tail;
        let since = asked.since;
        // The store may have seen what came after the question, too. It waits for its turn: a part
        // of an exchange among it need not be durable.
        let is_known = |seq: Seq| since.messages == 0 || seq < since.from;
        for entry in loaded.entries.into_iter().take_while(|entry| is_known(entry.seq)) {
            let message = Arc::new(Message::restore(entry.message, now));
            let place = Place { seq: entry.seq, ..Place::default() };
            let pending = Pending { message, terms: Terms::restore(entry.terms), place };
            tail.messages = tail.messages.saturating_sub(1);
            tail.bytes = tail.bytes.saturating_sub(pending.bytes() as u64);
            tail.from = entry.seq + 1;
            queue.push(pending);
        }
        tail.messages = tail.messages.saturating_sub(loaded.damaged);
        if loaded.done {
            // What else was thought to be there could not be read.
            (tail.messages, tail.bytes) = (since.messages, since.bytes);
        }
        self.recount(slot, before);
        if self.limits.queue_full == QueueFull::DropOldest {
            self.trim(slot);
        }
        if self.sessions.get(slot).is_some_and(|session| session.conn.is_none()) {
            // Nobody is there to be sent them: they stay in the store only.
            self.rest(slot);
        }
    }

    /// Some messages of a queue turned out to be lost: the gauges follow what there is.
    fn recount(&mut self, slot: u32, (messages, bytes): (usize, usize)) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        if session.queue.as_ref().is_some_and(|queue| queue.len() == 0) {
            session.queue = None;
        }
        let lost = messages.saturating_sub(session.queue_len());
        let lost_bytes = bytes.saturating_sub(session.queue_bytes());
        self.stats.queued -= lost as u64;
        self.stats.queued_bytes -= lost_bytes as u64;
        self.stored_bytes -= lost_bytes;
        for _ in 0..lost {
            self.drop_message(Drop::Damaged, Some(slot));
        }
    }

    /// Writes what is in flight to a session and not written: all of it, or what its client should
    /// have acknowledged by now. When to look again.
    pub(crate) fn write_young(&mut self, slot: u32, all: bool) -> Option<u64> {
        let linger_ms = if all { 0 } else { self.linger_ms() as u32 };
        let now_ms = self.now.mono_ms as u32;
        let session = self.sessions.get_mut(slot)?;
        let Session { durable, outgoing, .. } = session;
        let durable = durable.as_mut()?;
        let mut oldest_ms = None;
        for (packet_id, kept) in outgoing.messages_mut() {
            let Some(pending) = kept else { continue };
            let place = pending.place;
            if !place.sent || place.written == Written::Flight {
                continue;
            }
            let age_ms = now_ms.wrapping_sub(place.sent_at_ms);
            if age_ms < linger_ms {
                oldest_ms = oldest_ms.max(Some(age_ms));
                continue;
            }
            if let Written::Nothing(_) = place.written {
                durable.acks_promptly &= all;
            }
            write_flight(&mut self.ledger, durable.id, packet_id, pending);
        }
        oldest_ms.map(|age_ms| self.now.mono_ms + u64::from(linger_ms - age_ms))
    }

    /// A message is about to be written with its packet identifier: those before it are, too. After
    /// a restart what is in flight goes out before what waits, and order must be kept.
    fn write_what_is_before(&mut self, slot: u32) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let Session { durable, outgoing, .. } = session;
        let Some(durable) = durable else { return };
        if !std::mem::take(&mut durable.has_unwritten) {
            return;
        }
        for (packet_id, kept) in outgoing.messages_mut() {
            if let Some(pending) = kept
                && pending.place.seq != 0
                && pending.place.written != Written::Flight
            {
                write_flight(&mut self.ledger, durable.id, packet_id, pending);
            }
        }
    }

    /// Milliseconds that a prompt client has to acknowledge a message before it is written: some
    /// times what clients need at present, for a busy broker's are not slow.
    fn linger_ms(&self) -> u64 {
        let (min_ms, max_ms) = (self.limits.linger_min_ms, self.limits.linger_ms);
        (LINGER_FACTOR * self.ack_time.average_ms()).clamp(min_ms.min(max_ms), max_ms)
    }

    /// The shard looks at the session when its client should have acknowledged.
    pub(super) fn watch(&mut self, slot: u32) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let key = session.key;
        if let Some(durable) = &mut session.durable
            && !std::mem::replace(&mut durable.is_watched, true)
        {
            self.lingering.push_back((self.now.mono_ms + self.linger_ms(), key));
        }
    }

    /// Looks at the sessions whose clients should have acknowledged by now.
    pub(crate) fn run_lingering(&mut self) {
        let now_ms = self.now.mono_ms;
        while let Some((_, key)) = self.lingering.pop_front_if(|(due_ms, _)| *due_ms <= now_ms) {
            let Some(slot) = self.slot_of(key) else { continue };
            let again_ms = self.write_young(slot, false);
            let session = self.sessions.get_mut(slot);
            if let Some(durable) = session.and_then(|session| session.durable.as_mut()) {
                durable.is_watched = again_ms.is_some();
            }
            if let Some(due_ms) = again_ms {
                self.lingering.push_back((due_ms.max(now_ms + 1), key));
            }
        }
    }

    /// When to look at the next of them.
    pub(crate) fn lingering_deadline_ms(&self) -> Option<u64> {
        self.lingering.front().map(|(due_ms, _)| *due_ms)
    }

    /// A message in flight is finished: what is kept of it goes, in memory and in the store.
    pub(crate) fn finish(&mut self, slot: u32, kept: Option<Box<Pending>>) {
        let Some(pending) = kept else { return };
        self.release(slot, pending.bytes());
        let place = pending.place;
        let linger_ms = self.linger_ms();
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let Some(durable) = &mut session.durable else { return };
        if place.seq == 0 {
            return;
        }
        if place.sent {
            let age_ms = (self.now.mono_ms as u32).wrapping_sub(place.sent_at_ms);
            durable.acks_promptly = u64::from(age_ms) < linger_ms;
            self.ack_time.add(age_ms, self.limits.linger_ms);
        }
        match place.written {
            Written::Nothing(Some(promise)) => self.ledger.release(promise, false),
            Written::Nothing(None) => {}
            Written::Waiting | Written::Flight => {
                let session = durable.id;
                self.ledger.push(StoreOp::RemoveEntry { session, seq: place.seq }, 0);
            }
        }
    }

    /// QoS 2: the receiver has the message; what is left is its PUBREL. For a durable session, the
    /// batch that says so (if there is anything new to say).
    pub(crate) fn received(
        &mut self,
        slot: u32,
        packet_id: PacketId,
        kept: Option<Box<Pending>>,
    ) -> Option<Option<StoreToken>> {
        if let Some(pending) = &kept {
            self.release(slot, pending.bytes());
        }
        let durable = self.sessions.get_mut(slot)?.durable.as_mut()?;
        let seq = kept.map(|pending| pending.place.seq).filter(|seq| *seq != 0);
        Some(seq.map(|seq| {
            durable.releases.insert(packet_id, seq);
            let session = durable.id;
            self.ledger.push(StoreOp::PutRelease { session, seq, packet_id }, 0)
        }))
    }

    /// QoS 2: the exchange is over.
    pub(crate) fn completed(&mut self, slot: u32, packet_id: PacketId) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let Some(durable) = &mut session.durable else { return };
        if let Some(seq) = durable.releases.remove(&packet_id) {
            let session = durable.id;
            self.ledger.push(StoreOp::RemoveEntry { session, seq }, 0);
        }
    }

    /// The connection of a durable session is gone: nothing in flight stays unwritten, and what
    /// waits does so in the store only.
    pub(crate) fn rest(&mut self, slot: u32) {
        self.write_young(slot, true);
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let Some(durable) = &mut session.durable else { return };
        let Some(mut queue) = session.queue.take() else { return };
        if durable.tail.messages == 0 {
            durable.tail.grouped = false;
        }
        let Some(first) = queue.front().map(|pending| pending.place.seq) else { return };
        durable.tail.from = first;
        for pending in queue.take() {
            durable.tail.messages += 1;
            durable.tail.bytes += pending.bytes() as u64;
            durable.tail.grouped |= pending.terms.group.is_some();
        }
        if let Some(asked) = &mut durable.asked {
            // Its answer begins behind what is in the store now.
            asked.is_stale = true;
        }
    }
}

/// Writes what the store does not know of a message in flight.
fn write_flight(
    ledger: &mut Ledger,
    session: SessionId,
    packet_id: PacketId,
    pending: &mut Pending,
) {
    let Pending { message, terms, place } = pending;
    let seq = place.seq;
    if let Written::Nothing(promise) = place.written {
        let bytes = stored_bytes(message);
        let (message, terms) = (Arc::clone(message), terms.to_entry(Some(packet_id)));
        let token = ledger.push(StoreOp::PutEntry { session, seq, message, terms }, bytes);
        if let Some(promise) = promise {
            ledger.wait_for(promise, token);
        }
    } else {
        ledger.push(StoreOp::PutFlight { session, seq, packet_id }, 0);
    }
    place.written = Written::Flight;
}
