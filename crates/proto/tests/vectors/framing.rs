//! Rows for the fixed header, PINGREQ, PINGRESP, DISCONNECT and AUTH (sections 2.1 and 3.12 to
//! 3.15).

use martlet_proto::Sender::{Client, Server};
use martlet_proto::Version::{V5, V31, V311};
use martlet_proto::{DecodeErrorKind as Kind, PacketType, Property};

use crate::{Case, fault, other, part, same};

#[rustfmt::skip] // a row is a row
pub(crate) const CASES: &[Case] = &[
    // PINGREQ and PINGRESP.
    same("paho PINGREQ, 3.1", V31, Client, "C000", "PINGREQ"),
    same("mosquitto PINGRESP to 3.1", V31, Server, "D000", "PINGRESP"),
    same("paho PINGREQ, 3.1.1", V311, Client, "C000", "PINGREQ"),
    same("mosquitto PINGRESP to 3.1.1", V311, Server, "D000", "PINGRESP"),
    same("paho PINGREQ, 5.0", V5, Client, "C000", "PINGREQ"),
    same("mosquitto PINGRESP to 5.0", V5, Server, "D000", "PINGRESP"),
    fault("PINGREQ with a body", V311, Client, "C00100", Kind::TrailingBytes, 0x81),
    fault("PINGRESP with a body", V5, Server, "D00100", Kind::TrailingBytes, 0x81),
    // [MQTT3-2.2.2-1]
    fault(
        "PINGREQ with flags", V311, Client, "C100", Kind::ReservedFlags(PacketType::PingReq), 0x81,
    ),
    // [MQTT-2.1.3-1]
    fault(
        "PINGRESP with flags", V5, Server, "D800", Kind::ReservedFlags(PacketType::PingResp), 0x81,
    ),
    fault(
        "PINGREQ from a server", V311, Server, "C000", Kind::WrongSender(PacketType::PingReq), 0x82,
    ),
    fault(
        "PINGRESP from a client", V5, Client, "D000", Kind::WrongSender(PacketType::PingResp), 0x82,
    ),

    // DISCONNECT.
    same("mosquitto_pub DISCONNECT, 3.1", V31, Client, "E000", "DISCONNECT 0x00"),
    same("mosquitto_pub DISCONNECT, 3.1.1", V311, Client, "E000", "DISCONNECT 0x00"),
    same("mosquitto_pub DISCONNECT, 5.0", V5, Client, "E000", "DISCONNECT 0x00"),
    other(
        "mosquitto_pub DISCONNECT with properties", V5, Client,
        "E0 14 00 12 1F 0003 'bye' 26 0001 'x' 0001 'y' 1100000000",
        "DISCONNECT 0x00 expiry=0 why=bye x:y",
    ),
    same(
        "paho DISCONNECT with will", V5, Client, "E0 0E 04 0C 1100000000 1F 0004 'done'",
        "DISCONNECT 0x04 expiry=0 why=done",
    ),
    // Figure 3-24: its bits of the Property Length say 7, its text and its rows say 5.
    same(
        "variable header of figure 3-24", V5, Client, "E0 07 00 05 1100000000",
        "DISCONNECT 0x00 expiry=0",
    ),
    same("DISCONNECT with a reason alone", V5, Server, "E0018E", "DISCONNECT 0x8E"),
    other(
        "DISCONNECT with a reason and Property Length zero", V5, Server, "E0028E00",
        "DISCONNECT 0x8E",
    ),
    other(
        "DISCONNECT with Normal disconnection written out", V5, Client, "E00100", "DISCONNECT 0x00",
    ),
    same(
        "DISCONNECT to another server", V5, Server,
        "E0 13 9D 11 1F 0001 'r' 26 0001 'k' 0001 'v' 1C 0003 'b:1'",
        "DISCONNECT 0x9D why=r k:v server=b:1",
    ),
    fault("DISCONNECT with a body, 3.1.1", V311, Client, "E00100", Kind::TrailingBytes, 0x81),
    // [MQTT3-3.14.1-1]
    fault(
        "DISCONNECT with flags", V311, Client, "E100", Kind::ReservedFlags(PacketType::Disconnect),
        0x81,
    ),
    // [MQTT-3.14.1-1]
    fault(
        "DISCONNECT with flags, 5.0", V5, Client, "E200",
        Kind::ReservedFlags(PacketType::Disconnect), 0x81,
    ),
    fault(
        "DISCONNECT from a server, 3.1.1", V311, Server, "E000",
        Kind::WrongSender(PacketType::Disconnect), 0x82,
    ),
    fault(
        "DISCONNECT from a server, 3.1", V31, Server, "E000",
        Kind::WrongSender(PacketType::Disconnect), 0x82,
    ),
    // [MQTT-3.14.2-1]
    fault(
        "DISCONNECT with a code that does not exist", V5, Client, "E001FF",
        Kind::ReasonCodeNotAllowed(PacketType::Disconnect, 0xFF), 0x82,
    ),
    // [MQTT-3.14.2-1]
    fault(
        "DISCONNECT with a code of CONNACK", V5, Server, "E00186",
        Kind::ReasonCodeNotAllowed(PacketType::Disconnect, 0x86), 0x82,
    ),
    // [MQTT-3.14.2-1]
    fault(
        "DISCONNECT from a client with a code of a server", V5, Client, "E0018E",
        Kind::ReasonCodeNotAllowed(PacketType::Disconnect, 0x8E), 0x82,
    ),
    // [MQTT-3.14.2-1]
    fault(
        "DISCONNECT with will from a server", V5, Server, "E00104",
        Kind::ReasonCodeNotAllowed(PacketType::Disconnect, 4), 0x82,
    ),
    // [MQTT-3.14.2-2]
    fault(
        "DISCONNECT with Session Expiry Interval from a server", V5, Server,
        "E0 07 00 05 1100000001", Kind::SessionExpiryFromServer, 0x82,
    ),
    fault(
        "DISCONNECT with Session Expiry Interval twice", V5, Client,
        "E0 0C 00 0A 1100000001 1100000001",
        Kind::PropertyRepeated(Property::SessionExpiryInterval), 0x82,
    ),
    fault(
        "DISCONNECT with Server Reference twice", V5, Server, "E0 0A 9C 08 1C 0001 'a' 1C 0001 'a'",
        Kind::PropertyRepeated(Property::ServerReference), 0x82,
    ),
    fault(
        "DISCONNECT with Reason String twice", V5, Client, "E0 0A 00 08 1F 0001 'a' 1F 0001 'a'",
        Kind::PropertyRepeated(Property::ReasonString), 0x82,
    ),
    fault(
        "DISCONNECT with Authentication Method", V5, Client, "E0 06 00 04 15 0001 'a'",
        Kind::PropertyNotAllowed(Property::AuthenticationMethod, PacketType::Disconnect), 0x81,
    ),
    fault("DISCONNECT with a payload", V5, Client, "E003000000", Kind::TrailingBytes, 0x81),

    // AUTH.
    same(
        "AUTH with the first data of a client", V5, Client,
        "F0 1F 18 1D 15 000B 'SCRAM-SHA-1' 16 000C 'client-final'",
        "AUTH 0x18 method=SCRAM-SHA-1 data=client-final",
    ),
    same(
        "AUTH with every property from a server", V5, Server,
        "F0 2E 18 2C 15 000B 'SCRAM-SHA-1' 16 000C 'server-first' 1F 0005 'go on' 26 0001 'k' \
         0001 'v'",
        "AUTH 0x18 method=SCRAM-SHA-1 data=server-first why=go on k:v",
    ),
    same("AUTH re-authenticate", V5, Client, "F0 06 19 04 15 0001 'M'", "AUTH 0x19 method=M"),
    same("AUTH Success", V5, Server, "F0 06 00 04 15 0001 'M'", "AUTH 0x00 method=M"),
    same("AUTH Success in the short form", V5, Server, "F000", "AUTH 0x00"),
    // [MQTT-3.15.2-1]
    fault(
        "AUTH Success from a client", V5, Client, "F000",
        Kind::ReasonCodeNotAllowed(PacketType::Auth, 0), 0x82,
    ),
    // [MQTT-3.15.2-1]
    fault(
        "AUTH re-authenticate from a server", V5, Server, "F0 06 19 04 15 0001 'M'",
        Kind::ReasonCodeNotAllowed(PacketType::Auth, 0x19), 0x82,
    ),
    // [MQTT-3.15.2-1]
    fault(
        "AUTH with a code of another packet", V5, Client, "F0 06 87 04 15 0001 'M'",
        Kind::ReasonCodeNotAllowed(PacketType::Auth, 0x87), 0x82,
    ),
    // [MQTT-4.12.0-5]
    fault("AUTH without method", V5, Client, "F0 02 18 00", Kind::AuthMethodMissing, 0x82),
    fault("AUTH with a reason alone", V5, Client, "F00118", Kind::AuthMethodMissing, 0x82),
    fault(
        "AUTH with data but no method", V5, Client, "F0 06 18 04 16 0001 'x'",
        Kind::AuthMethodMissing, 0x82,
    ),
    fault(
        "AUTH with method twice", V5, Client, "F0 0A 18 08 15 0001 'a' 15 0001 'a'",
        Kind::PropertyRepeated(Property::AuthenticationMethod), 0x82,
    ),
    fault(
        "AUTH with data twice", V5, Client, "F0 0E 18 0C 15 0001 'a' 16 0001 'x' 16 0001 'x'",
        Kind::PropertyRepeated(Property::AuthenticationData), 0x82,
    ),
    fault(
        "AUTH with Server Reference", V5, Server, "F0 0A 18 08 15 0001 'a' 1C 0001 'x'",
        Kind::PropertyNotAllowed(Property::ServerReference, PacketType::Auth), 0x81,
    ),
    // [MQTT-3.15.1-1]
    fault(
        "AUTH with flags", V5, Client, "F1 06 18 04 15 0001 'a'",
        Kind::ReservedFlags(PacketType::Auth), 0x81,
    ),
    fault("AUTH in 3.1.1", V311, Client, "F000", Kind::ReservedPacketType, 0x81),
    fault("AUTH in 3.1", V31, Server, "F000", Kind::ReservedPacketType, 0x81),

    // The fixed header.
    fault("packet type 0", V311, Client, "0000", Kind::ReservedPacketType, 0x81),
    fault("packet type 0 with flags", V5, Client, "0F00", Kind::ReservedPacketType, 0x81),
    // [MQTT3-2.2.2-1] [MQTT3-2.2.2-2]
    fault(
        "CONNECT with flags", V311, Client, "1100", Kind::ReservedFlags(PacketType::Connect), 0x81,
    ),
    // [MQTT-2.1.3-1]
    fault(
        "CONNECT with flags, 5.0", V5, Client, "1800", Kind::ReservedFlags(PacketType::Connect),
        0x81,
    ),
    // [MQTT-2.1.3-1]
    fault("CONNACK with flags", V5, Server, "2200", Kind::ReservedFlags(PacketType::ConnAck), 0x81),
    fault("remaining length of five bytes", V5, Client, "308080808001", Kind::VarIntTooLong, 0x81),
    fault(
        "remaining length of four bytes that say a fifth follows", V311, Client, "30FFFFFFFF",
        Kind::VarIntTooLong, 0x81,
    ),
    // [MQTT-1.5.5-1]
    fault(
        "remaining length with a needless byte", V5, Client, "C08000", Kind::VarIntNotMinimal, 0x81,
    ),
    // [MQTT-1.5.5-1]
    fault(
        "remaining length with two needless bytes", V5, Client, "C0808000", Kind::VarIntNotMinimal,
        0x81,
    ),
    // [MQTT-3.2.2-15]
    fault(
        "packet larger than the limit, known from five bytes", V5, Client, "30FFFFFF7F",
        Kind::PacketTooLarge, 0x95,
    ),
    // [MQTT-3.1.2-24]
    fault(
        "packet one byte larger than the limit", V5, Server, "30FDFF3F", Kind::PacketTooLarge, 0x95,
    ),
    part("nothing", "", None),
    part("first byte", "30", None),
    part("length that goes on", "30 80", None),
    part("length that goes on after three bytes", "30 808080", None),
    part("length without body", "3005", Some(7)),
    part("greatest packet that the limit allows", "30FCFF3F", Some(1 << 20)),
];
