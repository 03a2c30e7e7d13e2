//! The answer to a PUBLISH: at once, later, or a refusal. Must not know where the message went.

use martlet_proto::{Ack, PacketId, PacketType, ReasonCode, ReasonProperties};

use super::Shard;
use crate::ids::{ConnId, SessionKey};
use crate::ledger::Then;
use crate::log::Cause;
use crate::peers::Answer;
use crate::stats::Drop;

/// The answer that a PUBLISH gets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answered {
    pub(super) packet: PacketType,
    pub(super) packet_id: PacketId,
    /// Bytes of the message.
    pub(super) bytes: usize,
    /// The session that remembers the message until its PUBREL.
    pub(super) session: Option<SessionKey>,
}

impl Shard {
    /// A message that is known is answered again, but never before it is safe.
    #[cold]
    pub(super) fn repeat_pub_rec(&mut self, id: ConnId, slot: u32, packet_id: PacketId) {
        let session = self.peers.sessions.get(slot);
        let durable = session.and_then(|session| session.durable.as_ref());
        let unsettled = durable.and_then(|durable| durable.unsettled(packet_id));
        if unsettled.is_none() && !self.peers.holds(id) {
            let ack = Ack::new(packet_id, ReasonCode::Success);
            return self.acknowledge(id, ack, PacketType::PubRec);
        }
        let answer = Answer::Ack(PacketType::PubRec, packet_id, ReasonCode::Success);
        let Some((serial, number)) = self.peers.hold(id, answer, 0) else { return };
        match unsettled {
            Some(promise) => {
                self.peers.ledger.also(promise, Then::Answer { conn: id, serial, number });
            }
            None => self.peers.answer(id, serial, number, None),
        }
    }

    /// The message has gone where it goes: the answer follows at once, or when what it left is
    /// safe, and never before an earlier one.
    #[inline]
    pub(super) fn finish_publish(&mut self, id: ConnId, mut reason: ReasonCode, answer: Answered) {
        if self.peers.ledger.is_refused() {
            reason = ReasonCode::QuotaExceeded;
        }
        if self.peers.ledger.waits() || self.peers.holds(id) {
            return self.answer_later(id, reason, answer);
        }
        self.peers.ledger.cancel_effects();
        let Answered { packet, packet_id, .. } = answer;
        if reason == ReasonCode::QuotaExceeded {
            return self.refuse_full(id, packet_id, packet);
        }
        self.acknowledge(id, Ack::new(packet_id, reason), packet);
    }

    fn answer_later(&mut self, id: ConnId, reason: ReasonCode, answer: Answered) {
        let Answered { packet, packet_id, bytes, session } = answer;
        let held = self.peers.hold(id, Answer::Ack(packet, packet_id, reason), bytes);
        // A connection that is gone has no serial number 0: nobody is answered then.
        let (conn, (serial, number)) = (id, held.unwrap_or_default());
        let then = match session {
            Some(session) => Then::Received { session, packet_id, conn, serial, number },
            None => Then::Answer { conn, serial, number },
        };
        let refused = self.peers.ledger.is_refused();
        match self.peers.ledger.end_effects(self.peers.now, then) {
            None => self.peers.ledger.keep_at_once(then, refused),
            Some(promise) => {
                let session = session.and_then(|key| self.peers.slot_of(key));
                let session = session.and_then(|slot| self.peers.sessions.get_mut(slot));
                if let Some(durable) = session.and_then(|session| session.durable.as_mut()) {
                    durable.unsettled.push((packet_id, promise));
                }
            }
        }
    }

    /// Somebody's queue had no room, and publishers are to know: with the reason where there is
    /// one to give, else by the end of the connection, after which the client sends again.
    #[cold]
    pub(super) fn refuse_full(&mut self, id: ConnId, packet_id: PacketId, packet: PacketType) {
        let Some(conn) = self.peers.conns.get(id) else { return };
        if packet == PacketType::PubRec
            && let Some(session) = conn.session.and_then(|slot| self.peers.sessions.get_mut(slot))
        {
            session.incoming.refuse(packet_id);
        }
        if !conn.proto.version().is_v5() {
            return self.end(id, Cause::ByServer(ReasonCode::QuotaExceeded));
        }
        self.acknowledge(id, Ack::new(packet_id, ReasonCode::QuotaExceeded), packet);
    }

    /// Answers a PUBLISH; a refusal says why, to who wants to know [MQTT-3.1.2-29].
    #[inline]
    fn acknowledge(&mut self, id: ConnId, ack: Ack<'_>, packet: PacketType) {
        if ack.reason.is_error() {
            return self.refuse_publish(id, ack, packet);
        }
        self.peers.send(id, |version, out| ack.put(packet, version, out));
    }

    #[cold]
    fn refuse_publish(&mut self, id: ConnId, ack: Ack<'_>, packet: PacketType) {
        let Some(conn) = self.peers.conns.get(id) else { return };
        if !conn.proto.problem_information() {
            return self.peers.send(id, |version, out| ack.put(packet, version, out));
        }
        // [MQTT-3.4.2-2] [MQTT-3.5.2-2]; user properties are never sent [MQTT-3.4.2-3]
        // [MQTT-3.5.2-3].
        let what = match ack.reason {
            ReasonCode::NotAuthorized => Drop::NotAuthorized.describe(),
            _ if self.store_trouble() == Some(ack.reason) => "the store cannot take it now",
            _ => Drop::QueueFull.describe(),
        };
        self.peers.send_with_reason(id, what, |reason_string, version, out| {
            let properties = ReasonProperties { reason_string, ..ReasonProperties::default() };
            Ack { properties, ..ack }.put(packet, version, out);
        });
    }
}
