//! What a client can do wrong beyond malformed bytes: a closed list, each with its clause and the
//! one reason code that answers it. Must not know how the answer is sent.

use martlet_proto::ReasonCode;

use crate::alias::AliasError;

/// A breach of the protocol by a client whose packets were well formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// The first packet was no CONNECT.
    FirstPacketNotConnect,
    /// A second CONNECT came.
    SecondConnect,
    /// A packet other than AUTH and DISCONNECT came before the CONNACK of an enhanced
    /// authentication.
    PacketDuringAuthentication,
    /// A 3.x client asked for a persistent session without an identifier.
    EmptyClientId,
    /// More unfinished QoS 2 exchanges than the server's Receive Maximum.
    ReceiveMaximumExceeded,
    /// A topic alias out of range, or one that was never set.
    TopicAlias(AliasError),
    /// AUTH without an authentication method in CONNECT.
    AuthWithoutMethod,
    /// AUTH with another method than CONNECT.
    AuthMethodChanged,
    /// AUTH with a reason code that does not fit the state of the exchange.
    UnexpectedAuth,
    /// A DISCONNECT raised a session expiry interval that was zero in CONNECT.
    SessionExpiryRaised,
}

impl Violation {
    /// The reason code of the DISCONNECT or CONNACK that answers it.
    #[must_use]
    pub fn reason(self) -> ReasonCode {
        match self {
            Self::FirstPacketNotConnect
            | Self::SecondConnect
            | Self::PacketDuringAuthentication
            | Self::AuthWithoutMethod
            | Self::AuthMethodChanged
            | Self::UnexpectedAuth
            | Self::SessionExpiryRaised => ReasonCode::ProtocolError,
            Self::EmptyClientId => ReasonCode::ClientIdentifierNotValid,
            Self::ReceiveMaximumExceeded => ReasonCode::ReceiveMaximumExceeded,
            Self::TopicAlias(error) => error.reason(),
        }
    }

    /// The clause of the standard that was broken.
    #[must_use]
    pub fn clause(self) -> &'static str {
        match self {
            Self::FirstPacketNotConnect => "MQTT-3.1.0-1",
            Self::SecondConnect => "MQTT-3.1.0-2",
            Self::PacketDuringAuthentication => "MQTT-3.1.2-30",
            Self::EmptyClientId => "MQTT3-3.1.3-8",
            Self::ReceiveMaximumExceeded => "MQTT-3.3.4-7",
            Self::TopicAlias(_) => "MQTT-3.3.2-9",
            Self::AuthWithoutMethod => "MQTT-4.12.0-7",
            Self::AuthMethodChanged => "MQTT-4.12.0-5",
            Self::UnexpectedAuth => "MQTT-4.12.1-1",
            Self::SessionExpiryRaised => "3.14.2.2.2",
        }
    }

    /// What the client did, for a person.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::FirstPacketNotConnect => "the first packet was not CONNECT",
            Self::SecondConnect => "a second CONNECT came",
            Self::PacketDuringAuthentication => "a packet came before the authentication ended",
            Self::EmptyClientId => "a persistent session needs a client identifier",
            Self::ReceiveMaximumExceeded => "more unfinished messages than the Receive Maximum",
            Self::TopicAlias(_) => "the topic alias is out of range or was never set",
            Self::AuthWithoutMethod => "AUTH without an authentication method in CONNECT",
            Self::AuthMethodChanged => "AUTH names another method than CONNECT",
            Self::UnexpectedAuth => "AUTH does not fit the state of the exchange",
            Self::SessionExpiryRaised => "DISCONNECT raised a session expiry interval of zero",
        }
    }
}
