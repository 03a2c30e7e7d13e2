//! Acknowledging what the server publishes: on receipt, or when the application says so, but
//! always in the order of receipt. Counts against the client's own Receive Maximum.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use martlet_proto::{Ack, Packet, PacketId, PacketType, Qos, ReasonCode, Sender};

use super::connection::{ClientConnection, Phase};
use super::error::{AckError, Violation};
use super::session::ClientSession;

/// A message that the application has and has not acknowledged, or one that is acknowledged but
/// stands behind such a one.
#[derive(Debug)]
struct Pending {
    id: PacketId,
    qos: Qos,
    /// What to answer, once that is known.
    answer: Option<ReasonCode>,
}

/// The acknowledgements of one connection that are still owed.
#[derive(Debug)]
pub(super) struct Acknowledgements {
    /// In order of receipt.
    pending: VecDeque<Pending>,
    /// QoS 1 and 2 messages of this connection whose flow is not over.
    open: u32,
    receive_max: u16,
}

impl Acknowledgements {
    pub(super) const fn new(receive_max: u16) -> Self {
        Self { pending: VecDeque::new(), open: 0, receive_max }
    }

    /// A new QoS 1 or 2 message came.
    pub(super) fn opened(&mut self) -> Result<(), Violation> {
        // [MQTT-3.3.4-9]
        if self.open >= u32::from(self.receive_max) {
            return Err(Violation::ReceiveMaximumExceeded);
        }
        self.open += 1;
        Ok(())
    }

    /// A flow is over. It may have begun on an earlier connection and never have been counted.
    pub(super) fn closed(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    pub(super) fn awaits_application(&self, id: PacketId) -> bool {
        self.pending.iter().any(|pending| pending.id == id && pending.answer.is_none())
    }

    pub(super) fn push(&mut self, id: PacketId, qos: Qos, answer: Option<ReasonCode>) {
        self.pending.push_back(Pending { id, qos, answer });
    }
}

impl ClientConnection {
    /// Acknowledges a received message, in any order: what stands behind an unacknowledged
    /// message is held back until that one is acknowledged, since the order on the wire is the
    /// order of receipt. Taking longer than the server's patience costs nothing else: PINGREQ,
    /// PUBREL and the client's own messages do not wait for it.
    ///
    /// An error reason refuses the message (version 5; earlier versions cannot refuse, there the
    /// message counts as accepted).
    ///
    /// # Errors
    /// When the connection is not open, no such message waits, or the reason is none for PUBACK
    /// (QoS 1) or PUBREC (QoS 2).
    pub fn acknowledge(
        &mut self,
        now_ms: u64,
        session: &mut ClientSession,
        id: PacketId,
        reason: ReasonCode,
        out: &mut Vec<u8>,
    ) -> Result<(), AckError> {
        if self.phase != Phase::Open {
            return Err(AckError::NotConnected);
        }
        let pending = self.acknowledgements.pending.iter_mut();
        let Some(pending) = pending.filter(|it| it.answer.is_none()).find(|it| it.id == id) else {
            return Err(AckError::NotPending);
        };
        let packet = match pending.qos {
            Qos::ExactlyOnce => PacketType::PubRec,
            Qos::AtMostOnce | Qos::AtLeastOnce => PacketType::PubAck,
        };
        // [MQTT-3.4.2-1] [MQTT-3.5.2-1]
        if !reason.allowed_from(packet, Sender::Client) {
            return Err(AckError::ReasonNotAllowed);
        }
        pending.answer = Some(reason);
        if self.put_answers(session, out) {
            self.keep_alive.sent(now_ms);
        }
        Ok(())
    }

    /// Writes the answers that nothing unanswered stands before.
    // [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT3-4.6.0-2] [MQTT3-4.6.0-3]
    pub(super) fn put_answers(&mut self, session: &mut ClientSession, out: &mut Vec<u8>) -> bool {
        let before = out.len();
        while let Some(&Pending { id, qos, answer: Some(reason) }) =
            self.acknowledgements.pending.front()
        {
            self.acknowledgements.pending.pop_front();
            if qos == Qos::AtLeastOnce {
                self.put_puback(id, reason, out);
            } else {
                let refused = reason.is_error() && self.version.is_v5();
                if refused {
                    session.received.refuse(id); // [MQTT-4.3.3-9]
                    self.acknowledgements.closed();
                } else {
                    session.received.publish(id); // [MQTT-4.3.3-10]
                }
                self.put_pubrec(id, reason, out);
            }
        }
        out.len() > before
    }

    pub(super) fn put_puback(&mut self, id: PacketId, reason: ReasonCode, out: &mut Vec<u8>) {
        // The identifier is free from here on. [MQTT-4.3.2-4] [MQTT-4.3.2-5] [MQTT3-4.3.2-2]
        Packet::PubAck(ack(id, reason)).put(self.version, out);
        self.acknowledgements.closed();
    }

    pub(super) fn put_pubrec(&self, id: PacketId, reason: ReasonCode, out: &mut Vec<u8>) {
        Packet::PubRec(ack(id, reason)).put(self.version, out); // [MQTT-4.3.3-8] [MQTT3-4.3.3-2]
    }
}

/// An acknowledgement, always without a reason string and user properties: it fits whatever the
/// server's Maximum Packet Size is.
// [MQTT-2.2.1-5] [MQTT3-2.3.1-6]
// [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3]
// [MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3]
pub(super) fn ack(id: PacketId, reason: ReasonCode) -> Ack<'static> {
    Ack::new(id, reason)
}
