//! Queues of durable sessions: all of one is in the store, and the front of it in memory while its
//! client is connected. Must not know how a message is sent.

use std::sync::Arc;

use martlet_proto::Qos;

use super::Peers;
use crate::config::QueueFull;
use crate::delivery::{Pending, Place, Queue, Terms, Written, stored_bytes};
use crate::durable::{Asked, Tail};
use crate::ids::SessionKey;
use crate::message::Message;
use crate::stats::Drop;
use crate::store::{Loaded, Seq, StoreLoad, StoreOp, StoreToken};

impl Peers {
    /// Puts a message at the end of a durable session's queue: to the store, and into memory as
    /// long as a connected client may want it soon.
    pub(super) fn enqueue_durable(&mut self, slot: u32, message: Arc<Message>, terms: Terms) {
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
        if qos == Qos::ExactlyOnce {
            self.write_what_is_before(slot);
        }
        let Some(session) = self.sessions.get_mut(slot) else { return };
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
