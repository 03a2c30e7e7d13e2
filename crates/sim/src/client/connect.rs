//! Connecting, and the ends of connections. Must not know messages beyond the will.

use martlet_proto::{
    Auth, ConnAck, Connect, ConnectProperties, Disconnect, Packet, Qos, ReasonCode, Version, Will,
};

use super::{Client, Incoming, Link, Stage, topics};
use crate::oracle::{ConnectRecord, Credentials, DisconnectRecord, Kind, Message};
use crate::wire::ClientEnd;

/// The authentication method of the scripted port.
pub(crate) const METHOD: &str = "scripted";

impl Client {
    /// Opens a connection; an old one is left to be taken over.
    pub fn connect(&mut self, stage: &mut Stage<'_>, clean: bool) {
        if let Some(old) = self.link.take() {
            self.forget_early(&old);
            self.old_links.push(old);
        }
        let wire = stage.world.open(stage.random);
        let profile = self.profile.clone();
        let is_v5 = profile.version.is_v5();
        let credentials = self.credentials(stage);
        let method = profile.enhanced && stage.plan.auth_port;
        let expiry_s = match (is_v5, clean) {
            (true, _) => profile.expiry_s,
            (false, true) => 0,
            (false, false) => u32::MAX,
        };
        let will = (!profile.is_monitor && !self.finishing && stage.random.chance(40))
            .then(|| self.new_will(stage, wire));
        let will_payload = will.map(|(id, _)| stage.book.messages[id as usize].payload());
        let id = self.id.clone();
        let mut connect = Connect::new(profile.version, &id, clean);
        connect.keep_alive_s = profile.keep_alive_s;
        if let (Some((id, delay_s)), Some(payload)) = (will, &will_payload) {
            let message = &stage.book.messages[id as usize];
            let mut fields = Will::new(message.topic, payload, message.qos, message.retain);
            fields.delay_s = delay_s;
            fields.message_expiry_s = message.expiry_s;
            connect.will = Some(fields);
        }
        let secret: &[u8] = if credentials == Credentials::Bad { b"bad" } else { b"good" };
        if credentials != Credentials::None {
            connect.user_name = Some("somebody");
            connect.password = Some(secret);
        }
        if is_v5 {
            connect.properties = ConnectProperties {
                session_expiry_s: (profile.expiry_s > 0).then_some(profile.expiry_s),
                receive_max: profile.receive_max,
                packet_size_max: profile.packet_size_max,
                topic_alias_max: profile.alias_max,
                auth_method: method.then_some(METHOD),
                auth_data: method.then_some(secret),
                ..ConnectProperties::default()
            };
        }
        self.link = Some(Link::new(wire, stage.world.life, credentials, method));
        let record = ConnectRecord {
            clean,
            expiry_s,
            keep_alive_s: profile.keep_alive_s,
            will,
            credentials,
            enhanced: method,
        };
        let mut bytes = Vec::new();
        connect.put(profile.version, &mut bytes);
        // The book knows the connection before the broker can.
        stage.book.connecting(wire, self.number, record, bytes.len() as u64);
        self.send(stage, &Packet::Connect(connect));
        let is_free = !method && !self.finishing;
        if is_free && self.memory.outgoing.is_empty() && stage.random.chance(profile.early_percent)
        {
            self.act_early(stage);
        }
    }

    fn credentials(&self, stage: &mut Stage<'_>) -> Credentials {
        if !stage.plan.auth_port {
            return Credentials::None;
        }
        let may_fail = !self.profile.is_monitor && !self.finishing;
        if may_fail && stage.random.chance(15) { Credentials::Bad } else { Credentials::Good }
    }

    fn new_will(&mut self, stage: &mut Stage<'_>, wire: usize) -> (u32, u32) {
        let random = &mut *stage.random;
        let is_v5 = self.profile.version.is_v5();
        let delay_s = if is_v5 { random.pick(&[0, 0, 1, 5, 100]) } else { 0 };
        let message = Message {
            id: 0,
            kind: Kind::Will,
            client: self.number,
            wire,
            topic: random.pick(topics::PLAIN_TOPICS),
            qos: random.pick(&[Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce]),
            retain: random.chance(25),
            empty: false,
            payload_bytes: random.pick(&[20, 60]),
            expiry_s: None,
            properties: false,
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
        (stage.book.new_message(message), delay_s)
    }

    /// CONNACK was read.
    pub(super) fn on_conn_ack(&mut self, stage: &mut Stage<'_>, ack: &ConnAck<'_>) {
        let Some(link) = &mut self.link else { return };
        if link.open {
            return stage.book.fail("client", format!("{} gets a second CONNACK", self.id));
        }
        if ack.reason != ReasonCode::Success {
            link.said = Some(ack.reason);
            link.closing = true;
            return;
        }
        link.open = true;
        link.resumed = ack.session_present;
        link.alias_out_max = ack.properties.topic_alias_max.unwrap_or(0);
        link.keep_alive_s = ack.properties.server_keep_alive_s.unwrap_or(self.profile.keep_alive_s);
        link.receive_max = ack.properties.receive_max.unwrap_or(u16::MAX);
        let (wire, version) = (link.wire, self.profile.version);
        stage.book.connack(wire, ack.session_present);
        // Version 3.1 does not say it; the client knows by the book, as a person would by
        // experience.
        let resumed = match version {
            Version::V31 => stage.book.wires.get(&wire).is_some_and(|record| record.resumed),
            _ => ack.session_present,
        };
        if let Some(link) = &mut self.link {
            link.resumed = resumed;
        }
        // It may be one that an earlier connection of the client began without the client's
        // knowing.
        let session = stage.book.session_of(wire);
        let is_known = self.memory.session == session;
        self.memory.session = session;
        let life = self.link.as_ref().map_or(0, |link| link.life);
        if resumed && is_known {
            self.remember_less();
            self.resume(stage);
        } else {
            self.forget(stage, wire);
        }
        self.memory.life = life;
    }

    /// After a crash of the broker a QoS 1 message that was not acknowledged may come again under
    /// its identifier, or as a new one: nothing is known of it but that it came.
    fn remember_less(&mut self) {
        if self.link.as_ref().is_some_and(|link| link.life != self.memory.life) {
            let memory = &mut self.memory;
            let (ones, twos): (Vec<_>, Vec<_>) =
                memory.incoming.iter().partition(|incoming| incoming.qos == Qos::AtLeastOnce);
            memory.incoming = twos;
            memory
                .finished
                .extend(ones.iter().map(|incoming: &Incoming| (incoming.id, incoming.message)));
        }
    }

    /// The broker has no session: what belonged to the old one is over.
    fn forget(&mut self, stage: &mut Stage<'_>, wire: usize) {
        self.memory.incoming.clear();
        self.memory.finished.clear();
        self.memory.fragile.clear();
        let (kept, lost): (Vec<_>, Vec<_>) = self
            .memory
            .outgoing
            .iter()
            .partition(|outgoing| stage.book.messages[outgoing.message as usize].wire == wire);
        self.memory.outgoing = kept;
        for outgoing in lost {
            stage.book.given_up(outgoing.message);
        }
    }

    /// What was sent before the CONNACK of a connection that is over belongs to nobody: the broker
    /// may come to it whenever it likes.
    pub(super) fn forget_early(&mut self, link: &Link) {
        if !link.open {
            self.memory.outgoing.retain(|outgoing| outgoing.wire != link.wire);
        }
    }

    /// The client says goodbye.
    pub fn disconnect(&mut self, stage: &mut Stage<'_>, with_will: bool) {
        let is_v5 = self.profile.version.is_v5();
        let reason = match with_will && is_v5 {
            true => ReasonCode::DisconnectWithWill,
            false => ReasonCode::Success,
        };
        // An interval of zero may not be raised.
        let may_change = is_v5 && self.profile.expiry_s > 0 && stage.random.chance(30);
        let expiry_s = may_change.then(|| stage.random.pick(&[0, 3, 1000]));
        let mut packet = Disconnect::new(reason);
        packet.session_expiry_s = expiry_s;
        let offset = self.send(stage, &Packet::Disconnect(packet));
        let Some(link) = &mut self.link else { return };
        link.closing = true;
        if let Some(record) = stage.book.wires.get_mut(&link.wire) {
            record.disconnect = Some(DisconnectRecord { offset, reason, expiry_s });
        }
        if stage.random.chance(50) {
            stage.world.wires[link.wire].client_ends(ClientEnd::Fin, 0);
        }
    }

    /// The connection breaks.
    pub fn break_off(&mut self, stage: &mut Stage<'_>, end: ClientEnd) {
        let Some(link) = &mut self.link else { return };
        let wire = &mut stage.world.wires[link.wire];
        let kept = stage.random.below(wire.readable() + 1);
        wire.client_ends(end, kept);
        link.closing = true;
        let step = stage.world.step;
        stage.world.trace.line(step, format_args!("{} wire {}: {end:?}", self.id, link.wire));
        // After a reset nothing can be read any more; after an end it can, for a while.
        let reads_on = end == ClientEnd::Fin && stage.random.chance(50);
        let Some(link) = self.link.take() else { return };
        self.forget_early(&link);
        if reads_on {
            self.old_links.push(link);
        } else {
            stage.world.wires[link.wire].stop_reading();
        }
    }

    /// AUTH was read: the exchange goes on.
    pub(super) fn on_auth(&mut self, stage: &mut Stage<'_>, auth: &Auth<'_>) {
        let Some(link) = &mut self.link else { return };
        match auth.reason {
            ReasonCode::ContinueAuthentication if !link.closing => {
                let bad = link.credentials == Credentials::Bad;
                let secret: &[u8] = if bad { b"bad" } else { b"good" };
                let mut answer = Auth::new(ReasonCode::ContinueAuthentication, METHOD);
                answer.data = Some(secret);
                self.send(stage, &Packet::Auth(answer));
            }
            // [MQTT-3.15.2-1] [MQTT-4.12.1-1]
            ReasonCode::Success if link.reauthenticating => link.reauthenticating = false,
            ReasonCode::ContinueAuthentication => {}
            _ => stage.book.fail("client", format!("{} gets {auth:?} out of turn", self.id)),
        }
    }

    /// The client authenticates again on its open connection.
    pub(super) fn reauthenticate(&mut self, stage: &mut Stage<'_>) {
        let Some(link) = &mut self.link else { return };
        if !link.method || link.reauthenticating {
            return;
        }
        link.reauthenticating = true;
        let mut auth = Auth::new(ReasonCode::ReAuthenticate, METHOD);
        auth.data = Some(b"good");
        self.send(stage, &Packet::Auth(auth));
    }
}

impl Link {
    fn new(wire: usize, life: u64, credentials: Credentials, method: bool) -> Self {
        Self {
            wire,
            open: false,
            inbox: Vec::new(),
            life,
            owed: std::collections::VecDeque::new(),
            asked: Vec::new(),
            aliases_in: std::collections::BTreeMap::new(),
            aliases_out: Vec::new(),
            alias_out_max: 0,
            receive_max: 1,
            keep_alive_s: 0,
            resumed: false,
            resent: None,
            fresh_came: false,
            said: None,
            sent_ms: 0,
            closing: false,
            credentials,
            method,
            reauthenticating: false,
            unsure: Vec::new(),
        }
    }
}
