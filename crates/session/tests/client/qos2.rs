//! QoS 2, both directions.

use crate::scripted::*;
use martlet_proto::{Ack, Packet, ReasonCode, Version};

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

// [MQTT-4.3.3-1] [MQTT-4.3.3-2] [MQTT-4.3.3-3] [MQTT-4.3.3-4] [MQTT-4.3.3-5] [MQTT3-4.3.3-1]
// [MQTT-2.2.1-5] [MQTT3-2.3.1-6] [MQTT-3.6.1-1] [MQTT3-3.6.1-1]
#[test]
fn the_four_steps() {
    for version in VERSIONS {
        let mut client = Scripted::connected(version);
        client.publish("a/b", "x", Q2).unwrap();
        assert_eq!(client.sent(), ["PUBLISH a/b=x q2 #1"]);
        client.server_ack(Packet::PubRec, 1);
        assert_eq!(client.out[0], 0x62, "PUBREL with its reserved flags");
        assert_eq!(client.sent(), ["PUBREL #1"]);
        assert!(client.events().is_empty());
        assert_eq!(client.session.in_flight(), 1);
        client.server_ack(Packet::PubComp, 1);
        assert_eq!(client.events(), ["published 0: 0x00"]);
        assert!(client.session.is_idle());
    }
}

#[test]
fn the_reason_of_pubrec_is_reported_with_pubcomp() {
    let mut client = Scripted::connected(Version::V5);
    client.publish("a/b", "x", Q2).unwrap();
    let nobody = Ack::new(id(1), ReasonCode::NoMatchingSubscribers);
    client.server(Packet::PubRec(nobody)).unwrap();
    client.server_ack(Packet::PubComp, 1);
    assert_eq!(client.events(), ["published 0: 0x10"]);
}

// [MQTT-4.4.0-2]
#[test]
fn an_error_in_pubrec_ends_the_flow() {
    let mut client = Scripted::persistent(Version::V5);
    client.publish("a/b", "x", Q2).unwrap();
    client.sent();
    let refused = Ack::new(id(1), ReasonCode::QuotaExceeded);
    client.server(Packet::PubRec(refused)).unwrap();
    assert_eq!(client.events(), ["published 0: 0x97"]);
    assert!(client.sent().is_empty());
    let mut client = client.reconnected();
    assert!(client.sent().is_empty());
}

// [MQTT-4.3.3-6] [MQTT3-4.3.3-1]
#[test]
fn a_repeated_pubrec_repeats_the_pubrel_only() {
    let mut client = Scripted::connected(Version::V311);
    client.publish("a/b", "x", Q2).unwrap();
    client.sent();
    client.server_ack(Packet::PubRec, 1);
    client.server_ack(Packet::PubRec, 1);
    assert_eq!(client.sent(), ["PUBREL #1", "PUBREL #1"]);
    client.server_ack(Packet::PubComp, 1);
    client.server_ack(Packet::PubComp, 1);
    assert_eq!(client.events(), ["published 0: 0x00"]);
}

// [MQTT-3.6.2-1]
#[test]
fn a_pubrec_for_nothing_is_answered_with_not_found() {
    let mut client = Scripted::connected(Version::V5);
    client.server_ack(Packet::PubRec, 9);
    assert_eq!(client.sent(), ["PUBREL #9 0x92"]);
    let mut client = Scripted::connected(Version::V311);
    client.server_ack(Packet::PubRec, 9);
    assert_eq!(client.sent(), ["PUBREL #9"]);
}

// [MQTT-4.3.3-8] [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-4.3.3-12] [MQTT-4.3.3-13] [MQTT3-4.3.3-2]
// [MQTT-3.5.2-1]
#[test]
fn a_received_message_is_delivered_once() {
    for version in VERSIONS {
        let mut client = Scripted::connected(version);
        client.server_publish("a/b", "x", Q2, 7);
        client.server_publish("a/b", "x", Q2, 7);
        assert_eq!(client.sent(), ["PUBREC #7", "PUBREC #7"]);
        assert_eq!(client.events(), ["message a/b=x q2 #7"]);
        client.server_ack(Packet::PubRel, 7);
        assert_eq!(client.sent(), ["PUBCOMP #7"]);
        client.server_publish("a/b", "y", Q2, 7);
        assert_eq!(client.events(), ["message a/b=y q2 #7"]);
    }
}

// [MQTT-3.7.2-1]
#[test]
fn a_pubrel_for_nothing_is_answered_with_not_found() {
    let mut client = Scripted::connected(Version::V5);
    client.server_ack(Packet::PubRel, 9);
    assert_eq!(client.sent(), ["PUBCOMP #9 0x92"]);
    let mut client = Scripted::connected(Version::V31);
    client.server_ack(Packet::PubRel, 9);
    assert_eq!(client.sent(), ["PUBCOMP #9"]);
}

// [MQTT-4.3.3-9]
#[test]
fn a_refused_message_is_a_new_one_when_it_comes_again() {
    let mut client = Scripted::manual(Version::V5);
    client.server_publish("a/b", "x", Q2, 7);
    client.acknowledge(7, ReasonCode::QuotaExceeded);
    assert_eq!(client.sent(), ["PUBREC #7 0x97"]);
    client.server_publish("a/b", "x", Q2, 7);
    assert_eq!(client.events(), ["message a/b=x q2 #7", "message a/b=x q2 #7"]);
    client.acknowledge(7, OK);
    assert_eq!(client.sent(), ["PUBREC #7"]);
    client.server_publish("a/b", "x", Q2, 7);
    assert!(client.events().is_empty());
    assert_eq!(client.sent(), ["PUBREC #7"]);
}
