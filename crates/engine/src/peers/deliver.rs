//! A message to a session: into the outbox when its window is open, else into its queue, else
//! dropped with a reason. Must not know how the session was found.

use martlet_proto::{PacketId, Qos, ReasonCode};
use martlet_session::outgoing::{Outgoing, PubRec};

use std::sync::Arc;

use super::Peers;
use super::send::{Sent, Wire, is_acknowledged};
use crate::config::QueueFull;
use crate::delivery::{Pending, Queue, Terms};
use crate::message::{Message, PublishView};
use crate::sessions::Session;
use crate::stats::Drop;

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivered {
    /// Sent, queued, or dropped with a reason that was counted.
    Done,
    /// The session is not there, or not connected and the message not worth queueing.
    Absent,
}

impl Peers {
    /// Gives a message to the session in `slot`.
    #[inline]
    pub(crate) fn deliver(
        &mut self,
        slot: u32,
        view: &mut PublishView<'_>,
        terms: Terms,
    ) -> Delivered {
        // [MQTT-3.3.2-5] It was on its way from another shard for too long.
        if view.expires_at_ms < self.now.mono_ms {
            self.drop_message(Drop::Expired, Some(slot));
            return Delivered::Done;
        }
        let Some(session) = self.sessions.get_mut(slot) else { return Delivered::Absent };
        if let Some(replays) = &mut session.replays
            && view.retain
        {
            // A live update beats what the store said before it.
            replays.beat(crate::ids::topic_hash(view.topic));
        }
        if is_acknowledged(terms.qos) {
            self.deliver_acknowledged(slot, view, terms)
        } else {
            self.deliver_at_most_once(slot, view, &terms)
        }
    }

    /// Whether a session is to be told more of what is retained: it is connected and keeps up.
    pub(crate) fn takes_replays(&self, slot: u32) -> bool {
        let Some(session) = self.sessions.get(slot) else { return false };
        let Some(conn) = session.conn.and_then(|id| self.conns.get(id)) else { return false };
        session.queue_len() == 0
            && conn.outbox_len() < self.limits.outbox_low_bytes
            && (session.outgoing.is_empty() || self.has_room(slot))
    }

    /// Gives a session a retained message that was found for its new subscription.
    pub(crate) fn deliver_retained(&mut self, slot: u32, message: &Arc<Message>, terms: Terms) {
        let mut view = message.view();
        if is_acknowledged(terms.qos) {
            self.deliver_acknowledged(slot, &mut view, terms);
        } else {
            self.deliver_at_most_once(slot, &mut view, &terms);
        }
    }

    // [MQTT-4.3.1-1] [MQTT3-4.3.1-1]
    #[inline]
    fn deliver_at_most_once(
        &mut self,
        slot: u32,
        view: &mut PublishView<'_>,
        terms: &Terms,
    ) -> Delivered {
        let session = self.sessions.get_mut(slot).expect("checked by the caller");
        let Some(id) = session.conn else { return Delivered::Absent };
        let outbox_len = self.conns.get(id).map_or(0, |conn| conn.outbox_len());
        if outbox_len != 0 && outbox_len >= self.outbox_max() {
            self.drop_message(Drop::OutboxFull, Some(slot));
            return Delivered::Done;
        }
        let wire = Wire { packet_id: None, dup: false };
        if self.send_publish(id, view, terms, wire) == Sent::TooLarge {
            self.drop_message(Drop::PacketTooLarge, Some(slot));
        }
        Delivered::Done
    }

    /// QoS 1 and 2 [MQTT-4.5.0-1] [MQTT3-4.5.0-1] [MQTT3-3.1.2-5].
    fn deliver_acknowledged(
        &mut self,
        slot: u32,
        view: &mut PublishView<'_>,
        terms: Terms,
    ) -> Delivered {
        if self.sessions.get(slot).is_some_and(|session| session.durable.is_some()) {
            self.deliver_durable(slot, view, terms);
        } else if self.window_is_open(slot) {
            self.send_acknowledged(slot, view, terms);
        } else {
            let message = view.keep(&mut self.frames);
            self.enqueue(slot, Pending::new(message, terms));
        }
        Delivered::Done
    }

    /// Whether the next QoS 1 or 2 message can go out now, before anything else that waits.
    #[inline]
    pub(super) fn window_is_open(&self, slot: u32) -> bool {
        let Some(session) = self.sessions.get(slot) else { return false };
        session.queue_len() == 0 && session.outgoing.unsent() == 0 && self.has_room(slot)
    }

    /// Whether the send quota and the outbox allow another message [MQTT-4.9.0-2]. Nothing but
    /// PUBLISH asks for this [MQTT-4.9.0-3].
    #[inline]
    pub(super) fn has_room(&self, slot: u32) -> bool {
        let Some(session) = self.sessions.get(slot) else { return false };
        let Some(conn) = session.conn.and_then(|id| self.conns.get(id)) else { return false };
        // [MQTT-3.3.4-9]
        let on_the_wire = session.outgoing.in_flight() - session.outgoing.unsent();
        on_the_wire < usize::from(conn.proto.receive_max_out())
            && conn.outbox_len() < self.limits.outbox_pause_bytes
            && (session.outgoing.unsent() > 0 || self.may_keep_more(session))
    }

    /// Whether what is kept of messages in flight leaves room for another: a client that reads and
    /// never acknowledges must not make the broker hold as much as its window allows messages.
    #[inline]
    pub(super) fn may_keep_more(&self, session: &Session) -> bool {
        session.outgoing.is_empty()
            || session.in_flight_bytes < self.limits.queue_bytes_max
                && self.in_flight_bytes < self.limits.queues_bytes_max
    }

    /// A message in flight is not kept any more.
    pub(crate) fn release(&mut self, slot: u32, bytes: usize) {
        self.in_flight_bytes -= bytes;
        if let Some(session) = self.sessions.get_mut(slot) {
            session.in_flight_bytes -= bytes;
        }
    }

    /// Sends a QoS 1 or 2 message for the first time. The window is open.
    pub(super) fn send_acknowledged(
        &mut self,
        slot: u32,
        view: &mut PublishView<'_>,
        terms: Terms,
    ) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let Some(id) = session.conn else { return };
        // What ends with its connection is never sent again: nothing to keep, unless a share group
        // wants it back.
        let forget = session.ends_with_connection() && terms.group.is_none();
        let kept = (!forget).then(|| {
            let mut kept = Pending::new(view.keep(&mut self.frames), terms.clone());
            kept.place.sent = true;
            Box::new(kept)
        });
        let kept_bytes = kept.as_ref().map_or(0, |kept| kept.bytes());
        // [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1] [MQTT3-2.3.1-4]
        let Some(packet_id) = session.outgoing.begin(terms.qos, kept) else {
            let message = view.keep(&mut self.frames);
            self.enqueue(slot, Pending::new(message, terms));
            return;
        };
        // [MQTT-4.3.2-2] [MQTT-4.3.3-2] A first transmission has DUP 0.
        let wire = Wire { packet_id: Some(packet_id), dup: false };
        match self.send_publish(id, view, &terms, wire) {
            Sent::Yes => {
                self.stats.in_flight += 1;
                self.in_flight_bytes += kept_bytes;
                let session = self.sessions.get_mut(slot).expect("still there");
                session.in_flight_bytes += kept_bytes;
            }
            Sent::TooLarge => {
                let session = self.sessions.get_mut(slot).expect("still there");
                abandon(&mut session.outgoing, packet_id);
                self.drop_message(Drop::PacketTooLarge, Some(slot));
            }
        }
    }

    /// Puts a message at the end of a session's queue (so that the order of each publisher, topic
    /// and QoS is kept [MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT3-4.6.0-5] [MQTT3-4.6.0-6]), or does what
    /// is to be done with a full one.
    pub(super) fn enqueue(&mut self, slot: u32, pending: Pending) {
        let limits = &self.limits;
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let bytes = pending.bytes();
        let queue = session.queue.get_or_insert_with(Box::<Queue>::default);
        let is_full = |queue: &Queue| {
            queue.len() >= limits.queue_messages_max
                || queue.bytes() + bytes > limits.queue_bytes_max
        };
        let in_memory = self.stats.queued_bytes as usize - self.stored_bytes;
        let mut dropped = 0;
        if limits.queue_full == QueueFull::DropOldest {
            while is_full(queue)
                && let Some(oldest) = queue.pop()
            {
                self.stats.queued -= 1;
                self.stats.queued_bytes -= oldest.bytes() as u64;
                dropped += 1;
            }
        }
        let reason = if is_full(queue) {
            Some(Drop::QueueFull)
        } else if in_memory + bytes > limits.queues_bytes_max {
            Some(Drop::QueuesFull)
        } else {
            queue.push(pending);
            self.stats.queued += 1;
            self.stats.queued_bytes += bytes as u64;
            None
        };
        for _ in 0..dropped {
            self.drop_message(Drop::QueueOldest, Some(slot));
        }
        if let Some(reason) = reason {
            if self.limits.queue_full == QueueFull::Refuse {
                self.ledger.refuse_effects();
            }
            self.drop_message(reason, Some(slot));
        }
    }

    /// The QoS a delivery gets: the lower of what was published and what was granted
    /// [MQTT-3.8.4-8] [MQTT3-3.8.4-6].
    #[inline]
    pub(crate) fn lower(published: Qos, granted: u8) -> Qos {
        let granted = Qos::from_bits(granted & 0b11).unwrap_or(Qos::ExactlyOnce);
        published.min(granted)
    }
}

/// Treats a message in flight as if it had been acknowledged [MQTT-3.1.2-25]; what was kept of it
/// if it was there.
pub(super) fn abandon<M>(outgoing: &mut Outgoing<M>, id: PacketId) -> Option<M> {
    if let Ok(kept) = outgoing.puback(id) {
        return Some(kept);
    }
    match outgoing.pubrec(id, ReasonCode::PacketTooLarge) {
        PubRec::Finished(kept) => Some(kept),
        PubRec::Release(_) | PubRec::Unknown => None,
    }
}
