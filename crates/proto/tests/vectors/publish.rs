//! Rows for PUBLISH (section 3.3).

use martlet_proto::Sender::{Client, Server};
use martlet_proto::Version::{V5, V31, V311};
use martlet_proto::topic::TopicError;
use martlet_proto::{DecodeErrorKind as Kind, PacketType, Property};

use crate::{Case, fault, other, same};

#[rustfmt::skip] // a row is a row
pub(crate) const CASES: &[Case] = &[
    // From real clients and a real server.
    same(
        "mosquitto_pub QoS 0, 3.1", V31, Client, "30 0A 0003 'a/b' 'hello'",
        "PUBLISH q0 topic=a/b payload=hello",
    ),
    same(
        "mosquitto_pub QoS 1 and retain, 3.1", V31, Client,
        "33 23 001B 'sensors/kitchen/temperature' 0001 '21.5'",
        "PUBLISH q1 retain topic=sensors/kitchen/temperature id=1 payload=21.5",
    ),
    same(
        "mosquitto PUBLISH to 3.1", V31, Server,
        "33 23 001B 'sensors/kitchen/temperature' 0001 '21.5'",
        "PUBLISH q1 retain topic=sensors/kitchen/temperature id=1 payload=21.5",
    ),
    // [MQTT3-3.3.2-1] [MQTT3-2.3.1-5]
    same(
        "mosquitto_pub QoS 0, 3.1.1", V311, Client, "30 0A 0003 'a/b' 'hello'",
        "PUBLISH q0 topic=a/b payload=hello",
    ),
    same(
        "mosquitto_pub QoS 2 without payload, 3.1.1", V311, Client, "34 07 0003 'a/b' 0001",
        "PUBLISH q2 topic=a/b id=1 payload=",
    ),
    same(
        "mosquitto to 3.1.1, QoS 1", V311, Server,
        "32 23 001B 'sensors/kitchen/temperature' 0002 '21.5'",
        "PUBLISH q1 topic=sensors/kitchen/temperature id=2 payload=21.5",
    ),
    same(
        "mosquitto to 3.1.1, QoS 0 and retain", V311, Server,
        "31 21 001B 'sensors/kitchen/temperature' '21.5'",
        "PUBLISH q0 retain topic=sensors/kitchen/temperature payload=21.5",
    ),
    same(
        "paho QoS 2, two bytes of remaining length", V311, Client,
        "34 8B 01 0005 C3A92FC3BC 0002 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
         xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'",
        "PUBLISH q2 topic=é/ü id=2 payload=x..(130)",
    ),
    // [MQTT-3.3.2-1] [MQTT-2.2.1-2] [MQTT-2.2.2-1]
    same(
        "mosquitto_pub QoS 0, 5.0", V5, Client, "30 0B 0003 'a/b' 00 'hello'",
        "PUBLISH q0 topic=a/b payload=hello",
    ),
    same(
        "mosquitto_pub QoS 1 and retain, 5.0", V5, Client,
        "33 24 001B 'sensors/kitchen/temperature' 0001 00 '21.5'",
        "PUBLISH q1 retain topic=sensors/kitchen/temperature id=1 payload=21.5",
    ),
    same(
        "mosquitto to 5.0, DUP", V5, Server,
        "3B 24 001B 'sensors/kitchen/temperature' 0003 00 '21.5'",
        "PUBLISH q1 dup retain topic=sensors/kitchen/temperature id=3 payload=21.5",
    ),
    other(
        "mosquitto_pub with properties", V5, Client,
        "32 3D 0003 'req' 0001 34 03 000A 'text/plain' 08 0006 're/ply' 09 0003 'xyz' 26 0001 \
         'k' 0001 'v' 26 0001 'k' 0001 'w' 020000003C 0101 230003 'q'",
        "PUBLISH q1 topic=req id=1 expiry=60 alias=3 format=1 response=re/ply correlation=xyz \
         content=text/plain k:v k:w payload=q",
    ),
    other(
        "paho with properties", V5, Client,
        "33 2A 0003 'p/1' 0002 1E 0101 02000003E8 08 0003 'r/t' 230002 26 0001 'n' 0001 '1' 26 \
         0001 'n' 0001 '2' 'text'",
        "PUBLISH q1 retain topic=p/1 id=2 expiry=1000 alias=2 format=1 response=r/t n:1 n:2 \
         payload=text",
    ),
    other(
        "mosquitto with a subscription identifier and properties", V5, Server,
        "33 2C 0003 'p/1' 0001 20 0BFFFFFF7F 0101 08 0003 'r/t' 26 0001 'n' 0001 '1' 26 0001 \
         'n' 0001 '2' 02000003E8 'text'",
        "PUBLISH q1 retain topic=p/1 id=1 expiry=1000 number=268435455 format=1 response=r/t \
         n:1 n:2 payload=text",
    ),
    same(
        "paho with a topic alias for the topic", V5, Client, "34 0D 0000 0003 03 230002 'again'",
        "PUBLISH q2 topic= id=3 alias=2 payload=again",
    ),
    same(
        "mosquitto with a subscription identifier", V5, Server,
        "34 12 0003 'p/1' 0003 05 0BFFFFFF7F 'again'",
        "PUBLISH q2 topic=p/1 id=3 number=268435455 payload=again",
    ),
    // Figure 3-9 of 5.0, figures 3-11 of 3.1.1.
    same(
        "variable header of figure 3-9, 5.0", V5, Client, "32 08 0003 'a/b' 000A 00",
        "PUBLISH q1 topic=a/b id=10 payload=",
    ),
    same(
        "variable header of the example of 3.1.1", V311, Client, "32 07 0003 'a/b' 000A",
        "PUBLISH q1 topic=a/b id=10 payload=",
    ),
    // Figure 1-2: the string of A and U+2A6D4.
    // [MQTT-1.5.4-1] [MQTT3-1.5.3-1]
    same(
        "topic of figure 1-2", V5, Client, "30 08 000541F0AA9B94 00",
        "PUBLISH q0 topic=A𪛔 payload=",
    ),
    // [MQTT-1.5.4-3] [MQTT3-1.5.3-3]
    same(
        "U+FEFF in a topic stays", V311, Client, "30 06 0004EFBBBF 'a'",
        "PUBLISH q0 topic=\u{feff}a payload=",
    ),

    same("topic of one slash", V311, Client, "30 03 0001 '/'", "PUBLISH q0 topic=/ payload="),
    same(
        "topic with a space and a dollar", V311, Client, "30 0A 0008 '$SYS/a b'",
        "PUBLISH q0 topic=$SYS/a b payload=",
    ),
    same(
        "payload that is not UTF-8", V311, Client, "30 06 0001 't' FF00FE",
        "PUBLISH q0 topic=t payload=FF00FE",
    ),
    same(
        "payload that is not UTF-8, though its format says so", V5, Client,
        "30 07 0001 't' 02 0101 FF", "PUBLISH q0 topic=t format=1 payload=FF",
    ),
    // [MQTT-3.3.2-4]
    same(
        "format 0", V5, Client, "30 07 0001 't' 02 0100 'x'",
        "PUBLISH q0 topic=t format=0 payload=x",
    ),
    same(
        "greatest packet identifier", V311, Client, "32 05 0001 't' FFFF",
        "PUBLISH q1 topic=t id=65535 payload=",
    ),
    same(
        "greatest topic alias", V5, Client, "30 07 0001 't' 03 23FFFF",
        "PUBLISH q0 topic=t alias=65535 payload=",
    ),
    same(
        "two subscription identifiers", V5, Server, "30 0A 0001 't' 05 0B01 0B8001 'x'",
        "PUBLISH q0 topic=t number=1 number=128 payload=x",
    ),
    same(
        "expiry of zero", V5, Client, "30 09 0001 't' 05 0200000000",
        "PUBLISH q0 topic=t expiry=0 payload=",
    ),
    // [MQTT-3.3.2-16] [MQTT-3.3.2-20]
    same(
        "correlation data of no bytes, content type of no characters", V5, Client,
        "30 0A 0001 't' 06 09 0000 03 0000", "PUBLISH q0 topic=t correlation= content= payload=",
    ),
    // [MQTT-3.3.2-15] [MQTT-3.3.2-17] [MQTT-3.3.2-18]
    same(
        "properties in an order of their own stay so", V5, Client,
        "30 23 0001 't' 1F 26 0001 'z' 0001 '1' 03 0001 'c' 26 0001 'a' 0001 '2' 0101 08 0001 \
         'r' 26 0001 'z' 0001 '0'",
        "PUBLISH q0 topic=t format=1 response=r content=c z:1 a:2 z:0 payload=",
    ),
    // [MQTT-3.3.2-18]
    other(
        "properties that are not forwarded stand between", V5, Client,
        "30 1F 0001 't' 1A 26 0001 'z' 0001 '1' 0200000007 03 0001 'c' 230001 26 0001 'a' 0001 \
         '2' 'x'",
        "PUBLISH q0 topic=t expiry=7 alias=1 content=c z:1 a:2 payload=x",
    ),

    // [MQTT3-3.3.1-2] [MQTT3-4.3.1-1]
    fault("DUP with QoS 0", V311, Client, "38 03 0001 't'", Kind::DupWithQos0, 0x81),
    // [MQTT-3.3.1-2] [MQTT-4.3.1-1]
    fault(
        "DUP with QoS 0 and retain, 5.0", V5, Client, "39 04 0001 't' 00", Kind::DupWithQos0, 0x81,
    ),
    // [MQTT3-3.3.1-4]
    fault("QoS 3", V311, Client, "36 05 0001 't' 0001", Kind::PublishQos3, 0x81),
    // [MQTT-3.3.1-4]
    fault("QoS 3, 5.0", V5, Client, "3E 06 0001 't' 0001 00", Kind::PublishQos3, 0x81),
    // [MQTT3-2.3.1-1]
    fault(
        "packet identifier of zero", V311, Client, "32 05 0001 't' 0000", Kind::PacketIdZero, 0x82,
    ),
    // [MQTT-2.2.1-3]
    fault(
        "packet identifier of zero, 5.0", V5, Client, "34 06 0001 't' 0000 00", Kind::PacketIdZero,
        0x82,
    ),
    // [MQTT-2.2.1-4]
    fault(
        "packet identifier of zero from a server", V5, Server, "32 06 0001 't' 0000 00",
        Kind::PacketIdZero, 0x82,
    ),
    // [MQTT3-2.3.1-1]
    fault("no packet identifier", V311, Client, "32 03 0001 't'", Kind::Truncated, 0x81),
    // [MQTT3-3.3.2-1]
    fault("no topic", V311, Client, "3000", Kind::Truncated, 0x81),
    fault(
        "topic that goes on after the packet", V311, Client, "30040009 'ab'", Kind::Truncated, 0x81,
    ),
    // [MQTT-2.2.2-1]
    fault("no Property Length in PUBLISH", V5, Client, "30 03 0001 't'", Kind::Truncated, 0x81),
    // [MQTT3-4.7.3-1]
    fault("empty topic", V311, Client, "30 03 0000 'x'", Kind::TopicName(TopicError::Empty), 0x82),
    // [MQTT-4.7.3-1]
    fault(
        "empty topic without alias", V5, Client, "30 04 0000 00 'x'",
        Kind::TopicName(TopicError::Empty), 0x82,
    ),
    // [MQTT3-3.3.2-2] [MQTT3-4.7.1-1]
    fault(
        "topic with #", V311, Client, "30 05 0003 'a/#'", Kind::TopicName(TopicError::Wildcard),
        0x90,
    ),
    // [MQTT-3.3.2-2] [MQTT-4.7.0-1]
    fault(
        "topic with +", V5, Client, "30 08 0005 'a/+/c' 00", Kind::TopicName(TopicError::Wildcard),
        0x90,
    ),
    // [MQTT-3.3.2-2]
    fault(
        "long topic with a wildcard at its end", V5, Client,
        "30 21 001E 'a/long/topic/with/many/levels#' 00", Kind::TopicName(TopicError::Wildcard),
        0x90,
    ),
    // [MQTT-1.5.4-2] [MQTT-4.7.3-2]
    fault("topic with U+0000", V5, Client, "30 06 0003 'a' 00 'b' 00", Kind::StringHasNul, 0x81),
    // [MQTT3-1.5.3-2] [MQTT3-4.7.3-2]
    fault(
        "topic with U+0000, 3.1.1", V311, Client, "30 05 0003 'a' 00 'b'", Kind::StringHasNul, 0x81,
    ),
    // [MQTT-1.5.4-1] [MQTT-3.3.2-1]
    fault("topic with a surrogate", V5, Client, "30 06 0003EDA080 00", Kind::StringNotUtf8, 0x81),
    // [MQTT3-1.5.3-1]
    fault(
        "topic with an overlong encoding", V311, Client, "30 04 0002C0AF", Kind::StringNotUtf8,
        0x81,
    ),
    // [MQTT-3.3.2-8]
    fault(
        "topic alias of zero", V5, Client, "30 07 0001 't' 03 230000", Kind::TopicAliasZero, 0x94,
    ),
    fault(
        "topic alias twice", V5, Client, "30 0A 0001 't' 06 230001 230001",
        Kind::PropertyRepeated(Property::TopicAlias), 0x82,
    ),
    // [MQTT-3.3.4-6]
    fault(
        "subscription identifier from a client", V5, Client, "30 06 0001 't' 02 0B01",
        Kind::SubscriptionIdFromClient, 0x82,
    ),
    fault(
        "subscription identifier of zero in PUBLISH", V5, Server, "30 06 0001 't' 02 0B00",
        Kind::PropertyValue(Property::SubscriptionIdentifier), 0x82,
    ),
    // [MQTT-1.5.5-1]
    fault(
        "subscription identifier with a needless byte", V5, Server, "30 07 0001 't' 03 0B8100",
        Kind::VarIntNotMinimal, 0x81,
    ),
    fault(
        "Payload Format Indicator of 2", V5, Client, "30 06 0001 't' 02 0102",
        Kind::PropertyValue(Property::PayloadFormatIndicator), 0x82,
    ),
    fault(
        "Payload Format Indicator twice", V5, Client, "30 08 0001 't' 04 0100 0100",
        Kind::PropertyRepeated(Property::PayloadFormatIndicator), 0x82,
    ),
    fault(
        "Message Expiry Interval twice", V5, Client, "30 0E 0001 't' 0A 0200000001 0200000001",
        Kind::PropertyRepeated(Property::MessageExpiryInterval), 0x82,
    ),
    fault(
        "Content Type twice", V5, Client, "30 0C 0001 't' 08 03 0001 'a' 03 0001 'a'",
        Kind::PropertyRepeated(Property::ContentType), 0x82,
    ),
    // [MQTT-3.3.2-19]
    fault(
        "Content Type that is not UTF-8", V5, Client, "30 08 0001 't' 04 03 0001FF",
        Kind::StringNotUtf8, 0x81,
    ),
    fault(
        "Response Topic twice", V5, Client, "30 0C 0001 't' 08 08 0001 'a' 08 0001 'a'",
        Kind::PropertyRepeated(Property::ResponseTopic), 0x82,
    ),
    // [MQTT-3.3.2-14]
    fault(
        "Response Topic with a wildcard", V5, Client, "30 0A 0001 't' 06 08 0003 'a/+'",
        Kind::ResponseTopic(TopicError::Wildcard), 0x82,
    ),
    // [MQTT-4.7.3-1]
    fault(
        "Response Topic without characters", V5, Client, "30 07 0001 't' 03 08 0000",
        Kind::ResponseTopic(TopicError::Empty), 0x82,
    ),
    // [MQTT-3.3.2-13]
    fault(
        "Response Topic that is not UTF-8", V5, Client, "30 08 0001 't' 04 08 0001FF",
        Kind::StringNotUtf8, 0x81,
    ),
    fault(
        "Correlation Data twice", V5, Client, "30 0C 0001 't' 08 09 0001 'a' 09 0001 'a'",
        Kind::PropertyRepeated(Property::CorrelationData), 0x82,
    ),
    fault(
        "Reason String in PUBLISH", V5, Client, "30 08 0001 't' 04 1F 0001 'a'",
        Kind::PropertyNotAllowed(Property::ReasonString, PacketType::Publish), 0x81,
    ),
    fault(
        "Will Delay Interval in PUBLISH", V5, Client, "30 09 0001 't' 05 1800000001",
        Kind::PropertyNotAllowed(Property::WillDelayInterval, PacketType::Publish), 0x81,
    ),
];
