//! Receive Maximum, both directions, and the queue that it makes necessary.

use martlet_proto::{
    Ack, ConnAckProperties, Connect, ConnectProperties, Packet, ReasonCode, Version,
};
use martlet_session::client::{
    ClientSession, ConnectionOptions, End, PublishError, UnsubscribeRequest, Violation,
};

use crate::scripted::*;

fn receive_max(receive_max: u16) -> ConnAckProperties<'static> {
    ConnAckProperties { receive_max: Some(receive_max), ..Default::default() }
}

// [MQTT-3.3.4-7] [MQTT-4.9.0-1] [MQTT-4.9.0-2]
#[test]
fn what_exceeds_the_quota_waits_in_order() {
    let mut client = Scripted::limited(receive_max(2));
    for payload in ["1", "2", "3", "4"] {
        client.publish("t", payload, Q1).unwrap();
    }
    assert_eq!(client.sent(), ["PUBLISH t=1 q1 #1", "PUBLISH t=2 q1 #2"]);
    assert_eq!((client.session.in_flight(), client.session.waiting()), (2, 2));
    client.server_ack(Packet::PubAck, 2);
    assert_eq!(client.sent(), ["PUBLISH t=3 q1 #3"]);
    // A later message does not overtake the waiting one.
    client.server_ack(Packet::PubAck, 1);
    client.publish("t", "5", Q1).unwrap();
    assert_eq!(client.sent(), ["PUBLISH t=4 q1 #4"]);
    client.server_ack(Packet::PubAck, 3);
    assert_eq!(client.sent(), ["PUBLISH t=5 q1 #5"]);
}

// [MQTT-3.3.4-7] [MQTT-4.9.0-2]
#[test]
fn a_qos_2_message_keeps_its_quota_until_pubcomp_or_an_error() {
    let mut client = Scripted::limited(receive_max(1));
    client.publish("t", "1", Q2).unwrap();
    client.publish("t", "2", Q2).unwrap();
    client.publish("t", "3", Q1).unwrap();
    assert_eq!(client.sent(), ["PUBLISH t=1 q2 #1"]);
    client.server_ack(Packet::PubRec, 1);
    assert_eq!(client.sent(), ["PUBREL #1"]);
    client.server_ack(Packet::PubComp, 1);
    assert_eq!(client.sent(), ["PUBLISH t=2 q2 #2"]);
    client.server(Packet::PubRec(Ack::new(id(2), ReasonCode::QuotaExceeded))).unwrap();
    assert_eq!(client.sent(), ["PUBLISH t=3 q1 #3"]);
}

// [MQTT-3.3.4-8] [MQTT-4.9.0-3]
#[test]
fn everything_else_goes_on_without_quota() {
    let connect = Connect { keep_alive_s: 8, ..connect(Version::V5) };
    let session = ClientSession::new(1000);
    let mut client = Scripted::accepted(session, &connect, false, receive_max(1));
    client.publish("t", "1", Q2).unwrap();
    client.publish("t", "2", Q1).unwrap();
    client.sent();
    client.publish("t", "3", Q0).unwrap();
    client.server_publish("in", "x", Q1, 7);
    client.server_publish("in", "x", Q2, 8);
    client.server_ack(Packet::PubRel, 8);
    client.subscribe(&[("a", Q0)]);
    let unsubscribe = UnsubscribeRequest { filters: &["a"], user_properties: &[] };
    client
        .connection
        .unsubscribe(client.now_ms, &mut client.session, &unsubscribe, &mut client.out)
        .unwrap();
    client.wait(7000).unwrap();
    client.server_ack(Packet::PubRec, 1);
    assert_eq!(
        client.sent(),
        [
            "PUBLISH t=3 q0",
            "PUBACK #7",
            "PUBREC #8",
            "PUBCOMP #8",
            "SUBSCRIBE #2 a:0",
            "UNSUBSCRIBE #3 a",
            "PINGREQ",
            "PUBREL #1",
        ]
    );
    client.disconnect(OK);
    assert_eq!(client.sent(), ["DISCONNECT 0x00"]);
}

// [MQTT-3.3.4-7] [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT-3.3.4-8]
#[test]
fn resending_respects_a_smaller_quota_and_pubrel_does_not_wait_for_it() {
    let mut client = Scripted::persistent(Version::V5);
    for payload in ["1", "2", "3", "4", "5"] {
        client.publish("t", payload, Q2).unwrap();
    }
    client.server_ack(Packet::PubRec, 5);
    let (session, _) = client.broken();
    let mut client = Scripted::accepted(session, &persistent(Version::V5), true, receive_max(2));
    // The unfinished PUBREL counts as one.
    assert_eq!(client.sent(), ["PUBLISH t=1 q2 #1 dup", "PUBREL #5"]);
    client.publish("t", "new", Q1).unwrap();
    assert!(client.sent().is_empty());
    client.server_ack(Packet::PubComp, 5);
    assert_eq!(client.sent(), ["PUBLISH t=2 q2 #2 dup"]);
    client.server_ack(Packet::PubRec, 1);
    client.server_ack(Packet::PubComp, 1);
    assert_eq!(client.sent(), ["PUBREL #1", "PUBLISH t=3 q2 #3 dup"]);
    // Acknowledged before it was sent again: it is not sent again.
    client.server_ack(Packet::PubRec, 4);
    client.server_ack(Packet::PubComp, 4);
    client.server_ack(Packet::PubRec, 2);
    client.server_ack(Packet::PubComp, 2);
    assert_eq!(client.sent(), ["PUBREL #4", "PUBREL #2", "PUBLISH t=new q1 #6"]);
}

// [MQTT-4.9.0-1]
#[test]
fn the_quota_of_one_connection_does_not_bind_the_next() {
    let session = ClientSession::new(1000);
    let mut client = Scripted::accepted(session, &persistent(Version::V5), false, receive_max(1));
    client.publish("t", "1", Q1).unwrap();
    client.publish("t", "2", Q1).unwrap();
    client.events();
    let mut client = client.reconnected();
    assert_eq!(client.sent().len(), 3 - 1);
}

#[test]
fn what_waits_is_bounded() {
    let session = ClientSession::new(10);
    let mut client = Scripted::accepted(session, &connect(Version::V5), false, receive_max(1));
    client.publish("t", "1", Q1).unwrap();
    client.publish("t", "1234", Q1).unwrap();
    client.publish("t", "1234", Q1).unwrap();
    assert_eq!(client.publish("t", "", Q1), Err(PublishError::QueueFull));
    assert_eq!(client.publish("t", "any", Q0), Ok(None));
    client.server_ack(Packet::PubAck, 1);
    client.publish("t", "1234", Q1).unwrap();
}

fn receiving(receive_max: u16, manual_acks: bool, version: Version) -> Scripted {
    let properties = ConnectProperties { receive_max: Some(receive_max), ..Default::default() };
    let connect = Connect { properties, ..connect(version) };
    let options = ConnectionOptions { manual_acks, ..Default::default() };
    let mut client = Scripted::open(ClientSession::new(1000), &connect, options);
    client.accept(false, ConnAckProperties::default());
    client.sent();
    client.events();
    client
}

// [MQTT-3.3.4-9]
#[test]
fn a_server_that_exceeds_the_clients_receive_maximum_is_disconnected() {
    let exceeded = Err(End::Violation(Violation::ReceiveMaximumExceeded));
    let mut client = receiving(2, false, Version::V5);
    client.server_publish("t", "1", Q2, 1);
    client.server_publish("t", "2", Q2, 2);
    client.server_publish("t", "q0", Q0, 0);
    client.sent();
    assert_eq!(client.server(Packet::Publish(publish("t", "3", Q1, 3))), exceeded);
    assert_eq!(client.sent(), ["DISCONNECT 0x93"]);

    let mut client = receiving(1, true, Version::V5);
    client.server_publish("t", "1", Q1, 1);
    assert_eq!(client.server(Packet::Publish(publish("t", "2", Q1, 2))), exceeded);
}

// [MQTT-3.3.4-9]
#[test]
fn finished_flows_make_room() {
    let mut client = receiving(1, false, Version::V5);
    for packet_id in 1..100 {
        client.server_publish("t", "x", Q1, packet_id);
        client.server_publish("t", "x", Q2, packet_id);
        client.server_publish("t", "x", Q2, packet_id);
        client.server_ack(Packet::PubRel, packet_id);
    }
    let mut client = receiving(1, true, Version::V5);
    for packet_id in 1..100 {
        client.server_publish("t", "x", Q1, packet_id);
        client.acknowledge(packet_id, OK);
        client.server_publish("t", "x", Q2, packet_id);
        client.acknowledge(packet_id, OK);
        client.server_ack(Packet::PubRel, packet_id);
        client.server_publish("t", "x", Q2, packet_id);
        client.acknowledge(packet_id, ReasonCode::QuotaExceeded);
    }
}

#[test]
fn before_version_5_there_is_no_receive_maximum() {
    let mut client = receiving(1, true, Version::V311);
    client.server_publish("t", "1", Q1, 1);
    client.server_publish("t", "2", Q1, 2);
    assert_eq!(client.events().len(), 2);
}
