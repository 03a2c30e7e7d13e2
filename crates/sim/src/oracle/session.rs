//! Sessions: which exist, whose they are, what they are subscribed to. The broker's log says in
//! which order things happened; this file says whether they may. Must not know messages.

use std::collections::BTreeMap;

use martlet_engine::store::SessionId;
use martlet_engine::{Cause, LogEvent};
use martlet_proto::{ReasonCode, RetainHandling, SubscriptionOptions, topic};

use super::wills::Will;
use super::{Book, Delivery, Flight, NEVER, Step};
use crate::wire::Wire;

/// What a CONNECT presents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing.
    None,
    /// What the port accepts.
    Good,
    /// What it refuses.
    Bad,
}

/// A CONNECT as it was sent.
#[derive(Debug, Clone)]
pub struct ConnectRecord {
    /// Clean Start.
    pub clean: bool,
    /// How long the session shall outlive the connection.
    pub expiry_s: u32,
    /// Keep Alive.
    pub keep_alive_s: u16,
    /// The will: its message and its delay.
    pub will: Option<(u32, u32)>,
    /// What it presents.
    pub credentials: Credentials,
    /// It authenticates by AUTH packets.
    pub enhanced: bool,
}

/// A DISCONNECT as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct DisconnectRecord {
    /// Where in the stream it ends.
    pub offset: u64,
    /// The reason it gives.
    pub reason: ReasonCode,
    /// The Session Expiry Interval it sets.
    pub expiry_s: Option<u32>,
}

/// What is known of a wire.
#[derive(Debug)]
pub struct WireRecord {
    /// Whose it is.
    pub client: usize,
    /// Its CONNECT.
    pub connect: ConnectRecord,
    /// Where in the stream the CONNECT ends.
    pub connect_offset: u64,
    /// When it was opened.
    pub opened: Step,
    /// The time of that.
    pub opened_ms: u64,
    /// Its DISCONNECT, once sent.
    pub disconnect: Option<DisconnectRecord>,
    /// The session, once the broker has let it in.
    pub session: Option<usize>,
    /// Whether that was an old one.
    pub resumed: bool,
    /// When it was let in.
    pub connected_ms: Option<u64>,
    /// The step of that.
    pub connected: Step,
    /// The keep alive in force.
    pub keep_alive_s: u16,
    /// When the end of the transport was told to the broker.
    pub transport_ended: Step,
    /// The time of that.
    pub transport_ended_ms: u64,
    /// Why it ended, once it has.
    pub ended: Option<Cause>,
    /// The client has read its CONNACK.
    pub confirmed: bool,
    /// Another connection of the client was opened since.
    pub contested: bool,
    /// Subscription changes sent before the broker let it in.
    early: Vec<(String, Op)>,
}

/// What a subscription asks for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The options.
    pub options: SubscriptionOptions,
    /// The Subscription Identifier; 0: none.
    pub id: u32,
}

/// A change of a subscription.
#[derive(Debug, Clone)]
pub struct Op {
    /// What is asked for; nothing for an UNSUBSCRIBE.
    pub wanted: Option<Wanted>,
    /// When it was sent.
    pub sent: Step,
    /// When its answer was read.
    pub acked: Step,
    /// The packet that carried it.
    pub packet: (usize, u16),
    /// Whether the retained messages that it brings have been looked for.
    pub checked: bool,
}

/// A session, from its first CONNACK to its end.
#[derive(Debug)]
pub struct Session {
    /// Whose it is.
    pub client: usize,
    /// When it began.
    pub born: Step,
    /// When it ended.
    pub died: Option<Step>,
    /// It shall outlive its connection and the broker.
    pub durable: bool,
    /// Its name in the store.
    pub id: Option<SessionId>,
    /// When its client read a CONNACK for it.
    pub confirmed: Step,
    /// It died with the broker.
    pub lost: bool,
    /// It is of an earlier life of the broker, and did not come back.
    pub past: bool,
    /// Times at which it had ended, before a crash undid that.
    pub gaps: Vec<(Step, Step)>,
    /// The session that had taken its place before a crash undid that.
    pub over_again: Option<usize>,
    /// What was in flight when it came back from the last crash.
    pub flights: Vec<Flight>,
    /// It came back from a crash.
    pub came_back: bool,
    /// The first connection since then.
    pub first_wire: Option<usize>,
    /// The subscription changes of each filter, in the order in which they were sent.
    pub ops: BTreeMap<String, Vec<Op>>,
    /// What was delivered to it.
    pub deliveries: Vec<Delivery>,
    /// How many of these were new to the client, by message.
    pub copies: BTreeMap<u32, u32>,
    /// The last step at which nothing was on its way to the client.
    pub drained: Step,
    /// The newest message of each publisher, topic, QoS published and QoS delivered.
    pub(super) newest: BTreeMap<(usize, &'static str, u8, u8), u32>,
    /// The last live update of each topic that was published with RETAIN.
    pub(super) live: BTreeMap<&'static str, u32>,
}

/// Subscriptions that stand when a message is routed: those that certainly do, and those that may.
#[derive(Debug, Default)]
pub struct Standing {
    /// They stand.
    pub definite: Vec<Wanted>,
    /// They may stand; the definite ones among them.
    pub possible: Vec<Wanted>,
}

impl Session {
    fn new(client: usize, born: Step, durable: bool) -> Self {
        Self {
            client,
            born,
            died: None,
            durable,
            id: None,
            confirmed: NEVER,
            lost: false,
            past: false,
            gaps: Vec::new(),
            over_again: None,
            flights: Vec::new(),
            came_back: false,
            first_wire: None,
            ops: BTreeMap::new(),
            deliveries: Vec::new(),
            copies: BTreeMap::new(),
            drained: 0,
            newest: BTreeMap::new(),
            live: BTreeMap::new(),
        }
    }

    /// Whether a message that was routed between these steps had the session to go to.
    #[must_use]
    pub fn was_there(&self, from: Step, to: Step) -> bool {
        self.gaps.iter().all(|(begin, end)| to < *begin || from > *end)
    }

    /// The subscriptions that match `topic` somewhen between `from` and `to`.
    #[must_use]
    pub fn standing(&self, topic: &str, from: Step, to: Step) -> Standing {
        let mut standing = Standing::default();
        for (filter, ops) in &self.ops {
            let inner = topic::shared(filter).map_or(filter.as_str(), |shared| shared.filter);
            if !topic::matches(inner, topic) {
                continue;
            }
            for (i, op) in ops.iter().enumerate() {
                let Some(wanted) = op.wanted else { continue };
                let later = &ops[i + 1..];
                let gone = later.iter().map(|op| op.acked).min().unwrap_or(NEVER);
                let replaced = later.first().map_or(NEVER, |op| op.sent);
                if op.sent <= to && gone >= from {
                    standing.possible.push(wanted);
                }
                if op.acked < from && replaced > to {
                    standing.definite.push(wanted);
                }
            }
        }
        standing
    }

    /// How many SUBSCRIBEs so far may have brought what is retained for `topic`.
    #[must_use]
    pub fn replays(&self, topic: &str) -> u32 {
        let matching = self.ops.iter().filter(|(filter, _)| topic::matches(filter, topic));
        let ops = matching.flat_map(|(_, ops)| ops).filter_map(|op| op.wanted);
        ops.filter(|w| w.options.retain_handling != RetainHandling::DoNotSend).count() as u32
    }
}

impl Book {
    /// A client sends CONNECT over a new wire.
    pub fn connecting(&mut self, wire: usize, client: usize, connect: ConnectRecord, offset: u64) {
        // Whichever is processed later takes over.
        let mut contested = false;
        for record in self.wires.values_mut().filter(|record| record.client == client) {
            contested |= record.ended.is_none();
            record.contested = true;
        }
        let keep_alive_s = connect.keep_alive_s;
        self.wires.insert(
            wire,
            WireRecord {
                client,
                connect,
                connect_offset: offset,
                opened: self.step,
                opened_ms: self.now_ms,
                disconnect: None,
                session: None,
                resumed: false,
                connected_ms: None,
                connected: NEVER,
                keep_alive_s,
                transport_ended: NEVER,
                transport_ended_ms: u64::MAX,
                ended: None,
                confirmed: false,
                contested,
                early: Vec::new(),
            },
        );
    }

    /// A client sends a subscription change.
    pub fn subscribing(&mut self, wire: usize, packet: u16, filter: &str, wanted: Option<Wanted>) {
        let op =
            Op { wanted, sent: self.step, acked: NEVER, packet: (wire, packet), checked: false };
        let Some(record) = self.wires.get_mut(&wire) else { return };
        match record.session {
            Some(session) => {
                self.sessions[session].ops.entry(filter.to_owned()).or_default().push(op);
            }
            None => record.early.push((filter.to_owned(), op)),
        }
    }

    /// A client reads the answer to a subscription change.
    pub fn subscribed(&mut self, wire: usize, packet: u16) {
        let step = self.step;
        let Some(session) = self.session_of(wire) else { return };
        for ops in self.sessions[session].ops.values_mut() {
            for op in ops.iter_mut().filter(|op| op.packet == (wire, packet)) {
                op.acked = op.acked.min(step);
            }
        }
    }

    /// A client reads that a subscription change was refused: nobody knows which of its filters
    /// were. Whether there may be a reason for that.
    pub fn subscription_refused(&mut self, wire: usize, packet: u16, reason: ReasonCode) -> bool {
        let Some(session) = self.session_of(wire) else { return false };
        let ops = self.sessions[session].ops.values().flatten();
        let sent = ops.filter(|op| op.packet == (wire, packet)).map(|op| op.sent).min();
        sent.is_some_and(|sent| self.may_refuse(sent, reason))
    }

    /// The broker's log.
    pub fn on_log(&mut self, shard: usize, event: &LogEvent) {
        match event {
            LogEvent::Connected {
                peer: Some(peer),
                resumed,
                keep_alive_s,
                session_expiry_s,
                ..
            } => {
                let durable = self.store && *session_expiry_s > 0;
                self.on_connected(shard, Wire::number(*peer), *resumed, durable);
                if let Some(record) = self.wires.get_mut(&Wire::number(*peer)) {
                    record.keep_alive_s = *keep_alive_s;
                    record.connect.expiry_s = *session_expiry_s;
                }
            }
            LogEvent::Disconnected { peer: Some(peer), cause, .. } => {
                self.on_disconnected(Wire::number(*peer), *cause);
            }
            LogEvent::Refused { peer: Some(peer), cause, .. } => {
                self.on_refused(Wire::number(*peer), *cause);
            }
            _ => {}
        }
    }

    /// A connection was let in.
    fn on_connected(&mut self, shard: usize, wire: usize, resumed: bool, durable: bool) {
        let Some(record) = self.wires.get(&wire) else { return };
        let (client, clean) = (record.client, record.connect.clean);
        let known = &self.clients[client];
        // [MQTT-3.1.4-3] [MQTT3-3.1.4-2] One connection a client.
        if let Some(other) = known.connected {
            return self.fail("sessions", format!("{} is let in twice: {other}, {wire}", known.id));
        }
        let (exists, expires_at_ms) = (known.session.is_some(), known.expires_at_ms);
        // A session that is due may be found or not, until a turn has ended since.
        let surely_gone = !exists || self.turned_at_ms[shard] >= known.gone_at_ms;
        let surely_there = exists && self.now_ms < expires_at_ms;
        // [MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-3.1.2-23] [MQTT-3.2.2-2] [MQTT-3.2.2-3]
        // [MQTT-4.1.0-1] [MQTT-4.1.0-2] [MQTT3-3.1.2-4] [MQTT3-3.1.2-6] [MQTT3-4.1.0-1]
        let wrong = if resumed { clean || surely_gone } else { !clean && surely_there };
        if wrong {
            let text = format!(
                "{} over wire {wire}: resumed {resumed}, clean {clean}, session there {exists}, \
                 it expires at {expires_at_ms} ms, now {} ms",
                known.id, self.now_ms
            );
            return self.fail("sessions", text);
        }
        self.will_meets_connection(client, resumed);
        if !resumed {
            self.end_session(client);
            self.sessions.push(Session::new(client, self.step, durable));
            self.clients[client].session = Some(self.sessions.len() - 1);
        }
        let session = self.clients[client].session;
        if let Some(session) = session {
            self.sessions[session].durable &= durable;
            self.sessions[session].first_wire.get_or_insert(wire);
        }
        self.clients[client].connected = Some(wire);
        self.clients[client].expires_at_ms = u64::MAX;
        self.clients[client].gone_at_ms = u64::MAX;
        self.clients[client].unwritten = false;
        let Some(record) = self.wires.get_mut(&wire) else { return };
        record.session = session;
        record.resumed = resumed;
        record.connected_ms = Some(self.now_ms);
        record.connected = self.step;
        let will = record.connect.will;
        for (filter, op) in std::mem::take(&mut record.early) {
            self.sessions[session.unwrap_or(0)].ops.entry(filter).or_default().push(op);
        }
        if let Some((message, delay_s)) = will {
            self.arm_will(Will::new(client, wire, message, delay_s));
        }
    }

    fn end_session(&mut self, client: usize) {
        if let Some(session) = self.clients[client].session.take() {
            self.sessions[session].died = Some(self.step);
        }
    }

    fn on_disconnected(&mut self, wire: usize, cause: Cause) {
        let Some(record) = self.wires.get_mut(&wire) else { return };
        let client = record.client;
        record.ended = Some(cause);
        // The log may be later than the event.
        let ended_ms = match cause {
            Cause::Transport(_) => record.transport_ended_ms.min(self.now_ms),
            _ => self.now_ms,
        };
        let mut expiry_s = record.connect.expiry_s;
        if let (Cause::ByClient(_), Some(sent)) = (cause, record.disconnect) {
            expiry_s = sent.expiry_s.unwrap_or(expiry_s).min(self.limits.session_expiry_max_s);
        }
        if self.clients[client].connected != Some(wire) {
            return self.fail("sessions", format!("wire {wire} ends, but was not connected"));
        }
        self.judge_end(wire, cause);
        self.clients[client].connected = None;
        let expires_at_ms = match expiry_s {
            u32::MAX => u64::MAX,
            seconds => ended_ms + u64::from(seconds) * 1000,
        };
        self.clients[client].expires_at_ms = expires_at_ms;
        self.clients[client].gone_at_ms = expires_at_ms;
        self.will_meets_end(wire, cause, ended_ms, expires_at_ms);
        if expiry_s == 0 {
            self.end_session(client);
        }
    }

    /// A client reads CONNACK with success.
    pub fn connack(&mut self, wire: usize, session_present: bool) {
        let Some(record) = self.wires.get(&wire) else { return };
        let client = &self.clients[record.client];
        let expected = record.resumed && client.version != martlet_proto::Version::V31;
        // [MQTT-3.2.2-2] [MQTT-3.2.2-3] [MQTT3-3.2.2-1] [MQTT3-3.2.2-2] [MQTT3-3.2.2-3]
        if record.session.is_none() || expected != session_present {
            let text = format!("CONNACK to {} says {session_present}: {record:?}", client.id);
            return self.fail("sessions", text);
        }
        let (session, step) = (record.session, self.step);
        if let Some(record) = self.wires.get_mut(&wire) {
            record.confirmed = true;
        }
        let Some(session) = session else { return };
        self.sessions[session].confirmed = self.sessions[session].confirmed.min(step);
        // It was sent before the crash, which must not undo it.
        let undone = self.sessions[session].lost && self.sessions[session].durable
            || self.sessions.iter().any(|other| other.over_again == Some(session));
        if undone {
            let text = format!("the session of wire {wire} was lost after its CONNACK");
            self.fail("sessions", text);
        }
    }
}
