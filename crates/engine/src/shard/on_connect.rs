//! A CONNECT: its home, its terms, its session. Must not know credentials: a verdict decides.

use martlet_proto::{
    ConnAck, ConnAckProperties, Connect, Frame, Packet, ReasonCode, Sender, connect_version, decode,
};
use martlet_session::server::{Grant, Offer};

use super::Shard;
use super::on_bytes::Next;
use super::on_close::Will;
use crate::auth::AuthStep;
use crate::config::AuthMode;
use crate::connecting::Connecting;
use crate::conns::Conn;
use crate::durable::Durable;
use crate::ids::{ConnId, ShardId};
use crate::log::{Cause, LogEvent};
use crate::timers::Timer;

impl Shard {
    pub(super) fn on_opened(
        &mut self,
        id: ConnId,
        peer: Option<std::net::SocketAddr>,
        opened_at_ms: u64,
    ) {
        // The caller reuses a number as soon as it has closed the connection that had it.
        self.peers.remove_conn(id);
        let serial = self.peers.conns.insert(id, peer, opened_at_ms);
        self.peers.stats.connections_opened += 1;
        let due_ms = opened_at_ms + self.config.limits.connect_timeout_ms;
        self.connect_deadlines.push_back((due_ms, id, serial));
    }

    /// The connection comes from the shard that accepted it: it is at home here.
    pub(super) fn on_adopted(&mut self, id: ConnId, moved: &crate::Moved) {
        self.on_opened(id, moved.peer, moved.opened_at_ms);
        if let Some(conn) = self.peers.conns.get_mut(id) {
            conn.settled = true;
        }
        self.on_bytes(id, &moved.unread);
    }

    pub(super) fn on_connect(&mut self, id: ConnId, frame: &Frame<'_>) -> Next {
        let version = connect_version(frame);
        let Some(conn) = self.peers.conns.get_mut(id) else { return Next::Stop };
        if let Some(version) = version {
            conn.proto.refuse_in(version);
        }
        // [MQTT-3.1.4-1] [MQTT3-3.1.4-1]
        let connect = match decode(frame, conn.proto.version(), Sender::Client) {
            Ok(Packet::Connect(connect)) => connect,
            Ok(_) => unreachable!("the frame says CONNECT"),
            Err(error) => {
                self.on_malformed(id, error);
                return Next::Stop;
            }
        };
        let home = self.home_of(id, connect.client_id);
        if home != self.config.shard {
            return Next::Move(home);
        }
        self.accept_terms(id, &connect)
    }

    /// The session's home. Clients that leave the identifier to the server are dealt out in turn.
    fn home_of(&self, id: ConnId, client_id: &str) -> ShardId {
        if !client_id.is_empty() {
            return self.homes.of(client_id);
        }
        match self.peers.conns.get(id) {
            Some(conn) if !conn.settled => {
                ShardId((conn.serial % u32::from(self.homes.shards())) as u16)
            }
            _ => self.config.shard,
        }
    }

    fn accept_terms(&mut self, id: ConnId, connect: &Connect<'_>) -> Next {
        let offer = self.offer();
        let Some(conn) = self.peers.conns.get_mut(id) else { return Next::Stop };
        let grant = match conn.proto.connect(connect, &offer) {
            Ok(grant) => grant,
            Err(violation) => {
                self.end(id, Cause::Violation(violation));
                return Next::Stop;
            }
        };
        if let Some(reason) = self.refusal(connect, &grant) {
            self.end(id, Cause::ByServer(reason));
            return Next::Stop;
        }
        // [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT3-3.1.3-6]
        let client_id = match connect.client_id {
            "" => self.assign_client_id(),
            given => given.to_owned(),
        };
        let connecting = Connecting::new(connect, &client_id, grant, &mut self.peers.frames);
        if self.config.auth == AuthMode::AllowAnonymous {
            self.open_session(id, connecting, None);
            return Next::Continue;
        }
        let step = AuthStep::Connect {
            user_name: connect.user_name.map(Box::from),
            password: connect.password.map(Box::from),
            method: connect.properties.auth_method.map(Box::from),
            data: connect.properties.auth_data.map(Box::from),
        };
        let Some(conn) = self.peers.conns.get_mut(id) else { return Next::Stop };
        conn.connecting = Some(Box::new(connecting));
        self.ask(id, step);
        Next::Hold
    }

    /// Why this well-formed CONNECT is not taken, whoever sends it [MQTT-3.1.4-2].
    fn refusal(&self, connect: &Connect<'_>, grant: &Grant) -> Option<ReasonCode> {
        let limits = &self.config.limits;
        if self.shutting_down {
            return Some(ReasonCode::ServerShuttingDown);
        }
        // [MQTT-3.1.3-5] [MQTT3-3.1.3-5] [MQTT-3.1.3-8] [MQTT3-3.1.3-9]
        if connect.client_id.len() > limits.client_id_bytes_max {
            return Some(ReasonCode::ClientIdentifierNotValid);
        }
        // [MQTT-4.12.0-1]
        let method = connect.properties.auth_method;
        if method.is_some() && self.config.auth == AuthMode::AllowAnonymous {
            return Some(ReasonCode::BadAuthenticationMethod);
        }
        if connect.will.as_ref().is_some_and(|will| !self.may_publish(will.topic)) {
            return Some(ReasonCode::NotAuthorized);
        }
        // Its session could not be written down.
        if grant.session_expiry_s > 0
            && self.peers.ledger.is_enabled()
            && let Some(reason) = self.store_trouble()
        {
            return Some(reason);
        }
        let is_new = self.peers.sessions.find(connect.client_id).is_none();
        if is_new && self.peers.sessions.len() >= limits.sessions_max {
            return Some(ReasonCode::QuotaExceeded);
        }
        None
    }

    fn offer(&self) -> Offer {
        let limits = &self.config.limits;
        Offer {
            receive_max: limits.receive_max,
            packet_size_max: limits.packet_size_max,
            topic_alias_max: limits.topic_alias_max,
            in_flight_max: limits.in_flight_max,
            session_expiry_max_s: limits.session_expiry_max_s,
            keep_alive_max_s: limits.keep_alive_max_s,
        }
    }

    /// An identifier that nobody has and whose home is this shard [MQTT-3.2.2-16].
    fn assign_client_id(&mut self) -> String {
        loop {
            self.assigned += 1;
            let seed = self.config.seed ^ u64::from(self.config.shard.0) << 48;
            let (own, number) = (self.config.identity, self.assigned);
            let salt = crate::ids::topic_hash(&format!("{own:032x}{seed:016x}{number}"));
            let client_id = format!("auto-{salt:016x}");
            let is_here = self.homes.of(&client_id) == self.config.shard;
            if is_here && self.peers.sessions.find(&client_id).is_none() {
                return client_id;
            }
        }
    }

    /// The client is let in: takeover, session, CONNACK, and what waited for it.
    pub(super) fn open_session(
        &mut self,
        id: ConnId,
        connecting: Connecting,
        auth_data: Option<Box<[u8]>>,
    ) {
        let before = self.peers.ledger.pushed();
        let (slot, present) = self.claim_session(&connecting);
        let Connecting { client_id, assigned, grant, will, response_information, .. } = connecting;
        let session = self.peers.sessions.get_mut(slot).expect("just claimed");
        session.conn = Some(id);
        session.left_at_wall_ms = u64::MAX;
        session.expiry_s = grant.session_expiry_s;
        // [MQTT-3.1.2-7] [MQTT3-3.1.2-8]; and a delayed will of the old connection is not sent any
        // more [MQTT-3.1.3-9].
        session.will = will;
        session.will_at_ms = u64::MAX;
        session.expires_at_ms = u64::MAX;
        let unfinished = session.incoming.len();
        let conn = self.peers.conns.get_mut(id).expect("it is being let in");
        conn.session = Some(slot);
        conn.proto.open();
        conn.proto.carry_over(unfinished);
        let event = connected(conn, &client_id, present, &grant);
        let fields = ConnAckFields {
            client_id: assigned.then_some(&client_id),
            response_information: response_information.then(|| format!("response/{client_id}")),
            auth_data,
        };
        self.peers.log.push(event);
        self.peers.stats.clients_accepted += 1;
        self.peers.stats.sessions_connected += 1;
        if !self.send_conn_ack(id, present, &grant, &fields) {
            self.close(id, Cause::ByServer(ReasonCode::PacketTooLarge), Will::Keep);
            return;
        }
        self.make_durable(slot, id, before);
        self.watch_keep_alive(id);
        self.tell_groups(slot, true);
        // [MQTT-3.1.2-5] [MQTT-4.4.0-1]
        self.peers.start_resend(slot);
        self.peers.feed(slot);
        self.note_replays(slot);
    }

    /// A session that outlives its connection is written down, and CONNACK waits until it is, or
    /// until the one it replaces is gone for good. `before`: changes asked for until then.
    fn make_durable(&mut self, slot: u32, id: ConnId, before: u64) {
        if !self.peers.ledger.is_enabled() {
            return;
        }
        let Some(session) = self.peers.sessions.get_mut(slot) else { return };
        if session.durable.is_none() && session.expiry_s > 0 {
            let name = self.peers.ledger.new_session(crate::partition(&session.client_id));
            session.durable = Some(Box::new(Durable::new(name)));
        }
        let client = session.publisher;
        let _ = self.store_session(slot);
        // What it replaces may have ended before, with a connection that was not told either.
        let token = match self.peers.ledger.pushed() != before {
            true => self.peers.ledger.current(),
            false => self.peers.ledger.end_of(client),
        };
        if let Some(token) = token
            && let Some(conn) = self.peers.conns.get_mut(id)
        {
            conn.embargo = token;
            self.peers.ledger.wake_conn(token, id, conn.serial);
        }
    }

    /// The session of a client: its old one, or a new one. Whether it is the old one.
    fn claim_session(&mut self, connecting: &Connecting) -> (u32, bool) {
        // [MQTT-3.1.4-3] [MQTT3-3.1.4-2] The existing connection ends first; what ends with it,
        // ends.
        if let Some(slot) = self.peers.sessions.find(&connecting.client_id)
            && let Some(old) = self.peers.sessions.get(slot).and_then(|session| session.conn)
        {
            self.end(old, Cause::ByServer(ReasonCode::SessionTakenOver));
        }
        if let Some(slot) = self.peers.sessions.find(&connecting.client_id) {
            // [MQTT-3.1.2-4] [MQTT3-3.1.2-6] [MQTT-3.1.4-4] [MQTT3-3.1.4-3]
            // One that ended with an earlier life of the broker is not resumed either.
            let session = self.peers.sessions.get(slot);
            let has_ended = session.is_some_and(|session| session.ends_with_connection());
            if !connecting.clean_start && !has_ended {
                return (slot, true);
            }
            self.end_session(slot);
        }
        // [MQTT-3.1.2-6] [MQTT3-3.1.2-4]
        let slot = self.peers.sessions.create(connecting.client_id.clone());
        self.peers.stats.sessions += 1;
        (slot, false)
    }

    /// Sends CONNACK with success [MQTT-3.1.4-5] [MQTT-3.2.0-1] [MQTT3-3.1.4-4] [MQTT3-3.2.0-1].
    /// False when not even the shortest one fits the client's Maximum Packet Size.
    fn send_conn_ack(
        &mut self,
        id: ConnId,
        session_present: bool,
        grant: &Grant,
        fields: &ConnAckFields<'_>,
    ) -> bool {
        let offer = self.offer();
        let Some(conn) = self.peers.conns.get(id) else { return false };
        let method: Option<Box<str>> = conn.proto.auth_method().map(Box::from);
        let size_max = conn.proto.packet_size_max_out();
        let properties = ConnAckProperties {
            // [MQTT-3.2.2-16]
            assigned_client_id: fields.client_id,
            // [MQTT-3.1.2-28]
            response_information: fields.response_information.as_deref(),
            // [MQTT-4.12.0-5] [MQTT-4.12.0-6]
            auth_method: method.as_deref(),
            auth_data: fields.auth_data.as_deref().filter(|_| method.is_some()),
            ..grant.conn_ack_properties(&offer)
        };
        // [MQTT-3.2.2-2] [MQTT-3.2.2-3] [MQTT3-3.2.2-1] [MQTT3-3.2.2-2] [MQTT3-3.2.2-3]
        let mut ack = ConnAck { session_present, reason: ReasonCode::Success, properties };
        if ack.encoded_len(conn.proto.version()) > size_max {
            ack.properties.response_information = None;
        }
        if ack.encoded_len(conn.proto.version()) > size_max {
            return false;
        }
        self.peers.send(id, |version, out| ack.put(version, out));
        true
    }

    fn watch_keep_alive(&mut self, id: ConnId) {
        let Some(conn) = self.peers.conns.get(id) else { return };
        if let Some(silence_max_ms) = conn.proto.silence_max_ms() {
            let timer = Timer::KeepAlive { conn: id, serial: conn.serial };
            self.peers.timers.set(conn.heard_at_ms + silence_max_ms, timer);
        }
    }
}

/// What CONNACK says beyond the terms.
struct ConnAckFields<'a> {
    client_id: Option<&'a str>,
    response_information: Option<String>,
    auth_data: Option<Box<[u8]>>,
}

fn connected(conn: &Conn, client_id: &str, resumed: bool, grant: &Grant) -> LogEvent {
    LogEvent::Connected {
        client_id: client_id.into(),
        peer: conn.peer,
        version: conn.proto.version(),
        resumed,
        keep_alive_s: conn.proto.keep_alive_s(),
        session_expiry_s: grant.session_expiry_s,
    }
}
