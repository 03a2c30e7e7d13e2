//! What a new connection does for a session that goes on.

use crate::scripted::*;
use martlet_proto::{
    Ack, ConnAckProperties, ConnectProperties, Packet, ReasonCode, SubAck, Version,
};
use martlet_session::client::ConnectionOptions;

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

// [MQTT-4.4.0-1] [MQTT3-4.4.0-1] [MQTT-4.6.0-1] [MQTT3-4.6.0-1] [MQTT-3.3.1-1] [MQTT3-3.3.1-1]
// [MQTT3-2.3.1-3] [MQTT-3.1.2-23] [MQTT3-3.1.2-4] [MQTT-4.1.0-1] [MQTT3-4.1.0-1] [MQTT3-4.1.0-2]
// [MQTT-4.3.3-6] [MQTT-4.3.3-7]
#[test]
fn what_is_unacknowledged_is_sent_again_in_order_under_its_identifier() {
    for version in VERSIONS {
        let mut client = Scripted::persistent(version);
        for (payload, qos) in [("one", Q1), ("two", Q2), ("three", Q2), ("four", Q1), ("five", Q1)]
        {
            client.publish("t", payload, qos).unwrap();
        }
        client.server_ack(Packet::PubRec, 3);
        client.server_ack(Packet::PubAck, 4);
        client.events();
        let mut client = client.reconnected();
        assert_eq!(
            client.sent(),
            [
                "PUBLISH t=one q1 #1 dup",
                "PUBLISH t=two q2 #2 dup",
                "PUBREL #3",
                "PUBLISH t=five q1 #5 dup",
            ]
        );
        // What is new does not take an identifier that is in use, and has no DUP.
        client.publish("t", "six", Q1).unwrap();
        assert_eq!(client.sent(), ["PUBLISH t=six q1 #6"]);
        client.events();
        client.server_ack(Packet::PubComp, 3);
        client.server_ack(Packet::PubAck, 1);
        assert_eq!(client.events(), ["published 2: 0x00", "published 0: 0x00"]);
    }
}

// [MQTT-3.3.1-3] [MQTT3-3.3.1-3]
#[test]
fn dup_says_only_whether_this_client_sends_again() {
    let mut client = Scripted::persistent(Version::V5);
    let mut received = publish("t", "x", Q1, 3);
    received.dup = true;
    client.server(Packet::Publish(received)).unwrap();
    client.publish("t", "x", Q1).unwrap();
    assert_eq!(client.sent(), ["PUBACK #3", "PUBLISH t=x q1 #1"]);
}

// [MQTT-4.3.3-10] [MQTT3-4.3.3-2]
#[test]
fn a_qos_2_message_that_was_confirmed_before_is_not_delivered_again() {
    for version in VERSIONS {
        let mut client = Scripted::persistent(version);
        client.server_publish("t", "x", Q2, 7);
        client.events();
        let mut client = client.reconnected();
        client.events();
        let mut again = publish("t", "x", Q2, 7);
        again.dup = true;
        client.server(Packet::Publish(again)).unwrap();
        assert!(client.events().is_empty());
        assert_eq!(client.sent(), ["PUBREC #7"]);
        client.server_ack(Packet::PubRel, 7);
        assert_eq!(client.sent(), ["PUBCOMP #7"]);
    }
}

// [MQTT-4.3.3-4] [MQTT-4.3.3-6]
#[test]
fn a_resumed_exchange_that_the_server_has_finished_went_well() {
    let mut client = Scripted::persistent(Version::V5);
    client.publish("t", "x", Q2).unwrap();
    client.server_ack(Packet::PubRec, 1);
    // The PUBCOMP to this PUBREL is lost.
    let mut client = client.reconnected();
    client.events();
    assert_eq!(client.sent(), ["PUBREL #1"]);
    let pubcomp = Ack::new(id(1), ReasonCode::PacketIdentifierNotFound);
    client.server(Packet::PubComp(pubcomp)).unwrap();
    assert_eq!(client.events(), ["published 0: 0x00"]);
    // Without a resumption the two do not agree.
    client.publish("t", "y", Q2).unwrap();
    client.server_ack(Packet::PubRec, 2);
    let pubcomp = Ack::new(id(2), ReasonCode::PacketIdentifierNotFound);
    client.server(Packet::PubComp(pubcomp)).unwrap();
    assert_eq!(client.events(), ["published 1: 0x92"]);
}

#[test]
fn a_qos_2_message_that_the_application_has_not_acknowledged_is_delivered_again() {
    let mut client = Scripted::manual(Version::V5);
    client.server_publish("t", "x", Q2, 7);
    client.events();
    let mut client = client.reconnected();
    client.events();
    client.server_publish("t", "x", Q2, 7);
    assert_eq!(client.events(), ["message t=x q2 #7"]);
}

// [MQTT3-2.3.1-3]
#[test]
fn requests_without_an_answer_are_sent_again_under_their_identifier() {
    let mut client = Scripted::persistent(Version::V5);
    client.publish("t", "x", Q1).unwrap();
    let token = client.subscribe(&[("a/#", Q1), ("b", Q0)]);
    client.sent();
    let mut client = client.reconnected();
    assert_eq!(client.sent(), ["PUBLISH t=x q1 #1 dup", "SUBSCRIBE #2 a/#:1 b:0"]);
    client.events();
    let suback = SubAck { packet_id: id(2), properties: Default::default(), codes: &[1, 0x80] };
    client.server(Packet::SubAck(suback)).unwrap();
    assert_eq!(client.events(), [format!("subscribed {}: [1, 128]", token.get())]);
    assert_eq!(client.session.requests(), 0);
}

#[test]
fn what_was_never_sent_waits_for_the_next_connection() {
    let session = resumed_session();
    let mut client =
        Scripted::open(session, &persistent(Version::V5), ConnectionOptions::default());
    client.subscribe(&[("a", Q0)]);
    client.publish("t", "x", Q1).unwrap();
    client.publish("t", "y", Q2).unwrap();
    assert_eq!(client.sent(), ["CONNECT"], "nothing goes out before CONNACK");
    let mut client = client.reconnected();
    let sent = client.sent();
    assert_eq!(sent, ["SUBSCRIBE #1 a:0", "PUBLISH t=x q1 #2", "PUBLISH t=y q2 #3"]);
}

// [MQTT-3.1.2-23] [MQTT3-3.1.2-6]
#[test]
fn a_session_that_ends_with_its_connection_is_discarded() {
    for version in VERSIONS {
        let mut client = Scripted::connected(version);
        client.publish("t", "one", Q1).unwrap();
        client.publish("t", "two", Q2).unwrap();
        client.publish("t", "three", Q2).unwrap();
        client.server_ack(Packet::PubRec, 2);
        client.server_publish("t", "in", Q2, 9);
        client.events();
        let (session, events) = client.broken();
        assert_eq!(events, ["discarded 0: t=one", "discarded 1", "discarded 2: t=three"]);
        let properties = ConnAckProperties::default();
        let mut client = Scripted::accepted(session, &persistent(version), false, properties);
        assert_eq!(client.sent().len(), 0);
        client.server_publish("t", "in", Q2, 9);
        assert_eq!(client.events(), ["connected", "message t=in q2 #9"]);
    }
}

// [MQTT-3.1.2-23]
#[test]
fn the_servers_session_expiry_counts() {
    let session = resumed_session();
    let properties = ConnAckProperties { session_expiry_s: Some(0), ..Default::default() };
    let mut client = Scripted::accepted(session, &persistent(Version::V5), true, properties);
    client.publish("t", "x", Q1).unwrap();
    client.events();
    let (_, events) = client.broken();
    assert_eq!(events, ["discarded 0: t=x"]);
}

#[test]
fn a_session_expiry_in_disconnect_counts() {
    for (expiry_s, discarded) in [(0, true), (60, false)] {
        let mut client = Scripted::persistent(Version::V5);
        client.publish("t", "x", Q1).unwrap();
        client.events();
        let goodbye = martlet_proto::Disconnect {
            session_expiry_s: Some(expiry_s),
            ..martlet_proto::Disconnect::new(OK)
        };
        client.connection.disconnect(&mut client.session, &goodbye, &mut client.out).unwrap();
        let (_, events) = client.broken();
        assert_eq!(!events.is_empty(), discarded);
    }
}

// [MQTT-3.1.2-4] [MQTT3-3.1.2-6]
#[test]
fn clean_start_discards_the_session() {
    for version in VERSIONS {
        let mut client = Scripted::persistent(version);
        client.publish("t", "x", Q1).unwrap();
        client.events();
        let (session, events) = client.broken();
        assert!(events.is_empty());
        let connect = martlet_proto::Connect {
            properties: ConnectProperties { session_expiry_s: Some(60), ..Default::default() },
            ..connect(version)
        };
        let properties = ConnAckProperties::default();
        let mut client = Scripted::accepted(session, &connect, false, properties);
        assert_eq!(client.events(), ["discarded 0: t=x", "connected"]);
        assert!(client.sent().is_empty());
    }
}
