//! What a session waits for, when there is room again: resends first, then its queue. Must not know
//! what made the room.

use martlet_proto::{Ack, Packet, PacketId, PacketType, ReasonCode};
use martlet_session::outgoing::InFlight;

use super::Peers;
use super::hold::Answer;
use super::send::{Sent, Wire};
use crate::delivery::{Pending, Written};
use crate::ids::ConnId;
use crate::stats::Drop;
use crate::store::StoreToken;

impl Peers {
    /// Sends what waits for `slot` as far as its window, its outbox and the store allow.
    pub(crate) fn feed(&mut self, slot: u32) {
        let Some(session) = self.sessions.get(slot) else { return };
        if session.outgoing.unsent() == 0 && session.queue_len() == 0 {
            return;
        }
        while self.has_room(slot) {
            let Some(session) = self.sessions.get_mut(slot) else { return };
            let Some(id) = session.conn else { return };
            if session.outgoing.unsent() > 0 && self.send_next_unsent(slot, id) {
                continue;
            }
            let Some(session) = self.sessions.get_mut(slot) else { return };
            if session.durable.is_some() {
                if !self.prepare_next(slot) {
                    return;
                }
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
        let Pending { message, terms, .. } = pending;
        // [MQTT-3.3.2-5]
        if message.expires_at_ms <= self.now.mono_ms {
            self.drop_message(Drop::Expired, Some(slot));
            return;
        }
        self.send_acknowledged(slot, &mut message.view(), terms);
    }

    /// Everything in flight is to be sent again on the session's new connection, in order
    /// [MQTT-4.4.0-1] [MQTT3-4.4.0-1] [MQTT-4.6.0-1] [MQTT3-4.6.0-1]: each PUBREL now, for it must
    /// not wait for the window [MQTT-3.3.4-10], each PUBLISH as the window allows.
    // [MQTT-4.8.2-4] What a share group gave to this session is finished with it.
    pub(crate) fn start_resend(&mut self, slot: u32) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        session.outgoing.rewind();
        let Some(id) = session.conn else { return };
        let releases = session.outgoing.iter().filter_map(|entry| match entry {
            InFlight::PubRel { id } => Some(id),
            InFlight::Publish { .. } => None,
        });
        let is_durable = session.durable.is_some();
        for packet_id in releases.collect::<Vec<PacketId>>() {
            if is_durable {
                let release = Answer::Ack(PacketType::PubRel, packet_id, ReasonCode::Success);
                self.hold_until(id, release, None);
                continue;
            }
            let release = Packet::PubRel(Ack::new(packet_id, ReasonCode::Success));
            self.send(id, |version, out| release.put(version, out));
        }
    }

    /// Sends the first of what was not sent on this connection. False when it has to wait for the
    /// store.
    fn send_next_unsent(&mut self, slot: u32, id: ConnId) -> bool {
        let now_ms = self.now.mono_ms as u32;
        let Some(session) = self.sessions.get_mut(slot) else { return false };
        let key = session.key;
        let (packet_id, kept) = match session.outgoing.first_unsent() {
            Some(InFlight::Publish { id, message, .. }) => (id, message.clone()),
            // Its PUBREL went out at once, or in answer to a PUBREC since [MQTT-4.3.3-6].
            Some(InFlight::PubRel { .. }) => {
                session.outgoing.pass();
                return true;
            }
            None => {
                session.outgoing.settle();
                return true;
            }
        };
        let Some(pending) = kept else {
            // A session that lives on keeps its messages; this one was made persistent later.
            session.outgoing.pass();
            self.abandon(slot, packet_id);
            return true;
        };
        let place = pending.place;
        if place.token != StoreToken(0) && !self.ledger.is_stored(place.token) {
            self.ledger.wake_session(place.token, key);
            return false;
        }
        if let Some(Some(kept)) = session.outgoing.first_unsent_mut() {
            kept.place.sent = true;
            kept.place.sent_at_ms = now_ms;
        }
        session.outgoing.pass();
        // [MQTT-3.3.1-1] [MQTT3-3.3.1-1] [MQTT3-2.3.1-3]; expired or not [MQTT-4.3.3-7].
        let wire = Wire { packet_id: Some(packet_id), dup: place.sent };
        let sent = self.send_publish(id, &mut pending.message.view(), &pending.terms, wire);
        if sent == Sent::TooLarge {
            self.abandon(slot, packet_id);
            self.drop_message(Drop::PacketTooLarge, Some(slot));
        } else if place.seq != 0 && place.written != Written::Flight {
            self.watch(slot);
        }
        true
    }

    pub(super) fn abandon(&mut self, slot: u32, packet_id: PacketId) {
        if let Some(session) = self.sessions.get_mut(slot)
            && let Some(kept) = super::deliver::abandon(&mut session.outgoing, packet_id)
        {
            self.stats.in_flight -= 1;
            self.finish(slot, kept);
        }
    }
}
