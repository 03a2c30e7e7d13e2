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
use crate::conns::Conn;
use crate::delivery::{Pending, Place, Terms, Written, stored_bytes};
use crate::message::PublishView;
use crate::sessions::Session;
use crate::stats::Drop;
use crate::store::{StoreOp, StoreToken};

impl Peers {
    /// A QoS 1 or 2 message for a durable session.
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
        if !lingers {
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
    pub(super) fn has_identifiers(&self, session: &Session, conn: &Conn) -> bool {
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

    pub(super) fn account_in_flight(&mut self, slot: u32, bytes: usize) {
        self.stats.in_flight += 1;
        self.in_flight_bytes += bytes;
        if let Some(session) = self.sessions.get_mut(slot) {
            session.in_flight_bytes += bytes;
        }
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
}
