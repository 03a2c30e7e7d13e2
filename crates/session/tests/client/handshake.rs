//! CONNECT and CONNACK.

use martlet_proto::{
    ConnAck, ConnAckProperties, Connect, ConnectProperties, Disconnect, ForwardFields,
    ForwardProperties, Framing, Packet, PacketType, Qos, ReasonCode, Sender, Version, Will, decode,
    frame,
};
use martlet_session::client::{
    ClientConnection, ClientSession, ConnectError, ConnectionOptions, End, Phase, Violation,
};

use crate::scripted::*;

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

fn open(connect: &Connect<'_>) -> Result<Vec<u8>, ConnectError> {
    let (mut session, mut out) = (ClientSession::new(1000), Vec::new());
    let options = ConnectionOptions::default();
    ClientConnection::open(0, &mut session, connect, options, &mut out, |_| {}).map(|_| out)
}

fn full(version: Version) -> Connect<'static> {
    Connect {
        keep_alive_s: 60,
        will: Some(Will {
            qos: Qos::ExactlyOnce,
            retain: true,
            topic: "will",
            payload: b"gone",
            delay_s: 0,
            message_expiry_s: None,
            forward: ForwardProperties::default(),
        }),
        user_name: Some("user"),
        password: Some(b"secret"),
        ..Connect::new(version, "client", true)
    }
}

// The decoder of the server's side checks each flag against what is there.
// [MQTT-3.1.0-1] [MQTT3-3.1.0-1] [MQTT3-3.1.0-2] [MQTT-3.1.2-9] [MQTT-3.1.2-11] [MQTT-3.1.2-12]
// [MQTT-3.1.2-13] [MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT-3.1.2-18] [MQTT-3.1.2-19] [MQTT-3.1.3-1]
// [MQTT-3.1.3-3] [MQTT-3.1.3-4] [MQTT-3.1.3-11] [MQTT-3.1.3-12] [MQTT-2.2.2-1] [MQTT-3.1.3-2]
// [MQTT3-3.1.2-9] [MQTT3-3.1.2-11] [MQTT3-3.1.2-13] [MQTT3-3.1.2-14] [MQTT3-3.1.2-15]
// [MQTT3-3.1.2-18] [MQTT3-3.1.2-19] [MQTT3-3.1.2-20] [MQTT3-3.1.2-21] [MQTT3-3.1.3-1]
// [MQTT3-3.1.3-2] [MQTT3-3.1.3-3] [MQTT3-3.1.3-4] [MQTT3-3.1.3-10] [MQTT3-3.1.3-11]
#[test]
fn a_connection_begins_with_the_connect_as_it_was_given() {
    for version in VERSIONS {
        let user_only = Connect { password: None, ..full(version) };
        let will_only = Connect { user_name: None, password: None, ..full(version) };
        let bare = Connect { will: None, ..will_only };
        for connect in [full(version), user_only, will_only, bare] {
            let out = open(&connect).unwrap();
            let Framing::Complete(frame) = frame(&out, 1000).unwrap() else { panic!("half") };
            assert_eq!(frame.len, out.len(), "one packet and nothing else");
            let decoded = decode(&frame, Version::V5, Sender::Client).unwrap();
            assert_eq!(decoded, Packet::Connect(connect));
        }
    }
    let bytes = open(&Connect::new(Version::V5, "", true)).unwrap();
    assert_eq!(bytes, b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00");
}

// [MQTT3-3.1.3-7]
#[test]
fn an_empty_client_identifier_needs_a_clean_session_or_version_5() {
    let with = |version, clean| open(&Connect::new(version, "", clean)).map(|_| ());
    let refused = Err(ConnectError::ClientIdEmpty);
    assert_eq!(with(Version::V31, true), refused);
    assert_eq!(with(Version::V31, false), refused);
    assert_eq!(with(Version::V311, false), refused);
    assert_eq!(with(Version::V311, true), Ok(()));
    assert_eq!(with(Version::V5, false), Ok(()));
}

// [MQTT3-3.1.2-22]
#[test]
fn a_password_needs_a_user_name_before_version_5() {
    let with = |version| open(&Connect { user_name: None, ..full(version) }).map(|_| ());
    assert_eq!(with(Version::V31), Err(ConnectError::PasswordWithoutUserName));
    assert_eq!(with(Version::V311), Err(ConnectError::PasswordWithoutUserName));
    assert_eq!(with(Version::V5), Ok(()));
}

// [MQTT-1.5.4-2] [MQTT3-1.5.3-2] [MQTT-1.5.7-1] [MQTT-3.1.3-4] [MQTT-3.1.3-11] [MQTT-3.1.3-12]
#[test]
fn what_cannot_be_written_is_refused_before_anything_is_sent() {
    let long = "x".repeat(65_536);
    let connect = full(Version::V5);
    let properties = connect.properties;
    let invalid = [
        Connect { client_id: "a\0b", ..connect },
        Connect { client_id: &long, ..connect },
        Connect { user_name: Some("a\0b"), ..connect },
        Connect { password: Some(long.as_bytes()), ..connect },
        Connect {
            will: Some(Will { payload: long.as_bytes(), ..full(Version::V5).will.unwrap() }),
            ..connect
        },
        Connect {
            properties: ConnectProperties {
                user_properties: [("a", "\0")][..].into(),
                ..properties
            },
            ..connect
        },
        Connect {
            properties: ConnectProperties { auth_method: Some("\0"), ..properties },
            ..connect
        },
    ];
    for connect in invalid {
        assert_eq!(open(&connect).unwrap_err(), ConnectError::InvalidField);
    }
    let will = connect.will.unwrap();
    for topic in ["", "a/+", "a\0"] {
        let connect = Connect { will: Some(Will { topic, ..will }), ..connect };
        assert!(matches!(open(&connect), Err(ConnectError::WillTopic(_))), "{topic:?}");
    }
    let mut forward = Vec::new();
    ForwardFields { response_topic: Some("a/#"), ..Default::default() }.put(&mut forward);
    let will = Will { forward: ForwardProperties::from_encoded(&forward), ..will };
    let result = open(&Connect { will: Some(will), ..connect });
    assert!(matches!(result, Err(ConnectError::WillTopic(_))));
}

#[test]
fn limits_of_zero_and_data_without_a_method_are_refused() {
    let with = |properties| {
        open(&Connect { properties, ..Connect::new(Version::V5, "client", true) }).unwrap_err()
    };
    let zero = ConnectProperties { receive_max: Some(0), ..Default::default() };
    assert_eq!(with(zero), ConnectError::ZeroLimit);
    let zero = ConnectProperties { packet_size_max: Some(0), ..Default::default() };
    assert_eq!(with(zero), ConnectError::ZeroLimit);
    let data = ConnectProperties { auth_data: Some(b"x"), ..Default::default() };
    assert_eq!(with(data), ConnectError::AuthDataWithoutMethod);
}

fn connecting(version: Version) -> Scripted {
    let session = ClientSession::new(1000);
    let mut client = Scripted::open(session, &connect(version), ConnectionOptions::default());
    client.sent();
    client
}

// [MQTT-3.2.2-7] [MQTT-4.13.2-1]
#[test]
fn a_refusal_is_reported_and_nothing_is_sent_after_it() {
    for (version, reason) in [
        (Version::V5, ReasonCode::BadUserNameOrPassword),
        (Version::V311, ReasonCode::NotAuthorized),
        (Version::V31, ReasonCode::UnsupportedProtocolVersion),
    ] {
        let mut client = connecting(version);
        let refusal = Packet::ConnAck(ConnAck::new(false, reason));
        assert_eq!(client.server(refusal), Err(End::Refused(reason)));
        assert_eq!(client.events(), [format!("refused {:#04x}", reason as u8)]);
        assert_eq!(client.connection.phase(), Phase::Closed);
        assert_eq!(client.connection.end(), Some(End::Refused(reason)));
        client.publish("t", "x", Q1).unwrap();
        assert_eq!(client.bytes(&[0x20, 2, 0, 0]), Err(End::Refused(reason)));
        assert!(client.sent().is_empty());
    }
}

#[test]
fn a_server_from_before_version_5_refuses_in_its_own_version() {
    let mut client = connecting(Version::V5);
    let refused = client.bytes(b"\x20\x02\x00\x01");
    assert_eq!(refused, Err(End::Refused(ReasonCode::UnsupportedProtocolVersion)));
    assert_eq!(client.events(), ["refused 0x84"]);
    assert!(client.sent().is_empty());
    // It cannot accept in it.
    let mut client = connecting(Version::V5);
    assert!(matches!(client.bytes(b"\x20\x02\x00\x00"), Err(End::Violation(_))));
}

// [MQTT-3.2.2-1] [MQTT-3.2.2-6] [MQTT-3.2.2-8] [MQTT3-3.2.2-4]
#[test]
fn a_malformed_connack_closes_the_connection() {
    for (bytes, reason) in [
        (&b"\x20\x03\x02\x00\x00"[..], "DISCONNECT 0x81"),
        (b"\x20\x03\x01\x87\x00", "DISCONNECT 0x82"),
        (b"\x20\x03\x00\x01\x00", "DISCONNECT 0x82"),
        (b"\x20\x03\x00\x92\x00", "DISCONNECT 0x82"),
    ] {
        let mut client = connecting(Version::V5);
        client.bytes(bytes).unwrap_err();
        assert!(client.events().is_empty());
        assert_eq!(client.sent(), [reason], "{bytes:x?}");
    }
    for bytes in [b"\x20\x02\x01\x05", b"\x20\x02\x00\x06"] {
        let mut client = connecting(Version::V311);
        client.bytes(bytes).unwrap_err();
        assert!(client.events().is_empty() && client.sent().is_empty());
    }
}

// [MQTT-3.1.3-2] [MQTT3-3.1.3-2]
#[test]
fn a_session_belongs_to_its_client_identifier() {
    let mut client = Scripted::persistent(Version::V5);
    client.publish("t", "x", Q1).unwrap();
    client.events();
    let (mut session, _) = client.broken();
    let mut open = |client_id, clean_start| {
        let connect = Connect { client_id, clean_start, ..persistent(Version::V5) };
        let mut out = Vec::new();
        let options = ConnectionOptions::default();
        ClientConnection::open(0, &mut session, &connect, options, &mut out, |_| {}).map(|_| ())
    };
    assert_eq!(open("other", false), Err(ConnectError::ClientIdDiffers));
    assert_eq!(open("", false), Err(ConnectError::ClientIdDiffers));
    assert_eq!(open("client", false), Ok(()));
    assert_eq!(open("other", true), Ok(()), "its state is discarded");
}

// [MQTT-3.1.3-2]
#[test]
fn an_assigned_identifier_is_the_one_to_go_on_with() {
    let session = ClientSession::new(1000);
    let connect = Connect { client_id: "", ..persistent(Version::V5) };
    let properties = ConnAckProperties { assigned_client_id: Some("a1"), ..Default::default() };
    let client = Scripted::accepted(session, &connect, false, properties);
    let (session, _) = client.broken();
    let connect = Connect { client_id: "a1", ..connect };
    Scripted::accepted(session, &connect, true, ConnAckProperties::default());
}

// [MQTT-3.2.0-1] [MQTT3-3.2.0-1] [MQTT-3.14.0-1] [MQTT3-4.8.0-1]
#[test]
fn nothing_may_come_before_connack() {
    for version in VERSIONS {
        let mut client = connecting(version);
        let early = Packet::Publish(publish("t", "x", Q0, 0));
        let violation = Violation::OutOfPlace(PacketType::Publish);
        assert_eq!(client.server(early), Err(End::Violation(violation)));
        let goodbye: &[&str] = if version == Version::V5 { &["DISCONNECT 0x82"] } else { &[] };
        assert_eq!(client.sent(), goodbye);
        assert!(client.events().is_empty());
    }
    let mut client = connecting(Version::V5);
    let early = Packet::Disconnect(Disconnect::new(ReasonCode::ServerBusy));
    let violation = Violation::OutOfPlace(PacketType::Disconnect);
    assert_eq!(client.server(early), Err(End::Violation(violation)));
    assert_eq!(violation.clause(), "MQTT-3.14.0-1");
}

// [MQTT-3.2.0-2]
#[test]
fn a_second_connack_closes_the_connection() {
    let mut client = Scripted::connected(Version::V5);
    let again = Packet::ConnAck(ConnAck::new(false, OK));
    assert_eq!(client.server(again), Err(End::Violation(Violation::SecondConnAck)));
    assert_eq!(client.sent(), ["DISCONNECT 0x82"]);
}

// [MQTT-3.2.2-16]
#[test]
fn the_server_must_tell_the_identifier_that_it_assigned() {
    let with = |assigned_client_id| {
        let connect = Connect::new(Version::V5, "", true);
        let session = ClientSession::new(1000);
        let mut client = Scripted::open(session, &connect, ConnectionOptions::default());
        let properties = ConnAckProperties { assigned_client_id, ..Default::default() };
        client.server(Packet::ConnAck(ConnAck { properties, ..ConnAck::new(false, OK) }))
    };
    assert_eq!(with(Some("auto-1")), Ok(()));
    assert_eq!(with(None), Err(End::Violation(Violation::AssignedClientIdMissing)));
}

// [MQTT-3.1.2-28]
#[test]
fn response_information_comes_only_on_request() {
    for asked in [true, false] {
        let properties =
            ConnectProperties { request_response_information: asked, ..Default::default() };
        let connect = Connect { properties, ..connect(Version::V5) };
        let session = ClientSession::new(1000);
        let mut client = Scripted::open(session, &connect, ConnectionOptions::default());
        let properties =
            ConnAckProperties { response_information: Some("reply"), ..Default::default() };
        let connack = ConnAck { properties, ..ConnAck::new(false, OK) };
        let violation = End::Violation(Violation::ResponseInformationUnrequested);
        let expected = if asked { Ok(()) } else { Err(violation) };
        assert_eq!(client.server(Packet::ConnAck(connack)), expected);
    }
}

#[test]
fn the_limits_of_the_server_are_those_of_its_connack() {
    let client = Scripted::limited(ConnAckProperties {
        receive_max: Some(7),
        qos_max: Some(Q1),
        retain_available: Some(false),
        packet_size_max: Some(1000),
        topic_alias_max: Some(3),
        wildcard_available: Some(false),
        subscription_ids_available: Some(false),
        shared_available: Some(false),
        ..Default::default()
    });
    let limits = client.connection.limits();
    assert_eq!((limits.receive_max, limits.qos_max, limits.retain_available), (7, Q1, false));
    assert_eq!((limits.packet_size_max, limits.topic_alias_max), (1000, 3));
    assert!(!limits.wildcard_available && !limits.subscription_ids_available);
    assert!(!limits.shared_available);
}
