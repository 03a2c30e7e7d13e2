//! Messages to the server: the publish command, the queue that waits for quota, resending on
//! resume, and the acknowledgements that come back.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use martlet_proto::{
    Ack, Packet, PacketId, PacketType, Publish, Qos, ReasonCode, ReasonProperties, topic,
};

use super::acknowledge::ack;
use super::connection::{ClientConnection, Phase};
use super::error::{PublishError, Violation};
use super::event::{Event, Publication, Token};
use super::handshake::is_well_formed;
use super::session::{ClientSession, Message, Release, packet};
use crate::alias::Assigned;
use crate::outgoing::{InFlight, PubRec};

/// Whether a message is one that some server could take.
pub(super) fn check(publication: &Publication<'_>) -> Result<(), PublishError> {
    // [MQTT-3.3.2-1] [MQTT-3.3.2-2] [MQTT3-3.3.2-1] [MQTT3-3.3.2-2]
    topic::check_name(publication.topic).map_err(PublishError::TopicName)?;
    if !is_well_formed(&publication.forward) {
        return Err(PublishError::InvalidField);
    }
    match publication.forward.response_topic() {
        // [MQTT-3.3.2-14]
        Some(reply) => topic::check_name(reply).map_err(PublishError::ResponseTopic),
        None => Ok(()),
    }
}

impl ClientConnection {
    /// Publishes a message. QoS 0 is written at once and forgotten: the result is `None`. QoS 1
    /// and 2 get a token under which the outcome is reported; the message is kept until then, and
    /// waits in the session while the connection is not open or the server's Receive Maximum is
    /// exhausted.
    ///
    /// # Errors
    /// When the message cannot be sent on this connection. Nothing is kept then.
    pub fn publish(
        &mut self,
        now_ms: u64,
        session: &mut ClientSession,
        publication: &Publication<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Token>, PublishError> {
        if self.phase != Phase::Open {
            return session.publish(publication).map(Some);
        }
        check(publication)?;
        self.limits.admit(publication.qos, publication.retain)?;
        if publication.qos == Qos::AtMostOnce {
            // [MQTT-4.3.1-1] [MQTT3-4.3.1-1]
            self.put_publish(packet(publication, None, false), out)?;
            self.keep_alive.sent(now_ms);
            return Ok(None);
        }
        if session.waiting() > 0 || !self.has_quota(session) {
            let longest = packet(publication, Some(PacketId::MAX), false);
            if !self.limits.publish_fits(&longest, self.version) {
                return Err(PublishError::PacketTooLarge);
            }
            return session.publish(publication).map(Some);
        }
        let Some(id) = session.next_id() else { return session.publish(publication).map(Some) };
        // [MQTT-4.3.2-2] [MQTT-4.3.3-2] [MQTT3-4.3.2-1] [MQTT3-4.3.3-1]
        self.put_publish(packet(publication, Some(id), false), out)?;
        let token = session.token();
        session.flows.begin_as(id, publication.qos, Message::new(token, publication));
        self.keep_alive.sent(now_ms);
        Ok(Some(token))
    }

    /// Whether one more QoS 1 or 2 message may be sent. All unfinished flows count, also those
    /// that an earlier connection began.
    fn has_quota(&self, session: &ClientSession) -> bool {
        // [MQTT-3.3.4-7] [MQTT-4.9.0-2]
        self.resend.is_empty() && self.open_flows(session) < usize::from(self.limits.receive_max)
    }

    /// Unfinished flows that were sent on this connection.
    fn open_flows(&self, session: &ClientSession) -> usize {
        session.flows.in_flight() - self.resend.len()
    }

    /// Writes a PUBLISH, with a topic alias where that is possible.
    fn put_publish(
        &mut self,
        mut publish: Publish<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), PublishError> {
        let topic = publish.topic;
        // Before version 5 there is no alias to assign: the maximum is 0.
        match self.outbound.assign(topic) {
            Assigned::None => {}
            Assigned::Known(alias) => {
                publish.topic = "";
                publish.properties.topic_alias = Some(alias);
            }
            // [MQTT-3.2.2-17] [MQTT-3.3.2-9]
            Assigned::New(alias) => {
                publish.properties.topic_alias = Some(alias);
                if !self.limits.publish_fits(&publish, self.version) {
                    self.outbound.forget(alias);
                    publish.properties.topic_alias = None;
                }
            }
        }
        // [MQTT-3.2.2-15]
        if !self.limits.publish_fits(&publish, self.version) {
            return Err(PublishError::PacketTooLarge);
        }
        publish.put(self.version, out);
        Ok(())
    }

    /// The connection is open: sends again what is unacknowledged, then the requests without
    /// answer, then what waits, as far as the quota goes.
    // [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT3-4.4.0-1] [MQTT3-4.6.0-1] [MQTT3-2.3.1-3]
    pub(super) fn resume(
        &mut self,
        now_ms: u64,
        session: &mut ClientSession,
        out: &mut Vec<u8>,
        on_event: &mut dyn FnMut(Event<'_>),
    ) {
        let before = out.len();
        let unacknowledged: VecDeque<(PacketId, bool)> = session
            .flows
            .iter()
            .map(|flow| match flow {
                InFlight::Publish { id, .. } => (id, false),
                InFlight::PubRel { id } => (id, true),
            })
            .collect();
        self.resend =
            unacknowledged.iter().filter(|(_, is_pubrel)| !is_pubrel).map(|(id, _)| *id).collect();
        session.releases.iter_mut().for_each(|release| release.is_resumed = true);
        for (id, is_pubrel) in unacknowledged {
            if is_pubrel {
                // not delayed by the quota [MQTT-3.3.4-8]
                self.put_pubrel(id, ReasonCode::Success, out);
            } else if self.resend.front() == Some(&id) {
                self.resend_next(session, out, on_event);
            }
        }
        self.put_requests(session, out, on_event);
        self.pump(session, out, on_event);
        if out.len() > before {
            self.keep_alive.sent(now_ms);
        }
    }

    /// Sends what waits, in order, as far as the quota goes.
    fn pump(
        &mut self,
        session: &mut ClientSession,
        out: &mut Vec<u8>,
        on_event: &mut dyn FnMut(Event<'_>),
    ) {
        while self.resend_next(session, out, on_event) {}
        while session.waiting() > 0 && self.has_quota(session) {
            let Some(id) = session.next_id() else { return };
            let Some(waiting) = session.take_waiting() else { return };
            let publication = waiting.message.publication(waiting.qos);
            let sent = self
                .limits
                .admit(waiting.qos, waiting.message.retain)
                .and_then(|()| self.put_publish(packet(&publication, Some(id), false), out));
            match sent {
                Ok(()) => session.flows.begin_as(id, waiting.qos, waiting.message),
                Err(error) => {
                    on_event(Event::PublishFailed { token: waiting.message.token, error });
                }
            }
        }
    }

    /// Sends the next unacknowledged message of an earlier connection again. False when there is
    /// none or no quota.
    fn resend_next(
        &mut self,
        session: &mut ClientSession,
        out: &mut Vec<u8>,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> bool {
        if self.open_flows(session) >= usize::from(self.limits.receive_max) {
            return false;
        }
        let Some(id) = self.resend.pop_front() else { return false };
        let Some(InFlight::Publish { qos, message, .. }) = session.flows.get(id) else {
            return true;
        };
        let publication = message.publication(qos);
        let token = message.token;
        let sent = self.limits.admit(qos, message.retain).and_then(|()| {
            // However old it is. [MQTT-4.3.3-7]
            // [MQTT-3.3.1-1] [MQTT-3.3.1-3] [MQTT3-3.3.1-1] [MQTT3-3.3.1-3]
            self.put_publish(packet(&publication, Some(id), true), out)
        });
        if let Err(error) = sent {
            // This server does not take it any more: the flow ends here.
            match qos {
                Qos::ExactlyOnce => {
                    session.flows.pubrec(id, ReasonCode::UnspecifiedError);
                }
                Qos::AtMostOnce | Qos::AtLeastOnce => drop(session.flows.puback(id)),
            }
            on_event(Event::PublishFailed { token, error });
        }
        true
    }

    pub(super) fn on_puback(
        &mut self,
        session: &mut ClientSession,
        puback: &Ack<'_>,
        out: &mut Vec<u8>,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Violation> {
        self.check_ack(PacketType::PubAck, &puback.properties)?;
        // An error ends the flow like success does. [MQTT-4.3.2-3] [MQTT-4.4.0-2] [MQTT3-2.3.1-3]
        let Ok(message) = session.flows.puback(puback.packet_id) else {
            return Err(Violation::UnknownPacketId(PacketType::PubAck));
        };
        self.not_to_resend(puback.packet_id);
        on_event(Event::Published {
            token: message.token,
            reason: puback.reason,
            properties: puback.properties,
        });
        self.pump(session, out, on_event);
        Ok(())
    }

    pub(super) fn on_pubrec(
        &mut self,
        session: &mut ClientSession,
        pubrec: &Ack<'_>,
        out: &mut Vec<u8>,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Violation> {
        self.check_ack(PacketType::PubRec, &pubrec.properties)?;
        let id = pubrec.packet_id;
        // PUBREL goes out at once, so in the order of the PUBRECs.
        // [MQTT-4.6.0-4] [MQTT3-4.6.0-4] [MQTT-4.3.3-4] [MQTT3-4.3.3-1] [MQTT-4.9.0-3]
        // [MQTT-3.3.4-8]
        match session.flows.pubrec(id, pubrec.reason) {
            PubRec::Release(first) => {
                if let Some(message) = first {
                    self.not_to_resend(id);
                    let token = message.token;
                    let reason = pubrec.reason;
                    session.releases.push_back(Release { id, token, reason, is_resumed: false });
                }
                self.put_pubrel(id, ReasonCode::Success, out);
            }
            PubRec::Finished(message) => {
                self.not_to_resend(id);
                on_event(Event::Published {
                    token: message.token,
                    reason: pubrec.reason,
                    properties: pubrec.properties,
                });
                self.pump(session, out, on_event);
            }
            PubRec::Unknown if pubrec.reason.is_error() => {}
            // [MQTT-3.6.2-1]
            PubRec::Unknown => self.put_pubrel(id, ReasonCode::PacketIdentifierNotFound, out),
        }
        Ok(())
    }

    pub(super) fn on_pubcomp(
        &mut self,
        session: &mut ClientSession,
        pubcomp: &Ack<'_>,
        out: &mut Vec<u8>,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Violation> {
        self.check_ack(PacketType::PubComp, &pubcomp.properties)?;
        let id = pubcomp.packet_id;
        if session.flows.pubcomp(id).is_err() {
            // A repeated PUBREL is answered twice; a PUBCOMP without a PUBREC is wrong.
            return match session.flows.get(id) {
                None => Ok(()),
                Some(_) => Err(Violation::UnknownPacketId(PacketType::PubComp)),
            };
        }
        if let Some(release) = session.take_release(id) {
            // After a resumption an unknown identifier is no error: the PUBCOMP before got lost.
            // (Section 3.7.2.1.)
            let got_lost =
                release.is_resumed && pubcomp.reason == ReasonCode::PacketIdentifierNotFound;
            let is_error = pubcomp.reason.is_error() && !got_lost;
            let reason = if is_error { pubcomp.reason } else { release.reason };
            on_event(Event::Published {
                token: release.token,
                reason,
                properties: pubcomp.properties,
            });
        }
        self.pump(session, out, on_event);
        Ok(())
    }

    fn check_ack(&self, packet: PacketType, said: &ReasonProperties<'_>) -> Result<(), Violation> {
        let has_user_properties = !said.user_properties.is_empty();
        self.check_problem_information(packet, said.reason_string, has_user_properties)
    }

    /// The server acknowledged something before it was sent again.
    fn not_to_resend(&mut self, id: PacketId) {
        if !self.resend.is_empty() {
            self.resend.retain(|waiting| *waiting != id);
        }
    }

    fn put_pubrel(&self, id: PacketId, reason: ReasonCode, out: &mut Vec<u8>) {
        Packet::PubRel(ack(id, reason)).put(self.version, out);
    }
}
