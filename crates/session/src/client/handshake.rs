//! CONNECT and CONNACK: what may be asked, and what the answer means for connection and session.

use alloc::boxed::Box;
use alloc::vec::Vec;

use martlet_proto::{
    ConnAck, Connect, ForwardFields, ForwardProperties, PacketType, Version, Will, topic,
};

use super::authenticate::Authentication;
use super::connection::{ClientConnection, ConnectionOptions, Phase};
use super::error::{ConnectError, End, Violation};
use super::event::Event;
use super::limits::{PACKET_SIZE_MAX, ServerLimits};
use super::session::ClientSession;
use crate::alias::OutboundAliases;

/// The longest string and the longest binary data, in bytes.
const FIELD_MAX: usize = 65_535;

/// Whether a string can be sent. Rust's strings are UTF-8 without surrogates.
pub(super) fn is_text(text: &str) -> bool {
    // [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-1.5.7-1] [MQTT3-1.5.3-1] [MQTT3-1.5.3-2]
    text.len() <= FIELD_MAX && !text.as_bytes().contains(&0)
}

/// Whether forward properties that an application has built can be sent.
pub(super) fn is_well_formed(forward: &ForwardProperties<'_>) -> bool {
    if forward.is_empty() {
        return true;
    }
    // A value that is not well-formed is not given out, so the sum of what is given out tells.
    // [MQTT-1.5.4-2] [MQTT-1.5.7-1] [MQTT-3.3.2-13] [MQTT-3.3.2-19]
    let fields = ForwardFields {
        payload_format: forward.payload_format().filter(|format| *format <= 1),
        response_topic: forward.response_topic(),
        correlation_data: forward.correlation_data(),
        content_type: forward.content_type(),
        user_properties: &[],
    };
    fields.encoded_len() + forward.user_properties().encoded_len() == forward.encoded_len()
}

/// What the CONNECT of this connection asked for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) clean_start: bool,
    pub(super) client_id: Box<str>,
    pub(super) keep_alive_s: u16,
    pub(super) session_expiry_s: u32,
    pub(super) receive_max: u16,
    pub(super) packet_size_max: usize,
    pub(super) topic_alias_max: u16,
    pub(super) problem_information: bool,
    pub(super) response_information: bool,
}

impl Asked {
    fn of(connect: &Connect<'_>) -> Self {
        let v5 = connect.version.is_v5();
        let said = &connect.properties;
        let packet_size_max = said.packet_size_max.map_or(PACKET_SIZE_MAX, |bytes| {
            usize::try_from(bytes).unwrap_or(usize::MAX).min(PACKET_SIZE_MAX)
        });
        Self {
            clean_start: connect.clean_start,
            client_id: connect.client_id.into(),
            keep_alive_s: connect.keep_alive_s,
            session_expiry_s: said.session_expiry_s.unwrap_or(0),
            receive_max: said.receive_max.filter(|_| v5).unwrap_or(u16::MAX),
            packet_size_max,
            topic_alias_max: said.topic_alias_max.filter(|_| v5).unwrap_or(0),
            problem_information: said.request_problem_information,
            response_information: said.request_response_information,
        }
    }
}

impl ClientConnection {
    /// Starts a connection on a fresh transport: appends the CONNECT to `out`. With clean start
    /// the session's state is discarded, and so it is when the session ended with the connection
    /// before.
    ///
    /// `connect.properties` apply to version 5, except `packet_size_max`, which always limits
    /// what is accepted from the server.
    ///
    /// # Errors
    /// When the CONNECT would break the rules of its version, or goes on with the session of
    /// another client identifier; the session is untouched then.
    pub fn open(
        now_ms: u64,
        session: &mut ClientSession,
        connect: &Connect<'_>,
        options: ConnectionOptions,
        out: &mut Vec<u8>,
        mut on_event: impl FnMut(Event<'_>),
    ) -> Result<Self, ConnectError> {
        check(connect)?;
        let discards = connect.clean_start || session.ends_with_connection;
        let is_ours = session.client_id.is_empty() || *session.client_id == *connect.client_id;
        if session.exists && !discards && !is_ours {
            return Err(ConnectError::ClientIdDiffers); // [MQTT-3.1.3-2] [MQTT3-3.1.3-2]
        }
        if discards {
            session.discard(&mut on_event); // [MQTT-3.1.2-4] [MQTT3-3.1.2-6]
        }
        // The first packet, and the only CONNECT. [MQTT-3.1.0-1] [MQTT3-3.1.0-1] [MQTT3-3.1.0-2]
        connect.put(connect.version, out);
        let method = connect.properties.auth_method.filter(|_| connect.version.is_v5());
        Ok(Self::new(
            now_ms,
            connect.version,
            Asked::of(connect),
            Authentication::new(method),
            options,
        ))
    }

    pub(super) fn on_connack(
        &mut self,
        now_ms: u64,
        session: &mut ClientSession,
        connack: &ConnAck<'_>,
        out: &mut Vec<u8>,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), End> {
        if self.phase != Phase::Connecting {
            return Err(Violation::SecondConnAck.into()); // [MQTT-3.2.0-2]
        }
        if connack.reason.is_error() {
            // [MQTT-3.2.2-7] [MQTT-4.13.2-1]
            on_event(Event::Refused(connack));
            return Err(End::Refused(connack.reason));
        }
        self.check_connack(session, connack)?;
        let limits = ServerLimits::of(connack);
        if !limits.fits(ACK_LEN_MAX) {
            return Err(End::PacketSizeMaxTooSmall);
        }
        self.limits = limits;
        if self.options.topic_aliases {
            self.outbound = OutboundAliases::new(self.limits.topic_alias_max);
        }
        // [MQTT-3.1.2-21] [MQTT-3.2.2-21]
        let said = &connack.properties;
        self.keep_alive.start(said.server_keep_alive_s.unwrap_or(self.asked.keep_alive_s));
        if let Some(expiry_s) = said.session_expiry_s {
            self.asked.session_expiry_s = expiry_s;
        }
        self.authentication.accepted();
        self.phase = Phase::Open;
        on_event(Event::Connected(connack));
        self.join_session(session, connack.session_present, on_event);
        session.client_id = said.assigned_client_id.unwrap_or(&self.asked.client_id).into();
        self.resume(now_ms, session, out, on_event);
        Ok(())
    }

    fn check_connack(
        &self,
        session: &ClientSession,
        connack: &ConnAck<'_>,
    ) -> Result<(), Violation> {
        let said = &connack.properties;
        if self.version.is_v5() {
            // [MQTT-4.12.0-5] [MQTT-4.12.0-6]
            self.authentication.check_method(PacketType::ConnAck, said.auth_method)?;
            if self.asked.client_id.is_empty() && said.assigned_client_id.is_none() {
                return Err(Violation::AssignedClientIdMissing); // [MQTT-3.2.2-16]
            }
            if said.response_information.is_some() && !self.asked.response_information {
                return Err(Violation::ResponseInformationUnrequested); // [MQTT-3.1.2-28]
            }
        }
        // Clean start discarded the state, so this holds for it too.
        // [MQTT-3.2.2-2] [MQTT-3.2.2-4] [MQTT3-3.2.2-1]
        let expects_none = self.asked.clean_start || self.version.is_v5();
        if connack.session_present && expects_none && !session.exists {
            return Err(Violation::SessionPresentUnexpected);
        }
        Ok(())
    }

    /// Brings the session in line with what the server has of it.
    fn join_session(
        &mut self,
        session: &mut ClientSession,
        session_present: bool,
        on_event: &mut dyn FnMut(Event<'_>),
    ) {
        match self.version {
            Version::V5 if !session_present => session.discard(on_event), // [MQTT-3.2.2-5]
            // What is unacknowledged is sent again in any case [MQTT3-4.4.0-1], but the server
            // gives its packet identifiers out afresh.
            Version::V311 if !session_present => session.received.clear(),
            // 3.1 does not tell.
            Version::V5 | Version::V311 | Version::V31 => {}
        }
        session.exists = true;
        session.ends_with_connection = match self.version {
            Version::V5 => self.asked.session_expiry_s == 0,
            Version::V311 | Version::V31 => self.asked.clean_start,
        };
    }
}

/// An acknowledgement with a reason code and no properties.
const ACK_LEN_MAX: usize = 5;

/// Whether a CONNECT may be sent.
fn check(connect: &Connect<'_>) -> Result<(), ConnectError> {
    let said = &connect.properties;
    if connect.client_id.is_empty() {
        // [MQTT3-3.1.3-7]
        match connect.version {
            Version::V5 => {}
            Version::V311 if connect.clean_start => {}
            Version::V311 | Version::V31 => return Err(ConnectError::ClientIdEmpty),
        }
    }
    if !connect.version.is_v5() && connect.password.is_some() && connect.user_name.is_none() {
        return Err(ConnectError::PasswordWithoutUserName); // [MQTT3-3.1.2-22]
    }
    let texts = [Some(connect.client_id), connect.user_name, said.auth_method];
    if !texts.into_iter().flatten().all(is_text)
        || !said.user_properties.iter().all(|(name, value)| is_text(name) && is_text(value))
        || [connect.password, said.auth_data]
            .into_iter()
            .flatten()
            .any(|data| data.len() > FIELD_MAX)
    {
        // [MQTT-3.1.3-4] [MQTT-3.1.3-12] [MQTT3-3.1.3-4] [MQTT3-3.1.3-11]
        return Err(ConnectError::InvalidField);
    }
    if said.receive_max == Some(0) || said.packet_size_max == Some(0) {
        return Err(ConnectError::ZeroLimit);
    }
    if said.auth_data.is_some() && said.auth_method.is_none() {
        return Err(ConnectError::AuthDataWithoutMethod);
    }
    connect.will.as_ref().map_or(Ok(()), check_will)
}

fn check_will(will: &Will<'_>) -> Result<(), ConnectError> {
    // [MQTT-3.1.3-11] [MQTT3-3.1.3-10]
    topic::check_name(will.topic).map_err(ConnectError::WillTopic)?;
    if will.payload.len() > FIELD_MAX || !is_well_formed(&will.forward) {
        return Err(ConnectError::InvalidField);
    }
    match will.forward.response_topic() {
        Some(response_topic) => topic::check_name(response_topic).map_err(ConnectError::WillTopic),
        None => Ok(()),
    }
}
