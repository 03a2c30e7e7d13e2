//! What a session waits for, when there is room again: resends first, then its queue. Must not know
//! what made the room.

use martlet_proto::{Ack, Packet, PacketId, ReasonCode};
use martlet_session::outgoing::InFlight;

use super::Peers;
use super::send::{Sent, Wire};
use crate::delivery::Pending;
use crate::ids::ConnId;
use crate::stats::Drop;

/// One entry that is sent again, copied out of the session so that it can be borrowed while sending.
enum Resend {
    Publish(PacketId, Option<Box<Pending>>),
    PubRel(PacketId),
}

impl Peers {
    /// Sends what waits for `slot` as far as its window and its outbox allow.
    pub(crate) fn feed(&mut self, slot: u32) {
        let Some(session) = self.sessions.get(slot) else { return };
        if session.resend_left == 0 && session.queue_len() == 0 {
            return;
        }
        while self.has_room(slot) {
            let Some(session) = self.sessions.get_mut(slot) else { return };
            let Some(id) = session.conn else { return };
            if session.resend_left > 0 {
                self.resend_next(slot, id);
                continue;
            }
            let Some(pending) = session.queue.as_mut().and_then(|queue| queue.pop()) else {
                session.queue = None;
                return;
            };
            self.stats.queued -= 1;
            self.stats.queued_bytes -= pending.bytes() as u64;
            self.send_queued(slot, pending);
        }
    }

    fn send_queued(&mut self, slot: u32, pending: Pending) {
        let Pending { message, terms } = pending;
        // [MQTT-3.3.2-5]
        if message.expires_at_ms <= self.now.mono_ms {
            self.drop_message(Drop::Expired, Some(slot));
            return;
        }
        self.send_acknowledged(slot, &mut message.view(), terms);
    }

    /// Everything in flight is to be sent again on the session's new connection, in order
    /// [MQTT-4.4.0-1] [MQTT3-4.4.0-1] [MQTT-4.6.0-1] [MQTT3-4.6.0-1].
    pub(crate) fn start_resend(&mut self, slot: u32) {
        if let Some(session) = self.sessions.get_mut(slot) {
            session.resend_left = session.outgoing.in_flight();
        }
    }

    fn resend_next(&mut self, slot: u32, id: ConnId) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let nth = session.outgoing.in_flight() - session.resend_left;
        let Some(entry) = session.outgoing.iter().nth(nth) else {
            session.resend_left = 0;
            return;
        };
        let resend = match entry {
            InFlight::Publish { id, message, .. } => Resend::Publish(id, message.clone()),
            InFlight::PubRel { id } => Resend::PubRel(id),
        };
        session.resend_left -= 1;
        match resend {
            Resend::PubRel(packet_id) => self.send(id, |version, out| {
                Packet::PubRel(Ack::new(packet_id, ReasonCode::Success)).put(version, out);
            }),
            Resend::Publish(packet_id, Some(pending)) => {
                // [MQTT-3.3.1-1] [MQTT3-3.3.1-1]
                let wire = Wire { packet_id: Some(packet_id), dup: true };
                let sent = self.send_publish(id, &mut pending.message.view(), &pending.terms, wire);
                if sent == Sent::TooLarge {
                    self.abandon(slot, packet_id);
                    self.drop_message(Drop::PacketTooLarge, Some(slot));
                }
            }
            // A session that lives on keeps its messages; this one was made persistent later.
            Resend::Publish(packet_id, None) => self.abandon(slot, packet_id),
        }
    }

    fn abandon(&mut self, slot: u32, packet_id: PacketId) {
        if let Some(session) = self.sessions.get_mut(slot)
            && super::deliver::abandon(&mut session.outgoing, packet_id)
        {
            self.stats.in_flight -= 1;
        }
    }
}
