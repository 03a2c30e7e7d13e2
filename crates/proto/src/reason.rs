//! Owns the reason codes (section 2.4): values, names, which packet may carry which. Must not know
//! when each is used.

use crate::frame::Sender;
use crate::packet::PacketType;

const fn mask(packets: &[PacketType]) -> u16 {
    let mut bits = 0;
    let mut at = 0;
    while at < packets.len() {
        bits |= 1 << packets[at] as u8;
        at += 1;
    }
    bits
}

macro_rules! reason_codes {
    ($($(#[$doc:meta])* $variant:ident = $value:literal, $name:literal, [$($packet:ident)*];)*) => {
        /// A reason code (section 2.4).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum ReasonCode {
            $($(#[$doc])* $variant = $value,)*
        }

        impl ReasonCode {
            /// All the reason codes, in ascending order.
            pub const ALL: &'static [ReasonCode] = &[$(ReasonCode::$variant,)*];

            /// `None` when the standard does not define the value.
            pub const fn from_u8(value: u8) -> Option<ReasonCode> {
                match value {
                    $($value => Some(ReasonCode::$variant),)*
                    _ => None,
                }
            }

            /// The name in the standard, such as `Not authorized`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(ReasonCode::$variant => $name,)*
                }
            }

            const fn packets(self) -> u16 {
                match self {
                    $(ReasonCode::$variant => const { mask(&[$(PacketType::$packet),*]) },)*
                }
            }
        }
    };
}

// Table 2-6 and the tables of the single packets. 0x8C is in DISCONNECT by table 2-6 and missing in
// table 3-10; it is the answer to a failed re-authentication, so it is allowed.
reason_codes! {
    /// Success; also Normal disconnection and Granted QoS 0.
    Success = 0x00, "Success",
        [ConnAck PubAck PubRec PubRel PubComp SubAck UnsubAck Disconnect Auth];
    /// The subscription is accepted with QoS 1.
    GrantedQos1 = 0x01, "Granted QoS 1", [SubAck];
    /// The subscription is accepted with QoS 2.
    GrantedQos2 = 0x02, "Granted QoS 2", [SubAck];
    /// The client disconnects and wants its will published.
    DisconnectWithWill = 0x04, "Disconnect with Will Message", [Disconnect];
    /// The message is accepted, and nobody subscribes.
    NoMatchingSubscribers = 0x10, "No matching subscribers", [PubAck PubRec];
    /// There was no such subscription to delete.
    NoSubscriptionExisted = 0x11, "No subscription existed", [UnsubAck];
    /// One more step of the authentication.
    ContinueAuthentication = 0x18, "Continue authentication", [Auth];
    /// The client starts a re-authentication.
    ReAuthenticate = 0x19, "Re-authenticate", [Auth];
    /// No other code applies, or the reason stays hidden.
    UnspecifiedError = 0x80, "Unspecified error",
        [ConnAck PubAck PubRec SubAck UnsubAck Disconnect];
    /// The packet could not be parsed.
    MalformedPacket = 0x81, "Malformed Packet", [ConnAck Disconnect];
    /// The packet was parsed and is not allowed.
    ProtocolError = 0x82, "Protocol Error", [ConnAck Disconnect];
    /// Valid, but not accepted by this receiver.
    ImplementationSpecificError = 0x83, "Implementation specific error",
        [ConnAck PubAck PubRec SubAck UnsubAck Disconnect];
    /// The version of the protocol is not served.
    UnsupportedProtocolVersion = 0x84, "Unsupported Protocol Version", [ConnAck];
    /// The Client Identifier is not allowed.
    ClientIdentifierNotValid = 0x85, "Client Identifier not valid", [ConnAck];
    /// The user name or password is not accepted.
    BadUserNameOrPassword = 0x86, "Bad User Name or Password", [ConnAck];
    /// The client may not do this.
    NotAuthorized = 0x87, "Not authorized", [ConnAck PubAck PubRec SubAck UnsubAck Disconnect];
    /// The server is not available.
    ServerUnavailable = 0x88, "Server unavailable", [ConnAck];
    /// The server is busy.
    ServerBusy = 0x89, "Server busy", [ConnAck Disconnect];
    /// The client has been banned.
    Banned = 0x8A, "Banned", [ConnAck];
    /// The server shuts down.
    ServerShuttingDown = 0x8B, "Server shutting down", [Disconnect];
    /// The authentication method is not supported or has changed.
    BadAuthenticationMethod = 0x8C, "Bad authentication method", [ConnAck Disconnect];
    /// Nothing came for one and a half times the Keep Alive.
    KeepAliveTimeout = 0x8D, "Keep Alive timeout", [Disconnect];
    /// Another connection uses the same Client Identifier.
    SessionTakenOver = 0x8E, "Session taken over", [Disconnect];
    /// The topic filter is not accepted.
    TopicFilterInvalid = 0x8F, "Topic Filter invalid", [SubAck UnsubAck Disconnect];
    /// The topic name is not accepted.
    TopicNameInvalid = 0x90, "Topic Name invalid", [ConnAck PubAck PubRec Disconnect];
    /// The Packet Identifier is in use.
    PacketIdentifierInUse = 0x91, "Packet Identifier in use", [PubAck PubRec SubAck UnsubAck];
    /// The Packet Identifier is not known.
    PacketIdentifierNotFound = 0x92, "Packet Identifier not found", [PubRel PubComp];
    /// More messages in flight than allowed.
    ReceiveMaximumExceeded = 0x93, "Receive Maximum exceeded", [Disconnect];
    /// A Topic Alias of zero or above the maximum.
    TopicAliasInvalid = 0x94, "Topic Alias invalid", [Disconnect];
    /// The packet is larger than the receiver accepts.
    PacketTooLarge = 0x95, "Packet too large", [ConnAck Disconnect];
    /// Too much data in too short a time.
    MessageRateTooHigh = 0x96, "Message rate too high", [Disconnect];
    /// A limit is exceeded.
    QuotaExceeded = 0x97, "Quota exceeded", [ConnAck PubAck PubRec SubAck Disconnect];
    /// An operator closed the connection.
    AdministrativeAction = 0x98, "Administrative action", [Disconnect];
    /// The payload is not what its format indicator says.
    PayloadFormatInvalid = 0x99, "Payload format invalid", [ConnAck PubAck PubRec Disconnect];
    /// The server keeps no retained messages.
    RetainNotSupported = 0x9A, "Retain not supported", [ConnAck Disconnect];
    /// The QoS is above the maximum.
    QosNotSupported = 0x9B, "QoS not supported", [ConnAck Disconnect];
    /// Use another server for now.
    UseAnotherServer = 0x9C, "Use another server", [ConnAck Disconnect];
    /// Use another server for ever.
    ServerMoved = 0x9D, "Server moved", [ConnAck Disconnect];
    /// The server has no shared subscriptions.
    SharedSubscriptionsNotSupported = 0x9E, "Shared Subscriptions not supported",
        [SubAck Disconnect];
    /// Too many connections in too short a time.
    ConnectionRateExceeded = 0x9F, "Connection rate exceeded", [ConnAck Disconnect];
    /// The connection was open as long as it may.
    MaximumConnectTime = 0xA0, "Maximum connect time", [Disconnect];
    /// The server has no Subscription Identifiers.
    SubscriptionIdentifiersNotSupported = 0xA1, "Subscription Identifiers not supported",
        [SubAck Disconnect];
    /// The server has no wildcard subscriptions.
    WildcardSubscriptionsNotSupported = 0xA2, "Wildcard Subscriptions not supported",
        [SubAck Disconnect];
}

#[allow(non_upper_case_globals)] // other names of Success, used like variants
impl ReasonCode {
    /// [`ReasonCode::Success`] in a DISCONNECT.
    pub const NormalDisconnection: ReasonCode = ReasonCode::Success;
    /// [`ReasonCode::Success`] in a SUBACK.
    pub const GrantedQos0: ReasonCode = ReasonCode::Success;
}

impl ReasonCode {
    /// Whether the code says that the operation failed: 0x80 or greater.
    #[inline]
    pub const fn is_error(self) -> bool {
        self as u8 >= 0x80
    }

    /// Whether this packet may carry the code.
    pub const fn allowed_in(self, packet: PacketType) -> bool {
        self.packets() >> packet as u8 & 1 == 1
    }

    /// Whether this side may send this packet with the code (the column "Sent by" of the tables
    /// 3-4, 3-5, 3-10, 3-11).
    pub const fn allowed_from(self, packet: PacketType, sender: Sender) -> bool {
        use ReasonCode as R;
        let by_this_side = match (sender, packet, self) {
            (Sender::Client, _, R::NoMatchingSubscribers)
            | (Sender::Client, PacketType::Auth, R::Success)
            | (Sender::Server, _, R::DisconnectWithWill | R::ReAuthenticate) => false,
            (Sender::Client, PacketType::Disconnect, code) => !code.disconnect_by_server_only(),
            _ => true,
        };
        by_this_side && self.allowed_in(packet)
    }

    const fn disconnect_by_server_only(self) -> bool {
        use ReasonCode as R;
        matches!(
            self,
            R::NotAuthorized
                | R::ServerBusy
                | R::ServerShuttingDown
                | R::KeepAliveTimeout
                | R::SessionTakenOver
                | R::TopicFilterInvalid
                | R::RetainNotSupported
                | R::QosNotSupported
                | R::UseAnotherServer
                | R::ServerMoved
                | R::SharedSubscriptionsNotSupported
                | R::ConnectionRateExceeded
                | R::MaximumConnectTime
                | R::SubscriptionIdentifiersNotSupported
                | R::WildcardSubscriptionsNotSupported
        )
    }

    /// The return code of a CONNACK before version 5.0, 0 to 5. `None` when none of them is
    /// applicable: then the connection is closed without a CONNACK [MQTT3-3.2.2-6].
    pub const fn connack_v3(self) -> Option<u8> {
        use ReasonCode as R;
        match self {
            R::Success => Some(0),
            R::UnsupportedProtocolVersion => Some(1),
            R::ClientIdentifierNotValid => Some(2),
            R::ServerUnavailable
            | R::ServerBusy
            | R::ServerShuttingDown
            | R::QuotaExceeded
            | R::UseAnotherServer
            | R::ServerMoved
            | R::ConnectionRateExceeded => Some(3),
            R::BadUserNameOrPassword => Some(4),
            R::NotAuthorized | R::Banned | R::BadAuthenticationMethod => Some(5),
            _ => None, // [MQTT3-3.2.2-6]
        }
    }

    /// The reason code for a return code of a CONNACK before version 5.0. `None` for the reserved
    /// values.
    pub const fn from_connack_v3(code: u8) -> Option<ReasonCode> {
        match code {
            0 => Some(ReasonCode::Success),
            1 => Some(ReasonCode::UnsupportedProtocolVersion),
            2 => Some(ReasonCode::ClientIdentifierNotValid),
            3 => Some(ReasonCode::ServerUnavailable),
            4 => Some(ReasonCode::BadUserNameOrPassword),
            5 => Some(ReasonCode::NotAuthorized),
            _ => None,
        }
    }
}

impl core::fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}
