//! Rows for PUBACK, PUBREC, PUBREL and PUBCOMP (sections 3.4 to 3.7).

use martlet_proto::Sender::{Client, Server};
use martlet_proto::Version::{V5, V31, V311};
use martlet_proto::{DecodeErrorKind as Kind, PacketType, Property};

use crate::{Case, fault, other, same};

#[rustfmt::skip] // a row is a row
pub(crate) const CASES: &[Case] = &[
    // From real clients and a real server.
    same("mosquitto PUBACK to 3.1", V31, Server, "40020001", "PUBACK id=1 0x00"),
    same("mosquitto_sub PUBACK, 3.1", V31, Client, "40020001", "PUBACK id=1 0x00"),
    same("mosquitto_pub PUBREL, 3.1", V31, Client, "62020001", "PUBREL id=1 0x00"),
    same("paho PUBREC, 3.1", V31, Client, "50020001", "PUBREC id=1 0x00"),
    same("mosquitto PUBREC to 3.1", V31, Server, "50020002", "PUBREC id=2 0x00"),
    same("mosquitto PUBREL to 3.1", V31, Server, "62020001", "PUBREL id=1 0x00"),
    same("mosquitto PUBCOMP to 3.1", V31, Server, "70020001", "PUBCOMP id=1 0x00"),
    same("paho PUBCOMP, 3.1", V31, Client, "70020001", "PUBCOMP id=1 0x00"),
    same("mosquitto PUBACK to 3.1.1", V311, Server, "40020001", "PUBACK id=1 0x00"),
    same("mosquitto_sub PUBACK, 3.1.1", V311, Client, "40020002", "PUBACK id=2 0x00"),
    same("mosquitto PUBREC to 3.1.1", V311, Server, "50020001", "PUBREC id=1 0x00"),
    same("paho PUBREC, 3.1.1", V311, Client, "50020001", "PUBREC id=1 0x00"),
    // [MQTT3-3.6.1-1]
    same("mosquitto_pub PUBREL, 3.1.1", V311, Client, "62020001", "PUBREL id=1 0x00"),
    same("mosquitto PUBREL to 3.1.1", V311, Server, "62020001", "PUBREL id=1 0x00"),
    same("mosquitto PUBCOMP to 3.1.1", V311, Server, "70020001", "PUBCOMP id=1 0x00"),
    same("paho PUBCOMP, 3.1.1", V311, Client, "70020001", "PUBCOMP id=1 0x00"),
    same(
        "mosquitto PUBACK to 5.0, nobody subscribes", V5, Server, "4003000110", "PUBACK id=1 0x10",
    ),
    same("mosquitto_sub PUBACK, 5.0", V5, Client, "40020003", "PUBACK id=3 0x00"),
    same("mosquitto PUBREC to 5.0", V5, Server, "50020001", "PUBREC id=1 0x00"),
    // [MQTT-3.6.1-1]
    same("mosquitto_pub PUBREL, 5.0", V5, Client, "62020001", "PUBREL id=1 0x00"),
    same("mosquitto PUBCOMP to 5.0", V5, Server, "70020001", "PUBCOMP id=1 0x00"),
    same("paho PUBREC, 5.0", V5, Client, "50020003", "PUBREC id=3 0x00"),
    same("mosquitto PUBREL to 5.0", V5, Server, "62020003", "PUBREL id=3 0x00"),
    same("paho PUBCOMP, 5.0", V5, Client, "70020003", "PUBCOMP id=3 0x00"),

    other("PUBACK of three bytes with Success", V5, Client, "4003000100", "PUBACK id=1 0x00"),
    other("PUBACK with Success and no properties", V5, Client, "400400010000", "PUBACK id=1 0x00"),
    other(
        "PUBACK with an error and Property Length zero", V5, Client, "400400018300",
        "PUBACK id=1 0x83",
    ),
    same("PUBACK with an error", V5, Client, "4003000187", "PUBACK id=1 0x87"),
    same(
        "PUBACK with all properties", V5, Server,
        "40 18 0001 00 14 1F 0003 'why' 26 0001 'a' 0001 '1' 26 0001 'a' 0001 '2'",
        "PUBACK id=1 0x00 why=why a:1 a:2",
    ),
    same(
        "PUBREC with all properties", V5, Server,
        "50 11 0001 97 0D 1F 0003 'why' 26 0001 'a' 0001 '1'", "PUBREC id=1 0x97 why=why a:1",
    ),
    same("PUBREC, nobody subscribes", V5, Server, "5003000110", "PUBREC id=1 0x10"),
    same(
        "PUBREL with all properties", V5, Client,
        "62 11 0001 92 0D 1F 0003 'why' 26 0001 'a' 0001 '1'", "PUBREL id=1 0x92 why=why a:1",
    ),
    same(
        "PUBCOMP with all properties", V5, Server,
        "70 11 0001 92 0D 1F 0003 'why' 26 0001 'a' 0001 '1'", "PUBCOMP id=1 0x92 why=why a:1",
    ),
    same("PUBREL, identifier not found", V5, Server, "6203FFFF92", "PUBREL id=65535 0x92"),
    other("PUBREL with DUP, 3.1", V31, Client, "6A020001", "PUBREL id=1 0x00"),

    // [MQTT3-3.6.1-1]
    fault(
        "PUBREL with DUP, 3.1.1", V311, Client, "6A020001", Kind::ReservedFlags(PacketType::PubRel),
        0x81,
    ),
    // [MQTT-3.6.1-1]
    fault(
        "PUBREL with DUP, 5.0", V5, Client, "6A020001", Kind::ReservedFlags(PacketType::PubRel),
        0x81,
    ),
    // [MQTT-3.6.1-1] [MQTT3-3.6.1-1]
    fault(
        "PUBREL without its flag", V5, Client, "60020001", Kind::ReservedFlags(PacketType::PubRel),
        0x81,
    ),
    // [MQTT-2.1.3-1]
    fault(
        "PUBACK with flags", V5, Client, "42020001", Kind::ReservedFlags(PacketType::PubAck), 0x81,
    ),
    // [MQTT3-2.2.2-1] [MQTT3-2.2.2-2]
    fault(
        "PUBREC with flags", V311, Client, "51020001", Kind::ReservedFlags(PacketType::PubRec),
        0x81,
    ),
    fault(
        "PUBCOMP with flags", V31, Client, "74020001", Kind::ReservedFlags(PacketType::PubComp),
        0x81,
    ),
    fault("PUBACK identifier of zero", V311, Client, "40020000", Kind::PacketIdZero, 0x82),
    fault("PUBREC identifier of zero", V5, Client, "50020000", Kind::PacketIdZero, 0x82),
    fault("PUBREL identifier of zero", V5, Client, "62020000", Kind::PacketIdZero, 0x82),
    fault("PUBCOMP identifier of zero", V5, Client, "70020000", Kind::PacketIdZero, 0x82),
    fault("PUBACK without identifier", V5, Client, "4000", Kind::Truncated, 0x81),
    fault("PUBACK of one byte", V311, Client, "400100", Kind::Truncated, 0x81),
    fault("PUBACK of three bytes, 3.1.1", V311, Client, "4003000100", Kind::TrailingBytes, 0x81),
    fault("PUBCOMP of three bytes, 3.1", V31, Client, "7003000100", Kind::TrailingBytes, 0x81),
    // [MQTT-3.4.2-1]
    fault(
        "PUBACK with a code of PUBREL", V5, Client, "4003000192",
        Kind::ReasonCodeNotAllowed(PacketType::PubAck, 0x92), 0x82,
    ),
    // [MQTT-3.4.2-1]
    fault(
        "PUBACK with a code that does not exist", V5, Client, "4003000103",
        Kind::ReasonCodeNotAllowed(PacketType::PubAck, 3), 0x82,
    ),
    fault(
        "PUBACK from a client that nobody subscribes", V5, Client, "4003000110",
        Kind::ReasonCodeNotAllowed(PacketType::PubAck, 0x10), 0x82,
    ),
    // [MQTT-3.5.2-1]
    fault(
        "PUBREC with a code of PUBREL", V5, Client, "5003000192",
        Kind::ReasonCodeNotAllowed(PacketType::PubRec, 0x92), 0x82,
    ),
    // [MQTT-3.6.2-1]
    fault(
        "PUBREL with a code of PUBACK", V5, Client, "6203000187",
        Kind::ReasonCodeNotAllowed(PacketType::PubRel, 0x87), 0x82,
    ),
    // [MQTT-3.7.2-1]
    fault(
        "PUBCOMP with a code of PUBREC", V5, Client, "7003000110",
        Kind::ReasonCodeNotAllowed(PacketType::PubComp, 0x10), 0x82,
    ),
    fault(
        "PUBACK with Reason String twice", V5, Client, "40 0C 0001 00 08 1F 0001 'a' 1F 0001 'a'",
        Kind::PropertyRepeated(Property::ReasonString), 0x82,
    ),
    fault(
        "PUBREC with Reason String twice", V5, Client, "50 0C 0001 00 08 1F 0001 'a' 1F 0001 'a'",
        Kind::PropertyRepeated(Property::ReasonString), 0x82,
    ),
    fault(
        "PUBREL with Content Type", V5, Client, "62 08 0001 00 04 03 0001 'a'",
        Kind::PropertyNotAllowed(Property::ContentType, PacketType::PubRel), 0x81,
    ),
    fault(
        "PUBCOMP with Server Reference", V5, Server, "70 08 0001 00 04 1C 0001 'a'",
        Kind::PropertyNotAllowed(Property::ServerReference, PacketType::PubComp), 0x81,
    ),
    fault(
        "PUBACK with a Property Length beyond the packet", V5, Client, "400400018301",
        Kind::Truncated, 0x81,
    ),
    fault("PUBACK with a payload", V5, Client, "40050001830000", Kind::TrailingBytes, 0x81),
];
