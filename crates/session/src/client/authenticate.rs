//! Enhanced authentication (MQTT 5, section 4.12): whose turn it is, and the AUTH packets. What
//! the data means is the application's.

use alloc::boxed::Box;
use alloc::vec::Vec;

use martlet_proto::{Auth, PacketType, ReasonCode, UserProperties};

use super::connection::{ClientConnection, Phase};
use super::error::{AuthError, Violation};
use super::event::Event;
use super::handshake::is_text;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// No exchange is under way.
    Nobody,
    /// The client has spoken.
    Server,
    /// The server has asked; the application answers.
    Client,
}

/// The authentication method of a connection, and where its exchange stands.
#[derive(Debug)]
pub(super) struct Authentication {
    method: Option<Box<str>>,
    turn: Turn,
}

impl Authentication {
    pub(super) fn new(method: Option<&str>) -> Self {
        let turn = if method.is_some() { Turn::Server } else { Turn::Nobody };
        Self { method: method.map(Into::into), turn }
    }

    /// CONNACK came: the first exchange is complete.
    pub(super) fn accepted(&mut self) {
        self.turn = Turn::Nobody;
    }

    /// CONNACK and AUTH must name the method of the CONNECT, or none if it had none.
    pub(super) fn check_method(
        &self,
        packet: PacketType,
        method: Option<&str>,
    ) -> Result<(), Violation> {
        match (&self.method, method) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(Violation::AuthUnrequested(packet)), // [MQTT-4.12.0-6]
            (Some(ours), Some(theirs)) if **ours == *theirs => Ok(()),
            (Some(_), _) => Err(Violation::AuthMethodDiffers(packet)), // [MQTT-4.12.0-5]
        }
    }
}

impl ClientConnection {
    /// Answers an [`Event::Auth`] of the server with the next piece of authentication data
    /// (at most 65,535 bytes).
    ///
    /// # Errors
    /// When the server has not asked, or the packet would be larger than the server accepts.
    pub fn auth(
        &mut self,
        now_ms: u64,
        data: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(), AuthError> {
        if self.phase == Phase::Closed || self.authentication.turn != Turn::Client {
            return Err(AuthError::OutOfTurn);
        }
        // [MQTT-4.12.0-3]
        self.put_auth(now_ms, ReasonCode::ContinueAuthentication, data, out)
    }

    /// Starts a re-authentication with the method of the CONNECT. Messages flow on meanwhile.
    /// When the application is not content with an answer, it calls
    /// [`ClientConnection::disconnect`].
    ///
    /// # Errors
    /// Without a method in the CONNECT, before CONNACK, while an exchange is under way, or when
    /// the packet would be larger than the server accepts.
    pub fn reauthenticate(
        &mut self,
        now_ms: u64,
        data: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(), AuthError> {
        if self.authentication.method.is_none() {
            return Err(AuthError::NoMethod); // [MQTT-4.12.0-7]
        }
        if self.phase != Phase::Open || self.authentication.turn != Turn::Nobody {
            return Err(AuthError::OutOfTurn);
        }
        self.put_auth(now_ms, ReasonCode::ReAuthenticate, data, out) // [MQTT-4.12.1-1]
    }

    fn put_auth(
        &mut self,
        now_ms: u64,
        reason: ReasonCode, // [MQTT-3.15.2-1]
        data: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(), AuthError> {
        let Some(method) = &self.authentication.method else { return Err(AuthError::NoMethod) };
        if data.is_some_and(|data| data.len() > usize::from(u16::MAX)) {
            return Err(AuthError::PacketTooLarge);
        }
        // Never with a reason string or user properties. [MQTT-3.15.2-2] [MQTT-3.15.2-3]
        // [MQTT-4.12.0-5]
        let auth = Auth {
            reason,
            method: Some(method),
            data,
            reason_string: None,
            user_properties: UserProperties::default(),
        };
        debug_assert!(is_text(method));
        if !self.limits.fits(auth.encoded_len(self.version)) {
            return Err(AuthError::PacketTooLarge);
        }
        auth.put(self.version, out);
        self.authentication.turn = Turn::Server;
        self.keep_alive.sent(now_ms);
        Ok(())
    }

    pub(super) fn on_auth(
        &mut self,
        now_ms: u64,
        auth: &Auth<'_>,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Violation> {
        if self.authentication.method.is_none() {
            return Err(Violation::AuthUnrequested(PacketType::Auth)); // [MQTT-4.12.0-6]
        }
        self.authentication.check_method(PacketType::Auth, auth.method)?; // [MQTT-4.12.0-5]
        self.check_problem_information(
            PacketType::Auth,
            auth.reason_string,
            !auth.user_properties.is_empty(),
        )?;
        if self.authentication.turn != Turn::Server {
            return Err(Violation::AuthOutOfTurn);
        }
        self.authentication.turn = match (self.phase, auth.reason) {
            (_, ReasonCode::ContinueAuthentication) => Turn::Client, // [MQTT-4.12.0-2]
            (Phase::Open, ReasonCode::Success) => Turn::Nobody,
            _ => return Err(Violation::AuthOutOfTurn),
        };
        self.connack_due_ms = now_ms.saturating_add(self.options.connack_timeout_ms);
        on_event(Event::Auth(auth));
        Ok(())
    }
}
