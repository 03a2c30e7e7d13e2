//! What a crash of a durable broker may take, and what it may not: sessions with a CONNACK, their
//! expiry and their wills come back; what ended for certain does not. Must not know messages beyond
//! wills, nor how a store works: it is told what came back.

use martlet_engine::store::{RestoredSession, SessionId};
use martlet_engine::{Cause, TransportEnd};
use martlet_proto::Qos;

use super::wills::Fate;
use super::{Book, Kind, NEVER, payload_id};
use crate::crash::Wreck;
use crate::store::flights;
use crate::world::book_ms;

/// A new broker ends no session and publishes no will before it has served so long.
const GRACE_MS: u64 = 2_000;

/// A message that was in flight to a session when it was restored.
#[derive(Debug, Clone, Copy)]
pub struct Flight {
    /// Which, unless only its PUBREL is left.
    pub message: Option<u32>,
    /// Under which packet identifier.
    pub packet_id: u16,
}

impl Book {
    /// The broker gives a new session to the store.
    pub fn born(&mut self, id: SessionId, client: &str) {
        // Evil clients are not in the book.
        let Some(client) = self.clients.iter().position(|known| known.id == client) else { return };
        let mut sessions = self.sessions.iter_mut();
        let nameless = sessions.find(|session| {
            session.client == client && session.durable && !session.past && session.id.is_none()
        });
        match nameless {
            Some(session) => session.id = Some(id),
            None => {
                let text = format!("{}: {id:?} is nobody's session", self.clients[client].id);
                self.fail("sessions", text);
            }
        }
    }

    /// The broker has died, and another one is about to begin with what came back.
    pub(crate) fn crashed(&mut self, wreck: &Wreck) {
        let step = self.step;
        self.crashes.push(step);
        for record in self.wires.values_mut().filter(|record| record.ended.is_none()) {
            record.ended = Some(Cause::Transport(TransportEnd::Error));
            record.transport_ended = record.transport_ended.min(step);
            record.transport_ended_ms = record.transport_ended_ms.min(wreck.died_ms);
        }
        for id in std::mem::take(&mut self.unsettled) {
            let message = &mut self.messages[id as usize];
            // Nobody was promised a will or a message with QoS 0.
            match message.qos == Qos::AtMostOnce || message.kind == Kind::Will {
                true => message.shaken = true,
                false => {
                    message.settled = message.acked;
                    message.over = message.over.min(step);
                }
            }
        }
        for client in 0..self.clients.len() {
            self.come_back(client, wreck);
        }
        let messages = &self.messages;
        for session in &mut self.sessions {
            session.drained = 0;
            session.live.retain(|_, id| messages[*id as usize].is_certain());
        }
    }

    /// What came back of one client's session.
    fn come_back(&mut self, client: usize, wreck: &Wreck) {
        let name = self.clients[client].id.clone();
        let of_client = wreck.sessions.iter().filter(|s| *s.record.client_id == *name);
        // With an interval of 0 it ended with its connection, and nobody finds it any more.
        let (over, mut found): (Vec<_>, Vec<_>) =
            of_client.partition(|survivor| survivor.record.expiry_s == 0);
        let survivor = found.pop();
        if !found.is_empty() {
            return self.fail("sessions", format!("two sessions of {name} come back"));
        }
        let at = survivor.map(|survivor| {
            self.sessions.iter().position(|session| session.id == Some(survivor.session))
        });
        let survivor = match (survivor, at) {
            (Some(survivor), Some(Some(at))) => Some((at, survivor)),
            (Some(stranger), _) => {
                return self.fail("sessions", format!("nobody knows {stranger:?}"));
            }
            _ => None,
        };
        self.check_lost(client, survivor.map(|(at, _)| at), wreck);
        if let Some((at, survivor)) = survivor {
            self.check_back(client, at, survivor, wreck);
        }
        self.wills_after_crash(client, survivor, &over, wreck);
        self.settle_sessions(client, survivor, wreck.died_ms);
    }

    /// A session that must be there is.
    fn check_lost(&mut self, client: usize, survivor: Option<usize>, wreck: &Wreck) {
        let known = &self.clients[client];
        let Some(current) = known.session.filter(|current| survivor != Some(*current)) else {
            return;
        };
        let session = &self.sessions[current];
        let promised = session.confirmed != NEVER || wreck.whole && session.id.is_some();
        // The connection was not told that it shall end with it.
        if session.durable && promised && wreck.died_ms < known.expires_at_ms {
            let text = format!(
                "{}: session {current} is lost, {survivor:?} is there: {:?}",
                known.id, session.id
            );
            self.fail("sessions", text);
        }
    }

    /// A session that must not be there is not; one that is there has its expiry.
    fn check_back(&mut self, client: usize, at: usize, back: &RestoredSession, wreck: &Wreck) {
        let known = &self.clients[client];
        let later = self.sessions.iter().skip(at + 1);
        let replaced = later.filter(|s| s.client == client).any(|s| s.confirmed != NEVER);
        let has_ended = self.sessions[at].died.is_some();
        if replaced || has_ended && wreck.whole {
            let text = format!("{}: session {at} has ended and comes back", known.id);
            return self.fail("sessions", text);
        }
        if known.session != Some(at) {
            return;
        }
        let record = &back.record;
        let left_ms = record.left_at_wall_ms.map(book_ms);
        let expected = match known.connected.and_then(|wire| self.wires.get(&wire)) {
            Some(wire) if wire.confirmed || wreck.whole => {
                left_ms.is_none() && record.expiry_s == wire.connect.expiry_s
            }
            // Whenever that was: it is counted from the beginning of this broker.
            None if known.unwritten && left_ms.is_none() => true,
            None if wreck.whole => {
                let left_ms = left_ms.unwrap_or(self.now_ms);
                expires_at_ms(left_ms, record.expiry_s) == known.expires_at_ms
            }
            _ => true,
        };
        if !expected {
            let text =
                format!("{}: session {at} comes back with {record:?}, it had {known:?}", known.id);
            self.fail("sessions", text);
        }
    }

    /// From now on the client has what came back, and no connection.
    fn settle_sessions(
        &mut self,
        client: usize,
        survivor: Option<(usize, &RestoredSession)>,
        died_ms: u64,
    ) {
        let (step, now_ms) = (self.step, self.now_ms);
        let has_expired = died_ms >= self.clients[client].expires_at_ms;
        let current = self.clients[client].session;
        for (number, session) in self.sessions.iter_mut().enumerate() {
            if session.client != client {
                continue;
            }
            let Some((_, back)) = survivor.filter(|(at, _)| *at == number) else {
                session.id = None;
                session.past = true;
                session.lost |= current == Some(number) && !has_expired;
                if current == Some(number) {
                    session.died = Some(step);
                }
                continue;
            };
            if let Some(died) = session.died.take() {
                session.gaps.push((died, step));
                session.over_again = current;
            }
            if has_expired {
                // It may have ended at any time.
                session.gaps.push((0, step));
            }
            session.durable = true;
            (session.came_back, session.first_wire) = (true, None);
            session.flights = flights(back)
                .map(|(payload, packet_id, _)| Flight { message: payload_id(payload), packet_id })
                .collect();
        }
        let known = &mut self.clients[client];
        known.connected = None;
        known.session = survivor.map(|(at, _)| at);
        if let Some((_, back)) = survivor {
            let left_ms = back.record.left_at_wall_ms.map_or(now_ms, book_ms);
            known.expires_at_ms = expires_at_ms(left_ms, back.record.expiry_s);
            known.gone_at_ms = known.expires_at_ms.max(now_ms + GRACE_MS);
            known.unwritten = back.record.left_at_wall_ms.is_none();
        }
    }

    /// Wills that came back become due; the others are over.
    fn wills_after_crash(
        &mut self,
        client: usize,
        survivor: Option<(usize, &RestoredSession)>,
        over: &[&RestoredSession],
        wreck: &Wreck,
    ) {
        let all = over.iter().copied().chain(survivor.map(|(_, survivor)| survivor));
        let back = all.into_iter().find_map(|survivor| {
            let will = survivor.record.will.as_ref()?;
            let data = &will.message;
            let payload = &data.data[(data.topic_len + data.forward_len) as usize..];
            let left_ms = survivor.record.left_at_wall_ms.map_or(self.now_ms, book_ms);
            let delay_s = will.delay_s.min(survivor.record.expiry_s);
            Some((payload_id(payload)?, expires_at_ms(left_ms, delay_s)))
        });
        let is_there = survivor.is_some_and(|(at, _)| self.clients[client].session == Some(at));
        let wills = (0..self.wills.len()).filter(|i| self.wills[*i].client == client);
        for i in wills.collect::<Vec<_>>() {
            let will = &self.wills[i];
            let fault = match back.filter(|(message, _)| *message == will.message) {
                Some((_, due_ms)) => self.will_is_back(i, due_ms, wreck),
                None => self.will_is_gone(i, is_there, wreck),
            };
            if let Some(fault) = fault {
                let will = &self.wills[i];
                let text = format!("{fault}: {will:?}: {}", self.history(will.message));
                self.fail("wills", text);
            }
        }
    }

    fn will_is_back(&mut self, i: usize, due_ms: u64, wreck: &Wreck) -> Option<&'static str> {
        let (step, will) = (self.step, &self.wills[i]);
        let confirmed = |wire: usize| self.wires.get(&wire).is_some_and(|w| w.confirmed);
        let later = self.wills[i..].iter().skip(1).filter(|other| other.client == will.client);
        let replaced = later.map(|other| other.wire).any(confirmed);
        let message = &mut self.messages[will.message as usize];
        let fault = match will.fate {
            _ if replaced => Some("a will that a later connection replaced comes back"),
            Fate::Discarded if wreck.whole => Some("a discarded will comes back"),
            Fate::Published if wreck.whole => Some("a published will comes back"),
            _ => None,
        };
        let undone = match will.fate {
            Fate::Published | Fate::Either => true,
            Fate::Due(_) => will.earliest_ms <= wreck.died_ms,
            Fate::Armed | Fate::Discarded => false,
        };
        message.sends += u32::from(undone);
        message.sent = message.sent.min(step);
        (message.acked, message.settled, message.over) = (NEVER, NEVER, NEVER);
        self.wills[i].fate = Fate::Due(due_ms.max(self.now_ms + GRACE_MS));
        self.wills[i].earliest_ms = due_ms;
        self.wills[i].undone |= undone;
        fault
    }

    fn will_is_gone(&mut self, i: usize, is_there: bool, wreck: &Wreck) -> Option<&'static str> {
        let will = &self.wills[i];
        let confirmed = self.wires.get(&will.wire).is_some_and(|wire| wire.confirmed);
        let promised = is_there && (confirmed || wreck.whole);
        let (fate, fault) = match will.fate {
            Fate::Armed => {
                (Fate::Discarded, promised.then_some("the will of a connection is lost"))
            }
            Fate::Due(due_ms) if due_ms <= wreck.died_ms => (Fate::Either, None),
            Fate::Due(_) => (Fate::Either, promised.then_some("a delayed will is lost")),
            other => (other, None),
        };
        self.wills[i].fate = fate;
        fault
    }

    /// How many copies a crash excuses for this message: whoever heard of it at QoS 1 may hear
    /// again.
    pub(super) fn crashes_since(&self, id: u32) -> u32 {
        let sent = self.messages[id as usize].sent;
        self.crashes.iter().filter(|crash| **crash > sent).count() as u32
    }
}

fn expires_at_ms(left_ms: u64, expiry_s: u32) -> u64 {
    match expiry_s {
        u32::MAX => u64::MAX,
        seconds => left_ms + u64::from(seconds) * 1000,
    }
}
