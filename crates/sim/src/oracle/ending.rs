//! The ends of connections: whether the broker had a reason, and whether it said it. Must not know
//! what becomes of the session.

use martlet_engine::{Cause, TransportEnd};
use martlet_proto::ReasonCode;

use super::{Book, Credentials};
use crate::wire::{ClientEnd, Wire};

impl Book {
    /// Whether a well-behaved client's connection may end for this cause.
    pub(super) fn judge_end(&mut self, wire: usize, cause: Cause) {
        let Some(record) = self.wires.get(&wire) else { return };
        let justified = match cause {
            Cause::ByClient(reason) => record.disconnect.is_some_and(|sent| sent.reason == reason),
            Cause::ByServer(ReasonCode::SessionTakenOver) => record.contested,
            Cause::ByServer(ReasonCode::ServerShuttingDown) => self.shutting_down,
            // Judged against the wire by the caller, which knows what was read when.
            Cause::ByServer(ReasonCode::KeepAliveTimeout) => record.keep_alive_s > 0,
            Cause::ByServer(ReasonCode::NotAuthorized) => {
                record.connect.credentials == Credentials::Bad
            }
            Cause::Transport(_) => true,
            // Nobody can tell such a publisher that a queue is full.
            Cause::ByServer(ReasonCode::QuotaExceeded) => {
                !self.clients[record.client].version.is_v5() && self.refuses_when_full()
            }
            Cause::ByServer(_) | Cause::Malformed(_) | Cause::Violation(_) => false,
            Cause::ConnectTimeout => false,
        };
        if !justified {
            let id = &self.clients[record.client].id;
            let text = format!("{id} over wire {wire} is ended without reason: {cause}");
            self.fail("ending", text);
        }
    }

    /// A connection ended before it was let in.
    pub(super) fn on_refused(&mut self, wire: usize, cause: Cause) {
        let Some(record) = self.wires.get_mut(&wire) else { return };
        record.ended = Some(cause);
        let opened = record.opened;
        let refusable = matches!(cause, Cause::ByServer(reason) if self.may_refuse(opened, reason));
        let Some(record) = self.wires.get(&wire) else { return };
        let limit_ms = self.limits.connect_timeout_ms;
        let justified = match cause {
            Cause::ByServer(ReasonCode::NotAuthorized) => {
                record.connect.credentials == Credentials::Bad
            }
            Cause::ByServer(ReasonCode::ServerShuttingDown) => self.shutting_down,
            Cause::ByClient(_) => record.disconnect.is_some(),
            // What it asks for could not be made durable.
            Cause::ByServer(_) if refusable => true,
            Cause::Transport(_) => true,
            Cause::ConnectTimeout => self.now_ms >= record.opened_ms + limit_ms,
            _ => false,
        };
        if !justified {
            let id = &self.clients[record.client].id;
            let text = format!("{id} over wire {wire} is refused without reason: {cause}");
            self.fail("ending", text);
        }
    }

    /// The transport's side of what the log said: what the broker claims must be what happened
    /// there.
    pub fn check_end(&mut self, number: usize, wire: &Wire) {
        let Some(record) = self.wires.get(&number) else { return };
        let Some(cause) = record.ended else { return };
        let claimed = match cause {
            Cause::Transport(TransportEnd::Eof) => wire.client_end == Some(ClientEnd::Fin),
            Cause::Transport(_) => wire.client_end.is_some(),
            Cause::ByClient(_) => record.disconnect.is_some_and(|sent| sent.offset <= wire.read),
            Cause::ConnectTimeout => {
                // The time for answers in an enhanced authentication is limited in the same way.
                record.connect.enhanced
                    || wire.read < record.connect_offset
                    || wire.heard_ms == 0
                    || {
                        // The CONNECT came, but too late.
                        wire.heard_ms >= record.opened_ms + self.limits.connect_timeout_ms
                    }
            }
            // [MQTT-3.1.2-22] [MQTT3-3.1.2-24]
            Cause::ByServer(ReasonCode::KeepAliveTimeout) => {
                let silence_ms = self.now_ms.saturating_sub(wire.heard_ms);
                silence_ms >= u64::from(record.keep_alive_s) * 1500
            }
            _ => true,
        };
        if !claimed {
            let id = &self.clients[record.client].id;
            let text =
                format!("{id} over wire {number}: {cause}, but {wire:?}, now {}", self.now_ms);
            self.fail("ending", text);
        }
    }

    /// The broker had nothing else to do and has not ended a connection that fell silent.
    pub fn check_silence(&mut self, number: usize, wire: &Wire) {
        let Some(record) = self.wires.get(&number) else { return };
        let (Some(connected_ms), None) = (record.connected_ms, record.ended) else { return };
        let limit_ms = u64::from(record.keep_alive_s) * 1500;
        // What was not read could not be heard.
        let heard_ms = wire.heard_ms.max(connected_ms).max(wire.paused_ms);
        // [MQTT-3.1.2-22] [MQTT3-3.1.2-24]
        if limit_ms > 0 && !wire.paused && self.now_ms > heard_ms + limit_ms {
            let id = &self.clients[record.client].id;
            let text = format!("{id} over wire {number} was silent since {heard_ms} ms and lives");
            self.fail("ending", text);
        }
    }

    /// A client reads the end of a connection; `said` is the reason in the last packet, if that was
    /// a DISCONNECT or a CONNACK with an error.
    pub fn end_was_read(&mut self, number: usize, wire: &Wire, said: Option<ReasonCode>) {
        let Some(record) = self.wires.get(&number) else { return };
        let client = &self.clients[record.client];
        let Some(Cause::ByServer(reason)) = record.ended else { return };
        // [MQTT-3.1.4-3] [MQTT-3.1.2-22] [MQTT-4.13.2-1]
        let listens = wire.client_end.is_none() && !wire.truncated;
        let expected = client.version.is_v5() && record.confirmed;
        if expected && listens && said != Some(reason) {
            let text = format!("{} was not told {reason:?} but {said:?}", client.id);
            self.fail("ending", text);
        }
    }
}
