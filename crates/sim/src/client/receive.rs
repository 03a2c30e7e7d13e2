//! What a client does with what it reads, and the acknowledgements it owes. Must not know why it
//! was sent.

use martlet_proto::{
    Ack, Framing, Packet, PacketId, Publish, Qos, ReasonCode, Sender, decode, frame,
};

use super::{AckPolicy, Client, Incoming, Owed, Progress, Stage};
use crate::oracle::Session;

impl Client {
    /// Takes every whole packet of the current connection.
    pub(super) fn take_packets(&mut self, stage: &mut Stage<'_>) {
        loop {
            let Some(link) = &mut self.link else { return };
            let inbox = std::mem::take(&mut link.inbox);
            let taken = match frame(&inbox, usize::MAX) {
                Ok(Framing::Incomplete { .. }) => 0,
                Ok(Framing::Complete(frame)) => {
                    stage.book.check_packet_size(self.number, frame.len);
                    match decode(&frame, self.profile.version, Sender::Server) {
                        Ok(packet) => self.take(stage, &packet),
                        Err(error) => {
                            let text = format!("{} cannot read it: {error}", self.id);
                            stage.book.fail("client", text);
                        }
                    }
                    frame.len
                }
                Err(error) => {
                    stage.book.fail("client", format!("{} cannot read it: {error}", self.id));
                    return;
                }
            };
            let Some(link) = &mut self.link else { return };
            link.inbox = inbox[taken..].to_vec();
            if taken == 0 || stage.book.failure().is_some() {
                return;
            }
        }
    }

    /// Reads on in a connection that was left: only its last words matter.
    pub(super) fn take_old_packets(&mut self, stage: &mut Stage<'_>, wire: usize, bytes: &[u8]) {
        let version = self.profile.version;
        let Some(link) = self.old_links.iter_mut().find(|link| link.wire == wire) else { return };
        link.inbox.extend(bytes);
        while let Ok(Framing::Complete(whole)) = frame(&link.inbox, usize::MAX) {
            match decode(&whole, version, Sender::Server) {
                Ok(Packet::Disconnect(disconnect)) => link.said = Some(disconnect.reason),
                Ok(Packet::ConnAck(ack)) => {
                    link.said = (ack.reason != ReasonCode::Success).then_some(ack.reason);
                }
                Ok(_) => link.said = None,
                Err(error) => {
                    let text = format!("{} cannot read its old connection: {error}", self.id);
                    return stage.book.fail("client", text);
                }
            }
            let len = whole.len;
            link.inbox.drain(..len);
        }
    }

    fn take(&mut self, stage: &mut Stage<'_>, packet: &Packet<'_>) {
        let Some(link) = &mut self.link else { return };
        let (step, wire) = (stage.world.step, link.wire);
        stage.world.trace.line(step, format_args!("{} wire {wire} gets {packet:?}", self.id));
        let is_first = !link.open && link.said.is_none();
        link.said = None;
        match packet {
            Packet::ConnAck(ack) => return self.on_conn_ack(stage, ack),
            Packet::Auth(auth) => return self.on_auth(stage, auth),
            Packet::Disconnect(disconnect) => {
                link.said = Some(disconnect.reason);
                link.closing = true;
                return;
            }
            _ => {}
        }
        // [MQTT-3.2.0-1] [MQTT3-3.2.0-1]
        if is_first {
            return stage.book.fail("client", format!("{} gets {packet:?} first", self.id));
        }
        match packet {
            Packet::Publish(publish) => self.on_publish(stage, publish),
            Packet::PubRel(ack) => self.on_release(stage, ack.packet_id.get()),
            Packet::PubAck(_) | Packet::PubRec(_) | Packet::PubComp(_) => {
                self.on_answer(stage, packet);
            }
            Packet::SubAck(ack) => {
                self.on_sub_ack(stage, ack.packet_id.get(), ack.codes);
            }
            Packet::UnsubAck(ack) => self.on_sub_ack(stage, ack.packet_id.get(), ack.codes),
            _ => {}
        }
        if self.profile.acks == AckPolicy::Prompt || self.finishing {
            self.acknowledge(stage, usize::MAX);
        }
    }

    fn on_sub_ack(&mut self, stage: &mut Stage<'_>, id: u16, codes: &[u8]) {
        let Some(link) = &mut self.link else { return };
        // [MQTT-3.8.4-2] [MQTT-3.10.4-4] [MQTT3-3.8.4-2] [MQTT3-3.10.4-4]
        let Some(at) = link.asked.iter().position(|asked| *asked == id) else {
            return stage.book.fail("client", format!("{} never asked {id}", self.id));
        };
        link.asked.remove(at);
        let wire = link.wire;
        let refused =
            codes.iter().copied().find(|code| *code >= 0x80).and_then(ReasonCode::from_u8);
        if let Some(reason) = refused {
            let excused = stage.book.subscription_refused(wire, id, reason);
            if !excused {
                let text = format!("{} may not subscribe: {reason:?}", self.id);
                stage.book.fail("client", text);
            }
            return;
        }
        stage.book.subscribed(wire, id);
    }

    /// The topic a PUBLISH means.
    fn resolve(&mut self, stage: &mut Stage<'_>, publish: &Publish<'_>) -> String {
        let Some(link) = &mut self.link else { return String::new() };
        let Some(alias) = publish.properties.topic_alias else { return publish.topic.to_owned() };
        let alias = alias.get();
        if !publish.topic.is_empty() {
            stage.book.check_alias(self.number, alias, true);
            link.aliases_in.insert(alias, publish.topic.to_owned());
            return publish.topic.to_owned();
        }
        let known = link.aliases_in.get(&alias).cloned();
        stage.book.check_alias(self.number, alias, known.is_some());
        known.unwrap_or_default()
    }

    fn on_publish(&mut self, stage: &mut Stage<'_>, publish: &Publish<'_>) {
        let topic = self.resolve(stage, publish);
        let Some(link) = &self.link else { return };
        let wire = link.wire;
        let Some(id) = publish.packet_id.map(PacketId::get) else {
            stage.book.delivered(wire, publish, &topic, false);
            return;
        };
        let again = match publish.dup {
            false => self.is_new_id(stage, id),
            true => self.is_repeated(stage, id, publish),
        };
        let Some(again) = again else { return };
        self.check_flight(stage, id, publish);
        let message = stage.book.delivered(wire, publish, &topic, again);
        if !again {
            let progress = Progress::Unanswered;
            let is_fragile = self.is_fragile(publish, &topic);
            let qos = publish.qos;
            self.memory.incoming.push(Incoming { id, qos, message, progress, is_fragile });
            let unfinished = self.on_the_wire();
            stage.book.check_receive_max(self.number, unfinished);
        }
        let Some(link) = &mut self.link else { return };
        match publish.qos {
            Qos::ExactlyOnce => link.owed.push_back(Owed::Receipt(id)),
            _ => link.owed.push_back(Owed::Ack(id)),
        }
    }

    /// The first connection after a crash: what the store had in flight comes again as such.
    fn check_flight(&self, stage: &mut Stage<'_>, id: u16, publish: &Publish<'_>) {
        let Some(link) = &self.link else { return };
        let message = crate::oracle::payload_id(publish.payload);
        let session = stage.book.session_of(link.wire).map(|at| &stage.book.sessions[at]);
        let is_first =
            |session: &&Session| session.came_back && session.first_wire == Some(link.wire);
        let Some(session) = session.filter(is_first) else { return };
        let flights = &session.flights;
        let stored = flights.iter().find(|flight| flight.packet_id == id);
        let is_this = stored.is_some_and(|flight| flight.message == message);
        let is_any = message.is_some() && flights.iter().any(|flight| flight.message == message);
        let sent_once = message
            .and_then(|message| stage.book.messages.get(message as usize))
            .is_some_and(|message| message.sends == 1);
        // [MQTT-4.4.0-1] [MQTT3-4.4.0-1]
        let fault = match publish.dup {
            true if !is_this => "with DUP, but it was not in flight in the store",
            // What a share group got back may come again from there.
            false if is_any && sent_once && !publish.retain && !publish.topic.starts_with('g') => {
                "anew, but it was in flight"
            }
            _ => return,
        };
        let text = format!("{} gets {publish:?} {fault}: {flights:?}", self.id);
        stage.book.fail("flights", text);
    }

    /// Whether a PUBLISH fits only thanks to its topic alias.
    fn is_fragile(&self, publish: &Publish<'_>, topic: &str) -> bool {
        let mut whole = *publish;
        whole.topic = topic;
        whole.properties.topic_alias = None;
        let size_max = self.profile.packet_size_max.map_or(usize::MAX, |max| max as usize);
        whole.encoded_len(self.profile.version) > size_max
    }

    /// Messages that came over this connection and are not finished: all that were not there
    /// before, and those before that came again.
    fn on_the_wire(&self) -> usize {
        let Some(link) = &self.link else { return 0 };
        let incoming = &self.memory.incoming;
        if !link.resumed {
            return incoming.len();
        }
        link.resent.map_or(0, |at| at + 1).max(if link.fresh_came { incoming.len() } else { 0 })
    }

    /// A PUBLISH that was not sent before.
    fn is_new_id(&mut self, stage: &mut Stage<'_>, id: u16) -> Option<bool> {
        // [MQTT-2.2.1-4] [MQTT3-2.3.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1]
        if let Some(used) = self.memory.incoming.iter().find(|incoming| incoming.id == id) {
            let text = format!("{} gets identifier {id} for {used:?} anew", self.id);
            stage.book.fail("limits", text);
            return None;
        }
        if let Some(link) = &mut self.link {
            link.fresh_came = true;
        }
        self.memory.finished.remove(&id);
        self.memory.fragile.retain(|other| *other != id);
        Some(false)
    }

    /// A PUBLISH with DUP: whether the client has it already. `None`: it may not come.
    fn is_repeated(
        &mut self,
        stage: &mut Stage<'_>,
        id: u16,
        publish: &Publish<'_>,
    ) -> Option<bool> {
        let message = crate::oracle::payload_id(publish.payload);
        let Some(link) = &mut self.link else { return None };
        let fault = if !link.resumed {
            // [MQTT-3.3.1-1] [MQTT3-3.3.1-1] [MQTT-4.4.0-1]
            Some("DUP on a connection that resumes nothing")
        } else if link.fresh_came {
            // [MQTT-4.6.0-1] [MQTT3-4.6.0-1]
            Some("a repetition behind a new message")
        } else {
            None
        };
        if let Some(fault) = fault {
            stage.book.fail("order", format!("{}: {fault}: {publish:?}", self.id));
            return None;
        }
        let known = self.memory.incoming.iter().position(|incoming| incoming.id == id);
        let Some(at) = known else {
            // Finished here, but the broker had not heard of it; or lost the first time.
            let finished = self.memory.finished.get(&id).is_some_and(|done| *done == message);
            let is_over = finished && !self.memory.fragile.contains(&id);
            // Several share groups may have sent it, each its own copy.
            let is_one = !publish.topic.starts_with('g');
            if is_over && is_one && message.is_some() && publish.qos == Qos::ExactlyOnce {
                // [MQTT-4.3.3-6] [MQTT3-4.3.3-1]
                let text = format!("{}: a finished QoS 2 message again: {publish:?}", self.id);
                stage.book.fail("delivery", text);
            }
            return Some(finished);
        };
        let incoming = self.memory.incoming[at];
        // [MQTT-4.4.0-1] [MQTT3-4.4.0-1] The same message under the same identifier, in order.
        let in_order = link.resent.is_none_or(|last| at > last);
        if incoming.message != message || incoming.qos != publish.qos || !in_order {
            let text = format!("{}: {incoming:?} again as {publish:?}", self.id);
            stage.book.fail("order", text);
        }
        link.resent = Some(at);
        Some(true)
    }

    fn on_release(&mut self, stage: &mut Stage<'_>, id: u16) {
        let incoming = self.memory.incoming.iter().find(|incoming| incoming.id == id);
        // [MQTT-4.3.3-4] [MQTT-4.3.3-5]
        if incoming.is_some_and(|i| i.progress == Progress::Unanswered || i.qos != Qos::ExactlyOnce)
        {
            let text = format!("{} gets PUBREL {id} for {incoming:?}", self.id);
            return stage.book.fail("client", text);
        }
        if let Some(link) = &mut self.link {
            link.owed.push_back(Owed::Completion(id));
        }
    }

    /// Sends up to `count` of the acknowledgements it owes, in order.
    pub fn acknowledge(&mut self, stage: &mut Stage<'_>, count: usize) {
        for _ in 0..count {
            let Some(link) = &mut self.link else { return };
            if link.closing {
                return;
            }
            let Some(owed) = link.owed.pop_front() else { return };
            let (Owed::Ack(id) | Owed::Receipt(id) | Owed::Completion(id)) = owed;
            let Some(packet_id) = PacketId::new(id) else { return };
            let ack = Ack::new(packet_id, ReasonCode::Success);
            let packet = match owed {
                Owed::Ack(_) => Packet::PubAck(ack),
                Owed::Receipt(_) => Packet::PubRec(ack),
                Owed::Completion(_) => Packet::PubComp(ack),
            };
            self.send(stage, &packet);
            let at = self.memory.incoming.iter().position(|incoming| incoming.id == id);
            let Some(at) = at else { continue };
            if matches!(owed, Owed::Receipt(_)) {
                self.memory.incoming[at].progress = Progress::Received;
                continue;
            }
            let done = self.memory.incoming.remove(at);
            self.memory.finished.insert(id, done.message);
            if let Some(link) = &mut self.link {
                // Positions behind it move up.
                link.resent = match link.resent {
                    Some(last) if last >= at => last.checked_sub(1),
                    other => other,
                };
            }
        }
    }
}
