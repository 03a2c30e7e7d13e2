//! Bytes of the server: cut into packets, judged by phase, handed to whoever handles them.

use alloc::vec::Vec;

use martlet_proto::{
    Ack, Disconnect, Frame, Framing, Packet, PacketId, PacketType, Publish, Qos, ReasonCode,
    Sender, Version, decode, decode_publish, frame,
};

use super::acknowledge::ack;
use super::connection::{ClientConnection, Phase};
use super::error::{End, Violation};
use super::event::Event;
use super::session::ClientSession;
use crate::incoming::Seen;

impl ClientConnection {
    /// Takes bytes that came from the server, in pieces of any size, and reports what they mean.
    /// Answers are appended to `out`. What comes after the end of the connection is not looked
    /// at.
    ///
    /// # Errors
    /// The [`End`] of the connection, also when it ended before.
    pub fn receive(
        &mut self,
        now_ms: u64,
        session: &mut ClientSession,
        bytes: &[u8],
        out: &mut Vec<u8>,
        mut on_event: impl FnMut(Event<'_>),
    ) -> Result<(), End> {
        if self.phase == Phase::Closed {
            return Err(self.ended());
        }
        self.keep_alive.received(now_ms);
        let before = out.len();
        let result = self.receive_packets(now_ms, session, bytes, out, &mut on_event);
        if out.len() > before {
            self.keep_alive.sent(now_ms);
        }
        // [MQTT-4.13.2-1] [MQTT3-4.8.0-1] [MQTT3-2.2.2-2]
        result.map_err(|end| self.abort(end, out))
    }

    fn receive_packets(
        &mut self,
        now_ms: u64,
        session: &mut ClientSession,
        mut bytes: &[u8],
        out: &mut Vec<u8>,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), End> {
        if let Some(buffer) = self.reader.complete(&mut bytes)? {
            // Complete, and not larger than the reader allowed.
            if let Framing::Complete(frame) = frame(&buffer, usize::MAX)? {
                self.on_frame(now_ms, session, &frame, out, on_event)?;
            }
            self.reader.reuse(buffer);
        }
        while let Some(frame) = self.reader.next(&mut bytes)? {
            self.on_frame(now_ms, session, &frame, out, on_event)?;
        }
        Ok(())
    }

    fn on_frame(
        &mut self,
        now_ms: u64,
        session: &mut ClientSession,
        frame: &Frame<'_>,
        out: &mut Vec<u8>,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), End> {
        // Everything that waits for CONNACK is turned away here. [MQTT-3.2.0-1] [MQTT3-3.2.0-1]
        // [MQTT-3.14.0-1]
        if self.phase == Phase::Connecting {
            match frame.packet_type() {
                Some(PacketType::ConnAck | PacketType::Auth) | None => {}
                Some(packet) => return Err(Violation::OutOfPlace(packet).into()),
            }
        }
        if frame.packet_type() == Some(PacketType::Publish) {
            let publish = decode_publish(frame, self.version, Sender::Server)?;
            self.on_publish(session, &publish, out, on_event)?;
            return Ok(());
        }
        match decode(frame, self.dialect(frame), Sender::Server)? {
            Packet::ConnAck(it) => return self.on_connack(now_ms, session, &it, out, on_event),
            Packet::PubAck(it) => self.on_puback(session, &it, out, on_event)?,
            Packet::PubRec(it) => self.on_pubrec(session, &it, out, on_event)?,
            Packet::PubRel(it) => self.on_pubrel(session, &it, out)?,
            Packet::PubComp(it) => self.on_pubcomp(session, &it, out, on_event)?,
            Packet::SubAck(it) => self.on_suback(session, &it, on_event)?,
            Packet::UnsubAck(it) => self.on_unsuback(session, &it, on_event)?,
            Packet::PingResp => self.keep_alive.ping_answered(),
            Packet::Disconnect(it) => return Err(on_disconnect(&it, on_event)),
            Packet::Auth(it) => self.on_auth(now_ms, &it, on_event)?,
            // `decode` lets none of these pass from a server, and PUBLISH went another way.
            Packet::Publish(_)
            | Packet::Connect(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq => {
                let packet = frame.packet_type().unwrap_or(PacketType::Connect);
                return Err(Violation::OutOfPlace(packet).into());
            }
        }
        Ok(())
    }

    /// The version to read a packet in: a server from before version 5 refuses a client of
    /// version 5 in its own version, with a CONNACK that has no room for properties.
    fn dialect(&self, frame: &Frame<'_>) -> Version {
        match (frame.packet_type(), frame.body) {
            (Some(PacketType::ConnAck), [_, 1..=u8::MAX]) => Version::V311,
            _ => self.version,
        }
    }

    fn on_publish(
        &mut self,
        session: &mut ClientSession,
        publish: &Publish<'_>,
        out: &mut Vec<u8>,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Violation> {
        if let (Qos::ExactlyOnce, Some(id)) = (publish.qos, publish.packet_id)
            && self.is_known(session, id)
        {
            // Its alias is learned like any other, but it is not delivered again.
            self.inbound.resolve(publish.properties.topic_alias, publish.topic)?;
            if !self.acknowledgements.awaits_application(id) {
                // [MQTT-4.3.3-10] [MQTT3-4.3.3-2]
                self.acknowledgements.push(id, publish.qos, Some(ReasonCode::Success));
                self.put_answers(session, out);
            }
            return Ok(());
        }
        if publish.qos > Qos::AtMostOnce {
            self.acknowledgements.opened()?;
        }
        // Aliases of this connection only. [MQTT-3.3.2-7] [MQTT-3.3.2-10]
        let topic = self.inbound.resolve(publish.properties.topic_alias, publish.topic)?;
        on_event(Event::Message(&Publish { topic, ..*publish }));
        // Acknowledged whatever the application made of it.
        // [MQTT-3.3.4-1] [MQTT-4.5.0-2] [MQTT3-3.3.4-1] [MQTT3-4.5.0-2]
        let Some(id) = publish.packet_id else { return Ok(()) };
        if self.options.manual_acks {
            self.acknowledgements.push(id, publish.qos, None);
        } else if publish.qos == Qos::AtLeastOnce {
            self.put_puback(id, ReasonCode::Success, out); // [MQTT-4.6.0-2]
        } else {
            let seen = session.received.publish(id);
            debug_assert_eq!(seen, Seen::Fresh);
            self.put_pubrec(id, ReasonCode::Success, out); // [MQTT-4.6.0-3]
        }
        Ok(())
    }

    /// Whether a QoS 2 message was delivered to the application before.
    fn is_known(&self, session: &ClientSession, id: PacketId) -> bool {
        session.received.contains(id) || self.acknowledgements.awaits_application(id)
    }

    fn on_pubrel(
        &mut self,
        session: &mut ClientSession,
        pubrel: &Ack<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Violation> {
        self.check_problem_information(
            PacketType::PubRel,
            pubrel.properties.reason_string,
            !pubrel.properties.user_properties.is_empty(),
        )?;
        // [MQTT-4.3.3-11] [MQTT-4.3.3-12] [MQTT-4.3.3-13] [MQTT3-4.3.3-2] [MQTT-3.7.2-1]
        let reason = if session.received.pubrel(pubrel.packet_id) {
            self.acknowledgements.closed();
            ReasonCode::Success
        } else {
            ReasonCode::PacketIdentifierNotFound
        };
        Packet::PubComp(ack(pubrel.packet_id, reason)).put(self.version, out);
        Ok(())
    }
}

fn on_disconnect(disconnect: &Disconnect<'_>, on_event: &mut dyn FnMut(Event<'_>)) -> End {
    on_event(Event::Disconnected(disconnect));
    End::ServerDisconnected(disconnect.reason)
}
