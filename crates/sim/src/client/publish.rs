//! Publishing, with everything that comes after it until the message is finished. Must not know who
//! receives.

use std::num::NonZeroU16;

use martlet_proto::{
    Ack, ForwardProperties, Packet, PacketId, Publish, PublishProperties, Qos, ReasonCode,
};

use super::{Client, Outgoing, Stage, topics};
use crate::oracle::{Kind, Message, forward};

impl Client {
    /// An identifier that nothing unfinished has.
    pub(super) fn free_id(&mut self) -> u16 {
        loop {
            self.memory.next_id = self.memory.next_id % 300 + 1;
            let id = self.memory.next_id;
            let asked = self.link.as_ref().is_some_and(|link| link.asked.contains(&id));
            if !asked && self.memory.outgoing.iter().all(|outgoing| outgoing.id != id) {
                return id;
            }
        }
    }

    /// Publishes something, if the broker's limits allow it.
    pub fn publish(&mut self, stage: &mut Stage<'_>) {
        let Some(link) = &self.link else { return };
        let (wire, room) = (link.wire, usize::from(link.receive_max).min(30));
        let mut qos = stage.random.pick(&[Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce]);
        if self.memory.outgoing.len() >= room {
            qos = Qos::AtMostOnce;
        }
        let random = &mut *stage.random;
        let retain = random.chance(25);
        let is_v5 = self.profile.version.is_v5();
        let sizes: &[(usize, usize)] = &[(80, 90), (15, 1500), (5, 12_000)];
        let largest = random.weighted(sizes);
        let message = Message {
            id: 0,
            kind: Kind::Publish,
            client: self.number,
            wire,
            topic: topics::any_topic(random, stage.plan.shared),
            qos,
            retain,
            empty: retain && random.chance(30),
            payload_bytes: random.between(14, largest),
            expiry_s: (is_v5 && random.chance(15)).then(|| random.pick(&[1, 5, 1000])),
            properties: is_v5 && random.chance(30),
            sends: 1,
            sent: 0,
            sent_ms: 0,
            last_sent: 0,
            acked: 0,
            shaken: false,
            refused: false,
            settled: 0,
            over: 0,
        };
        let id = stage.book.new_message(message);
        let packet_id = match qos {
            Qos::AtMostOnce => None,
            _ => Some(self.free_id()),
        };
        if let Some(packet_id) = packet_id {
            self.memory.outgoing.push(Outgoing {
                id: packet_id,
                message: id,
                wire,
                released: false,
            });
        }
        let offset = self.transmit(stage, id, packet_id, false);
        if let Some(link) = self.link.as_mut().filter(|_| qos == Qos::AtMostOnce) {
            link.unsure.push((id, offset));
        }
    }

    /// Writes a PUBLISH.
    fn transmit(
        &mut self,
        stage: &mut Stage<'_>,
        id: u32,
        packet_id: Option<u16>,
        dup: bool,
    ) -> u64 {
        let message = stage.book.messages[id as usize].clone();
        let is_v5 = self.profile.version.is_v5();
        let payload = message.payload();
        let pairs = message.user_properties();
        let pairs: Vec<(&str, &str)> =
            pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut encoded = Vec::new();
        let forwarded = forward(&message, &pairs, &mut encoded);
        let (topic, alias) = self.alias(stage, message.topic);
        let publish = Publish {
            dup,
            qos: message.qos,
            retain: message.retain,
            topic,
            packet_id: packet_id.and_then(PacketId::new),
            properties: PublishProperties {
                message_expiry_s: message.expiry_s,
                topic_alias: alias,
                forward: if is_v5 { forwarded } else { ForwardProperties::default() },
                ..PublishProperties::default()
            },
            payload: &payload,
        };
        self.send(stage, &Packet::Publish(publish))
    }

    /// Lets an alias stand for the topic sometimes.
    fn alias(
        &mut self,
        stage: &mut Stage<'_>,
        topic: &'static str,
    ) -> (&'static str, Option<NonZeroU16>) {
        let Some(link) = &mut self.link else { return (topic, None) };
        if link.alias_out_max == 0 || !stage.random.chance(40) {
            return (topic, None);
        }
        if let Some(at) = link.aliases_out.iter().position(|known| *known == topic) {
            return ("", NonZeroU16::new(at as u16 + 1));
        }
        if link.aliases_out.len() < usize::from(link.alias_out_max) {
            link.aliases_out.push(topic);
            return (topic, NonZeroU16::new(link.aliases_out.len() as u16));
        }
        // An alias may be given a new meaning.
        let at = stage.random.below(link.aliases_out.len());
        link.aliases_out[at] = topic;
        (topic, NonZeroU16::new(at as u16 + 1))
    }

    /// The session goes on: what is unfinished is sent again, in order.
    pub(super) fn resume(&mut self, stage: &mut Stage<'_>) {
        self.expect_drops();
        let wire = self.wire();
        for outgoing in self.memory.outgoing.clone() {
            // What was sent over this very connection needs no second time.
            if Some(outgoing.wire) == wire {
                continue;
            }
            if outgoing.released {
                self.send_release(stage, outgoing.id);
            } else {
                stage.book.sent_again(outgoing.message);
                self.transmit(stage, outgoing.message, Some(outgoing.id), true);
            }
        }
    }

    /// What fitted only thanks to an alias may be dropped now, or come again.
    fn expect_drops(&mut self) {
        let (lost, kept) = self.memory.incoming.iter().partition(|incoming| incoming.is_fragile);
        self.memory.incoming = kept;
        let lost: Vec<super::Incoming> = lost;
        for incoming in lost {
            self.memory.finished.insert(incoming.id, incoming.message);
            self.memory.fragile.push(incoming.id);
        }
    }

    fn send_release(&mut self, stage: &mut Stage<'_>, id: u16) {
        if let Some(id) = PacketId::new(id) {
            self.send(stage, &Packet::PubRel(Ack::new(id, ReasonCode::Success)));
        }
    }

    /// PUBACK, PUBREC or PUBCOMP was read.
    pub(super) fn on_answer(&mut self, stage: &mut Stage<'_>, packet: &Packet<'_>) {
        let (ack, expected) = match packet {
            Packet::PubAck(ack) => (ack, Qos::AtLeastOnce),
            Packet::PubRec(ack) | Packet::PubComp(ack) => (ack, Qos::ExactlyOnce),
            _ => return,
        };
        let id = ack.packet_id.get();
        let at = self.memory.outgoing.iter().position(|outgoing| outgoing.id == id);
        let found = at.map(|at| (at, self.memory.outgoing[at]));
        let Some((at, outgoing)) = found
            .filter(|(_, outgoing)| stage.book.messages[outgoing.message as usize].qos == expected)
        else {
            let text = format!("{} never sent what {packet:?} answers", self.id);
            return stage.book.fail("client", text);
        };
        // [MQTT-4.3.2-4] [MQTT-4.3.3-8]
        // A PUBREL that was sent again may be one that the broker has finished with.
        let is_late = matches!(packet, Packet::PubComp(_))
            && ack.reason == ReasonCode::PacketIdentifierNotFound;
        let since = stage.book.messages[outgoing.message as usize].last_sent;
        let is_first = !matches!(packet, Packet::PubComp(_)) && !outgoing.released;
        if is_first && stage.book.may_refuse(since, ack.reason) {
            stage.book.refused(outgoing.message);
            self.memory.outgoing.remove(at);
            return;
        }
        if ack.reason.is_error() && !is_late {
            let text = format!("{} is refused: {packet:?}", self.id);
            return stage.book.fail("client", text);
        }
        match packet {
            Packet::PubAck(_) => {
                stage.book.acknowledged(outgoing.message);
                self.memory.outgoing.remove(at);
            }
            Packet::PubRec(_) => {
                stage.book.acknowledged(outgoing.message);
                self.memory.outgoing[at].released = true;
                self.send_release(stage, id);
            }
            _ => {
                if !outgoing.released {
                    let text = format!("{} gets {packet:?} before PUBREC", self.id);
                    stage.book.fail("client", text);
                }
                self.memory.outgoing.remove(at);
            }
        }
    }
}
