//! Acknowledgements: of what the session sent, and the end of QoS 2 exchanges in both directions.
//! Must not know what the messages were.

use martlet_proto::{Ack, Packet, PacketType, ReasonCode};
use martlet_session::outgoing::PubRec;

use super::Shard;
use crate::ids::ConnId;
use crate::peers::Answer;
use crate::store::StoreOp;

impl Shard {
    fn session_of(&self, id: ConnId) -> Option<u32> {
        self.peers.conns.get(id)?.session
    }

    /// [MQTT-4.3.2-3] A PUBACK for nothing is ignored; with an error reason the message is finished
    /// all the same [MQTT-4.4.0-2] [MQTT-4.8.2-6].
    pub(super) fn on_pub_ack(&mut self, id: ConnId, ack: &Ack<'_>) {
        let Some(slot) = self.session_of(id) else { return };
        let Some(session) = self.peers.sessions.get_mut(slot) else { return };
        if let Ok(kept) = session.outgoing.puback(ack.packet_id) {
            self.peers.finish(slot, kept);
            self.finished(slot);
        }
    }

    /// [MQTT-4.3.3-3] [MQTT-4.3.3-4]
    pub(super) fn on_pub_rec(&mut self, id: ConnId, ack: &Ack<'_>) {
        let Some(slot) = self.session_of(id) else { return };
        let Some(session) = self.peers.sessions.get_mut(slot) else { return };
        let reason = match session.outgoing.pubrec(ack.packet_id, ack.reason) {
            PubRec::Finished(kept) => {
                self.peers.finish(slot, kept);
                return self.finished(slot);
            }
            PubRec::Release(kept) => {
                let packet_id = ack.packet_id;
                if let Some(token) = self.peers.received(slot, packet_id, kept.flatten()) {
                    // Not before it is durable that the message is out: it must not be sent again.
                    let release = Answer::Ack(PacketType::PubRel, packet_id, ReasonCode::Success);
                    return self.peers.hold_until(id, release, token);
                }
                ReasonCode::Success
            }
            PubRec::Unknown if ack.reason.is_error() => return,
            PubRec::Unknown => ReasonCode::PacketIdentifierNotFound,
        };
        // [MQTT-4.6.0-4] [MQTT3-4.6.0-4] At once, so in the order of the PUBRECs; and it says no
        // more than the code [MQTT-3.6.2-2] [MQTT-3.6.2-3].
        let release = Packet::PubRel(Ack::new(ack.packet_id, reason));
        self.peers.send(id, |version, out| release.put(version, out));
    }

    /// [MQTT-4.3.3-11] [MQTT3-4.3.3-2]
    pub(super) fn on_pub_rel(&mut self, id: ConnId, ack: &Ack<'_>) {
        let Some(slot) = self.session_of(id) else { return };
        let Some(session) = self.peers.sessions.get_mut(slot) else { return };
        // [MQTT-4.3.3-12]
        let reason = match session.incoming.pubrel(ack.packet_id) {
            true => ReasonCode::Success,
            false => ReasonCode::PacketIdentifierNotFound,
        };
        if let Some(durable) = &session.durable {
            // The client may use the identifier again: that it is free must be durable first.
            let (session, packet_id) = (durable.id, ack.packet_id);
            let token = (reason == ReasonCode::Success)
                .then(|| self.peers.ledger.push(StoreOp::RemoveIncoming { session, packet_id }, 0));
            let complete = Answer::Ack(PacketType::PubComp, packet_id, reason);
            return self.peers.hold_until(id, complete, token);
        }
        // [MQTT-2.2.1-5] [MQTT3-2.3.1-6] [MQTT-3.7.2-2] [MQTT-3.7.2-3]
        let complete = Packet::PubComp(Ack::new(ack.packet_id, reason));
        self.peers.send(id, |version, out| complete.put(version, out));
    }

    /// [MQTT-4.3.3-5]
    pub(super) fn on_pub_comp(&mut self, id: ConnId, ack: &Ack<'_>) {
        let Some(slot) = self.session_of(id) else { return };
        let Some(session) = self.peers.sessions.get_mut(slot) else { return };
        if session.outgoing.pubcomp(ack.packet_id).is_ok() {
            self.peers.completed(slot, ack.packet_id);
            self.finished(slot);
        }
    }

    /// A message is out of flight: the next may go.
    fn finished(&mut self, slot: u32) {
        self.peers.stats.in_flight -= 1;
        self.peers.feed(slot);
        self.note_replays(slot);
    }
}
