//! Rows for CONNECT (section 3.1).

use martlet_proto::Sender::{Client, Server};
use martlet_proto::Version::{V5, V31, V311};
use martlet_proto::topic::TopicError;
use martlet_proto::{DecodeErrorKind as Kind, PacketType, Property};

use crate::{Case, fault, other, same};

#[rustfmt::skip] // a row is a row
pub(crate) const CASES: &[Case] = &[
    // From real clients.
    same(
        "mosquitto_pub 3.1", V31, Client, "10 12 0006 'MQIsdp' 03 02 003C 0004 'pub0'",
        "CONNECT 3.1 client=pub0 clean keepalive=60",
    ),
    same(
        "mosquitto_pub 3.1, will and credentials", V31, Client,
        "10 2E 0006 'MQIsdp' 03 EE 003C 0004 'pub2' 0006 'will/t' 0004 'gone' 0004 'user' 0006 \
         'secret'",
        "CONNECT 3.1 client=pub2 clean keepalive=60 user=user password=secret will=will/t q1 \
         retain payload=gone",
    ),
    same(
        "mosquitto_sub 3.1, kept session", V31, Client,
        "10 12 0006 'MQIsdp' 03 00 003C 0004 'sub2'", "CONNECT 3.1 client=sub2 keepalive=60",
    ),
    same(
        "paho 3.1, will and credentials", V31, Client,
        "10 22 0006 'MQIsdp' 03 F6 000F 0005 'paho3' 0003 'w/t' 00020001 0001 'u' 0001 'p'",
        "CONNECT 3.1 client=paho3 clean keepalive=15 user=u password=p will=w/t q2 retain \
         payload=0001",
    ),
    // [MQTT3-3.1.3-3] [MQTT3-3.1.3-4]
    same(
        "mosquitto_pub 3.1.1", V311, Client, "10 10 0004 'MQTT' 04 02 003C 0004 'pub0'",
        "CONNECT 3.1.1 client=pub0 clean keepalive=60",
    ),
    // [MQTT3-3.1.3-1] [MQTT3-3.1.2-9] [MQTT3-3.1.2-19] [MQTT3-3.1.2-21] [MQTT3-3.1.3-10]
    // [MQTT3-3.1.3-11]
    same(
        "mosquitto_pub 3.1.1, will and credentials", V311, Client,
        "10 2C 0004 'MQTT' 04 EE 003C 0004 'pub2' 0006 'will/t' 0004 'gone' 0004 'user' 0006 \
         'secret'",
        "CONNECT 3.1.1 client=pub2 clean keepalive=60 user=user password=secret will=will/t q1 \
         retain payload=gone",
    ),
    same(
        "paho 3.1.1, will and credentials", V311, Client,
        "10 20 0004 'MQTT' 04 F6 000F 0005 'paho4' 0003 'w/t' 00020001 0001 'u' 0001 'p'",
        "CONNECT 3.1.1 client=paho4 clean keepalive=15 user=u password=p will=w/t q2 retain \
         payload=0001",
    ),
    // [MQTT-3.1.3-3] [MQTT-3.1.3-4]
    same(
        "mosquitto_pub 5.0", V5, Client, "10 14 0004 'MQTT' 05 02 003C 03 210014 0004 'pub0'",
        "CONNECT 5.0 client=pub0 clean keepalive=60 receive=20",
    ),
    // [MQTT-3.1.3-1] [MQTT-3.1.2-9] [MQTT-3.1.2-17] [MQTT-3.1.2-19] [MQTT-3.1.3-11] [MQTT-3.1.3-12]
    same(
        "mosquitto_pub 5.0, will and credentials", V5, Client,
        "10 31 0004 'MQTT' 05 EE 003C 03 210014 0004 'pub2' 00 0006 'will/t' 0004 'gone' 0004 \
         'user' 0006 'secret'",
        "CONNECT 5.0 client=pub2 clean keepalive=60 receive=20 user=user password=secret \
         will=will/t q1 retain payload=gone",
    ),
    same(
        "mosquitto_sub 5.0, session for ever", V5, Client,
        "10 19 0004 'MQTT' 05 00 003C 08 11FFFFFFFF 210001 0004 'sub2'",
        "CONNECT 5.0 client=sub2 keepalive=60 expiry=4294967295 receive=1",
    ),
    other(
        "mosquitto_pub 5.0, all properties but authentication", V5, Client,
        "10 55 0004 'MQTT' 05 06 003C 1B 1100000064 210014 27000186A0 220007 1901 1700 26 0001 \
         'a' 0001 'b' 0002 'p5' 24 1800000005 03 0002 'ct' 26 0002 'wk' 0002 'wv' 0200000009 \
         0101 08 0002 'wr' 09 0002 'cd' 0001 'w' 0001 'x'",
        "CONNECT 5.0 client=p5 clean keepalive=60 expiry=100 receive=20 size=100000 alias=7 \
         want-response no-problem a:b will=w q0 delay=5 expiry=9 format=1 response=wr \
         correlation=cd content=ct wk:wv payload=x",
    ),
    same(
        "mosquitto_pub 5.0, no client identifier", V5, Client,
        "10 10 0004 'MQTT' 05 02 003C 03 210014 0000",
        "CONNECT 5.0 client= clean keepalive=60 receive=20",
    ),
    other(
        "paho 5.0, will with properties", V5, Client,
        "10 56 0004 'MQTT' 05 8E 003C 1C 1100000E10 1901 210005 220004 26 0001 'k' 0001 'v' 26 \
         0001 'k' 0002 'v2' 0000 19 0200000008 03 0001 'c' 09 000101 1800000007 26 0001 'a' 0001 \
         'b' 0001 'w' 0003 'bye' 0009 'only-user'",
        "CONNECT 5.0 client= clean keepalive=60 expiry=3600 receive=5 alias=4 want-response k:v \
         k:v2 user=only-user will=w q1 delay=7 expiry=8 correlation=01 content=c a:b payload=bye",
    ),
    // Figure 3-6 of 5.0 and of 3.1.1, with a payload.
    same(
        "variable header of figure 3-6, 5.0", V5, Client,
        "10 20 0004 'MQTT' 05 CE 000A 05 110000000A 0001 'c' 00 0001 't' 0001 'w' 0001 'u' 0001 \
         'p'",
        "CONNECT 5.0 client=c clean keepalive=10 expiry=10 user=u password=p will=t q1 \
         payload=w",
    ),
    same(
        "variable header of figure 3-6, 3.1.1", V311, Client,
        "10 19 0004 'MQTT' 04 CE 000A 0001 'c' 0001 't' 0001 'w' 0001 'u' 0001 'p'",
        "CONNECT 3.1.1 client=c clean keepalive=10 user=u password=p will=t q1 payload=w",
    ),

    // What is not as section 3.1 says is refused: the rows with a fault. [MQTT-3.1.4-1]
    // [MQTT3-3.1.4-1]
    same(
        "no client identifier, 3.1.1", V311, Client, "10 0C 0004 'MQTT' 04 02 0000 0000",
        "CONNECT 3.1.1 client= clean keepalive=0",
    ),
    // [MQTT3-3.1.2-20]
    same(
        "user name without password, 3.1.1", V311, Client,
        "10 10 0004 'MQTT' 04 82 0000 0001 'c' 0001 'u'",
        "CONNECT 3.1.1 client=c clean keepalive=0 user=u",
    ),
    // [MQTT-3.1.2-16] [MQTT-2.2.2-1]
    same(
        "password without user name, 5.0", V5, Client,
        "10 11 0004 'MQTT' 05 42 0000 00 0001 'c' 0001 'p'",
        "CONNECT 5.0 client=c clean keepalive=0 password=p",
    ),
    same(
        "authentication method and data", V5, Client,
        "10 1C 0004 'MQTT' 05 02 0000 0E 15 0005 'SCRAM' 16 0003 'n,,' 0001 'c'",
        "CONNECT 5.0 client=c clean keepalive=0 method=SCRAM data=n,,",
    ),
    same(
        "authentication method alone", V5, Client,
        "10 16 0004 'MQTT' 05 02 0000 08 15 0005 'SCRAM' 0001 'c'",
        "CONNECT 5.0 client=c clean keepalive=0 method=SCRAM",
    ),
    same(
        "greatest values", V5, Client,
        "10 1E 0004 'MQTT' 05 02 FFFF 10 11FFFFFFFF 21FFFF 27FFFFFFFF 22FFFF 0001 'c'",
        "CONNECT 5.0 client=c clean keepalive=65535 expiry=4294967295 receive=65535 \
         size=4294967295 alias=65535",
    ),
    other(
        "properties with the values that their absence means", V5, Client,
        "10 12 0004 'MQTT' 05 02 0000 04 1900 1701 0001 'c'",
        "CONNECT 5.0 client=c clean keepalive=0",
    ),
    // [MQTT-3.1.2-12] [MQTT3-3.1.2-14]
    same(
        "will with QoS 2 and retain", V5, Client,
        "10 16 0004 'MQTT' 05 36 0000 00 0001 'c' 00 0003 'w/x' 0000",
        "CONNECT 5.0 client=c clean keepalive=0 will=w/x q2 retain payload=",
    ),
    same(
        "will with QoS 0", V311, Client, "10 13 0004 'MQTT' 04 06 0000 0001 'c' 0001 'w' 0001 'x'",
        "CONNECT 3.1.1 client=c clean keepalive=0 will=w q0 payload=x",
    ),
    same(
        "user properties keep their order", V5, Client,
        "10 23 0004 'MQTT' 05 02 0000 15 26 0001 'b' 0001 '1' 26 0001 'a' 0001 '2' 26 0001 'b' \
         0001 '1' 0001 'c'",
        "CONNECT 5.0 client=c clean keepalive=0 b:1 a:2 b:1",
    ),
    same(
        "will delay alone", V5, Client,
        "10 1A 0004 'MQTT' 05 06 0000 00 0001 'c' 05 1800000001 0001 'w' 0001 'x'",
        "CONNECT 5.0 client=c clean keepalive=0 will=w q0 delay=1 payload=x",
    ),
    // [MQTT-3.1.3-10]
    same(
        "user properties of a will keep their order", V5, Client,
        "10 23 0004 'MQTT' 05 06 0000 00 0001 'c' 0E 26 0001 'b' 0001 '1' 26 0001 'a' 0001 '2' \
         0001 'w' 0001 'x'",
        "CONNECT 5.0 client=c clean keepalive=0 will=w q0 b:1 a:2 payload=x",
    ),

    // [MQTT-3.1.2-1] [MQTT3-3.1.2-1]
    fault(
        "wrong protocol name", V311, Client, "10 0D 0004 'HTTP' 04 02 0000 0001 'c'",
        Kind::ProtocolName, 0x84,
    ),
    // [MQTT-3.1.2-1]
    fault(
        "protocol name in lower case", V5, Client, "10 0E 0004 'mqtt' 05 02 0000 00 0001 'c'",
        Kind::ProtocolName, 0x84,
    ),
    // [MQTT-3.1.2-1]
    fault(
        "protocol name that goes on", V5, Client, "10 0F 0005 'MQTTX' 05 02 0000 00 0001 'c'",
        Kind::ProtocolName, 0x84,
    ),
    // [MQTT-3.1.2-2] [MQTT3-3.1.2-2]
    fault(
        "level 6", V5, Client, "10 0E 0004 'MQTT' 06 02 0000 00 0001 'c'", Kind::ProtocolVersion(6),
        0x84,
    ),
    // [MQTT3-3.1.2-2]
    fault(
        "level 3 of MQTT", V311, Client, "10 0D 0004 'MQTT' 03 02 0000 0001 'c'",
        Kind::ProtocolVersion(3), 0x84,
    ),
    fault(
        "level 4 of MQIsdp", V31, Client, "10 0F 0006 'MQIsdp' 04 02 0000 0001 'c'",
        Kind::ProtocolVersion(4), 0x84,
    ),
    fault(
        "level with the highest bit, as bridges send it", V311, Client,
        "10 0D 0004 'MQTT' 84 02 0000 0001 'c'", Kind::ProtocolVersion(132), 0x84,
    ),
    // [MQTT-3.1.2-3]
    fault(
        "reserved flag, 5.0", V5, Client, "10 0E 0004 'MQTT' 05 03 0000 00 0001 'c'",
        Kind::ConnectReservedFlag, 0x81,
    ),
    // [MQTT3-3.1.2-3]
    fault(
        "reserved flag, 3.1.1", V311, Client, "10 0D 0004 'MQTT' 04 03 0000 0001 'c'",
        Kind::ConnectReservedFlag, 0x81,
    ),
    // [MQTT-3.1.2-12] [MQTT3-3.1.2-14]
    fault(
        "Will QoS 3", V5, Client, "10 15 0004 'MQTT' 05 1E 0000 00 0001 'c' 00 0001 'w' 0001 'x'",
        Kind::WillQos3, 0x81,
    ),
    // [MQTT3-3.1.2-14]
    fault(
        "Will QoS 3 without will", V311, Client, "10 0D 0004 'MQTT' 04 1A 0000 0001 'c'",
        Kind::WillQos3, 0x81,
    ),
    // [MQTT-3.1.2-11]
    fault(
        "Will QoS without will", V5, Client, "10 0E 0004 'MQTT' 05 0A 0000 00 0001 'c'",
        Kind::WillQosWithoutWill, 0x82,
    ),
    // [MQTT3-3.1.2-11] [MQTT3-3.1.2-13]
    fault(
        "Will QoS without will, 3.1.1", V311, Client, "10 0D 0004 'MQTT' 04 12 0000 0001 'c'",
        Kind::WillQosWithoutWill, 0x82,
    ),
    // [MQTT-3.1.2-13]
    fault(
        "Will Retain without will", V5, Client, "10 0E 0004 'MQTT' 05 22 0000 00 0001 'c'",
        Kind::WillRetainWithoutWill, 0x82,
    ),
    // [MQTT3-3.1.2-11] [MQTT3-3.1.2-15]
    fault(
        "Will Retain without will, 3.1.1", V311, Client, "10 0D 0004 'MQTT' 04 22 0000 0001 'c'",
        Kind::WillRetainWithoutWill, 0x82,
    ),
    // [MQTT3-3.1.2-22]
    fault(
        "password without user name, 3.1.1", V311, Client,
        "10 10 0004 'MQTT' 04 42 0000 0001 'c' 0001 'p'", Kind::PasswordWithoutUserName, 0x82,
    ),
    fault(
        "password without user name, 3.1", V31, Client,
        "10 12 0006 'MQIsdp' 03 42 0000 0001 'c' 0001 'p'", Kind::PasswordWithoutUserName, 0x82,
    ),
    // [MQTT3-3.1.3-3]
    fault(
        "no client identifier field", V311, Client, "10 0A 0004 'MQTT' 04 02 0000", Kind::Truncated,
        0x81,
    ),
    // [MQTT-3.1.3-3]
    fault(
        "no client identifier field, 5.0", V5, Client, "10 0B 0004 'MQTT' 05 02 0000 00",
        Kind::Truncated, 0x81,
    ),
    // [MQTT-2.2.2-1]
    fault("no Property Length", V5, Client, "10 0A 0004 'MQTT' 05 02 0000", Kind::Truncated, 0x81),
    // [MQTT3-3.1.2-9]
    fault(
        "will flag without will", V311, Client, "10 0D 0004 'MQTT' 04 06 0000 0001 'c'",
        Kind::Truncated, 0x81,
    ),
    // [MQTT-3.1.2-9]
    fault(
        "will flag without Will Payload", V5, Client,
        "10 12 0004 'MQTT' 05 06 0000 00 0001 'c' 00 0001 'w'", Kind::Truncated, 0x81,
    ),
    // [MQTT-3.1.2-17] [MQTT3-3.1.2-19]
    fault(
        "user name flag without user name", V5, Client, "10 0E 0004 'MQTT' 05 82 0000 00 0001 'c'",
        Kind::Truncated, 0x81,
    ),
    // [MQTT-3.1.2-16]
    fault(
        "user name without flag", V5, Client, "10 11 0004 'MQTT' 05 02 0000 00 0001 'c' 0001 'u'",
        Kind::TrailingBytes, 0x81,
    ),
    // [MQTT3-3.1.2-18]
    fault(
        "user name without flag, 3.1.1", V311, Client,
        "10 10 0004 'MQTT' 04 02 0000 0001 'c' 0001 'u'", Kind::TrailingBytes, 0x81,
    ),
    // [MQTT-3.1.2-19] [MQTT3-3.1.2-21]
    fault(
        "password flag without password", V5, Client,
        "10 11 0004 'MQTT' 05 C2 0000 00 0001 'c' 0001 'u'", Kind::Truncated, 0x81,
    ),
    // [MQTT-3.1.2-18]
    fault(
        "password without flag", V5, Client,
        "10 14 0004 'MQTT' 05 82 0000 00 0001 'c' 0001 'u' 0001 'p'", Kind::TrailingBytes, 0x81,
    ),
    // [MQTT3-3.1.2-20]
    fault(
        "password without flag, 3.1.1", V311, Client,
        "10 13 0004 'MQTT' 04 82 0000 0001 'c' 0001 'u' 0001 'p'", Kind::TrailingBytes, 0x81,
    ),
    // [MQTT-3.1.3-4] [MQTT-1.5.4-1]
    fault(
        "client identifier that is not UTF-8", V5, Client,
        "10 0E 0004 'MQTT' 05 02 0000 00 0001 FF", Kind::StringNotUtf8, 0x81,
    ),
    // [MQTT3-3.1.3-4] [MQTT3-1.5.3-2]
    fault(
        "client identifier with U+0000", V311, Client,
        "10 0F 0004 'MQTT' 04 02 0000 0003 'a' 00 'b'", Kind::StringHasNul, 0x81,
    ),
    // [MQTT-3.1.3-11]
    fault(
        "Will Topic that is not UTF-8", V5, Client,
        "10 16 0004 'MQTT' 05 06 0000 00 0001 'c' 00 0002 C328 0001 'x'", Kind::StringNotUtf8, 0x81,
    ),
    // [MQTT3-3.1.3-10]
    fault(
        "Will Topic that is not UTF-8, 3.1.1", V311, Client,
        "10 14 0004 'MQTT' 04 06 0000 0001 'c' 0002 C328 0001 'x'", Kind::StringNotUtf8, 0x81,
    ),
    // [MQTT-4.7.0-1]
    fault(
        "Will Topic with a wildcard", V5, Client,
        "10 17 0004 'MQTT' 05 06 0000 00 0001 'c' 00 0003 'w/+' 0001 'x'",
        Kind::WillTopic(TopicError::Wildcard), 0x90,
    ),
    // [MQTT3-4.7.3-1] [MQTT-4.7.3-1]
    fault(
        "Will Topic without characters", V311, Client,
        "10 12 0004 'MQTT' 04 06 0000 0001 'c' 0000 0001 'x'", Kind::WillTopic(TopicError::Empty),
        0x90,
    ),
    // [MQTT-3.1.3-12] [MQTT-1.5.4-1]
    fault(
        "user name that is not UTF-8", V5, Client,
        "10 13 0004 'MQTT' 05 82 0000 00 0001 'c' 0003 EDA080", Kind::StringNotUtf8, 0x81,
    ),
    // [MQTT3-3.1.3-11] [MQTT3-1.5.3-1]
    fault(
        "user name that is not UTF-8, 3.1.1", V311, Client,
        "10 12 0004 'MQTT' 04 82 0000 0001 'c' 0003 EDA080", Kind::StringNotUtf8, 0x81,
    ),
    fault(
        "Receive Maximum of zero", V5, Client, "10 11 0004 'MQTT' 05 02 0000 03 210000 0001 'c'",
        Kind::PropertyValue(Property::ReceiveMaximum), 0x82,
    ),
    fault(
        "Maximum Packet Size of zero", V5, Client,
        "10 13 0004 'MQTT' 05 02 0000 05 2700000000 0001 'c'",
        Kind::PropertyValue(Property::MaximumPacketSize), 0x82,
    ),
    fault(
        "Request Response Information of 2", V5, Client,
        "10 10 0004 'MQTT' 05 02 0000 02 1902 0001 'c'",
        Kind::PropertyValue(Property::RequestResponseInformation), 0x82,
    ),
    fault(
        "Request Problem Information of 2", V5, Client,
        "10 10 0004 'MQTT' 05 02 0000 02 1702 0001 'c'",
        Kind::PropertyValue(Property::RequestProblemInformation), 0x82,
    ),
    fault(
        "Authentication Data without method", V5, Client,
        "10 12 0004 'MQTT' 05 02 0000 04 16 0001 'x' 0001 'c'", Kind::AuthDataWithoutMethod, 0x82,
    ),
    fault(
        "Session Expiry Interval twice", V5, Client,
        "10 18 0004 'MQTT' 05 02 0000 0A 1100000001 1100000001 0001 'c'",
        Kind::PropertyRepeated(Property::SessionExpiryInterval), 0x82,
    ),
    fault(
        "Authentication Method twice", V5, Client,
        "10 16 0004 'MQTT' 05 02 0000 08 15 0001 'a' 15 0001 'a' 0001 'c'",
        Kind::PropertyRepeated(Property::AuthenticationMethod), 0x82,
    ),
    fault(
        "property of another packet", V5, Client, "10 11 0004 'MQTT' 05 02 0000 03 130001 0001 'c'",
        Kind::PropertyNotAllowed(Property::ServerKeepAlive, PacketType::Connect), 0x81,
    ),
    fault(
        "Will Delay Interval outside the will", V5, Client,
        "10 13 0004 'MQTT' 05 02 0000 05 1800000001 0001 'c'",
        Kind::PropertyNotAllowed(Property::WillDelayInterval, PacketType::Connect), 0x81,
    ),
    fault(
        "Session Expiry Interval in the will", V5, Client,
        "10 1A 0004 'MQTT' 05 06 0000 00 0001 'c' 05 1100000001 0001 'w' 0001 'x'",
        Kind::PropertyNotAllowed(Property::SessionExpiryInterval, PacketType::Connect), 0x81,
    ),
    fault(
        "Topic Alias in the will", V5, Client,
        "10 18 0004 'MQTT' 05 06 0000 00 0001 'c' 03 230001 0001 'w' 0001 'x'",
        Kind::PropertyNotAllowed(Property::TopicAlias, PacketType::Connect), 0x81,
    ),
    fault(
        "Will Delay Interval twice", V5, Client,
        "10 1F 0004 'MQTT' 05 06 0000 00 0001 'c' 0A 1800000001 1800000001 0001 'w' 0001 'x'",
        Kind::PropertyRepeated(Property::WillDelayInterval), 0x82,
    ),
    fault(
        "Payload Format Indicator of the will of 2", V5, Client,
        "10 17 0004 'MQTT' 05 06 0000 00 0001 'c' 02 0102 0001 'w' 0001 'x'",
        Kind::PropertyValue(Property::PayloadFormatIndicator), 0x82,
    ),
    fault(
        "Response Topic of the will with a wildcard", V5, Client,
        "10 19 0004 'MQTT' 05 06 0000 00 0001 'c' 04 08 0001 '#' 0001 'w' 0001 'x'",
        Kind::ResponseTopic(TopicError::Wildcard), 0x82,
    ),
    fault(
        "property that does not exist", V5, Client,
        "10 10 0004 'MQTT' 05 02 0000 02 04 00 0001 'c'", Kind::PropertyUnknown, 0x81,
    ),
    fault(
        "property identifier of two bytes", V5, Client,
        "10 11 0004 'MQTT' 05 02 0000 03 8101 00 0001 'c'", Kind::PropertyUnknown, 0x81,
    ),
    // [MQTT-1.5.5-1]
    fault(
        "property identifier with a needless byte", V5, Client,
        "10 14 0004 'MQTT' 05 02 0000 06 9100 00000001 0001 'c'", Kind::VarIntNotMinimal, 0x81,
    ),
    fault(
        "property that goes on after its section", V5, Client,
        "10 13 0004 'MQTT' 05 02 0000 04 1100000001 0001 'c'", Kind::Truncated, 0x81,
    ),
    fault(
        "Property Length beyond the packet", V5, Client,
        "10 13 0004 'MQTT' 05 02 0000 40 1100000001 0001 'c'", Kind::Truncated, 0x81,
    ),
    // [MQTT-1.5.5-1]
    fault(
        "Property Length with a needless byte", V5, Client,
        "10 0F 0004 'MQTT' 05 02 0000 8000 0001 'c'", Kind::VarIntNotMinimal, 0x81,
    ),
    fault(
        "Property Length of five bytes", V5, Client,
        "10 12 0004 'MQTT' 05 02 0000 8080808001 0001 'c'", Kind::VarIntTooLong, 0x81,
    ),
    // [MQTT-1.5.7-1]
    fault(
        "user property whose value is not UTF-8", V5, Client,
        "10 15 0004 'MQTT' 05 02 0000 07 26 0001 'k' 0001 80 0001 'c'", Kind::StringNotUtf8, 0x81,
    ),
    // [MQTT-1.5.7-1] [MQTT-1.5.4-2]
    fault(
        "user property whose name has U+0000", V5, Client,
        "10 15 0004 'MQTT' 05 02 0000 07 26 000100 0001 'v' 0001 'c'", Kind::StringHasNul, 0x81,
    ),
    fault(
        "user property without value", V5, Client,
        "10 12 0004 'MQTT' 05 02 0000 04 26 0001 'k' 0001 'c'", Kind::Truncated, 0x81,
    ),
    fault("CONNECT without a body", V311, Client, "1000", Kind::Truncated, 0x81),
    fault(
        "CONNECT from a server", V5, Server, "10 0E 0004 'MQTT' 05 02 0000 00 0001 'c'",
        Kind::WrongSender(PacketType::Connect), 0x82,
    ),
];
