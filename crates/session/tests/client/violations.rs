//! What a server must not do, and how the client closes the connection.

use martlet_proto::{
    Ack, Auth, ConnAckProperties, Connect, ConnectProperties, Packet, PacketType, ReasonCode,
    ReasonProperties, SubAck, UnsubAck, UserProperties, Version,
};
use martlet_session::client::{ClientSession, End, Violation};

use crate::scripted::*;

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

/// Bytes, the reason of the DISCONNECT with version 5, and the statement that they break.
const MALFORMED: &[(&[u8], u8, &str)] = &[
    (b"\x30\x04\x00\x01\xff\x00", 0x81, "MQTT-1.5.4-1"),
    (b"\x30\x06\x00\x03\xed\xa0\x80\x00", 0x81, "MQTT-1.5.4-1"),
    (b"\x30\x04\x00\x01\x00\x00", 0x81, "MQTT-1.5.4-2"),
    (b"\x30\x84\x00\x00\x01t\x00", 0x81, "MQTT-1.5.5-1"),
    (b"\x36\x06\x00\x01t\x00\x01\x00", 0x81, "MQTT-3.3.1-4"),
    (b"\x38\x04\x00\x01t\x00", 0x81, "MQTT-3.3.1-2"),
    (b"\x30\x04\x00\x01+\x00", 0x90, "MQTT-3.3.2-2"),
    (b"\x32\x06\x00\x01t\x00\x00\x00", 0x82, "MQTT-2.2.1-3"),
    (b"\x41\x02\x00\x01", 0x81, "MQTT-2.1.3-1"),
    (b"\x60\x02\x00\x01", 0x81, "MQTT-3.6.1-1"),
    (b"\x91\x04\x00\x01\x00\x00", 0x81, "MQTT-2.1.3-1"),
    (b"\xd1\x00", 0x81, "MQTT-2.1.3-1"),
    (b"\x00\x00", 0x81, "section 2.1.2"),
];

// [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-1.5.5-1] [MQTT-2.1.3-1] [MQTT-3.3.1-4] [MQTT-3.3.1-2]
// [MQTT-3.3.2-1] [MQTT-3.3.2-2] [MQTT-4.7.0-1] [MQTT-4.13.2-1] [MQTT3-1.5.3-1] [MQTT3-1.5.3-2]
// [MQTT3-2.2.2-1] [MQTT3-2.2.2-2] [MQTT3-3.3.1-2] [MQTT3-3.3.1-4] [MQTT3-3.3.2-1] [MQTT3-3.3.2-2]
// [MQTT3-4.7.1-1] [MQTT3-4.8.0-1] [MQTT3-4.8.0-2]
#[test]
fn malformed_packets_close_the_connection() {
    for (bytes, reason, clause) in MALFORMED {
        let mut client = Scripted::connected(Version::V5);
        let end = client.bytes(bytes).unwrap_err();
        let End::Violation(violation) = end else { panic!("{end:?}") };
        assert_eq!(violation.clause(), *clause, "{bytes:x?}");
        assert_eq!(client.sent(), [format!("DISCONNECT {reason:#04x}")], "{bytes:x?}");
        assert!(client.events().is_empty());
        assert!(client.bytes(b"\xd0\x00").is_err(), "closed");
    }
    // Without a property length.
    for bytes in [b"\x30\x03\x00\x01\xff", b"\x30\x03\x00\x01\x00", b"\x30\x03\x00\x01#"] {
        let mut client = Scripted::connected(Version::V311);
        assert!(client.bytes(bytes).is_err());
        assert!(client.sent().is_empty(), "before version 5 the connection is just closed");
    }
}

// [MQTT-3.14.1-1] [MQTT-3.15.1-1] [MQTT-3.14.2-2]
#[test]
fn malformed_packets_of_version_5_close_the_connection() {
    for (bytes, reason) in [
        (&b"\xe1\x00"[..], 0x81),
        (b"\xf1\x00", 0x81),
        (b"\xe0\x07\x00\x05\x11\x00\x00\x00\x01", 0x82),
        (b"\x30\x07\x00\x01t\x03\x23\x00\x00", 0x94),
    ] {
        let mut client = Scripted::connected(Version::V5);
        client.bytes(bytes).unwrap_err();
        assert_eq!(client.sent(), [format!("DISCONNECT {reason:#04x}")], "{bytes:x?}");
    }
}

#[test]
fn packets_of_the_other_side_close_the_connection() {
    for version in VERSIONS {
        for bytes in [
            &b"\xc0\x00"[..],
            b"\x82\x06\x00\x01\x00\x01a\x00",
            b"\xa2\x05\x00\x01\x00\x01a",
            b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00",
        ] {
            let mut client = Scripted::connected(version);
            client.bytes(bytes).unwrap_err();
            let expected: &[&str] = if version == Version::V5 { &["DISCONNECT 0x82"] } else { &[] };
            assert_eq!(client.sent(), expected, "{bytes:x?}");
        }
    }
    for bytes in [b"\xe0\x00", b"\xf0\x00"] {
        assert!(Scripted::connected(Version::V311).bytes(bytes).is_err());
    }
}

// [MQTT-2.2.1-5] [MQTT3-2.3.1-6]
#[test]
fn acknowledgements_of_nothing_close_the_connection() {
    let unknown = |packet| Err(End::Violation(Violation::UnknownPacketId(packet)));
    for version in VERSIONS {
        let mut client = Scripted::connected(version);
        let result = client.server(Packet::PubAck(Ack::new(id(1), OK)));
        assert_eq!(result, unknown(PacketType::PubAck));

        let mut client = Scripted::connected(version);
        client.publish("t", "x", Q2).unwrap();
        let result = client.server(Packet::PubAck(Ack::new(id(1), OK)));
        assert_eq!(result, unknown(PacketType::PubAck));

        let mut client = Scripted::connected(version);
        client.publish("t", "x", Q2).unwrap();
        let result = client.server(Packet::PubComp(Ack::new(id(1), OK)));
        assert_eq!(result, unknown(PacketType::PubComp));
    }
}

// [MQTT-1.5.4-3] [MQTT3-1.5.3-3]
#[test]
fn a_byte_order_mark_is_part_of_the_topic() {
    for version in VERSIONS {
        let mut client = Scripted::connected(version);
        client.server_publish("\u{feff}t", "x", Q0, 0);
        client.publish("\u{feff}t", "x", Q0).unwrap();
        assert_eq!(client.events(), ["message \u{feff}t=x q0"]);
        assert_eq!(client.sent(), ["PUBLISH \u{feff}t=x q0"]);
    }
}

fn without_problem_information() -> Scripted {
    let properties = ConnectProperties {
        request_problem_information: false,
        auth_method: Some("M"),
        ..Default::default()
    };
    let connect = Connect { properties, ..connect(Version::V5) };
    let mut client = Scripted::accepted(
        ClientSession::new(1000),
        &connect,
        false,
        ConnAckProperties {
            auth_method: Some("M"),
            reason_string: Some("fine here"),
            ..Default::default()
        },
    );
    client.publish("t", "x", Q1).unwrap();
    client.publish("t", "x", Q2).unwrap();
    client.subscribe(&[("a", Q0)]);
    client.connection.reauthenticate(0, None, &mut client.out).unwrap();
    client.sent();
    client.events();
    client
}

// [MQTT-3.1.2-29]
#[test]
fn problem_information_that_was_declined_closes_the_connection() {
    let pairs = [("k", "v")];
    for properties in [
        ReasonProperties { reason_string: Some("why"), ..Default::default() },
        ReasonProperties {
            user_properties: UserProperties::from(&pairs[..]),
            ..Default::default()
        },
    ] {
        let ack = |packet_id| Ack { properties, ..Ack::new(id(packet_id), OK) };
        let auth = Auth {
            reason_string: properties.reason_string,
            user_properties: properties.user_properties,
            ..Auth::new(ReasonCode::Success, "M")
        };
        for packet in [
            Packet::PubAck(ack(1)),
            Packet::PubRec(ack(2)),
            Packet::PubComp(ack(2)),
            Packet::PubRel(ack(9)),
            Packet::SubAck(SubAck { packet_id: id(3), properties, codes: &[0] }),
            Packet::UnsubAck(UnsubAck { packet_id: id(3), properties, codes: &[0] }),
            Packet::Auth(auth),
        ] {
            let mut client = without_problem_information();
            let violation = Violation::ProblemInformationUnrequested(packet.packet_type());
            assert_eq!(client.server(packet), Err(End::Violation(violation)));
            assert_eq!(client.sent(), ["DISCONNECT 0x82"]);
        }
    }
}
