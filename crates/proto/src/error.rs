//! Owns what can be wrong with received bytes, and how each fault is answered. Must not know how it
//! was found.

use core::fmt;

use crate::packet::PacketType;
use crate::property::Property;
use crate::reason::ReasonCode;
use crate::topic::TopicError;

/// A peer sent bytes that the standard does not allow. The connection cannot go on (MQTT-4.13.1-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeError {
    kind: DecodeErrorKind,
}

/// What the peer did wrong. The list is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeErrorKind {
    /// Packet type 0, or AUTH before version 5.0.
    ReservedPacketType,
    /// The reserved bits of the fixed header have a value that is not the one listed.
    ReservedFlags(PacketType),
    /// A PUBLISH with both QoS bits set.
    PublishQos3,
    /// A PUBLISH with QoS 0 and the DUP flag.
    DupWithQos0,
    /// A Variable Byte Integer of more than four bytes.
    VarIntTooLong,
    /// A Variable Byte Integer with more bytes than its value needs.
    VarIntNotMinimal,
    /// The packet is longer than the receiver accepts.
    PacketTooLarge,
    /// A packet that only the other side may send.
    WrongSender(PacketType),
    /// The packet, or a property section in it, ends inside a field.
    Truncated,
    /// The packet goes on after its last field.
    TrailingBytes,
    /// A string that is not well-formed UTF-8.
    StringNotUtf8,
    /// A string with U+0000.
    StringHasNul,
    /// A Packet Identifier of zero.
    PacketIdZero,
    /// A property identifier that the standard does not define.
    PropertyUnknown,
    /// A property that this packet (or its Will Properties, for CONNECT) cannot have.
    PropertyNotAllowed(Property, PacketType),
    /// A property more than once, where once is the limit.
    PropertyRepeated(Property),
    /// A property with a value that the standard excludes.
    PropertyValue(Property),
    /// A Topic Alias of zero.
    TopicAliasZero,
    /// A Subscription Identifier in a PUBLISH from a client.
    SubscriptionIdFromClient,
    /// A Session Expiry Interval in a DISCONNECT from a server.
    SessionExpiryFromServer,
    /// A CONNECT with Authentication Data but no Authentication Method.
    AuthDataWithoutMethod,
    /// An AUTH without an Authentication Method.
    AuthMethodMissing,
    /// A CONNECT whose protocol name is neither `MQTT` nor `MQIsdp`.
    ProtocolName,
    /// A CONNECT whose protocol name is known but whose level is not.
    ProtocolVersion(u8),
    /// A CONNECT with the reserved flag.
    ConnectReservedFlag,
    /// A CONNECT with a Will QoS of 3.
    WillQos3,
    /// A CONNECT with a Will QoS but no will.
    WillQosWithoutWill,
    /// A CONNECT with Will Retain but no will.
    WillRetainWithoutWill,
    /// A CONNECT before version 5.0 with a password but no user name.
    PasswordWithoutUserName,
    /// The Will Topic is no topic name.
    WillTopic(TopicError),
    /// The topic of a PUBLISH is no topic name, or is empty where no Topic Alias replaces it.
    TopicName(TopicError),
    /// The Response Topic is no topic name.
    ResponseTopic(TopicError),
    /// A string in SUBSCRIBE or UNSUBSCRIBE is no topic filter.
    TopicFilter(TopicError),
    /// A SUBSCRIBE or UNSUBSCRIBE without any topic filter.
    NoTopicFilter(PacketType),
    /// Subscription Options with QoS 3.
    SubscriptionQos3,
    /// Subscription Options with reserved bits.
    SubscriptionReservedBits,
    /// Subscription Options with Retain Handling 3.
    RetainHandling3,
    /// No Local on a shared subscription.
    NoLocalOnShared,
    /// A SUBACK or UNSUBACK without any reason code.
    NoReasonCode(PacketType),
    /// A reason code that this packet, or this sender of it, cannot have.
    ReasonCodeNotAllowed(PacketType, u8),
    /// A CONNACK with reserved flags.
    ConnAckReservedFlags,
    /// A CONNACK that refuses the connection and has Session Present.
    SessionPresentWithError,
}

impl DecodeErrorKind {
    /// The reason code for the CONNACK or DISCONNECT that answers.
    pub const fn reason(self) -> ReasonCode {
        use DecodeErrorKind as Kind;
        match self {
            Kind::PacketTooLarge => ReasonCode::PacketTooLarge,
            Kind::TopicAliasZero => ReasonCode::TopicAliasInvalid,
            Kind::ProtocolName | Kind::ProtocolVersion(_) => ReasonCode::UnsupportedProtocolVersion,
            // Section 3.3.2.1 names the code for an empty topic name without an alias.
            Kind::TopicName(TopicError::Empty) => ReasonCode::ProtocolError,
            Kind::WillTopic(_) | Kind::TopicName(_) => ReasonCode::TopicNameInvalid,
            Kind::TopicFilter(_) => ReasonCode::TopicFilterInvalid,
            Kind::WrongSender(_)
            | Kind::PacketIdZero
            | Kind::PropertyRepeated(_)
            | Kind::PropertyValue(_)
            | Kind::SubscriptionIdFromClient
            | Kind::SessionExpiryFromServer
            | Kind::AuthDataWithoutMethod
            | Kind::AuthMethodMissing
            | Kind::WillQosWithoutWill
            | Kind::WillRetainWithoutWill
            | Kind::PasswordWithoutUserName
            | Kind::ResponseTopic(_)
            | Kind::NoTopicFilter(_)
            | Kind::SubscriptionQos3
            | Kind::RetainHandling3
            | Kind::NoLocalOnShared
            | Kind::NoReasonCode(_)
            | Kind::ReasonCodeNotAllowed(..)
            | Kind::SessionPresentWithError => ReasonCode::ProtocolError,
            Kind::ReservedPacketType
            | Kind::ReservedFlags(_)
            | Kind::PublishQos3
            | Kind::DupWithQos0
            | Kind::VarIntTooLong
            | Kind::VarIntNotMinimal
            | Kind::Truncated
            | Kind::TrailingBytes
            | Kind::StringNotUtf8
            | Kind::StringHasNul
            | Kind::PropertyUnknown
            | Kind::PropertyNotAllowed(..)
            | Kind::ConnectReservedFlag
            | Kind::WillQos3
            | Kind::SubscriptionReservedBits
            | Kind::ConnAckReservedFlags => ReasonCode::MalformedPacket,
        }
    }

    /// The statement that was broken: the id of a normative statement (`MQTT-` for 5.0, `MQTT3-`
    /// where only 3.1.1 has it), or `section x.y.z` of 5.0 where the rule has no id.
    pub const fn clause(self) -> &'static str {
        use DecodeErrorKind as Kind;
        match self {
            Kind::ReservedPacketType | Kind::WrongSender(_) => "section 2.1.2",
            Kind::ReservedFlags(packet) => match packet {
                PacketType::PubRel => "MQTT-3.6.1-1",
                PacketType::Subscribe => "MQTT-3.8.1-1",
                PacketType::Unsubscribe => "MQTT-3.10.1-1",
                PacketType::Disconnect => "MQTT-3.14.1-1",
                PacketType::Auth => "MQTT-3.15.1-1",
                _ => "MQTT-2.1.3-1",
            },
            Kind::PublishQos3 => "MQTT-3.3.1-4",
            Kind::DupWithQos0 => "MQTT-3.3.1-2",
            Kind::VarIntTooLong => "section 1.5.5",
            Kind::VarIntNotMinimal => "MQTT-1.5.5-1",
            Kind::PacketTooLarge => "MQTT-3.2.2-15",
            Kind::Truncated | Kind::TrailingBytes => "section 4.13.1",
            Kind::StringNotUtf8 => "MQTT-1.5.4-1",
            Kind::StringHasNul => "MQTT-1.5.4-2",
            Kind::PacketIdZero => "MQTT-2.2.1-3",
            Kind::PropertyUnknown | Kind::PropertyNotAllowed(..) | Kind::PropertyRepeated(_) => {
                "section 2.2.2.2"
            }
            Kind::PropertyValue(property) => property.section(),
            Kind::TopicAliasZero => "MQTT-3.3.2-8",
            Kind::SubscriptionIdFromClient => "MQTT-3.3.4-6",
            Kind::SessionExpiryFromServer => "MQTT-3.14.2-2",
            Kind::AuthDataWithoutMethod => "section 3.1.2.11.10",
            Kind::AuthMethodMissing => "section 3.15.2.2.2",
            Kind::ProtocolName => "MQTT-3.1.2-1",
            Kind::ProtocolVersion(_) => "MQTT-3.1.2-2",
            Kind::ConnectReservedFlag => "MQTT-3.1.2-3",
            Kind::WillQos3 => "MQTT-3.1.2-12",
            Kind::WillQosWithoutWill => "MQTT-3.1.2-11",
            Kind::WillRetainWithoutWill => "MQTT-3.1.2-13",
            Kind::PasswordWithoutUserName => "MQTT3-3.1.2-22",
            Kind::TopicName(TopicError::Wildcard) => "MQTT-3.3.2-2",
            Kind::ResponseTopic(TopicError::Wildcard) => "MQTT-3.3.2-14",
            Kind::WillTopic(error)
            | Kind::TopicName(error)
            | Kind::ResponseTopic(error)
            | Kind::TopicFilter(error) => error.clause(),
            Kind::NoTopicFilter(PacketType::Unsubscribe) => "MQTT-3.10.3-2",
            Kind::NoTopicFilter(_) => "MQTT-3.8.3-2",
            Kind::SubscriptionQos3 | Kind::RetainHandling3 => "section 3.8.3.1",
            Kind::SubscriptionReservedBits => "MQTT-3.8.3-5",
            Kind::NoLocalOnShared => "MQTT-3.8.3-4",
            Kind::NoReasonCode(PacketType::UnsubAck) => "MQTT-3.11.3-2",
            Kind::NoReasonCode(_) => "MQTT-3.9.3-2",
            Kind::ReasonCodeNotAllowed(packet, _) => reason_code_clause(packet),
            Kind::ConnAckReservedFlags => "MQTT-3.2.2-1",
            Kind::SessionPresentWithError => "MQTT-3.2.2-6",
        }
    }
}

const fn reason_code_clause(packet: PacketType) -> &'static str {
    match packet {
        PacketType::ConnAck => "MQTT-3.2.2-8",
        PacketType::PubAck => "MQTT-3.4.2-1",
        PacketType::PubRec => "MQTT-3.5.2-1",
        PacketType::PubRel => "MQTT-3.6.2-1",
        PacketType::PubComp => "MQTT-3.7.2-1",
        PacketType::SubAck => "MQTT-3.9.3-2",
        PacketType::UnsubAck => "MQTT-3.11.3-2",
        PacketType::Disconnect => "MQTT-3.14.2-1",
        PacketType::Auth => "MQTT-3.15.2-1",
        _ => "section 2.4",
    }
}

impl DecodeError {
    /// What the peer did wrong.
    pub const fn kind(self) -> DecodeErrorKind {
        self.kind
    }

    /// The reason code for the CONNACK or DISCONNECT that answers.
    pub const fn reason(self) -> ReasonCode {
        self.kind.reason()
    }

    /// The statement that was broken, see [`DecodeErrorKind::clause`].
    pub const fn clause(self) -> &'static str {
        self.kind.clause()
    }
}

impl From<DecodeErrorKind> for DecodeError {
    #[inline]
    fn from(kind: DecodeErrorKind) -> Self {
        DecodeError { kind }
    }
}

impl core::error::Error for DecodeError {}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.kind, self.kind.clause())
    }
}

impl DecodeErrorKind {
    /// What the peer did, where nothing in the packet adds to it.
    const fn plain_text(self) -> Option<&'static str> {
        use DecodeErrorKind as Kind;
        Some(match self {
            Kind::ReservedPacketType => "the peer sent a packet of a reserved type",
            Kind::PublishQos3 => "the peer sent a PUBLISH with QoS 3",
            Kind::DupWithQos0 => "the peer sent a PUBLISH with DUP and QoS 0",
            Kind::VarIntTooLong => "the peer sent a length of more than four bytes",
            Kind::VarIntNotMinimal => "the peer sent a length with needless bytes",
            Kind::PacketTooLarge => "the peer sent a packet larger than the limit",
            Kind::Truncated => "the peer sent a packet that ends inside a field",
            Kind::TrailingBytes => "the peer sent bytes after the last field of a packet",
            Kind::StringNotUtf8 => "the peer sent a string that is not UTF-8",
            Kind::StringHasNul => "the peer sent a string with U+0000",
            Kind::PacketIdZero => "the peer sent a Packet Identifier of zero",
            Kind::PropertyUnknown => "the peer sent a property that does not exist",
            Kind::TopicAliasZero => "the peer sent a Topic Alias of zero",
            Kind::SubscriptionIdFromClient => {
                "the client sent a Subscription Identifier in PUBLISH"
            }
            Kind::SessionExpiryFromServer => {
                "the server sent a Session Expiry Interval in DISCONNECT"
            }
            Kind::AuthDataWithoutMethod => {
                "the client sent Authentication Data without Authentication Method"
            }
            Kind::AuthMethodMissing => "the peer sent AUTH without Authentication Method",
            Kind::ProtocolName => "the client named a protocol that is not MQTT",
            Kind::ConnectReservedFlag => "the client set the reserved flag of CONNECT",
            Kind::WillQos3 => "the client sent a Will QoS of 3",
            Kind::WillQosWithoutWill => "the client sent a Will QoS without a will",
            Kind::WillRetainWithoutWill => "the client set Will Retain without a will",
            Kind::PasswordWithoutUserName => "the client sent a password without a user name",
            Kind::SubscriptionQos3 => "the client asked for QoS 3",
            Kind::SubscriptionReservedBits => {
                "the client set reserved bits in Subscription Options"
            }
            Kind::RetainHandling3 => "the client asked for Retain Handling 3",
            Kind::NoLocalOnShared => "the client asked for No Local on a shared subscription",
            Kind::ConnAckReservedFlags => "the server set reserved flags in CONNACK",
            Kind::SessionPresentWithError => {
                "the server refused the connection with Session Present"
            }
            _ => return None,
        })
    }
}

impl fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use DecodeErrorKind as Kind;
        if let Some(text) = self.plain_text() {
            return f.write_str(text);
        }
        match self {
            Kind::ReservedFlags(packet) => {
                write!(f, "the peer set reserved flags in the fixed header of {packet}")
            }
            Kind::WrongSender(packet) => {
                write!(f, "the peer sent {packet}, which only the other side may send")
            }
            Kind::PropertyNotAllowed(property, packet) => {
                write!(f, "the peer sent {property} in {packet}, which cannot have it")
            }
            Kind::PropertyRepeated(property) => write!(f, "the peer sent {property} twice"),
            Kind::PropertyValue(property) => {
                write!(f, "the peer sent {property} with a value that is not allowed")
            }
            Kind::ProtocolVersion(level) => {
                write!(f, "the client asked for protocol level {level}")
            }
            Kind::WillTopic(error) => write!(f, "the client sent a bad Will Topic: {error}"),
            Kind::TopicName(error) => write!(f, "the peer sent a bad topic name: {error}"),
            Kind::ResponseTopic(error) => write!(f, "the peer sent a bad Response Topic: {error}"),
            Kind::TopicFilter(error) => write!(f, "the client sent a bad topic filter: {error}"),
            Kind::NoTopicFilter(packet) => {
                write!(f, "the client sent {packet} without a topic filter")
            }
            Kind::NoReasonCode(packet) => {
                write!(f, "the server sent {packet} without a reason code")
            }
            Kind::ReasonCodeNotAllowed(packet, code) => {
                write!(f, "the peer sent {packet} with reason code 0x{code:02X}")
            }
            // Each other kind has a plain text; a test writes every kind.
            _ => f.write_str("the peer sent what the standard does not allow"),
        }
    }
}
