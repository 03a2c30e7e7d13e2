//! Rows for SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK (sections 3.8 to 3.11).

use martlet_proto::Sender::{Client, Server};
use martlet_proto::Version::{V5, V31, V311};
use martlet_proto::topic::TopicError;
use martlet_proto::{DecodeErrorKind as Kind, PacketType, Property};

use crate::{Case, fault, other, same};

#[rustfmt::skip] // a row is a row
pub(crate) const CASES: &[Case] = &[
    // From real clients and a real server.
    same(
        "mosquitto_sub two filters, 3.1", V31, Client,
        "82 14 0001 0009 'sensors/#' 02 0003 '+/x' 02", "SUBSCRIBE id=1 sensors/#=02 +/x=02",
    ),
    // [MQTT3-3.8.1-1] [MQTT3-3.8.3-1]
    same(
        "mosquitto_sub two filters, 3.1.1", V311, Client,
        "82 14 0001 0009 'sensors/#' 02 0003 '+/x' 02", "SUBSCRIBE id=1 sensors/#=02 +/x=02",
    ),
    same(
        "paho two filters, 3.1.1", V311, Client, "82 0D 0001 0004C3A92F2B 02 0001 '#' 00",
        "SUBSCRIBE id=1 é/+=02 #=00",
    ),
    // [MQTT-3.8.1-1] [MQTT-3.8.3-1] [MQTT-2.2.2-1]
    same(
        "mosquitto_sub, 5.0", V5, Client, "82 1B 0001 00 0015 'sensors/+/temperature' 01",
        "SUBSCRIBE id=1 sensors/+/temperature=01",
    ),
    // [MQTT-4.8.2-1] [MQTT-4.8.2-2]
    same(
        "mosquitto_sub with a number and a share", V5, Client,
        "82 23 0001 0C 0BC801 26 0002 'su' 0002 'sv' 0004 'req2' 0A 000A '$share/g/x' 0A",
        "SUBSCRIBE id=1 number=200 su:sv req2=0A $share/g/x=0A",
    ),
    same(
        "paho with all options", V5, Client,
        "82 2A 0001 0C 0BFFFFFF7F 26 0001 's' 0001 't' 0003 'p/+' 1A 000C '$share/g/p/#' 21 \
         0003 'own' 04",
        "SUBSCRIBE id=1 number=268435455 s:t p/+=1A $share/g/p/#=21 own=04",
    ),
    // The figures of sections 3.8 and 3.10.
    same(
        "example of figures 3-19 and 3-21, 5.0", V5, Client,
        "82 0F 000A 00 0003 'a/b' 01 0003 'c/d' 02", "SUBSCRIBE id=10 a/b=01 c/d=02",
    ),
    same(
        "example of figures 3-21 and 3-23, 3.1.1", V311, Client,
        "82 0E 000A 0003 'a/b' 01 0003 'c/d' 02", "SUBSCRIBE id=10 a/b=01 c/d=02",
    ),
    same(
        "No Local where it is not shared", V5, Client, "82 0F 0001 00 0009 '$shared/x' 04",
        "SUBSCRIBE id=1 $shared/x=04",
    ),
    other("SUBSCRIBE with DUP, 3.1", V31, Client, "8A 06 0001 0001 'a' 00", "SUBSCRIBE id=1 a=00"),
    same("filter of # alone", V311, Client, "82 06 0001 0001 '#' 00", "SUBSCRIBE id=1 #=00"),
    same("filter +/+/#", V311, Client, "82 0A 0001 0005 '+/+/#' 00", "SUBSCRIBE id=1 +/+/#=00"),

    // [MQTT3-3.8.1-1]
    fault(
        "SUBSCRIBE with DUP, 3.1.1", V311, Client, "8A 06 0001 0001 'a' 00",
        Kind::ReservedFlags(PacketType::Subscribe), 0x81,
    ),
    // [MQTT-3.8.1-1]
    fault(
        "SUBSCRIBE without its flag", V5, Client, "80 07 0001 00 0001 'a' 00",
        Kind::ReservedFlags(PacketType::Subscribe), 0x81,
    ),
    // [MQTT3-2.3.1-1]
    fault(
        "SUBSCRIBE identifier of zero", V311, Client, "82 06 0000 0001 'a' 00", Kind::PacketIdZero,
        0x82,
    ),
    // [MQTT-2.2.1-3]
    fault(
        "SUBSCRIBE identifier of zero, 5.0", V5, Client, "82 07 0000 00 0001 'a' 00",
        Kind::PacketIdZero, 0x82,
    ),
    // [MQTT3-3.8.3-3]
    fault(
        "SUBSCRIBE without filter", V311, Client, "82020001",
        Kind::NoTopicFilter(PacketType::Subscribe), 0x82,
    ),
    // [MQTT-3.8.3-2]
    fault(
        "SUBSCRIBE without filter, 5.0", V5, Client, "82 03 0001 00",
        Kind::NoTopicFilter(PacketType::Subscribe), 0x82,
    ),
    fault(
        "SUBSCRIBE filter without options", V311, Client, "82 05 0001 0001 'a'", Kind::Truncated,
        0x81,
    ),
    // [MQTT3-3.8.3-1]
    fault(
        "SUBSCRIBE filter that is not UTF-8", V311, Client, "82 06 0001 0001FF 00",
        Kind::StringNotUtf8, 0x81,
    ),
    // [MQTT-3.8.3-1]
    fault(
        "SUBSCRIBE filter that is not UTF-8, 5.0", V5, Client, "82 07 0001 00 0001FF 00",
        Kind::StringNotUtf8, 0x81,
    ),
    // [MQTT-4.7.3-2]
    fault(
        "SUBSCRIBE filter with U+0000", V5, Client, "82 07 0001 00 000100 00", Kind::StringHasNul,
        0x81,
    ),
    // [MQTT-4.7.3-1]
    fault(
        "SUBSCRIBE empty filter", V5, Client, "82 06 0001 00 0000 00",
        Kind::TopicFilter(TopicError::Empty), 0x8F,
    ),
    // [MQTT3-4.7.3-1]
    fault(
        "SUBSCRIBE empty filter, 3.1.1", V311, Client, "82 05 0001 0000 00",
        Kind::TopicFilter(TopicError::Empty), 0x8F,
    ),
    // [MQTT3-4.7.1-2]
    fault(
        "SUBSCRIBE # not last", V311, Client, "82 1B 0001 0016 'sport/tennis/#/ranking' 00",
        Kind::TopicFilter(TopicError::MultiLevelWildcard), 0x8F,
    ),
    // [MQTT-4.7.1-1]
    fault(
        "SUBSCRIBE # not a level", V5, Client, "82 13 0001 00 000D 'sport/tennis#' 00",
        Kind::TopicFilter(TopicError::MultiLevelWildcard), 0x8F,
    ),
    // [MQTT-4.7.1-2]
    fault(
        "SUBSCRIBE + not a level", V5, Client, "82 0C 0001 00 0006 'sport+' 00",
        Kind::TopicFilter(TopicError::SingleLevelWildcard), 0x8F,
    ),
    // [MQTT3-4.7.1-3]
    fault(
        "SUBSCRIBE + not a level, 3.1.1", V311, Client, "82 09 0001 0004 'a/+b' 00",
        Kind::TopicFilter(TopicError::SingleLevelWildcard), 0x8F,
    ),
    // [MQTT-4.8.2-1]
    fault(
        "SUBSCRIBE share without name", V5, Client, "82 0F 0001 00 0009 '$share//a' 00",
        Kind::TopicFilter(TopicError::ShareName), 0x8F,
    ),
    // [MQTT-4.8.2-2]
    fault(
        "SUBSCRIBE share with a wildcard in its name", V5, Client,
        "82 11 0001 00 000B '$share/g+/a' 00", Kind::TopicFilter(TopicError::ShareName), 0x8F,
    ),
    // [MQTT-4.8.2-2]
    fault(
        "SUBSCRIBE share without filter", V5, Client, "82 0E 0001 00 0008 '$share/g' 00",
        Kind::TopicFilter(TopicError::ShareFilter), 0x8F,
    ),
    // [MQTT-4.8.2-2]
    fault(
        "SUBSCRIBE share with an empty filter", V5, Client, "82 0F 0001 00 0009 '$share/g/' 00",
        Kind::TopicFilter(TopicError::ShareFilter), 0x8F,
    ),
    fault("SUBSCRIBE QoS 3", V5, Client, "82 07 0001 00 0001 'a' 03", Kind::SubscriptionQos3, 0x82),
    // [MQTT3-3.8.3-4]
    fault(
        "SUBSCRIBE QoS 3, 3.1.1", V311, Client, "82 06 0001 0001 'a' 03", Kind::SubscriptionQos3,
        0x82,
    ),
    // [MQTT-3.8.3-5]
    fault(
        "SUBSCRIBE reserved bit", V5, Client, "82 07 0001 00 0001 'a' 40",
        Kind::SubscriptionReservedBits, 0x81,
    ),
    // [MQTT3-3.8.3-4]
    fault(
        "SUBSCRIBE options of 5.0 in 3.1.1", V311, Client, "82 06 0001 0001 'a' 04",
        Kind::SubscriptionReservedBits, 0x81,
    ),
    fault(
        "SUBSCRIBE Retain Handling 3", V5, Client, "82 07 0001 00 0001 'a' 30",
        Kind::RetainHandling3, 0x82,
    ),
    // [MQTT-3.8.3-4]
    fault(
        "SUBSCRIBE No Local on a shared subscription", V5, Client,
        "82 10 0001 00 000A '$share/g/a' 04", Kind::NoLocalOnShared, 0x82,
    ),
    fault(
        "SUBSCRIBE number of zero", V5, Client, "82 09 0001 02 0B00 0001 'a' 00",
        Kind::PropertyValue(Property::SubscriptionIdentifier), 0x82,
    ),
    fault(
        "SUBSCRIBE number twice", V5, Client, "82 0B 0001 04 0B01 0B02 0001 'a' 00",
        Kind::PropertyRepeated(Property::SubscriptionIdentifier), 0x82,
    ),
    fault(
        "SUBSCRIBE number of five bytes", V5, Client, "82 0D 0001 06 0B8080808001 0001 'a' 00",
        Kind::VarIntTooLong, 0x81,
    ),
    fault(
        "SUBSCRIBE with Reason String", V5, Client, "82 0B 0001 04 1F 0001 'a' 0001 'a' 00",
        Kind::PropertyNotAllowed(Property::ReasonString, PacketType::Subscribe), 0x81,
    ),
    fault(
        "SUBSCRIBE from a server", V5, Server, "82 07 0001 00 0001 'a' 00",
        Kind::WrongSender(PacketType::Subscribe), 0x82,
    ),

    // SUBACK.
    same("mosquitto SUBACK to 3.1", V31, Server, "900400010202", "SUBACK id=1 0x02 0x02"),
    same("mosquitto SUBACK to 3.1.1", V311, Server, "900400010200", "SUBACK id=1 0x02 0x00"),
    same("mosquitto SUBACK to 5.0", V5, Server, "9006000100020100", "SUBACK id=1 0x02 0x01 0x00"),
    // [MQTT3-3.9.3-2]
    same(
        "SUBACK with a failure, 3.1.1", V311, Server, "90050001008001",
        "SUBACK id=1 0x00 0x80 0x01",
    ),
    // [MQTT-3.9.3-2]
    same(
        "SUBACK with every code", V5, Server, "90 0F 0001 00 0001028083878F91979EA1A2",
        "SUBACK id=1 0x00 0x01 0x02 0x80 0x83 0x87 0x8F 0x91 0x97 0x9E 0xA1 0xA2",
    ),
    same(
        "SUBACK with all properties", V5, Server,
        "90 11 0001 0D 1F 0003 'why' 26 0001 'a' 0001 'b' 87", "SUBACK id=1 why=why a:b 0x87",
    ),
    // [MQTT3-3.9.3-2]
    fault(
        "SUBACK code that is reserved, 3.1.1", V311, Server, "9003000103",
        Kind::ReasonCodeNotAllowed(PacketType::SubAck, 3), 0x82,
    ),
    // [MQTT3-3.9.3-2]
    fault(
        "SUBACK code of 5.0 in 3.1.1", V311, Server, "9003000187",
        Kind::ReasonCodeNotAllowed(PacketType::SubAck, 0x87), 0x82,
    ),
    // [MQTT-3.9.3-2]
    fault(
        "SUBACK code of UNSUBACK", V5, Server, "90 05 0001 00 0011",
        Kind::ReasonCodeNotAllowed(PacketType::SubAck, 0x11), 0x82,
    ),
    fault(
        "SUBACK without code", V311, Server, "90020001", Kind::NoReasonCode(PacketType::SubAck),
        0x82,
    ),
    fault(
        "SUBACK without code, 5.0", V5, Server, "90 03 0001 00",
        Kind::NoReasonCode(PacketType::SubAck), 0x82,
    ),
    fault("SUBACK identifier of zero", V311, Server, "9003000000", Kind::PacketIdZero, 0x82),
    fault(
        "SUBACK with Reason String twice", V5, Server, "90 0C 0001 08 1F 0001 'a' 1F 0001 'a' 00",
        Kind::PropertyRepeated(Property::ReasonString), 0x82,
    ),
    // [MQTT-2.1.3-1]
    fault(
        "SUBACK with flags", V5, Server, "92 04 0001 00 00",
        Kind::ReservedFlags(PacketType::SubAck), 0x81,
    ),
    fault(
        "SUBACK from a client", V5, Client, "90 04 0001 00 00",
        Kind::WrongSender(PacketType::SubAck), 0x82,
    ),

    // UNSUBSCRIBE.
    same(
        "mosquitto_sub UNSUBSCRIBE, 3.1", V31, Client, "A2 09 0002 0005 'old/#'",
        "UNSUBSCRIBE id=2 old/#",
    ),
    // [MQTT3-3.10.1-1] [MQTT3-3.10.3-1]
    same(
        "mosquitto_sub UNSUBSCRIBE, 3.1.1", V311, Client, "A2 09 0002 0005 'old/#'",
        "UNSUBSCRIBE id=2 old/#",
    ),
    same(
        "paho UNSUBSCRIBE, 3.1.1", V311, Client, "A2 0B 0003 0004C3A92F2B 0001 '#'",
        "UNSUBSCRIBE id=3 é/+ #",
    ),
    // [MQTT-3.10.1-1] [MQTT-3.10.3-1]
    same(
        "mosquitto_sub UNSUBSCRIBE, 5.0", V5, Client, "A2 0A 0002 00 0005 'old/#'",
        "UNSUBSCRIBE id=2 old/#",
    ),
    same(
        "paho UNSUBSCRIBE with a property", V5, Client,
        "A2 15 0004 07 26 0001 'u' 0001 'v' 0003 'p/+' 0004 'none'",
        "UNSUBSCRIBE id=4 u:v p/+ none",
    ),
    same(
        "example of figure 3-30", V5, Client, "A2 0D 000A 00 0003 'a/b' 0003 'c/d'",
        "UNSUBSCRIBE id=10 a/b c/d",
    ),
    other("UNSUBSCRIBE with DUP, 3.1", V31, Client, "AA 05 0002 0001 'a'", "UNSUBSCRIBE id=2 a"),
    // [MQTT-3.10.1-1]
    fault(
        "UNSUBSCRIBE with DUP, 5.0", V5, Client, "AA 06 0002 00 0001 'a'",
        Kind::ReservedFlags(PacketType::Unsubscribe), 0x81,
    ),
    // [MQTT3-3.10.1-1]
    fault(
        "UNSUBSCRIBE without its flag", V311, Client, "A0 05 0002 0001 'a'",
        Kind::ReservedFlags(PacketType::Unsubscribe), 0x81,
    ),
    // [MQTT-2.2.1-3]
    fault(
        "UNSUBSCRIBE identifier of zero", V5, Client, "A2 06 0000 00 0001 'a'", Kind::PacketIdZero,
        0x82,
    ),
    // [MQTT3-2.3.1-1]
    fault(
        "UNSUBSCRIBE identifier of zero, 3.1.1", V311, Client, "A2 05 0000 0001 'a'",
        Kind::PacketIdZero, 0x82,
    ),
    // [MQTT3-3.10.3-2]
    fault(
        "UNSUBSCRIBE without filter", V311, Client, "A2020001",
        Kind::NoTopicFilter(PacketType::Unsubscribe), 0x82,
    ),
    // [MQTT-3.10.3-2]
    fault(
        "UNSUBSCRIBE without filter, 5.0", V5, Client, "A2 03 0001 00",
        Kind::NoTopicFilter(PacketType::Unsubscribe), 0x82,
    ),
    // [MQTT3-3.10.3-1]
    fault(
        "UNSUBSCRIBE filter that is not UTF-8", V311, Client, "A2 05 0001 0001FF",
        Kind::StringNotUtf8, 0x81,
    ),
    // [MQTT-3.10.3-1]
    fault(
        "UNSUBSCRIBE filter that is not UTF-8, 5.0", V5, Client, "A2 06 0001 00 0001FF",
        Kind::StringNotUtf8, 0x81,
    ),
    fault(
        "UNSUBSCRIBE ill-formed filter", V5, Client, "A2 07 0001 00 0002 'a#'",
        Kind::TopicFilter(TopicError::MultiLevelWildcard), 0x8F,
    ),
    fault(
        "UNSUBSCRIBE with a number", V5, Client, "A2 08 0001 02 0B01 0001 'a'",
        Kind::PropertyNotAllowed(Property::SubscriptionIdentifier, PacketType::Unsubscribe), 0x81,
    ),
    fault(
        "UNSUBSCRIBE from a server", V311, Server, "A2 05 0001 0001 'a'",
        Kind::WrongSender(PacketType::Unsubscribe), 0x82,
    ),

    // UNSUBACK.
    same("mosquitto UNSUBACK to 3.1", V31, Server, "B0020002", "UNSUBACK id=2"),
    same("mosquitto UNSUBACK to 3.1.1", V311, Server, "B0020003", "UNSUBACK id=3"),
    same("mosquitto UNSUBACK to 5.0", V5, Server, "B0050004000011", "UNSUBACK id=4 0x00 0x11"),
    // [MQTT-3.11.3-2]
    same(
        "UNSUBACK with every code", V5, Server, "B0 0A 0001 00 00118083878F91",
        "UNSUBACK id=1 0x00 0x11 0x80 0x83 0x87 0x8F 0x91",
    ),
    same(
        "UNSUBACK with all properties", V5, Server,
        "B0 11 0001 0D 1F 0003 'why' 26 0001 'a' 0001 'b' 87", "UNSUBACK id=1 why=why a:b 0x87",
    ),
    // [MQTT-3.11.3-2]
    fault(
        "UNSUBACK code of SUBACK", V5, Server, "B0 04 0001 00 01",
        Kind::ReasonCodeNotAllowed(PacketType::UnsubAck, 1), 0x82,
    ),
    fault(
        "UNSUBACK without code", V5, Server, "B0 03 0001 00",
        Kind::NoReasonCode(PacketType::UnsubAck), 0x82,
    ),
    fault("UNSUBACK with a code, 3.1.1", V311, Server, "B003000100", Kind::TrailingBytes, 0x81),
    fault("UNSUBACK identifier of zero", V311, Server, "B0020000", Kind::PacketIdZero, 0x82),
    fault(
        "UNSUBACK with Reason String twice", V5, Server, "B0 0C 0001 08 1F 0001 'a' 1F 0001 'a' 00",
        Kind::PropertyRepeated(Property::ReasonString), 0x82,
    ),
    // [MQTT3-2.2.2-1]
    fault(
        "UNSUBACK with flags", V311, Server, "B1020001", Kind::ReservedFlags(PacketType::UnsubAck),
        0x81,
    ),
    fault(
        "UNSUBACK from a client", V311, Client, "B0020001", Kind::WrongSender(PacketType::UnsubAck),
        0x82,
    ),
];
