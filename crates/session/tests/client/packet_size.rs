//! Maximum Packet Size, both directions.

use martlet_proto::{
    Auth, ConnAck, ConnAckProperties, Connect, ConnectProperties, DecodeErrorKind, Disconnect,
    Packet, ReasonCode, SubscriptionOptions, Version,
};
use martlet_session::client::{
    AuthError, ClientSession, ConnectionOptions, End, PublishError, RequestError, SubscribeRequest,
    Violation,
};

use crate::scripted::*;

fn size_max(bytes: u32) -> ConnAckProperties<'static> {
    ConnAckProperties { packet_size_max: Some(bytes), ..Default::default() }
}

// [MQTT-3.2.2-15]
#[test]
fn a_message_that_is_too_large_for_the_server_is_refused() {
    let mut client = Scripted::limited(size_max(20));
    // 2 header, 2 + 1 topic, 2 identifier, 1 property length: 12 bytes are left.
    client.publish("t", "123456789012", Q1).unwrap();
    assert_eq!(client.publish("t", "1234567890123", Q1), Err(PublishError::PacketTooLarge));
    client.publish("t", "12345678901234", Q0).unwrap();
    assert_eq!(client.publish("t", "123456789012345", Q0), Err(PublishError::PacketTooLarge));
    assert_eq!(client.sent(), ["PUBLISH t=123456789012 q1 #1", "PUBLISH t=12345678901234 q0"]);
    assert_eq!(client.session.in_flight(), 1);
}

// [MQTT-3.2.2-15]
#[test]
fn an_alias_is_left_out_where_it_would_not_fit() {
    let properties = ConnAckProperties { topic_alias_max: Some(9), ..size_max(20) };
    let mut client = Scripted::limited(properties);
    client.publish("topic", "1234567890", Q0).unwrap();
    client.publish("topic", "1234567", Q0).unwrap();
    // With the alias known, the topic makes room for the payload.
    client.publish("topic", "123456789012", Q0).unwrap();
    assert_eq!(
        client.sent(),
        [
            "PUBLISH topic=1234567890 q0",
            "PUBLISH topic=1234567 q0 @1",
            "PUBLISH =123456789012 q0 @1"
        ]
    );
}

// [MQTT-3.2.2-15]
#[test]
fn what_waits_or_is_unacknowledged_is_dropped_when_the_next_server_does_not_take_it() {
    let session = ClientSession::new(1000);
    let properties = ConnAckProperties { receive_max: Some(2), ..Default::default() };
    let mut client = Scripted::accepted(session, &persistent(Version::V5), false, properties);
    client.publish("t", "12345678901234567890", Q1).unwrap();
    client.publish("t", "12345678901234567890", Q2).unwrap();
    client.publish("t", "12345678901234567890", Q1).unwrap();
    client.publish("t", "short", Q1).unwrap();
    let (session, _) = client.broken();
    let mut client = Scripted::accepted(session, &persistent(Version::V5), true, size_max(20));
    assert_eq!(
        client.events(),
        [
            "connected, session present",
            "publish failed 0: PacketTooLarge",
            "publish failed 1: PacketTooLarge",
            "publish failed 2: PacketTooLarge"
        ]
    );
    assert_eq!(client.sent(), ["PUBLISH t=short q1 #4"]);
    assert_eq!(client.session.in_flight(), 1);
}

// [MQTT-3.2.2-15]
#[test]
fn requests_that_are_too_large_are_refused() {
    let mut client = Scripted::limited(size_max(20));
    let filters = [("a/long/topic/filter", SubscriptionOptions::default())];
    let request =
        SubscribeRequest { filters: &filters, subscription_id: None, user_properties: &[] };
    let refused =
        client.connection.subscribe(0, &mut client.session, &request, &mut client.out).unwrap_err();
    assert_eq!(refused, RequestError::PacketTooLarge);
    assert!(client.sent().is_empty());
    assert!(client.session.is_idle());
}

// [MQTT-3.14.2-3] [MQTT-3.14.2-4]
#[test]
fn a_reason_string_is_left_out_where_it_would_not_fit() {
    let goodbye = Disconnect {
        reason_string: Some("because"),
        ..Disconnect::new(ReasonCode::UnspecifiedError)
    };
    for (size, expected) in [(20, &["DISCONNECT 0x80 because"][..]), (13, &["DISCONNECT 0x80"][..])]
    {
        let mut client = Scripted::limited(size_max(size));
        client.connection.disconnect(&mut client.session, &goodbye, &mut client.out).unwrap();
        assert!(client.out.len() <= size as usize);
        assert_eq!(client.sent(), expected);
    }
    let pairs = [("name", "value")];
    let goodbye = Disconnect { user_properties: pairs[..].into(), ..goodbye };
    let mut client = Scripted::limited(size_max(20));
    client.connection.disconnect(&mut client.session, &goodbye, &mut client.out).unwrap();
    assert_eq!(client.sent(), ["DISCONNECT 0x80"]);
}

// [MQTT-3.15.2-2] [MQTT-3.15.2-3] [MQTT-3.2.2-15]
#[test]
fn authentication_data_that_is_too_large_is_refused() {
    let properties = ConnectProperties { auth_method: Some("M"), ..Default::default() };
    let connect = Connect { properties, ..connect(Version::V5) };
    let session = ClientSession::new(1000);
    let mut client = Scripted::open(session, &connect, ConnectionOptions::default());
    let properties = ConnAckProperties { auth_method: Some("M"), ..size_max(20) };
    client.accept(false, properties);
    client.sent();
    let data = [b'x'; 20];
    let refused = client.connection.reauthenticate(0, Some(&data), &mut client.out).unwrap_err();
    assert_eq!(refused, AuthError::PacketTooLarge);
    client.connection.reauthenticate(0, Some(b"short"), &mut client.out).unwrap();
    assert_eq!(client.sent(), ["AUTH 0x19 M short"]);
    let question = Auth { data: None, ..Auth::new(ReasonCode::ContinueAuthentication, "M") };
    client.server(Packet::Auth(question)).unwrap();
    let refused = client.connection.auth(0, Some(&data), &mut client.out).unwrap_err();
    assert_eq!(refused, AuthError::PacketTooLarge);
}

// [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2] [MQTT-3.6.2-3]
// [MQTT-3.7.2-2] [MQTT-3.7.2-3] [MQTT-3.2.2-15]
#[test]
fn every_acknowledgement_fits_the_smallest_size_that_is_accepted() {
    let mut client = Scripted::limited(size_max(5));
    client.server_publish("t", "x", Q1, 1);
    client.server_publish("t", "x", Q2, 2);
    client.server_ack(Packet::PubRel, 2);
    client.server_ack(Packet::PubRel, 3);
    client.server_ack(Packet::PubRec, 4);
    assert_eq!(client.out.len(), 4 + 4 + 4 + 5 + 5);
    assert_eq!(
        client.sent(),
        ["PUBACK #1", "PUBREC #2", "PUBCOMP #2", "PUBCOMP #3 0x92", "PUBREL #4 0x92"]
    );
}

#[test]
fn a_server_that_takes_no_acknowledgements_is_left() {
    let session = ClientSession::new(1000);
    let mut client = Scripted::open(session, &connect(Version::V5), ConnectionOptions::default());
    client.sent();
    let connack = ConnAck { properties: size_max(4), ..ConnAck::new(false, OK) };
    assert_eq!(client.server(Packet::ConnAck(connack)), Err(End::PacketSizeMaxTooSmall));
    assert_eq!(client.sent(), ["DISCONNECT 0x83"]);
}

// [MQTT-3.1.2-24]
#[test]
fn a_packet_above_the_clients_maximum_closes_the_connection_before_it_has_arrived() {
    for version in [Version::V311, Version::V5] {
        let properties = ConnectProperties { packet_size_max: Some(100), ..Default::default() };
        let connect = Connect { properties, ..connect(version) };
        let mut client = Scripted::accepted(
            ClientSession::new(1000),
            &connect,
            false,
            ConnAckProperties::default(),
        );
        client.events();
        let mut bytes = Vec::new();
        Packet::Publish(publish("t", &"x".repeat(100), Q0, 0)).put(version, &mut bytes);
        client.bytes(&bytes[..1]).unwrap();
        let end = client.bytes(&bytes[1..2]).unwrap_err();
        let End::Violation(Violation::Decode(error)) = end else { panic!("{end:?}") };
        assert_eq!(error.kind(), DecodeErrorKind::PacketTooLarge);
        let expected: &[&str] = if version == Version::V5 { &["DISCONNECT 0x95"] } else { &[] };
        assert_eq!(client.sent(), expected);
    }
}
