//! Rows for CONNACK (section 3.2).

use martlet_proto::Sender::{Client, Server};
use martlet_proto::Version::{V5, V31, V311};
use martlet_proto::{DecodeErrorKind as Kind, PacketType, Property};

use crate::{Case, fault, other, same};

#[rustfmt::skip] // a row is a row
pub(crate) const CASES: &[Case] = &[
    // From a real server.
    same("mosquitto to 3.1", V31, Server, "20020000", "CONNACK 0x00"),
    same("mosquitto to 3.1.1", V311, Server, "20020000", "CONNACK 0x00"),
    same("mosquitto to 3.1.1, session present", V311, Server, "20020100", "CONNACK present 0x00"),
    other(
        "mosquitto to 5.0", V5, Server, "20 09 00 00 06 22000A 210014",
        "CONNACK 0x00 receive=20 alias=10",
    ),
    other(
        "mosquitto to 5.0, session present", V5, Server, "20 09 01 00 06 22000A 210014",
        "CONNACK present 0x00 receive=20 alias=10",
    ),
    other(
        "mosquitto to 5.0, assigned client identifier", V5, Server,
        "20 35 00 00 32 22000A 12 0029 'auto-86T12F1L-9C92-1550-E311-6C1388653954' 210014",
        "CONNACK 0x00 receive=20 client=auto-86T12F1L-9C92-1550-E311-6C1388653954 alias=10",
    ),

    same(
        "every property", V5, Server,
        "20 3F 00 00 3C 1100000001 210002 2401 2500 2700000003 12 0001 'c' 220004 1F 0001 'r' \
         26 0001 'k' 0001 'v' 2800 2900 2A00 130005 1A 0001 'i' 1C 0001 's' 15 0001 'm' 16 0001 \
         'd'",
        "CONNACK 0x00 expiry=1 receive=2 qos=1 retain=false size=3 client=c alias=4 why=r k:v \
         wildcard=false numbers=false shared=false keepalive=5 response=i server=s method=m \
         data=d",
    ),
    same(
        "the other values of the flags", V5, Server, "20 0D 00 00 0A 2400 2501 2801 2901 2A01",
        "CONNACK 0x00 qos=0 retain=true wildcard=true numbers=true shared=true",
    ),
    same("refused, 5.0", V5, Server, "20 03 00 87 00", "CONNACK 0x87"),
    same(
        "refused with a reason and another server", V5, Server,
        "20 13 00 9C 10 1F 0004 'full' 1C 0006 'b:1883'", "CONNACK 0x9C why=full server=b:1883",
    ),
    same("refused version, 3.1.1", V311, Server, "20020001", "CONNACK 0x84"),
    same("refused client identifier, 3.1.1", V311, Server, "20020002", "CONNACK 0x85"),
    same("server unavailable, 3.1.1", V311, Server, "20020003", "CONNACK 0x88"),
    same("refused credentials, 3.1.1", V311, Server, "20020004", "CONNACK 0x86"),
    same("not authorized, 3.1.1", V311, Server, "20020005", "CONNACK 0x87"),
    other("byte 1 is not used in 3.1", V31, Server, "2002FF00", "CONNACK 0x00"),

    fault(
        "reserved return code, 3.1.1", V311, Server, "20020006",
        Kind::ReasonCodeNotAllowed(PacketType::ConnAck, 6), 0x82,
    ),
    fault(
        "reason code of 5.0 in 3.1.1", V311, Server, "20020087",
        Kind::ReasonCodeNotAllowed(PacketType::ConnAck, 0x87), 0x82,
    ),
    // [MQTT-3.2.2-8]
    fault(
        "reason code of another packet", V5, Server, "20 03 00 8E 00",
        Kind::ReasonCodeNotAllowed(PacketType::ConnAck, 0x8E), 0x82,
    ),
    // [MQTT-3.2.2-8]
    fault(
        "reason code that does not exist", V5, Server, "20 03 00 A3 00",
        Kind::ReasonCodeNotAllowed(PacketType::ConnAck, 0xA3), 0x82,
    ),
    // [MQTT-3.2.2-8]
    fault(
        "return code of 3.1.1 in 5.0", V5, Server, "20 03 00 05 00",
        Kind::ReasonCodeNotAllowed(PacketType::ConnAck, 5), 0x82,
    ),
    // [MQTT-3.2.2-1]
    fault(
        "reserved acknowledge flags", V5, Server, "20 03 02 00 00", Kind::ConnAckReservedFlags,
        0x81,
    ),
    fault(
        "reserved acknowledge flags, 3.1.1", V311, Server, "20028000", Kind::ConnAckReservedFlags,
        0x81,
    ),
    // [MQTT-3.2.2-6]
    fault(
        "session present with an error", V5, Server, "20 03 01 87 00",
        Kind::SessionPresentWithError, 0x82,
    ),
    // [MQTT3-3.2.2-4]
    fault(
        "session present with an error, 3.1.1", V311, Server, "20020105",
        Kind::SessionPresentWithError, 0x82,
    ),
    // [MQTT-2.2.2-1]
    fault("no Property Length in CONNACK", V5, Server, "20020000", Kind::Truncated, 0x81),
    fault("CONNACK of one byte", V311, Server, "200100", Kind::Truncated, 0x81),
    fault("CONNACK with properties, 3.1.1", V311, Server, "2003000000", Kind::TrailingBytes, 0x81),
    fault("CONNACK with a payload", V5, Server, "200400000000", Kind::TrailingBytes, 0x81),
    fault(
        "Maximum QoS of 2", V5, Server, "20 05 00 00 02 2402",
        Kind::PropertyValue(Property::MaximumQos), 0x82,
    ),
    fault(
        "Retain Available of 2", V5, Server, "20 05 00 00 02 2502",
        Kind::PropertyValue(Property::RetainAvailable), 0x82,
    ),
    fault(
        "Wildcard Subscription Available of 2", V5, Server, "20 05 00 00 02 2802",
        Kind::PropertyValue(Property::WildcardSubscriptionAvailable), 0x82,
    ),
    fault(
        "Subscription Identifier Available of 2", V5, Server, "20 05 00 00 02 2902",
        Kind::PropertyValue(Property::SubscriptionIdentifierAvailable), 0x82,
    ),
    fault(
        "Shared Subscription Available of 2", V5, Server, "20 05 00 00 02 2A02",
        Kind::PropertyValue(Property::SharedSubscriptionAvailable), 0x82,
    ),
    fault(
        "Receive Maximum of zero from a server", V5, Server, "20 06 00 00 03 210000",
        Kind::PropertyValue(Property::ReceiveMaximum), 0x82,
    ),
    fault(
        "Maximum Packet Size of zero from a server", V5, Server, "20 08 00 00 05 2700000000",
        Kind::PropertyValue(Property::MaximumPacketSize), 0x82,
    ),
    fault(
        "Server Keep Alive twice", V5, Server, "20 09 00 00 06 130001 130001",
        Kind::PropertyRepeated(Property::ServerKeepAlive), 0x82,
    ),
    fault(
        "Assigned Client Identifier twice", V5, Server, "20 0B 00 00 08 12 0001 'a' 12 0001 'a'",
        Kind::PropertyRepeated(Property::AssignedClientIdentifier), 0x82,
    ),
    fault(
        "Request Problem Information in CONNACK", V5, Server, "20 05 00 00 02 1701",
        Kind::PropertyNotAllowed(Property::RequestProblemInformation, PacketType::ConnAck), 0x81,
    ),
    fault(
        "CONNACK from a client", V311, Client, "20020000", Kind::WrongSender(PacketType::ConnAck),
        0x82,
    ),
];
