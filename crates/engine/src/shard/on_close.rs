//! The end of connections and sessions, from whichever side. Must not know why a peer left beyond
//! the cause it is told.

use martlet_proto::{ConnAck, DecodeErrorKind, Disconnect, PacketType, ReasonCode};
use martlet_proto::{Qos, Version};
use martlet_session::server::Phase;

use super::Shard;
use crate::conns::Conn;
use crate::delivery::{Pending, Written};
use crate::ids::{ConnId, SessionKey};
use crate::input::TransportEnd;
use crate::ledger::{Receipt, Then};
use crate::log::{Cause, LogEvent};
use crate::sessions::Session;
use crate::stats::Drop;
use crate::store::{SessionRecord, StoreOp, StoreToken};
use crate::time::MS_PER_S;
use crate::timers::Timer;

/// What happens to the will of a connection that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Will {
    /// It is published when its time comes.
    Keep,
    /// It is deleted.
    Discard,
}

impl Shard {
    /// The transport ended by itself.
    pub(super) fn on_closed(&mut self, id: ConnId, end: TransportEnd) {
        let Some(conn) = self.peers.conns.get(id) else { return };
        if conn.proto.phase() != Phase::Closing {
            self.log_end(id, Cause::Transport(end));
            self.leave_session(id, Will::Keep);
        }
        self.peers.remove_conn(id);
    }

    /// The broker stops.
    pub(super) fn on_shutdown(&mut self) {
        self.shutting_down = true;
        let ids: Vec<ConnId> = self.peers.conns.iter().map(|(id, _)| id).collect();
        for id in ids {
            self.end(id, Cause::ByServer(ReasonCode::ServerShuttingDown));
        }
    }

    /// Ends a connection from the broker's side, with the packet that says why where there is one
    /// [MQTT-4.13.2-1] [MQTT-3.2.2-7] [MQTT3-3.2.2-5] [MQTT3-4.8.0-2].
    pub(super) fn end(&mut self, id: ConnId, cause: Cause) {
        let Some(conn) = self.peers.conns.get(id) else { return };
        match conn.proto.phase() {
            Phase::Closing => return,
            // [MQTT-3.14.0-1]
            Phase::Open => self.say_goodbye(id, cause),
            Phase::AwaitConnect | Phase::Authenticating => self.refuse(id, cause),
        }
        self.close(id, cause, Will::Keep);
    }

    /// Closes without a word [MQTT-3.14.4-1] [MQTT-3.14.4-2].
    pub(super) fn close(&mut self, id: ConnId, cause: Cause, will: Will) {
        self.log_end(id, cause);
        let Some(conn) = self.peers.conns.get_mut(id) else { return };
        conn.proto.closing();
        conn.end = Some(cause);
        conn.unread = Vec::new();
        self.closing.push((id, conn.serial));
        self.peers.silence(id);
        self.peers.forget_held(id);
        self.leave_session(id, will);
    }

    /// DISCONNECT, for who understands it [MQTT-3.14.2-1] [MQTT-3.14.2-2].
    fn say_goodbye(&mut self, id: ConnId, cause: Cause) {
        let is_v5 = self.peers.conns.get(id).is_some_and(|conn| conn.proto.version().is_v5());
        if let Some(reason) = reason_of(cause)
            && is_v5
        {
            // A refused re-authentication can have a reason that only CONNACK knows.
            let is_allowed = reason.allowed_in(PacketType::Disconnect);
            let reason = if is_allowed { reason } else { ReasonCode::NotAuthorized };
            let what = cause.to_string();
            // [MQTT-3.14.2-3] [MQTT-3.14.2-4]
            self.peers.send_with_reason(id, &what, |reason_string, version, out| {
                Disconnect { reason_string, ..Disconnect::new(reason) }.put(version, out);
            });
        }
    }

    /// CONNACK with the reason, where the standard wants one [MQTT-3.2.2-6] [MQTT-3.2.2-8]
    /// [MQTT3-3.2.2-4] [MQTT3-3.2.2-6].
    fn refuse(&mut self, id: ConnId, cause: Cause) {
        let Some(conn) = self.peers.conns.get_mut(id) else { return };
        let Some(mut reason) = reason_of(cause) else { return };
        let no_connect_came = conn.proto.phase() == Phase::AwaitConnect;
        match (cause, conn.proto.version()) {
            // [MQTT3-3.1.2-2] [MQTT-3.1.2-2]
            (Cause::Malformed(error), _)
                if matches!(error.kind(), DecodeErrorKind::ProtocolVersion(_)) =>
            {
                conn.proto.refuse_in(Version::V311);
            }
            // [MQTT3-3.1.4-1] [MQTT3-3.1.0-1]
            (Cause::Malformed(_), Version::V31 | Version::V311) => return,
            (Cause::Violation(martlet_session::server::Violation::FirstPacketNotConnect), _) => {
                return;
            }
            (Cause::ByServer(_), _) if no_connect_came => return,
            (Cause::ByServer(_), Version::V31 | Version::V311) => reason = in_v3(reason),
            _ => {}
        }
        if !reason.allowed_in(PacketType::ConnAck) {
            reason = ReasonCode::ServerUnavailable;
        }
        let version = conn.proto.version();
        if version.is_v5() || reason.connack_v3().is_some() {
            let what = cause.to_string();
            // [MQTT-3.2.2-19]
            self.peers.send_with_reason(id, &what, |reason_string, version, out| {
                let mut ack = ConnAck::new(false, reason);
                ack.properties.reason_string = reason_string;
                ack.put(version, out);
            });
        }
    }

    fn log_end(&mut self, id: ConnId, cause: Cause) {
        let Some(conn) = self.peers.conns.get(id) else { return };
        let peer = conn.peer;
        let client_id = self.client_id_of(conn);
        let event = match client_id {
            Some(client_id) if conn.session.is_some() => {
                let connected_ms = self.peers.now.mono_ms.saturating_sub(conn.opened_at_ms);
                LogEvent::Disconnected { client_id, peer, cause, connected_ms }
            }
            client_id => LogEvent::Refused { peer, client_id, cause },
        };
        self.peers.log.push(event);
    }

    fn client_id_of(&self, conn: &Conn) -> Option<Box<str>> {
        let session = conn.session.and_then(|slot| self.peers.sessions.get(slot));
        let connecting = conn.connecting.as_ref().map(|connecting| connecting.client_id.clone());
        session.map(|session| session.client_id.clone()).or(connecting)
    }

    /// The session goes on without its connection, or ends with it.
    fn leave_session(&mut self, id: ConnId, will: Will) {
        let Some(conn) = self.peers.conns.get_mut(id) else { return };
        let Some(slot) = conn.session.take() else { return };
        let now = self.peers.now;
        let now_ms = now.mono_ms;
        let session = self.peers.sessions.get_mut(slot).expect("a connection's session exists");
        session.conn = None;
        session.left_at_wall_ms = now.wall_ms;
        session.outgoing.settle();
        session.outgoing.shrink();
        self.peers.stats.sessions_connected -= 1;
        if will == Will::Discard {
            // [MQTT-3.1.2-10] [MQTT-3.14.4-3] [MQTT3-3.1.2-10] [MQTT3-3.14.4-3]
            session.will = None;
        }
        let (expiry_s, key) = (session.expiry_s, session.key);
        if expiry_s == 0 {
            self.end_session(slot);
            return;
        }
        // [MQTT-3.1.2-23] [MQTT3-4.1.0-2]
        if expiry_s != u32::MAX {
            session.expires_at_ms = now_ms + u64::from(expiry_s) * MS_PER_S;
            self.peers.timers.set(session.expires_at_ms, Timer::SessionExpiry(key));
        }
        let publishes = session.will.as_ref().is_some_and(|will| will.delay_s == 0);
        if let Some(will) = &session.will {
            // [MQTT-3.1.2-8]
            session.will_at_ms = now_ms + u64::from(will.delay_s) * MS_PER_S;
            self.peers.timers.set(session.will_at_ms, Timer::WillDelay(key));
        }
        self.peers.rest(slot);
        match publishes {
            true => self.publish_will(slot),
            false => drop(self.store_session(slot)),
        }
        self.tell_groups(slot, false);
    }

    /// Writes down what is known of a durable session.
    pub(super) fn store_session(&mut self, slot: u32) -> Option<StoreToken> {
        let session = self.peers.sessions.get(slot)?;
        let id = session.durable.as_ref()?.id;
        let record = session.record(self.peers.now);
        let bytes = record.will.as_ref().map_or(0, |will| will.message.data.len());
        Some(self.peers.ledger.push(StoreOp::PutSession { session: id, record }, bytes))
    }

    /// Publishes the will of a session, once [MQTT-3.1.2-8] [MQTT-3.1.2-10] [MQTT3-3.1.2-8]
    /// [MQTT3-3.1.2-10].
    pub(super) fn publish_will(&mut self, slot: u32) {
        let Some(session) = self.peers.sessions.get_mut(slot) else { return };
        // [MQTT3-3.1.2-12]
        let Some(will) = session.will.take() else { return };
        let origin = session.publisher;
        let mut view = will.message.view();
        view.origin = origin;
        if let Some(expiry_s) = will.expiry_s {
            view.expires_at_ms = self.peers.now.mono_ms + u64::from(expiry_s) * MS_PER_S;
        }
        // Who published it and when it expires belong to the message that is kept.
        view.kept = None;
        if session.durable.is_none() {
            self.publish(&mut view);
            return;
        }
        // In one go: a crash must neither lose it nor send it twice.
        self.peers.ledger.begin_effects(0, true);
        self.publish(&mut view);
        let _ = self.store_session(slot);
        let _ = self.peers.ledger.end_effects(self.peers.now, Then::Nothing);
    }

    /// Discards a session and all that belongs to it [MQTT-4.1.0-2] [MQTT-3.1.2-4]; what it
    /// published as retained does not [MQTT3-3.1.2-7].
    pub(super) fn end_session(&mut self, slot: u32) {
        self.publish_will(slot);
        let Some(mut session) = self.take_session(slot) else { return };
        let member = session.key;
        let groups = self.take_share(&mut session);
        let Some(durable) = session.durable.take() else {
            for pending in groups {
                self.give_back(member, pending, None);
            }
            return;
        };
        self.peers.ledger.forget_asking(durable.id);
        self.peers.ledger.note_end(session.publisher);
        if groups.is_empty() && !durable.tail.is_wanted_back() {
            self.peers.ledger.push(StoreOp::EndSession { session: durable.id }, 0);
            return;
        }
        // It stays in the store until then, but nobody resumes it.
        let record = SessionRecord {
            client_id: session.client_id,
            expiry_s: 0,
            left_at_wall_ms: Some(self.peers.now.wall_ms),
            will: None,
        };
        let put = StoreOp::PutSession { session: durable.id, record: Box::new(record) };
        self.peers.ledger.push(put, 0);
        self.start_ending(member, &durable, groups);
    }

    /// Takes a session out of everything that knows it.
    pub(super) fn take_session(&mut self, slot: u32) -> Option<Box<Session>> {
        let session = self.peers.sessions.get_mut(slot)?;
        let subscriptions = std::mem::take(&mut session.subscriptions);
        let shared = std::mem::take(&mut session.shared);
        let stats = &mut self.peers.stats;
        stats.sessions -= 1;
        stats.subscriptions -= (subscriptions.len() + shared.len()) as u64;
        stats.subscriptions_shared -= shared.len() as u64;
        for filter in subscriptions {
            self.forget_subscription(filter, slot);
        }
        let session = self.peers.remove_session(slot)?;
        for filter in shared {
            self.leave_group(filter, session.key);
        }
        Some(session)
    }

    /// What share groups gave to a session that has ended and is in memory: it goes to other
    /// members. Everything else ends with the session.
    pub(super) fn take_share(&mut self, session: &mut Session) -> Vec<Pending> {
        let mut groups: Vec<Pending> = Vec::new();
        // [MQTT-4.8.2-5] A QoS 2 message that was sent belongs to this session alone.
        for (_, qos, kept) in session.outgoing.drain() {
            if let Some(pending) = kept.flatten() {
                if let Written::Nothing(Some(promise)) = pending.place.written {
                    self.peers.ledger.release(promise, false);
                }
                if qos == Qos::AtLeastOnce || !pending.place.sent {
                    groups.push(*pending);
                }
            }
        }
        if let Some(mut queue) = session.queue.take() {
            groups.extend(queue.take());
        }
        groups.retain(|pending| pending.terms.group.is_some());
        groups
    }

    /// A share group's message goes to another member, unless it has expired; `receipt` is given
    /// when it is safe there.
    pub(super) fn give_back(
        &mut self,
        member: SessionKey,
        pending: Pending,
        receipt: Option<Receipt>,
    ) {
        let Some(group) = pending.terms.group else { return };
        // [MQTT-3.3.2-5] The next member has not been sent anything yet.
        if pending.message.expires_at_ms <= self.peers.now.mono_ms {
            self.peers.drop_message(Drop::Expired, None);
            if let Some(Receipt { promise, .. }) = receipt {
                self.peers.ledger.release(promise, false);
            }
        } else {
            self.return_to_group(group, pending.message, member, receipt);
        }
    }
}

/// The reason code that tells the peer.
fn reason_of(cause: Cause) -> Option<ReasonCode> {
    match cause {
        Cause::Malformed(error) => Some(error.reason()),
        Cause::Violation(violation) => Some(violation.reason()),
        Cause::ByServer(reason) => Some(reason),
        Cause::ByClient(_) | Cause::Transport(_) | Cause::ConnectTimeout => None,
    }
}

/// The nearest reason that a 3.x CONNACK can carry.
fn in_v3(reason: ReasonCode) -> ReasonCode {
    match reason {
        known if known.connack_v3().is_some() => known,
        ReasonCode::BadAuthenticationMethod | ReasonCode::Banned => ReasonCode::NotAuthorized,
        _ => ReasonCode::ServerUnavailable,
    }
}
