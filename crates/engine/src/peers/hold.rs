//! Answers that a connection holds back until the store has what they promise, in the order in
//! which they are due. Must not know what is stored.

use std::collections::VecDeque;

use martlet_proto::{
    Ack, Packet, PacketId, PacketType, ReasonCode, ReasonProperties, UnsubAck, Version,
};

use super::Peers;
use crate::ids::ConnId;
use crate::ledger::Then;
use crate::store::StoreToken;

/// The answers of one connection that wait.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Number of the first.
    first: u64,
    answers: VecDeque<HeldAnswer>,
    /// Bytes of the messages that they answer.
    bytes: usize,
    /// The connection is not read because of them.
    stalls: bool,
}

/// An answer that is worth waiting for.
#[derive(Debug)]
pub(crate) enum Answer {
    /// PUBACK, PUBREC, PUBREL or PUBCOMP.
    Ack(PacketType, PacketId, ReasonCode),
    /// UNSUBACK with its codes.
    UnsubAck(PacketId, Vec<u8>),
}

impl Answer {
    fn put(&self, version: Version, out: &mut Vec<u8>) {
        match self {
            Self::Ack(packet, id, reason) => Ack::new(*id, *reason).put(*packet, version, out),
            Self::UnsubAck(packet_id, codes) => {
                let properties = ReasonProperties::default();
                let ack = UnsubAck { packet_id: *packet_id, properties, codes };
                Packet::UnsubAck(ack).put(version, out);
            }
        }
    }
}

#[derive(Debug)]
struct HeldAnswer {
    answer: Answer,
    is_ready: bool,
    /// Bytes of the message that it answers: somewhere they wait for the store.
    bytes: usize,
}

impl Held {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn stalls(&self) -> bool {
        self.stalls
    }
}

impl Peers {
    /// Whether answers of a connection wait, so that later ones have to wait behind them
    /// [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT3-4.6.0-2] [MQTT3-4.6.0-3].
    #[inline]
    pub(crate) fn holds(&self, id: ConnId) -> bool {
        self.conns.get(id).is_some_and(|conn| conn.held.is_some())
    }

    /// Holds an answer to a message of so many bytes back. What is to be done when it may go.
    pub(crate) fn hold(&mut self, id: ConnId, answer: Answer, bytes: usize) -> Option<(u32, u64)> {
        let limits = &self.limits;
        let conn = self.conns.get_mut(id)?;
        let held = conn.held.get_or_insert_default();
        held.answers.push_back(HeldAnswer { answer, is_ready: false, bytes });
        held.bytes += bytes;
        self.held_bytes += bytes;
        let number = held.first + held.answers.len() as u64 - 1;
        let many = held.answers.len() >= limits.held_max;
        // What went to other shards is only known here.
        let unstored = self.ledger.open_bytes().max(self.held_bytes);
        if (many || unstored > limits.unstored_bytes_max) && !held.stalls {
            held.stalls = true;
            if !conn.paused {
                conn.paused = true;
                conn.took_at_ms = self.now.mono_ms;
                self.pause.push(id);
            }
        }
        Some((conn.serial, number))
    }

    /// A connection ends: nobody waits for its answers any more.
    pub(crate) fn forget_held(&mut self, id: ConnId) {
        if let Some(held) = self.conns.get_mut(id).and_then(|conn| conn.held.take()) {
            self.held_bytes -= held.bytes();
        }
    }

    /// Holds an answer back until a batch is durable; without one, until everything asked of the
    /// store so far is. Sends it at once when that is so.
    pub(crate) fn hold_until(&mut self, id: ConnId, answer: Answer, token: Option<StoreToken>) {
        let Some((serial, number)) = self.hold(id, answer, 0) else { return };
        let then = Then::Answer { conn: id, serial, number };
        let waits = match token {
            Some(token) => self.ledger.promise_on(token, then),
            None => self.ledger.promise_on_all(then),
        };
        if !waits {
            self.answer(id, serial, number, None);
        }
    }

    /// A held answer may go, perhaps with another reason; it does when all before it have.
    pub(crate) fn answer(
        &mut self,
        id: ConnId,
        serial: u32,
        number: u64,
        reason: Option<ReasonCode>,
    ) {
        let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.serial == serial) else {
            return;
        };
        let Some(held) = &mut conn.held else { return };
        let Some(at) = number.checked_sub(held.first) else { return };
        let Some(waiting) = held.answers.get_mut(at as usize) else { return };
        waiting.is_ready = true;
        if let (Answer::Ack(_, _, known), Some(reason)) = (&mut waiting.answer, reason) {
            *known = reason;
        }
        if at == 0 {
            self.release_held(id);
        }
    }

    /// Sends what may go, and reads the connection again when little is left.
    fn release_held(&mut self, id: ConnId) {
        loop {
            let Some(conn) = self.conns.get_mut(id) else { return };
            let Some(held) = &mut conn.held else { return };
            let Some(ready) = held.answers.pop_front_if(|waiting| waiting.is_ready) else { break };
            let HeldAnswer { answer, bytes, .. } = ready;
            held.first += 1;
            held.bytes -= bytes;
            self.held_bytes -= bytes;
            self.send(id, |version, out| answer.put(version, out));
        }
        let (half, low) = (self.limits.held_max / 2, self.limits.outbox_low_bytes);
        let Some(conn) = self.conns.get_mut(id) else { return };
        let Some(held) = &mut conn.held else { return };
        let is_empty = held.answers.is_empty();
        let stalls_on = held.stalls && !is_empty && {
            let unstored = self.ledger.open_bytes().max(self.held_bytes);
            let crowded = unstored > self.limits.unstored_bytes_max;
            crowded || held.answers.len() > half
        };
        let resumes = held.stalls && !stalls_on;
        held.stalls = stalls_on;
        if is_empty {
            conn.held = None;
        }
        if resumes && conn.paused && !conn.is_held() && conn.outbox_len() < low {
            conn.paused = false;
            self.resume.push(id);
        }
    }
}
