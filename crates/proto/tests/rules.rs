//! Rules that are tables, checked in every field: which byte may begin a packet, which packet may
//! have which property, which packet may carry which reason code, and how an integer is written.
//!
//! The tables are transcribed from the standard a second time here, in another form than in the
//! crate.

use martlet_proto::varint::{self, Parsed};
use martlet_proto::{
    Ack, ConnAck, Connect, DecodeError, DecodeErrorKind, Disconnect, ForwardFields,
    ForwardProperties, Frame, Framing, Packet, PacketId, PacketType, Property, Publish,
    PublishProperties, Put, Qos, ReasonCode, ReasonProperties, Sender, SliceBuf, SubAck,
    SubscriptionOptions, UnsubAck, UserProperties, Version, Will, connect_version, decode, frame,
};

const V5: Version = Version::V5;

fn decoded(bytes: &[u8], version: Version, sender: Sender) -> Result<Packet<'_>, DecodeError> {
    match frame(bytes, 1 << 28)? {
        Framing::Complete(frame) => decode(&frame, version, sender),
        Framing::Incomplete { .. } => panic!("the test has a whole packet"),
    }
}

fn written(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.put(version, &mut bytes);
    bytes
}

fn id(value: u16) -> PacketId {
    PacketId::new(value).unwrap()
}

/// [MQTT-2.1.3-1] [MQTT3-2.2.2-1] [MQTT3-2.2.2-2] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1]
/// [MQTT-3.14.1-1] [MQTT-3.15.1-1] [MQTT3-3.6.1-1] [MQTT3-3.8.1-1] [MQTT3-3.10.1-1]
/// [MQTT3-3.14.1-1]
#[test]
fn every_first_byte() {
    for byte in 0..=255_u8 {
        let bytes = [byte, 0];
        let allowed = match byte {
            0x00..=0x0F => false,
            0x30..=0x35 | 0x3A..=0x3D => true,
            0x62 | 0x82 | 0xA2 => true,
            // The DUP flag of version 3.1, which the frame does not know.
            0x6A | 0x8A | 0xAA => true,
            0x60..=0x6F | 0x80..=0x8F | 0xA0..=0xAF => false,
            _ => byte & 0x0F == 0,
        };
        assert_eq!(frame(&bytes, 100).is_ok(), allowed, "0x{byte:02X}");
        // The same is checked when a frame did not come from `frame`.
        let by_hand = Frame { packet_type_and_flags: byte, body: &[], len: 2 };
        for sender in [Sender::Client, Sender::Server] {
            let result = decode(&by_hand, V5, sender);
            if !allowed || matches!(byte, 0x6A | 0x8A | 0xAA) {
                let kind = result.unwrap_err().kind();
                assert!(
                    matches!(
                        kind,
                        DecodeErrorKind::ReservedFlags(_)
                            | DecodeErrorKind::ReservedPacketType
                            | DecodeErrorKind::PublishQos3
                            | DecodeErrorKind::DupWithQos0
                            | DecodeErrorKind::WrongSender(_)
                    ),
                    "0x{byte:02X}: {kind:?}"
                );
            }
        }
    }
}

/// Table 2-4: identifier, one valid value, the packets. C CONNECT, c CONNACK, P PUBLISH, w will, A
/// the four acknowledgements, S SUBSCRIBE, s SUBACK, U UNSUBSCRIBE, u UNSUBACK, D DISCONNECT, H
/// AUTH.
const PROPERTIES: [(u8, &[u8], &str); 27] = [
    (1, &[1], "Pw"),
    (2, &[0, 0, 0, 1], "Pw"),
    (3, &[0, 1, b'a'], "Pw"),
    (8, &[0, 1, b'a'], "Pw"),
    (9, &[0, 1, b'a'], "Pw"),
    (11, &[1], "PS"),
    (17, &[0, 0, 0, 1], "CcD"),
    (18, &[0, 1, b'a'], "c"),
    (19, &[0, 1], "c"),
    (21, &[0, 1, b'a'], "CcH"),
    (22, &[0, 1, b'a'], "CcH"),
    (23, &[1], "C"),
    (24, &[0, 0, 0, 1], "w"),
    (25, &[1], "C"),
    (26, &[0, 1, b'a'], "c"),
    (28, &[0, 1, b'a'], "cD"),
    (31, &[0, 1, b'a'], "cAsuDH"),
    (33, &[0, 1], "Cc"),
    (34, &[0, 1], "Cc"),
    (35, &[0, 1], "P"),
    (36, &[1], "c"),
    (37, &[1], "c"),
    (38, &[0, 1, b'a', 0, 1, b'b'], "CcPwASsUuDH"),
    (39, &[0, 0, 0, 1], "Cc"),
    (40, &[1], "c"),
    (41, &[1], "c"),
    (42, &[1], "c"),
];

/// One packet with this section at this place, and who sends it.
fn packet_with(place: char, section: &[u8]) -> (Vec<u8>, Sender) {
    let mut properties = vec![section.len() as u8];
    properties.extend_from_slice(section);
    let with = |first: u8, before: &[u8], after: &[u8]| {
        let body = [before, &properties, after].concat();
        [&[first, body.len() as u8], &body[..]].concat()
    };
    let connect = b"\0\x04MQTT\x05\x02\0\0";
    let will = b"\0\x04MQTT\x05\x06\0\0\0\0\x01c";
    let server = if section.first() == Some(&17) { Sender::Client } else { Sender::Server };
    match place {
        'C' => (with(0x10, connect, b"\0\x01c"), Sender::Client),
        'w' => (with(0x10, will, b"\0\x01t\0\0"), Sender::Client),
        'c' => (with(0x20, &[0, 0], &[]), Sender::Server),
        'P' => (with(0x30, b"\0\x01t", &[]), Sender::Server),
        '4'..='7' => {
            let first = (place as u8 - b'0') << 4 | if place == '6' { 2 } else { 0 };
            (with(first, &[0, 1, 0], &[]), Sender::Server)
        }
        'S' => (with(0x82, &[0, 1], b"\0\x01t\0"), Sender::Client),
        's' => (with(0x90, &[0, 1], &[0]), Sender::Server),
        'U' => (with(0xA2, &[0, 1], b"\0\x01t"), Sender::Client),
        'u' => (with(0xB0, &[0, 1], &[0]), Sender::Server),
        'D' => (with(0xE0, &[0], &[]), server),
        // AUTH needs its method; where that is the property in question, it is not added.
        'H' if section.first() == Some(&21) => (with(0xF0, &[0x18], &[]), Sender::Server),
        'H' => {
            let all = [section, &[21, 0, 1, b'm']].concat();
            let body = [&[0x18, all.len() as u8], &all[..]].concat();
            ([&[0xF0, body.len() as u8], &body[..]].concat(), Sender::Server)
        }
        _ => panic!("no such place"),
    }
}

const PLACES: &str = "CcPw4567SsUuDH";

/// Section 2.2.2.2. [MQTT-2.2.2-1]
#[test]
fn every_property_in_every_packet() {
    assert_eq!(Property::ALL.len(), PROPERTIES.len());
    for (number, value, places) in PROPERTIES {
        let property = Property::from_id(u32::from(number)).unwrap();
        for place in PLACES.chars() {
            let mut section = vec![number];
            section.extend_from_slice(value);
            // In CONNECT, Authentication Data needs a method.
            if (number, place) == (22, 'C') {
                section.extend_from_slice(&[21, 0, 1, b'm']);
            }
            let (bytes, sender) = packet_with(place, &section);
            let result = decoded(&bytes, V5, sender);
            let as_listed = if place.is_ascii_digit() { 'A' } else { place };
            if places.contains(as_listed) {
                let packet =
                    result.unwrap_or_else(|error| panic!("{property} in {place}: {error}"));
                // What was read is written again.
                assert_eq!(decoded(&written(&packet, V5), V5, sender), Ok(packet));
            } else {
                let kind = result.unwrap_err().kind();
                assert!(
                    matches!(kind, DecodeErrorKind::PropertyNotAllowed(one, _) if one == property),
                    "{property} in {place}: {kind:?}"
                );
                assert_eq!(kind.reason(), ReasonCode::MalformedPacket);
            }
        }
    }
}

#[test]
fn every_property_twice() {
    for (number, value, places) in PROPERTIES {
        for place in PLACES.chars() {
            let as_listed = if place.is_ascii_digit() { 'A' } else { place };
            if !places.contains(as_listed) {
                continue;
            }
            let mut section = vec![number];
            section.extend_from_slice(value);
            section.extend_from_within(..);
            let (bytes, sender) = packet_with(place, &section);
            let result = decoded(&bytes, V5, sender);
            let may_repeat = number == 38 || (number == 11 && place == 'P');
            let property = Property::from_id(u32::from(number)).unwrap();
            match result {
                Ok(_) => assert!(may_repeat, "{property} twice in {place}"),
                Err(error) => {
                    assert!(!may_repeat, "{property} twice in {place}");
                    assert_eq!(error.kind(), DecodeErrorKind::PropertyRepeated(property));
                    assert_eq!(error.reason(), ReasonCode::ProtocolError);
                }
            }
        }
    }
}

#[test]
fn identifiers_that_do_not_exist() {
    for number in (0..128_u8).filter(|number| PROPERTIES.iter().all(|row| row.0 != *number)) {
        let (bytes, sender) = packet_with('P', &[number, 0]);
        let kind = decoded(&bytes, V5, sender).unwrap_err().kind();
        assert_eq!(kind, DecodeErrorKind::PropertyUnknown);
        assert_eq!(Property::from_id(u32::from(number)), None);
    }
}

/// The tables 3-1 and 3-4 to 3-11. [MQTT-3.2.2-8] [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1]
/// [MQTT-3.7.2-1] [MQTT-3.9.3-2] [MQTT-3.11.3-2] [MQTT-3.14.2-1] [MQTT-3.15.2-1]
#[test]
fn every_reason_code_in_every_packet() {
    let publish_received = [0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99].to_vec();
    let both = [0, 0x80, 0x81, 0x82, 0x83, 0x8C, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
    let by_server =
        [0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2];
    let connack = (0x80..=0x8A)
        .chain([0, 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F])
        .collect::<Vec<u8>>();
    let from_client = publish_received.iter().copied().filter(|code| *code != 0x10).collect();
    let rows: [(PacketType, Sender, Vec<u8>); 12] = [
        (PacketType::ConnAck, Sender::Server, connack),
        (PacketType::PubAck, Sender::Server, publish_received.clone()),
        (PacketType::PubAck, Sender::Client, from_client),
        (PacketType::PubRec, Sender::Server, publish_received),
        (PacketType::PubRel, Sender::Client, vec![0, 0x92]),
        (PacketType::PubComp, Sender::Server, vec![0, 0x92]),
        (
            PacketType::SubAck,
            Sender::Server,
            vec![0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2],
        ),
        (PacketType::UnsubAck, Sender::Server, vec![0, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91]),
        (PacketType::Disconnect, Sender::Client, [&both[..], &[4]].concat()),
        (PacketType::Disconnect, Sender::Server, [&both[..], &by_server].concat()),
        (PacketType::Auth, Sender::Client, vec![0x18, 0x19]),
        (PacketType::Auth, Sender::Server, vec![0, 0x18]),
    ];
    for (packet, sender, codes) in rows {
        for code in 0..=255 {
            let bytes: &[u8] = match packet {
                PacketType::ConnAck => &[0x20, 3, 0, code, 0],
                PacketType::PubRel => &[0x62, 3, 0, 1, code],
                PacketType::SubAck => &[0x90, 4, 0, 1, 0, code],
                PacketType::UnsubAck => &[0xB0, 4, 0, 1, 0, code],
                PacketType::Disconnect => &[0xE0, 1, code],
                PacketType::Auth => &[0xF0, 6, code, 4, 21, 0, 1, b'm'],
                _ => &[(packet as u8) << 4, 3, 0, 1, code],
            };
            let result = decoded(bytes, V5, sender);
            let allowed = codes.contains(&code);
            assert_eq!(result.is_ok(), allowed, "{packet} 0x{code:02X} from {sender:?}");
            match (result, ReasonCode::from_u8(code)) {
                (Ok(_), Some(reason)) => assert!(reason.allowed_in(packet)),
                (Ok(_), None) => panic!("an unknown code was taken"),
                (Err(error), _) => {
                    let kind = DecodeErrorKind::ReasonCodeNotAllowed(packet, code);
                    assert_eq!(error.kind(), kind);
                }
            }
        }
    }
    // No other packet has a reason code.
    for packet in [PacketType::Connect, PacketType::Publish, PacketType::PingReq] {
        assert!(ReasonCode::ALL.iter().all(|reason| !reason.allowed_in(packet)));
    }
}

#[test]
fn reason_codes_have_their_values() {
    assert_eq!(ReasonCode::ALL.len(), 43);
    for code in 0..=255 {
        match ReasonCode::from_u8(code) {
            Some(reason) => {
                assert_eq!(reason as u8, code);
                assert_eq!(reason.is_error(), code >= 0x80);
                assert!(!reason.name().is_empty());
            }
            None => assert!(!matches!(code, 0..=2 | 4 | 0x10 | 0x11 | 0x18 | 0x19 | 0x80..=0xA2)),
        }
    }
    assert_eq!(ReasonCode::NotAuthorized.to_string(), "Not authorized");
    assert_eq!(ReasonCode::NormalDisconnection, ReasonCode::Success);
    assert_eq!(ReasonCode::GrantedQos0, ReasonCode::Success);
}

/// [MQTT3-3.2.2-6] where none of the codes 1 to 5 applies, there is no CONNACK
#[test]
fn return_codes_of_connack_before_5_0() {
    for code in 0..=5 {
        let reason = ReasonCode::from_connack_v3(code).unwrap();
        assert_eq!(reason.connack_v3(), Some(code));
    }
    assert!((6..=255).all(|code| ReasonCode::from_connack_v3(code).is_none()));
    assert_eq!(ReasonCode::ServerBusy.connack_v3(), Some(3));
    assert_eq!(ReasonCode::Banned.connack_v3(), Some(5));
    assert_eq!(ReasonCode::MalformedPacket.connack_v3(), None);
    assert_eq!(ReasonCode::TopicNameInvalid.connack_v3(), None);
}

/// Table 1-1. [MQTT-1.5.5-1]
#[test]
fn variable_byte_integers() {
    let rows: [(u32, &[u8]); 9] = [
        (0, &[0]),
        (127, &[0x7F]),
        (128, &[0x80, 1]),
        (321, &[0xC1, 2]),
        (16_383, &[0xFF, 0x7F]),
        (16_384, &[0x80, 0x80, 1]),
        (2_097_151, &[0xFF, 0xFF, 0x7F]),
        (2_097_152, &[0x80, 0x80, 0x80, 1]),
        (268_435_455, &[0xFF, 0xFF, 0xFF, 0x7F]),
    ];
    for (value, bytes) in rows {
        assert_eq!(varint::parse(bytes), Parsed::Value(value, bytes.len()));
        let (encoded, used) = varint::encode(value);
        assert_eq!(&encoded[..used], bytes);
        assert_eq!(varint::len(value), bytes.len());
        for end in 0..bytes.len() {
            assert_eq!(varint::parse(&bytes[..end]), Parsed::Incomplete);
        }
    }
    for bytes in [&[0x80, 0][..], &[0xFF, 0x80, 0], &[0x80, 0x80, 0x80, 0]] {
        assert_eq!(varint::parse(bytes), Parsed::NotMinimal);
    }
    assert_eq!(varint::parse(&[0x80, 0x80, 0x80, 0x80]), Parsed::TooLong);
    assert_eq!(varint::MAX, 268_435_455);
}

#[test]
#[should_panic(expected = "268435455")]
fn a_varint_that_cannot_be_written() {
    varint::encode(varint::MAX + 1);
}

/// [MQTT-3.3.1-2] [MQTT3-3.3.1-2] [MQTT-4.3.1-1] [MQTT3-4.3.1-1] DUP is not written with QoS 0;
/// [MQTT-2.2.1-2] [MQTT3-2.3.1-5] nor is a Packet Identifier
#[test]
fn a_publish_with_qos_0_is_written_without_dup_and_identifier() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let packet_id = PacketId::new(7);
        let publish = Publish { dup: true, packet_id, topic: "t", ..Publish::default() };
        let bytes = written(&Packet::Publish(publish), version);
        assert_eq!(bytes[0], 0x30);
        let Ok(Packet::Publish(read)) = decoded(&bytes, version, Sender::Client) else { panic!() };
        assert_eq!((read.dup, read.packet_id), (false, None));
        let dup = Publish { qos: Qos::AtLeastOnce, ..publish };
        assert_eq!(written(&Packet::Publish(dup), version)[0], 0x3A);
    }
}

/// [MQTT-3.2.2-6] [MQTT3-3.2.2-4] [MQTT3-3.2.2-6]
#[test]
fn a_refusal_is_written_without_session_present() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let refusal = Packet::ConnAck(ConnAck::new(true, ReasonCode::NotAuthorized));
        assert_eq!(written(&refusal, version)[2], 0);
        let present = Packet::ConnAck(ConnAck::new(true, ReasonCode::Success));
        assert_eq!(written(&present, version)[2], u8::from(version != Version::V31));
    }
}

/// [MQTT3-3.9.3-2] a failure is 0x80 before version 5.0
#[test]
fn suback_and_unsuback_before_5_0() {
    let properties = ReasonProperties { reason_string: Some("why"), ..Default::default() };
    let codes = [0, 1, 2, 0x87, 0x9E];
    let suback = Packet::SubAck(SubAck { packet_id: id(1), properties, codes: &codes });
    assert_eq!(written(&suback, Version::V311), [0x90, 7, 0, 1, 0, 1, 2, 0x80, 0x80]);
    let unsuback = Packet::UnsubAck(UnsubAck { packet_id: id(1), properties, codes: &codes });
    assert_eq!(written(&unsuback, Version::V31), [0xB0, 2, 0, 1]);
    let ack = Ack { properties, ..Ack::new(id(1), ReasonCode::NotAuthorized) };
    assert_eq!(written(&Packet::PubAck(ack), Version::V311), [0x40, 2, 0, 1]);
    let disconnect = Packet::Disconnect(Disconnect::new(ReasonCode::ServerBusy));
    assert_eq!(written(&disconnect, Version::V311), [0xE0, 0]);
}

/// [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT-3.1.3-1] the flags follow from the fields, which stand in
/// this order
#[test]
fn a_connect_is_written_in_order() {
    let mut connect = Connect::new(V5, "c", true);
    assert_eq!(written(&Packet::Connect(connect), V5)[9], 0b0000_0010);
    connect.will = Some(Will::new("w", b"p", Qos::ExactlyOnce, true));
    connect.user_name = Some("u");
    connect.password = Some(b"s");
    let bytes = written(&Packet::Connect(connect), V5);
    assert_eq!(bytes[9], 0b1111_0110);
    assert_eq!(&bytes[12..], b"\0\0\x01c\0\0\x01w\0\x01p\0\x01u\0\x01s");
}

#[test]
fn subscription_options_in_all_bits() {
    for bits in 0..=255_u8 {
        let valid = bits & 0xC0 == 0 && bits & 3 != 3 && bits & 0x30 != 0x30;
        let options = SubscriptionOptions::from_bits(bits);
        assert_eq!(options.is_some(), valid);
        if let Some(options) = options {
            assert_eq!(options.to_bits(), bits);
        }
    }
    assert_eq!(SubscriptionOptions::new(Qos::AtLeastOnce).to_bits(), 1);
}

/// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
#[test]
fn forwarded_properties_are_the_bytes_that_came() {
    let keep: [&[u8]; 5] = [
        b"\x26\0\x01b\0\x012",
        b"\x03\0\x01c",
        b"\x26\0\x01a\0\x011",
        b"\x01\x01",
        b"\x09\0\x02\xFF\0",
    ];
    let skip: [&[u8]; 3] = [b"\x02\0\0\0\x07", b"\x23\0\x05", b"\x0B\x80\x01"];
    // Each place for the three others, before, between and after.
    for (one, two, three) in (0..216).map(|n| (n % 6, n / 6 % 6, n / 36)) {
        let mut section = Vec::new();
        for at in 0..6 {
            for (place, bytes) in [(one, skip[0]), (two, skip[1]), (three, skip[2])] {
                if place == at {
                    section.extend_from_slice(bytes);
                }
            }
            section.extend_from_slice(keep.get(at).unwrap_or(&&[][..]));
        }
        let (bytes, sender) = packet_with('P', &section);
        let Ok(Packet::Publish(publish)) = decoded(&bytes, V5, sender) else { panic!() };
        let forward = publish.properties.forward;
        let mut sent = Vec::new();
        forward.put(&mut sent);
        assert_eq!(sent, keep.concat());
        assert_eq!(forward.encoded_len(), sent.len());
        assert_eq!(forward, ForwardProperties::from_encoded(&sent));
        assert_eq!(ForwardProperties::from_encoded(&sent).as_encoded(), Some(&sent[..]));
        assert_eq!(forward.correlation_data(), Some(&[0xFF, 0][..]));
        assert!(forward.user_properties().iter().eq([("b", "2"), ("a", "1")]));
        assert_eq!(publish.properties.message_expiry_s, Some(7));
        assert_eq!(publish.properties.topic_alias.unwrap().get(), 5);
        assert!(publish.properties.subscription_ids.iter().eq([128]));
    }
}

#[test]
fn forward_fields_are_what_is_read_back() {
    let fields = ForwardFields {
        payload_format: Some(1),
        response_topic: Some("r"),
        correlation_data: Some(&[1, 2]),
        content_type: Some("c"),
        user_properties: &[("a", "1"), ("a", "2")],
    };
    let mut bytes = Vec::new();
    fields.put(&mut bytes);
    assert_eq!(bytes.len(), fields.encoded_len());
    let forward = ForwardProperties::from_encoded(&bytes);
    assert_eq!(forward.payload_format(), Some(1));
    assert_eq!(forward.response_topic(), Some("r"));
    assert_eq!(forward.correlation_data(), Some(&[1, 2][..]));
    assert_eq!(forward.content_type(), Some("c"));
    assert_eq!(forward.user_properties(), UserProperties::from(fields.user_properties));
    let properties = PublishProperties { forward, ..Default::default() };
    let publish = Publish { topic: "t", properties, ..Publish::default() };
    let sent = written(&Packet::Publish(publish), V5);
    assert_eq!(decoded(&sent, V5, Sender::Client), Ok(Packet::Publish(publish)));
    assert!(ForwardProperties::default().is_empty());
    // Bytes that are no properties are passed on, and read as nothing.
    let garbage = ForwardProperties::from_encoded(&[0xFF, 1, 2]);
    assert_eq!((garbage.encoded_len(), garbage.content_type()), (3, None));
    assert!(!format!("{garbage:?}").is_empty());
}

#[test]
fn a_head_and_a_payload_are_the_packet() {
    let publish = Publish {
        topic: "a/b",
        qos: Qos::AtLeastOnce,
        packet_id: PacketId::new(3),
        payload: &[b'x'; 200],
        ..Publish::default()
    };
    for version in [Version::V311, V5] {
        let mut parts = Vec::new();
        publish.put_head(version, &mut parts);
        assert_eq!(parts.len(), publish.head_len(version));
        parts.extend_from_slice(publish.payload);
        assert_eq!(parts, written(&Packet::Publish(publish), version));
    }
}

#[test]
fn the_version_of_a_connect_that_cannot_be_decoded() {
    let version = |name: &[u8], level: u8| {
        let body = [&[0, name.len() as u8], name, &[level]].concat();
        connect_version(&Frame { packet_type_and_flags: 0x10, body: &body, len: body.len() + 2 })
    };
    assert_eq!(version(b"MQTT", 5), Some(Version::V5));
    assert_eq!(version(b"MQTT", 6), Some(Version::V5));
    assert_eq!(version(b"MQTT", 4), Some(Version::V311));
    assert_eq!(version(b"MQTT", 0x84), Some(Version::V311));
    assert_eq!(version(b"MQTT", 0), Some(Version::V311));
    assert_eq!(version(b"MQIsdp", 3), Some(Version::V31));
    assert_eq!(version(b"MQIsdp", 0x83), Some(Version::V31));
    assert_eq!(version(b"HTTP", 4), None);
    for body in [&b""[..], b"\0", b"\0\x04MQT", b"\0\x04MQTT"] {
        let len = body.len() + 2;
        assert_eq!(connect_version(&Frame { packet_type_and_flags: 0x10, body, len }), None);
    }
    let body = b"\0\x04MQTT\x04";
    assert_eq!(connect_version(&Frame { packet_type_and_flags: 0x30, body, len: 9 }), None);
}

/// [MQTT-3.1.2-24] [MQTT-3.2.2-15] the limit counts the whole packet, and holds before the body is
/// there
#[test]
fn packet_size_max_counts_the_fixed_header() {
    let bytes = [0x30, 3, 0, 1, b't'];
    assert!(matches!(frame(&bytes, 5), Ok(Framing::Complete(_))));
    assert_eq!(frame(&bytes, 4).unwrap_err().kind(), DecodeErrorKind::PacketTooLarge);
    assert_eq!(frame(&bytes[..2], 4).unwrap_err().reason(), ReasonCode::PacketTooLarge);
    assert_eq!(frame(&bytes[..2], 5), Ok(Framing::Incomplete { total: Some(5) }));
    // What follows belongs to the next packet.
    let two = [&bytes[..], &[0xC0, 0]].concat();
    let Ok(Framing::Complete(first)) = frame(&two, 5) else { panic!() };
    assert_eq!((first.len, first.body), (5, &bytes[2..]));
}

/// [MQTT-4.7.3-3] [MQTT3-4.7.3-3] the two bytes of its length bound every string
#[test]
fn the_longest_topic() {
    let topic = "t".repeat(65_535);
    let publish = Packet::Publish(Publish { topic: &topic, ..Publish::default() });
    let bytes = written(&publish, V5);
    assert_eq!(bytes.len(), 1 + 3 + 2 + 65_535 + 1);
    assert_eq!(decoded(&bytes, V5, Sender::Client), Ok(publish));
}

#[test]
#[should_panic(expected = "65535")]
fn a_topic_that_cannot_be_written() {
    let topic = "t".repeat(65_536);
    written(&Packet::Publish(Publish { topic: &topic, ..Publish::default() }), V5);
}

#[test]
fn a_slice_is_written_up_to_its_end() {
    let mut room = [0; 10];
    let mut out = SliceBuf::new(&mut room);
    Packet::PingReq.put(V5, &mut out);
    assert_eq!((out.remaining(), out.written()), (8, &[0xC0, 0][..]));
    out.put_u16(7);
    out.put_varint(128);
    out.put_str("ab");
    assert_eq!(out.into_written(), [0xC0, 0, 0, 7, 0x80, 1, 0, 2, b'a', b'b']);
}

#[test]
fn names() {
    assert_eq!(Version::V31.to_string(), "3.1");
    assert_eq!((Version::V31.level(), Version::V311.level(), Version::V5.level()), (3, 4, 5));
    assert_eq!(PacketType::UnsubAck.to_string(), "UNSUBACK");
    assert_eq!(PacketType::from_u8(16), None);
    assert_eq!(Qos::from_bits(3), None);
    assert!(Qos::AtMostOnce < Qos::ExactlyOnce);
    assert_eq!(PacketId::new(0), None);
    assert_eq!(id(7).to_string(), "7");
    assert!(Property::ReasonString.allowed_in(PacketType::Auth));
    assert!(!Property::ReasonString.allowed_in(PacketType::PingReq));
    assert!(Property::WillDelayInterval.allowed_in_will());
}
