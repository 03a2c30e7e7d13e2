//! What can go wrong in the client role, sorted by whose fault it is: the server's
//! ([`Violation`]), the end of a connection ([`End`]), and commands that cannot be carried out
//! (one enum a command). Closed enums; must not hold borrowed data.

use core::fmt;

use martlet_proto::topic::TopicError;
use martlet_proto::{DecodeError, PacketType, ReasonCode};

use crate::alias::AliasError;

/// The server broke the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// Bytes that are no packet of this version, or none that a server may send.
    Decode(DecodeError),
    /// A topic alias that cannot be resolved.
    Alias(AliasError),
    /// A packet where it does not belong, such as one before CONNACK.
    OutOfPlace(PacketType),
    /// A second CONNACK.
    SecondConnAck,
    /// CONNACK or AUTH with authentication that the CONNECT did not ask for.
    AuthUnrequested(PacketType),
    /// CONNACK or AUTH without the authentication method of the CONNECT, or with another one.
    AuthMethodDiffers(PacketType),
    /// AUTH while the client has the word, or with a reason that does not belong there.
    AuthOutOfTurn,
    /// Session Present, but the client has no session state.
    SessionPresentUnexpected,
    /// The client left its identifier to the server, and CONNACK does not tell it.
    AssignedClientIdMissing,
    /// Response Information without a request for it.
    ResponseInformationUnrequested,
    /// A reason string or user properties in a packet where the client declined them.
    ProblemInformationUnrequested(PacketType),
    /// More unacknowledged messages than the client's Receive Maximum.
    ReceiveMaximumExceeded,
    /// An acknowledgement of something that was never sent, or already acknowledged.
    UnknownPacketId(PacketType),
    /// Not as many codes as there were topic filters.
    CodeCount(PacketType),
}

impl Violation {
    /// The code of the DISCONNECT that answers it (version 5).
    pub const fn reason(self) -> ReasonCode {
        match self {
            Violation::Decode(error) => error.reason(),
            Violation::Alias(error) => error.reason(),
            Violation::ReceiveMaximumExceeded => ReasonCode::ReceiveMaximumExceeded,
            _ => ReasonCode::ProtocolError,
        }
    }

    /// The normative statement or section of MQTT 5.0 that the server broke.
    pub const fn clause(self) -> &'static str {
        match self {
            Violation::Decode(error) => error.clause(),
            Violation::Alias(error) => error.clause(),
            Violation::OutOfPlace(PacketType::Disconnect) => "MQTT-3.14.0-1",
            Violation::OutOfPlace(_) => "MQTT-3.2.0-1",
            Violation::SecondConnAck => "MQTT-3.2.0-2",
            Violation::AuthUnrequested(_) => "MQTT-4.12.0-6",
            Violation::AuthMethodDiffers(_) => "MQTT-4.12.0-5",
            Violation::AuthOutOfTurn => "MQTT-4.12.0-2",
            Violation::SessionPresentUnexpected => "MQTT-3.2.2-4",
            Violation::AssignedClientIdMissing => "MQTT-3.2.2-16",
            Violation::ResponseInformationUnrequested => "MQTT-3.1.2-28",
            Violation::ProblemInformationUnrequested(_) => "MQTT-3.1.2-29",
            Violation::ReceiveMaximumExceeded => "MQTT-3.3.4-9",
            Violation::UnknownPacketId(PacketType::SubAck | PacketType::UnsubAck) => "MQTT-2.2.1-6",
            Violation::UnknownPacketId(_) => "MQTT-2.2.1-5",
            Violation::CodeCount(PacketType::UnsubAck) => "MQTT-3.11.3-2",
            Violation::CodeCount(_) => "MQTT-3.8.4-6",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Violation::Decode(error) => return error.fmt(f),
            Violation::Alias(error) => write!(f, "the server {error}")?,
            Violation::OutOfPlace(packet) => write!(f, "the server sent {packet} before CONNACK")?,
            Violation::SecondConnAck => f.write_str("the server sent a second CONNACK")?,
            Violation::AuthUnrequested(packet) => {
                write!(f, "the server sent {packet} with authentication that nobody asked for")?;
            }
            Violation::AuthMethodDiffers(packet) => {
                write!(f, "the server sent {packet} without the authentication method of CONNECT")?;
            }
            Violation::AuthOutOfTurn => f.write_str("the server sent AUTH out of turn")?,
            Violation::SessionPresentUnexpected => {
                f.write_str("the server resumes a session that this client does not have")?;
            }
            Violation::AssignedClientIdMissing => {
                f.write_str("the server did not say which client identifier it assigned")?;
            }
            Violation::ResponseInformationUnrequested => {
                f.write_str("the server sent response information that nobody asked for")?;
            }
            Violation::ProblemInformationUnrequested(packet) => {
                write!(f, "the server sent {packet} with problem information that was declined")?;
            }
            Violation::ReceiveMaximumExceeded => {
                f.write_str("the server sent more messages than the Receive Maximum allows")?;
            }
            Violation::UnknownPacketId(packet) => {
                write!(f, "the server sent {packet} for an identifier that is not in use")?;
            }
            Violation::CodeCount(packet) => {
                write!(f, "the server sent {packet} with a wrong number of reason codes")?;
            }
        }
        write!(f, " ({})", self.clause())
    }
}

impl core::error::Error for Violation {}

impl From<DecodeError> for Violation {
    fn from(error: DecodeError) -> Self {
        Violation::Decode(error)
    }
}

impl From<AliasError> for Violation {
    fn from(error: AliasError) -> Self {
        Violation::Alias(error)
    }
}

/// Why a connection is over. What is in the output buffer should still be written; then the
/// transport is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The server refused the connection in its CONNACK.
    Refused(ReasonCode),
    /// The server sent DISCONNECT (version 5).
    ServerDisconnected(ReasonCode),
    /// The server broke the protocol; version 5 was told so with a DISCONNECT.
    Violation(Violation),
    /// No CONNACK (or AUTH) within the time allowed.
    ConnAckTimeout,
    /// Nothing came from the server for a keep alive interval after a PINGREQ.
    KeepAliveTimeout,
    /// The server accepts only packets so small that acknowledgements do not fit.
    PacketSizeMaxTooSmall,
    /// `disconnect` was called.
    Disconnected,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Refused(reason) => {
                write!(f, "the server refused the connection: {}", reason.name())
            }
            End::ServerDisconnected(reason) => {
                write!(f, "the server disconnected: {}", reason.name())
            }
            End::Violation(violation) => violation.fmt(f),
            End::ConnAckTimeout => f.write_str("the server did not answer the CONNECT"),
            End::KeepAliveTimeout => f.write_str("the server did not answer a PINGREQ"),
            End::PacketSizeMaxTooSmall => {
                f.write_str("the server's Maximum Packet Size is too small for acknowledgements")
            }
            End::Disconnected => f.write_str("disconnected"),
        }
    }
}

impl core::error::Error for End {}

impl From<Violation> for End {
    fn from(violation: Violation) -> Self {
        End::Violation(violation)
    }
}

impl From<DecodeError> for End {
    fn from(error: DecodeError) -> Self {
        End::Violation(error.into())
    }
}

/// Defines one error enum of a command: variant, its sentence.
macro_rules! command_error {
    ($(#[$meta:meta])* $name:ident {
        $($(#[$doc:meta])* $variant:ident $(($inner:ty))? => $text:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$doc])* $variant $(($inner))?,)*
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $($name::$variant { .. } => $text,)*
                })
            }
        }

        impl core::error::Error for $name {}
    };
}

command_error! {
    /// A CONNECT that must not be sent.
    ConnectError {
        /// Version 3.1 always needs a client identifier, 3.1.1 for a session that persists.
        ClientIdEmpty => "this version needs a client identifier here",
        /// The session state is that of another client identifier, perhaps of one that the
        /// server assigned.
        ClientIdDiffers => "the session belongs to another client identifier",
        /// Before version 5 a password needs a user name.
        PasswordWithoutUserName => "a password needs a user name in this version",
        /// The will's topic is no topic name.
        WillTopic(TopicError) => "the will topic is not a topic name",
        /// Text with U+0000 or of more than 65,535 bytes, or data of more than 65,535 bytes.
        InvalidField => "a text has a null character or a field is longer than 65535 bytes",
        /// Receive Maximum or Maximum Packet Size of zero.
        ZeroLimit => "the receive maximum and the maximum packet size cannot be zero",
        /// Authentication data without a method.
        AuthDataWithoutMethod => "authentication data needs an authentication method",
    }
}

command_error! {
    /// A message that cannot be sent, now or ever.
    PublishError {
        /// QoS 0 messages are not kept for later: the connection is not open.
        NotConnected => "not connected",
        /// The topic is no topic name.
        TopicName(TopicError) => "not a topic name",
        /// The response topic is no topic name.
        ResponseTopic(TopicError) => "the response topic is not a topic name",
        /// A property with text with U+0000, or with another value that cannot be sent.
        InvalidField => "a property has a value that cannot be sent",
        /// The QoS is above the server's Maximum QoS.
        QosNotSupported => "the server does not support this QoS",
        /// The server has no retained messages.
        RetainNotSupported => "the server does not support retained messages",
        /// The packet would exceed the server's Maximum Packet Size or what MQTT can express.
        PacketTooLarge => "larger than the packets that the server accepts",
        /// Messages that wait for their turn fill the session's memory limit.
        QueueFull => "too many messages are waiting",
    }
}

command_error! {
    /// A SUBSCRIBE or UNSUBSCRIBE that cannot be sent.
    RequestError {
        /// There is no topic filter in it.
        NoTopicFilter => "no topic filter",
        /// One of the filters is no topic filter.
        TopicFilter(TopicError) => "not a topic filter",
        /// No Local with a shared subscription.
        NoLocalOnShared => "no local is not possible with a shared subscription",
        /// Text with U+0000 or of more than 65,535 bytes, or an identifier above 268,435,455.
        InvalidField => "a text or the subscription identifier is out of range",
        /// The server does not support wildcards.
        WildcardsNotSupported => "the server does not support wildcard subscriptions",
        /// The server does not support shared subscriptions.
        SharedNotSupported => "the server does not support shared subscriptions",
        /// The server does not support subscription identifiers.
        SubscriptionIdsNotSupported => "the server does not support subscription identifiers",
        /// The packet would exceed the server's Maximum Packet Size.
        PacketTooLarge => "larger than the packets that the server accepts",
        /// All 65,535 packet identifiers are in use.
        NoPacketId => "all packet identifiers are in use",
    }
}

command_error! {
    /// An acknowledgement that cannot be given.
    AckError {
        /// The connection is not open: the server will send the message again.
        NotConnected => "not connected",
        /// No received message with this identifier waits to be acknowledged.
        NotPending => "no message with this packet identifier waits for an acknowledgement",
        /// PUBACK or PUBREC cannot have this reason code.
        ReasonNotAllowed => "this reason code cannot be in an acknowledgement",
    }
}

command_error! {
    /// An AUTH that cannot be sent.
    AuthError {
        /// The CONNECT had no authentication method.
        NoMethod => "connected without an authentication method",
        /// `auth` without a question of the server, or `reauthenticate` before CONNACK or while
        /// one is under way.
        OutOfTurn => "the server has the word",
        /// The packet would exceed a limit.
        PacketTooLarge => "larger than the packets that the server accepts",
    }
}

command_error! {
    /// A DISCONNECT that cannot be sent.
    DisconnectError {
        /// The connection is already over.
        NotConnected => "not connected",
        /// A client's DISCONNECT cannot have this reason code.
        ReasonNotAllowed => "this reason code cannot be in a client's DISCONNECT",
        /// A session that expires at once cannot be prolonged in DISCONNECT.
        SessionExpiryNotAllowed => "the session expiry was zero in CONNECT",
        /// Text with U+0000 or of more than 65,535 bytes.
        InvalidField => "a text has a null character or is longer than 65535 bytes",
    }
}
