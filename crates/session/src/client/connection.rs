//! One network connection of a client: its phase, its timers, and what to write when it ends.
//! The commands and the packets stand in the files beside this one. Must not know transports.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use martlet_proto::{Disconnect, Packet, PacketId, PacketType, ReasonCode, Sender, Version};

use super::acknowledge::Acknowledgements;
use super::authenticate::Authentication;
use super::error::{DisconnectError, End, Violation};
use super::event::Event;
use super::handshake::{Asked, is_text};
use super::keep_alive::KeepAlive;
use super::limits::ServerLimits;
use super::reader::Reader;
use super::session::ClientSession;
use crate::alias::{InboundAliases, OutboundAliases};

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// CONNECT is sent; CONNACK is awaited.
    Connecting,
    /// CONNACK with success came.
    Open,
    /// Over: nothing is sent or read any more.
    Closed,
}

/// How a client wants to work, apart from what its CONNECT says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionOptions {
    /// QoS 1 and 2 messages are acknowledged by
    /// [`ClientConnection::acknowledge`] and not on receipt. Off by default.
    pub manual_acks: bool,
    /// Topics are replaced by aliases where the server allows it. On by default.
    pub topic_aliases: bool,
    /// How long to wait for each answer during the handshake; 30 s by default.
    pub connack_timeout_ms: u64,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self { manual_acks: false, topic_aliases: true, connack_timeout_ms: 30_000 }
    }
}

/// The client's side of one network connection. Made by [`ClientConnection::open`].
#[derive(Debug)]
pub struct ClientConnection {
    pub(super) version: Version,
    pub(super) phase: Phase,
    end: Option<End>,
    pub(super) options: ConnectionOptions,
    pub(super) asked: Asked,
    pub(super) limits: ServerLimits,
    pub(super) authentication: Authentication,
    pub(super) keep_alive: KeepAlive,
    pub(super) connack_due_ms: u64,
    pub(super) reader: Reader,
    // Both made anew with each connection. [MQTT-3.3.2-7]
    pub(super) inbound: InboundAliases,
    pub(super) outbound: OutboundAliases,
    /// Unacknowledged messages of an earlier connection that wait for quota.
    pub(super) resend: VecDeque<PacketId>,
    pub(super) acknowledgements: Acknowledgements,
}

impl ClientConnection {
    pub(super) fn new(
        now_ms: u64,
        version: Version,
        asked: Asked,
        authentication: Authentication,
        options: ConnectionOptions,
    ) -> Self {
        Self {
            version,
            phase: Phase::Connecting,
            end: None,
            limits: ServerLimits::unlimited(),
            authentication,
            keep_alive: KeepAlive::new(now_ms),
            connack_due_ms: now_ms.saturating_add(options.connack_timeout_ms),
            reader: Reader::new(asked.packet_size_max),
            inbound: InboundAliases::new(asked.topic_alias_max),
            outbound: OutboundAliases::new(0),
            resend: VecDeque::new(),
            acknowledgements: Acknowledgements::new(asked.receive_max),
            options,
            asked,
        }
    }

    /// Where the connection stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Why the connection is over, once it is.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// The version of the protocol on this connection.
    pub fn version(&self) -> Version {
        self.version
    }

    /// What the server allows; before CONNACK, what the protocol allows.
    pub fn limits(&self) -> &ServerLimits {
        &self.limits
    }

    /// The keep alive in force, in seconds; 0 for none, and before CONNACK.
    pub fn keep_alive_s(&self) -> u16 {
        self.keep_alive.period_s()
    }

    /// When [`ClientConnection::tick`] is due, if at all.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        match self.phase {
            Phase::Connecting => Some(self.connack_due_ms),
            Phase::Open => {
                let ping_due = self.keep_alive.ping_due_ms()?;
                Some(self.keep_alive.give_up_ms().map_or(ping_due, |due| due.min(ping_due)))
            }
            Phase::Closed => None,
        }
    }

    /// Does what is due by now: a PINGREQ, or giving the server up. May be called at any time.
    ///
    /// # Errors
    /// The [`End`] of the connection.
    pub fn tick(&mut self, now_ms: u64, out: &mut Vec<u8>) -> Result<(), End> {
        match self.phase {
            Phase::Connecting if now_ms >= self.connack_due_ms => {
                Err(self.finish(End::ConnAckTimeout))
            }
            Phase::Open => {
                if self.keep_alive.give_up_ms().is_some_and(|due| now_ms >= due) {
                    return Err(self.finish(End::KeepAliveTimeout));
                }
                if self.keep_alive.ping_due_ms().is_some_and(|due| now_ms >= due) {
                    Packet::PingReq.put(self.version, out); // [MQTT-3.1.2-20] [MQTT3-3.1.2-23]
                    self.keep_alive.pinged(now_ms);
                }
                Ok(())
            }
            Phase::Connecting => Ok(()),
            Phase::Closed => Err(self.ended()),
        }
    }

    /// Says goodbye. With version 5 the DISCONNECT carries what `disconnect` says; a reason
    /// string and user properties that the server's Maximum Packet Size does not allow are left
    /// out. Earlier versions have only the normal goodbye: any other reason closes without a
    /// packet, so that the server publishes the will.
    ///
    /// Afterwards the caller writes `out` and closes the transport.
    ///
    /// # Errors
    /// When the connection is over, or `disconnect` is nothing that a client may send.
    pub fn disconnect(
        &mut self,
        session: &mut ClientSession,
        disconnect: &Disconnect<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), DisconnectError> {
        if self.phase == Phase::Closed {
            return Err(DisconnectError::NotConnected);
        }
        // [MQTT-3.14.2-1]
        if !disconnect.reason.allowed_from(PacketType::Disconnect, Sender::Client) {
            return Err(DisconnectError::ReasonNotAllowed);
        }
        if !disconnect.reason_string.is_none_or(is_text)
            || !disconnect
                .user_properties
                .iter()
                .all(|(name, value)| is_text(name) && is_text(value))
        {
            return Err(DisconnectError::InvalidField);
        }
        if let Some(expiry_s) = disconnect.session_expiry_s
            && self.version.is_v5()
        {
            if expiry_s > 0 && self.asked.session_expiry_s == 0 {
                return Err(DisconnectError::SessionExpiryNotAllowed);
            }
            if self.phase == Phase::Open {
                session.ends_with_connection = expiry_s == 0;
            }
        }
        if self.version.is_v5() {
            self.put_disconnect(disconnect, out);
        } else if disconnect.reason == ReasonCode::NormalDisconnection {
            disconnect.put(self.version, out);
        }
        // Also the way out of a re-authentication that failed. [MQTT-4.12.1-2]
        // Nothing is sent from here on. [MQTT-3.14.4-1] [MQTT-3.14.4-2] [MQTT3-3.14.4-1]
        // [MQTT3-3.14.4-2]
        self.finish(End::Disconnected);
        Ok(())
    }

    /// The transport is closed, by whichever side. Ends the session if it was to end with the
    /// connection: what was unacknowledged is reported as discarded.
    pub fn transport_closed(
        self,
        session: &mut ClientSession,
        mut on_event: impl FnMut(Event<'_>),
    ) {
        // [MQTT-3.1.2-23] [MQTT3-3.1.2-4] [MQTT3-3.1.2-6] [MQTT-4.1.0-1] [MQTT3-4.1.0-1]
        // [MQTT3-4.1.0-2]
        if session.ends_with_connection {
            session.discard(&mut on_event);
        }
    }

    /// Why the connection is over; it must be.
    pub(super) fn ended(&self) -> End {
        self.end.unwrap_or(End::Disconnected)
    }

    /// The connection is over.
    pub(super) fn finish(&mut self, end: End) -> End {
        self.phase = Phase::Closed;
        self.end = Some(end);
        end
    }

    /// The connection is over; a server of version 5 is told why when it is to blame.
    pub(super) fn abort(&mut self, end: End, out: &mut Vec<u8>) -> End {
        // [MQTT-3.1.2-30] [MQTT-4.13.2-1] [MQTT3-4.8.0-1] [MQTT3-4.8.0-2]
        if self.version.is_v5() {
            let reason = match end {
                End::Violation(violation) => Some(violation.reason()),
                End::PacketSizeMaxTooSmall => Some(ReasonCode::ImplementationSpecificError),
                _ => None,
            };
            if let Some(reason) = reason {
                // [MQTT-3.14.2-1]
                let allowed = reason.allowed_from(PacketType::Disconnect, Sender::Client);
                let reason = if allowed { reason } else { ReasonCode::ProtocolError };
                self.put_disconnect(&Disconnect::new(reason), out);
            }
        }
        self.finish(end)
    }

    /// Writes a DISCONNECT in the longest form that the server accepts.
    fn put_disconnect(&self, disconnect: &Disconnect<'_>, out: &mut Vec<u8>) {
        let mut disconnect = Disconnect { server_reference: None, ..*disconnect };
        if !self.limits.fits(disconnect.encoded_len(self.version)) {
            // [MQTT-3.14.2-3] [MQTT-3.14.2-4]
            disconnect = Disconnect {
                session_expiry_s: disconnect.session_expiry_s,
                ..Disconnect::new(disconnect.reason)
            };
        }
        if self.limits.fits(disconnect.encoded_len(self.version)) {
            disconnect.put(self.version, out);
        }
    }

    /// Passes problem information on only where it was not declined.
    pub(super) fn check_problem_information(
        &self,
        packet: PacketType,
        reason_string: Option<&str>,
        has_user_properties: bool,
    ) -> Result<(), Violation> {
        // [MQTT-3.1.2-29]
        if self.asked.problem_information || (reason_string.is_none() && !has_user_properties) {
            return Ok(());
        }
        Err(Violation::ProblemInformationUnrequested(packet))
    }
}
