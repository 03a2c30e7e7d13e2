//! QoS 0 and QoS 1, both directions.

use crate::scripted::*;
use martlet_proto::{Ack, Packet, ReasonCode, Version};

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

// [MQTT-4.3.1-1] [MQTT3-4.3.1-1] [MQTT-2.2.1-2] [MQTT3-2.3.1-5] [MQTT-3.3.1-2] [MQTT3-3.3.1-2]
#[test]
fn qos_0_is_sent_without_an_identifier_and_forgotten() {
    for version in VERSIONS {
        let mut client = Scripted::connected(version);
        assert_eq!(client.publish("a/b", "x", Q0), Ok(None));
        assert_eq!(client.sent(), ["PUBLISH a/b=x q0"]);
        assert!(client.session.is_idle());
    }
}

// [MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-4.3.2-3] [MQTT3-4.3.2-1] [MQTT-2.2.1-3] [MQTT3-2.3.1-1]
// [MQTT3-2.3.1-2] [MQTT3-2.3.1-3]
#[test]
fn qos_1_is_unacknowledged_until_puback() {
    for version in VERSIONS {
        let mut client = Scripted::connected(version);
        let token = client.publish("a/b", "x", Q1).unwrap().unwrap();
        client.publish("a/b", "y", Q1).unwrap();
        assert_eq!(client.sent(), ["PUBLISH a/b=x q1 #1", "PUBLISH a/b=y q1 #2"]);
        assert_eq!(client.session.in_flight(), 2);
        client.server_ack(Packet::PubAck, 1);
        assert_eq!(client.events(), [format!("published {}: 0x00", token.get())]);
        assert_eq!(client.session.in_flight(), 1);
        client.server_ack(Packet::PubAck, 2);
        assert_eq!(client.events(), ["published 1: 0x00"]);
        assert!(client.session.is_idle());
    }
}

// [MQTT-4.4.0-2]
#[test]
fn an_error_in_puback_ends_the_flow_and_nothing_is_sent_again() {
    let mut client = Scripted::persistent(Version::V5);
    client.publish("a/b", "x", Q1).unwrap();
    client.sent();
    let refused = Ack::new(id(1), ReasonCode::NotAuthorized);
    client.server(Packet::PubAck(refused)).unwrap();
    assert_eq!(client.events(), ["published 0: 0x87"]);
    assert!(client.session.is_idle());
    let mut client = client.reconnected();
    assert!(client.sent().is_empty());
}

// [MQTT-4.3.2-4] [MQTT-4.3.2-5] [MQTT3-4.3.2-2] [MQTT-3.3.4-1] [MQTT3-3.3.4-1] [MQTT-2.2.1-5]
// [MQTT3-2.3.1-6] [MQTT-4.5.0-2] [MQTT3-4.5.0-2] [MQTT-3.4.2-1]
#[test]
fn a_received_qos_1_message_is_acknowledged_each_time_it_comes() {
    for version in VERSIONS {
        let mut client = Scripted::connected(version);
        client.server_publish("a/b", "x", Q1, 7);
        assert_eq!(client.sent(), ["PUBACK #7"]);
        // The same identifier after PUBACK is a new message, whatever DUP says.
        let mut again = publish("a/b", "x", Q1, 7);
        again.dup = true;
        client.server(Packet::Publish(again)).unwrap();
        assert_eq!(client.sent(), ["PUBACK #7"]);
        assert_eq!(client.events(), ["message a/b=x q1 #7", "message a/b=x q1 #7 dup"]);
    }
}

// [MQTT-3.3.4-1] [MQTT3-3.3.4-1]
#[test]
fn a_received_qos_0_message_is_not_answered() {
    for version in VERSIONS {
        let mut client = Scripted::connected(version);
        client.server_publish("a/b", "x", Q0, 0);
        assert_eq!(client.events(), ["message a/b=x q0"]);
        assert!(client.sent().is_empty());
    }
}

// [MQTT-2.2.1-3] [MQTT3-2.3.1-2]
#[test]
fn messages_and_requests_share_the_identifiers() {
    let mut client = Scripted::connected(Version::V5);
    client.publish("a/b", "x", Q1).unwrap();
    client.subscribe(&[("a/#", Q1)]);
    client.publish("a/b", "y", Q2).unwrap();
    assert_eq!(client.sent(), ["PUBLISH a/b=x q1 #1", "SUBSCRIBE #2 a/#:1", "PUBLISH a/b=y q2 #3"]);
    // Once around: what is still unanswered is skipped.
    client.server_ack(Packet::PubAck, 1);
    for packet_id in (4..=u16::MAX).chain([1]) {
        client.publish("a/b", "z", Q1).unwrap();
        client.out.clear();
        client.server_ack(Packet::PubAck, packet_id);
    }
    client.publish("a/b", "z", Q1).unwrap();
    assert_eq!(client.sent(), ["PUBLISH a/b=z q1 #4"]);
}
