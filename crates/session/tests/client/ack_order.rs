//! The order of acknowledgements, and acknowledging by command.

use martlet_proto::{Packet, ReasonCode, Version};
use martlet_session::client::AckError;

use crate::scripted::*;

// [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT3-4.6.0-2] [MQTT3-4.6.0-3]
#[test]
fn automatic_acknowledgements_are_in_the_order_of_receipt() {
    let mut client = Scripted::connected(Version::V5);
    let mut bytes = Vec::new();
    for (qos, packet_id) in [(Q1, 9), (Q2, 4), (Q1, 2), (Q2, 1), (Q1, 8)] {
        Packet::Publish(publish("t", "x", qos, packet_id)).put(Version::V5, &mut bytes);
    }
    client.bytes(&bytes).unwrap();
    assert_eq!(client.sent(), ["PUBACK #9", "PUBREC #4", "PUBACK #2", "PUBREC #1", "PUBACK #8"]);
}

// [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT3-4.6.0-2] [MQTT3-4.6.0-3]
#[test]
fn commanded_acknowledgements_wait_for_those_before_them() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut client = Scripted::manual(version);
        for (qos, packet_id) in [(Q1, 1), (Q2, 2), (Q1, 3), (Q2, 4)] {
            client.server_publish("t", "x", qos, packet_id);
        }
        assert!(client.sent().is_empty());
        client.acknowledge(4, OK);
        client.acknowledge(2, OK);
        assert!(client.sent().is_empty());
        client.acknowledge(1, OK);
        assert_eq!(client.sent(), ["PUBACK #1", "PUBREC #2"]);
        client.acknowledge(3, OK);
        assert_eq!(client.sent(), ["PUBACK #3", "PUBREC #4"]);
        client.server_ack(Packet::PubRel, 2);
        assert_eq!(client.sent(), ["PUBCOMP #2"]);
    }
}

// [MQTT-4.6.0-4] [MQTT3-4.6.0-4]
#[test]
fn pubrels_are_in_the_order_of_the_pubrecs() {
    let mut client = Scripted::connected(Version::V5);
    for payload in ["1", "2", "3"] {
        client.publish("t", payload, Q2).unwrap();
    }
    client.sent();
    for packet_id in [2, 3, 1] {
        client.server_ack(Packet::PubRec, packet_id);
    }
    assert_eq!(client.sent(), ["PUBREL #2", "PUBREL #3", "PUBREL #1"]);
}

// [MQTT-3.4.2-1] [MQTT-3.5.2-1]
#[test]
fn only_reasons_of_puback_and_pubrec_are_accepted() {
    let mut client = Scripted::manual(Version::V5);
    client.server_publish("t", "x", Q1, 1);
    client.server_publish("t", "x", Q2, 2);
    let mut acknowledge = |packet_id, reason| {
        client.connection.acknowledge(
            0,
            &mut client.session,
            id(packet_id),
            reason,
            &mut client.out,
        )
    };
    for packet_id in [1, 2] {
        for reason in [ReasonCode::GrantedQos1, ReasonCode::MalformedPacket, ReasonCode::ServerBusy]
        {
            assert_eq!(acknowledge(packet_id, reason), Err(AckError::ReasonNotAllowed));
        }
    }
    assert_eq!(acknowledge(3, OK), Err(AckError::NotPending));
    assert_eq!(acknowledge(2, ReasonCode::PayloadFormatInvalid), Ok(()));
    assert_eq!(acknowledge(2, OK), Err(AckError::NotPending));
    assert_eq!(acknowledge(1, ReasonCode::NotAuthorized), Ok(()));
    assert_eq!(client.sent(), ["PUBACK #1 0x87", "PUBREC #2 0x99"]);
}

#[test]
fn before_version_5_a_message_cannot_be_refused() {
    let mut client = Scripted::manual(Version::V311);
    client.server_publish("t", "x", Q2, 2);
    client.acknowledge(2, ReasonCode::QuotaExceeded);
    assert_eq!(client.sent(), ["PUBREC #2"]);
    client.events();
    client.server_publish("t", "x", Q2, 2);
    assert!(client.events().is_empty(), "it counts as accepted");
}

#[test]
fn a_repeated_message_that_the_application_still_has_is_not_delivered_again() {
    let mut client = Scripted::manual(Version::V311);
    client.server_publish("t", "x", Q2, 2);
    client.server_publish("t", "x", Q2, 2);
    assert_eq!(client.events().len(), 1);
    client.acknowledge(2, OK);
    client.server_publish("t", "x", Q2, 2);
    assert_eq!(client.events().len(), 0);
    assert_eq!(client.sent(), ["PUBREC #2", "PUBREC #2"]);
}

#[test]
fn acknowledgements_of_a_lost_connection_are_not_sent_on_the_next() {
    let mut client = Scripted::manual(Version::V5);
    client.server_publish("t", "x", Q1, 1);
    client.events();
    let mut client = client.reconnected();
    let result = client.connection.acknowledge(0, &mut client.session, id(1), OK, &mut client.out);
    assert_eq!(result, Err(AckError::NotPending));
    assert!(client.sent().is_empty());
}
